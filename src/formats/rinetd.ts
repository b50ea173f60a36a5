/**
 * rinetd.conf: a forward a line, and lines of who may come in, for all forwards before the first one and for one
 * after it. Any deny that matches turns a client away, whatever allows it. rinetd(8), version 0.73.
 */
import { canonicalAddress, cidrOrNull, formatEndpoint, parseCidr, type Cidr } from '../base/address.ts'
import type { Protocol } from '../base/port.ts'
import { say } from '../base/text.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { portNamed } from '../model/services.ts'
import type { ReadableFormat } from './contract.ts'
import { both, everybody, fromOrder, type OrderedAccess } from './shared/access.ts'
import { carriesNothing } from './shared/capabilities.ts'
import { listenText, type PartLoss, type ImportContext } from './shared/import-context.ts'
import { linesOf, type ConfigLine, type Word } from './shared/words.ts'

const forward =
  /^[ \t]{0,40}(?:[\da-f:.]{1,45}|localhost)[ \t]{1,40}[\w-]{1,20}(?:\/(?:tcp|udp))?[ \t]{1,40}[\w.:-]{1,253}[ \t]{1,40}[\w-]{1,20}(?:\/(?:tcp|udp))?[ \t]{0,40}(?:\[|$)/im

export const rinetd: ReadableFormat = {
  id: 'rinetd',
  title: say('rinetd, rinetd.conf'),
  carries: { ...carriesNothing, udp: true, nameTarget: true, allow: true, deny: true, 'timeouts.udp': true },
  looksRight: (text) => forward.test(text),
  read,
}

/** What is not said is 72 s, of our 5 minutes. */
const udpSeconds = 72

interface Access {
  allow: Cidr[] | null
  deny: Cidr[]
  /** A pattern that no prefix says: what it guards cannot be carried. */
  unclear: Word | null
}

interface Forward {
  readonly line: ConfigLine
  readonly access: Access
}

function read(text: string, reading: ImportContext): void {
  const everywhere: Access = { allow: null, deny: [], unclear: null }
  const forwards: Forward[] = []
  for (const line of linesOf(text, reading, { quotes: false })) {
    const [first, second] = line.words
    if (!first) continue
    const access = forwards.at(-1)?.access ?? everywhere
    if (first.text === 'allow' || first.text === 'deny') {
      if (second) note(access, first.text, second)
      else reading.wrong(first.place, say('a pattern is missing'))
    } else if (/^(logfile|logcommon|pidlogfile|buffersize)$/.test(first.text)) {
      reading.lose(first.place, line.text, say('about rinetd itself'))
    } else forwards.push({ line, access: { allow: null, deny: [], unclear: null } })
  }
  const ofAll = ordered(everywhere)
  const alone = accessOf(ofAll)
  for (const { line, access } of forwards) {
    const hasOwn = access.allow !== null || access.deny.length > 0
    // Both lists of the line and both lists of all must let a client in.
    const who = (): RuleInput => {
      if (!hasOwn) return alone
      const own = ordered(access)
      reading.weigh(
        line.words[0]?.place ?? { line: line.number, column: 1 },
        ofAll.entries.length + own.entries.length,
      )
      return accessOf(both(ofAll, own))
    }
    addForward(line, access.unclear ?? everywhere.unclear, who, reading)
  }
}

function note(access: Access, action: 'allow' | 'deny', pattern: Word): void {
  const cidrs = prefixesOf(pattern.text)
  if (cidrs === null) access.unclear ??= pattern
  else if (action === 'deny') access.deny.push(...cidrs)
  else (access.allow ??= []).push(...cidrs)
}

function addForward(
  line: ConfigLine,
  unclear: Word | null,
  who: () => RuleInput,
  reading: ImportContext,
): void {
  const [address, port, target, targetPort, ...options] = line.words
  const place = line.words[0]?.place ?? { line: line.number, column: 1 }
  if (!address || !port || !target || !targetPort) {
    reading.wrong(place, say('a forward has four words: address, port, address, port'))
    return
  }
  const bind = addressNamed(address.text)
  const [from, to] = [portOf(port), portOf(targetPort)]
  if (unclear) return reading.leaveOut(place, line.text, say`${unclear.text} is no address prefix`)
  if (bind === null) return reading.leaveOut(place, line.text, say('it listens on a name; write the address'))
  if (from === null || to === null)
    return reading.leaveOut(
      (from === null ? port : targetPort).place,
      line.text,
      say('it is no port, and no service name that is known'),
    )
  if (from.protocol !== to.protocol) return reading.leaveOut(place, line.text, say('TCP cannot become UDP'))
  const { seconds, losses } = optionsOf(options)
  const rule: RuleInput = {
    listen: listenText(bind, String(from.port), [from.protocol]),
    target: formatEndpoint(target.text, to.port),
    ...who(),
    ...(from.protocol === 'udp' ? { timeouts: { udp: `${seconds ?? udpSeconds}s` } } : {}),
  }
  reading.add(place, null, rule, { what: line.text, losses })
}

/** Of names only that of this machine is the same everywhere. */
function addressNamed(text: string): string | null {
  if (text === '0') return '0.0.0.0'
  return text.toLowerCase() === 'localhost' ? '127.0.0.1' : canonicalAddress(text)
}

function portOf({ text }: Word): { port: number; protocol: Protocol } | null {
  const [, written = '', protocol = 'tcp'] = /^([\w-]+?)(?:\/(tcp|udp))?$/i.exec(text) ?? []
  const kind = protocol.toLowerCase() as Protocol
  const port = /^\d{1,5}$/.test(written) ? Number(written) : portNamed(kind, written)
  return port === null ? null : { port, protocol: kind }
}

/** `[timeout=1200,src=192.168.1.2]` */
function optionsOf(words: readonly Word[]): { seconds: number | null; losses: PartLoss[] } {
  const [first] = words
  if (!first) return { seconds: null, losses: [] }
  const text = words.map((word) => word.text).join(' ')
  const losses: PartLoss[] = []
  let seconds: number | null = null
  for (const option of text
    .replaceAll(/[[\]]/g, '')
    .split(/[\s,]+/)
    .filter(Boolean)) {
    const timeout = /^timeout=(\d{1,9})$/.exec(option)
    if (timeout) seconds = Number(timeout[1])
    else losses.push({ place: first.place, what: option, why: notKnown })
  }
  return { seconds, losses }
}

const notKnown = say('there is no such option here')

/** A deny always wins here, so it stands first. */
function ordered({ allow, deny }: Access): OrderedAccess {
  return {
    entries: [
      ...deny.map((cidr) => ({ action: 'deny' as const, cidr })),
      ...(allow ?? []).map((cidr) => ({ action: 'allow' as const, cidr })),
    ],
    otherwise: allow === null ? 'allow' : 'deny',
  }
}

function accessOf(list: OrderedAccess): RuleInput {
  const { allow, deny } = fromOrder(list)
  return { ...(allow.length > 0 ? { allow } : {}), ...(deny.length > 0 ? { deny } : {}) }
}

/** `206.125.69.*`, `192.168.2.1?`, `fe80:*`, one address; null where no list of prefixes says it. */
export function prefixesOf(pattern: string): Cidr[] | null {
  if (pattern === '*') return [...everybody]
  if (!/[*?]/.test(pattern)) return only(cidrOrNull(pattern))
  const groups = /^((?:[\da-f]{1,4}:){1,7})\*$/i.exec(pattern)?.[1]
  if (groups) return only(cidrOrNull(`${groups}:/${(groups.split(':').length - 1) * 16}`))
  return octetPrefixes(pattern)
}

function only(cidr: Cidr | null): Cidr[] | null {
  return cidr && [cidr]
}

/** Octets, one with `*` or `?` in it, and then no more or only `*`. */
function octetPrefixes(pattern: string): Cidr[] | null {
  const octets = pattern.split('.')
  const at = octets.findIndex((octet) => /[*?]/.test(octet))
  const rest = octets.slice(at + 1)
  const whole = octets.length === 4 ? rest.every((octet) => octet === '*') : rest.length === 0
  const open = octets.length === 4 || (octets[at] ?? '').endsWith('*')
  if (octets.length > 4 || !whole || !open) return null
  if (!octets.slice(0, at).every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) <= 255)) return null
  if (!/^[\d*?]{1,6}$/.test(octets[at] ?? '')) return null
  const glob = new RegExp(`^${(octets[at] ?? '').replaceAll(/\*+/g, '\\d*').replaceAll('?', '\\d')}$`)
  const head = octets.slice(0, at)
  const bits = (at + 1) * 8
  const zeros = Array<string>(3 - at).fill('0')
  if (octets[at] === '*') return [parseCidr(`${[...head, '0', ...zeros].join('.')}/${at * 8}`)]
  return Array.from({ length: 256 }, (_, value) => String(value))
    .filter((value) => glob.test(value))
    .map((value) => parseCidr(`${[...head, value, ...zeros].join('.')}/${bits}`))
}
