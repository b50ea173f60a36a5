/**
 * The formats that are known, and the two ways through them: bytes of another program's file into rules, rules into
 * another program's file. A new format is a file and a line here.
 */
import { systemClock } from '../base/clock.ts'
import { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { Exported, ExportFormat, Imported, ImportFormat } from '../model/import-export.ts'
import type { Rule } from '../model/rule.ts'
import { asus } from './asus.ts'
import { compose } from './compose.ts'
import type { Format, ReadableFormat, WritableFormat } from './contract.ts'
import { capabilities, capabilitiesOf, isVital, type Capability } from './shared/capabilities.ts'
import { decoded } from './shared/decode.ts'
import { ImportContext } from './shared/import-context.ts'
import { Writing } from './shared/writing.ts'
import { haproxy } from './haproxy/index.ts'
import { iptables } from './iptables/index.ts'
import { netsh } from './netsh.ts'
import { nft } from './nft.ts'
import { nginx } from './nginx/index.ts'
import { rinetd } from './rinetd.ts'
import { socat } from './socat.ts'

/** A configuration of ten thousand forwards takes about 2 MiB. */
export const mostImportBytes = 4 * 1024 * 1024

/** In the order in which they are asked whether a text is theirs: the surest first. */
export const readable: readonly ReadableFormat[] = [netsh, asus, iptables, compose, haproxy, nginx, rinetd]
export const writable: readonly WritableFormat[] = [nft, iptables, haproxy, nginx, netsh, socat]

export interface ImportOptions {
  /** Named in errors. @default `input` */
  readonly file?: string
  /** The folder that gives a Compose project its name. @default none */
  readonly folder?: string | null
  /** @default told from the content */
  readonly from?: ImportFormat | null
}

/**
 * Forwards of another program as rules of ours, and everything that could not be carried over.
 * @throws NaruError IMPORT_INVALID (file:line:column of everything that is wrong), IMPORT_UNKNOWN
 */
export function importRules(input: Uint8Array | string, options: ImportOptions = {}): Imported {
  const { file = 'input', folder = null, from = null } = options
  const reading = new ImportContext(file, folder)
  const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.length
  if (bytes > mostImportBytes) {
    reading.wrong({ line: 1, column: 1 }, tooLarge(bytes))
    reading.finished()
  }
  const text = (typeof input === 'string' ? input : decoded(input)).replace(/^\uFEFF/, '')
  const excess = excessOf(text)
  if (excess) {
    reading.wrong({ line: excess.line, column: 1 }, excess.why)
    reading.finished()
  }
  const format = readable.find((one) => (from === null ? one.looksRight(text) : one.id === from))
  if (!format)
    throw new NaruError('IMPORT_UNKNOWN', { file, formats: readable.map(({ id }) => id).join(', ') })
  format.read(text, reading)
  return { format: format.id, detected: from === null, ...reading.finished() }
}

/** Rules as another program's file. What it cannot say is listed; a rule that would be another one is left out. */
export function exportRules(
  to: ExportFormat,
  rules: readonly Rule[],
  now: number = systemClock.now(),
): Exported {
  const format = writable.find(({ id }) => id === to)
  if (!format) throw new RangeError(`no format ${to}`)
  const writing = new Writing()
  for (const rule of rules)
    if (rule.until !== null && rule.until <= now) writing.passOver(rule, 'until', isOver)
    else if (!rule.enabled && format.carries.disabled === false) writing.passOver(rule, 'disabled', isOff)
    else sayWhatIsLost(rule, format, writing)
  const carried = rules.filter(({ name }) => !writing.isLeftOut(name))
  const text = format.write(carried, writing)
  const order = new Map(rules.map(({ name }, index) => [name, index]))
  const losses = writing.losses.toSorted(
    (a, b) => (order.get(a.rule ?? '') ?? 0) - (order.get(b.rule ?? '') ?? 0),
  )
  return {
    format: to,
    text,
    rules: carried.map(({ name }) => name).filter((name) => !writing.isLeftOut(name)),
    losses,
  }
}

const isOff: Text = say('it is switched off, and elsewhere it would be open')

const isOver: Text = say('its time is over, and elsewhere it would be open again')

function sayWhatIsLost(rule: Rule, format: Format, writing: Writing): void {
  const onlyUdp = rule.listen.kind === 'inet' && !rule.listen.protocols.includes('tcp')
  for (const aspect of capabilitiesOf(rule)) {
    const carry = format.carries[aspect]
    if (carry === true) continue
    if (carry !== false) continue // What part of it is lost, the writer knows.
    if (isVital(aspect) || (aspect === 'udp' && onlyUdp)) writing.leaveOut(rule, aspect, lost(aspect))
    else writing.lose(rule, aspect, lost(aspect))
  }
  if (writing.isLeftOut(rule.name)) return
  const ends = [rule.listen, ...rule.targets.map(({ to }) => to)]
  if (ends.some((end) => end.kind === 'unix' && !plainPath.test(end.path)))
    writing.leaveOut(rule, 'unix', notPlain)
}

/**
 * A path that is one word, and the same one, for every program and for a shell. Each has signs of its own that divide
 * words or begin others (`,` `:` `!` `;` `{` `%` `$` `#`, spaces, quotes), and takes what begins without `/` from a
 * folder of its own.
 */
const plainPath = /^\/[\w./-]+$/

const notPlain: Text = say(
  'the path begins with no /, or holds other signs than letters, digits, ".", "_", "-" and "/", which would be read otherwise there',
)

function lost(aspect: Capability): Text {
  const aspectText = capabilities[aspect].text
  return say`this format has no way to say it: ${aspectText}`
}

/** Lines are read one by one and each as a whole, so both have a bound. */
const mostLines = 100_000
const mostLineSigns = 256 * 1024

function excessOf(text: string): { line: number; why: Text } | null {
  let line = 0
  for (let at = 0; at < text.length;) {
    line++
    const end = text.indexOf('\n', at)
    const next = end === -1 ? text.length : end
    if (next - at > mostLineSigns) return { line, why: say('the line is too long') }
    if (line > mostLines) return { line, why: say`more than ${mostLines} lines` }
    at = next + 1
  }
  return null
}

function tooLarge(bytes: number): Text {
  return say`${bytes} bytes; the most is ${mostImportBytes}`
}
