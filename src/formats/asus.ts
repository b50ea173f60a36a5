/**
 * The port forwarding list of an ASUS router: the setting `vts_rulelist`, as `nvram get`, `nvram show` and the
 * router's own pages (there with `&#60` and `&#62`) hand it out. `<name>port>address>port>protocol>source`, each
 * forward begins with `<`. Field order and words as in ASUSWRT's Advanced_VirtualServer_Content.asp.
 */
import { formatEndpoint } from '../base/address.ts'
import type { Protocol } from '../base/port.ts'
import { say } from '../base/text.ts'
import type { SourcePlace } from '../model/import-export.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { ReadableFormat } from './contract.ts'
import { carriesNothing } from './shared/capabilities.ts'
import { listenText, ruleName, type ImportContext } from './shared/import-context.ts'

const protocols: Readonly<Record<string, readonly Protocol[]>> = {
  TCP: ['tcp'],
  UDP: ['udp'],
  BOTH: ['tcp', 'udp'],
  'TCP/UDP': ['tcp', 'udp'],
}

const entry = /<([^<>]*)>([^<>]*)>([^<>]*)>([^<>]*)>([^<>]*)(?:>([^<>"]*))?>?/g

export const asus: ReadableFormat = {
  id: 'asus',
  title: say('ASUS router, vts_rulelist'),
  carries: {
    ...carriesNothing,
    udp: true,
    range: true,
    allow: say('one source address'),
  },
  looksRight: (text) =>
    /vts\d?_rulelist/.test(text) ||
    /^\s*(?:<|&#60;?)[^<>&\n]*(?:>|&#62;?)[\d:,-]+(?:>|&#62;?)\d+\.\d+\.\d+\.\d+(?:>|&#62;?)/.test(text),
  read,
}

function read(text: string, reading: ImportContext): void {
  const isOff = /(?:^|["' ])vts_enable_x["']?[ \t]{0,4}[=:][ \t]{0,4}["']?0\b/m.test(text)
  let lists = 0
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    // Entities are as long as what they stand for is short: places are those of the decoded line.
    const line = decoded(raw)
    const from = line.search(/vts\d?_rulelist/)
    if (from === -1 && !/^\s*"?</.test(line)) continue
    lists++
    readList(
      line.slice(Math.max(from, 0)),
      { line: index + 1, column: Math.max(from, 0) + 1 },
      isOff,
      reading,
    )
  }
  if (lists === 0 && text.trim() !== '')
    reading.wrong({ line: 1, column: 1 }, say('there is no vts_rulelist'))
}

/** As the pages have it (`&#60`), JSON (`\\u003c`), and a form that is sent (`%3C`, where no plain sign is). */
function decoded(line: string): string {
  const plain = line.replaceAll(/&#60;?|&lt;|\\u003c/gi, '<').replaceAll(/&#62;?|&gt;|\\u003e/gi, '>')
  if (plain.includes('<') || !/%3c/i.test(plain)) return plain
  return plain.replaceAll(/%(?:20|2[C-F]|3[ACE])/gi, (sign) => decodeURIComponent(sign))
}

/** @param whole from the setting's name on; a shell's quotes end what they begin */
function readList(whole: string, start: SourcePlace, isOff: boolean, reading: ImportContext): void {
  const at = (offset: number): SourcePlace => ({ ...start, column: start.column + offset })
  let read = whole.indexOf('<')
  if (read === -1) return
  const quote = whole[read - 1] ?? ''
  const end = /["']/.test(quote) ? whole.indexOf(quote, read) : -1
  const list = end === -1 ? whole : whole.slice(0, end)
  for (const match of list.matchAll(entry)) {
    if (match.index > read) reading.wrong(at(read), unreadable)
    read = match.index + match[0].length
    readEntry(match, at(match.index), isOff, reading)
  }
  if (list.slice(read).includes('<')) reading.wrong(at(read), unreadable)
}

const routerWasOff = say('switched off, as the router had its port forwarding off: enable what is to be open')

const unreadable = say('a forward is written <name>port>address>port>protocol>')

function readEntry(
  match: RegExpMatchArray,
  place: SourcePlace,
  isOff: boolean,
  reading: ImportContext,
): void {
  const [what, name = '', external = '', address = '', internal = '', protocol = '', source = ''] = match.map(
    (field) => field?.trim() ?? '',
  )
  const kinds = protocols[protocol.toUpperCase()]
  if (!kinds) {
    const why = say`${protocol || say('no protocol')}: only TCP and UDP have ports`
    return reading.leaveOut(place, what ?? '', why)
  }
  const ports = external.split(',').map((one) => one.trim().replace(':', '-'))
  for (const port of ports) {
    const target = targetPort(port, internal.replace(':', '-'), ports.length)
    const rule: RuleInput = {
      listen: listenText(null, port, kinds),
      target: formatEndpoint(address, target),
      ...(source === '' ? {} : { allow: [source] }),
      ...(isOff ? { enabled: false } : {}),
    }
    const losses = isOff ? [{ place, what: 'vts_enable_x=0', why: routerWasOff, off: true }] : []
    reading.add(place, ruleName(name), rule, { what: what ?? '', losses })
  }
}

/** An empty internal port is the external one; several external ports go to themselves. */
function targetPort(external: string, internal: string, count: number): string {
  return internal === '' || (count > 1 && !/^\d+$/.test(internal)) ? external : internal
}
