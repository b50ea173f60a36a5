/**
 * Lines of the journal: `1 CHECKSUM JSON`, the version of the format and the CRC-32 of the JSON's bytes in front. A line
 * that does not hold its checksum is believed in nothing. Before there were checksums a line was its JSON alone; such
 * are read where they stand before all others.
 */
import { crc32 } from 'node:zlib'
import { hops, type Hop, type Json } from '../model/hop.ts'

export interface JournalEntry {
  readonly id: number
  readonly rule: string
  readonly hop: Hop
  readonly member: string
  readonly effect: Json
  /** Milliseconds since the Unix epoch. */
  readonly at: number
}

export type JournalLine =
  | ({ readonly op: 'intend' } & JournalEntry)
  | { readonly op: 'amend'; readonly id: number; readonly effect: Json }
  | { readonly op: 'undone'; readonly id: number }

export interface ReadLines {
  /** What is in force, by id, oldest first. */
  readonly live: Map<number, JournalEntry>
  readonly lines: number
  /** Lines that are none, but for a last one that was cut short: a crash cut it, and it was never acted on. */
  readonly unreadable: number
  /** Every byte is part of a line as it is written today. */
  readonly whole: boolean
}

export function formatLine(line: JournalLine): string {
  const json = JSON.stringify(line)
  return `1 ${checksum(json)} ${json}\n`
}

export function readLines(bytes: Buffer): ReadLines {
  const live = new Map<number, JournalEntry>()
  // Byte for byte, so that what is no UTF-8 cannot become it.
  const rows = bytes.toString('latin1').split('\n')
  const tail = rows.pop() as string
  let [lines, unreadable, old, summed] = [rows.length, 0, 0, false]
  const take = (row: string): boolean => {
    const line = parseSummed(row) ?? (summed ? null : parseOld(row))
    if (line === null) return false
    if (row.startsWith('{')) old++
    else summed = true
    follow(live, line)
    return true
  }
  for (const row of rows) if (!take(row)) unreadable++
  // The end of its line may be all that is wrong with it.
  if (tail !== '' && (take(tail) || take(tail.slice(0, -1)))) lines++
  // A write that was cut short leaves the beginning of a line; zeros are what a file system lost.
  else if (tail.includes('\0')) unreadable++
  return { live, lines, unreadable, whole: tail === '' && unreadable === 0 && old === 0 }
}

function follow(live: Map<number, JournalEntry>, line: JournalLine): void {
  if (line.op === 'intend') {
    const { id, rule, hop, member, effect, at } = line
    live.set(id, { id, rule, hop, member, effect, at })
  } else if (line.op === 'undone') live.delete(line.id)
  else {
    const entry = live.get(line.id)
    if (entry) live.set(line.id, { ...entry, effect: line.effect })
  }
}

function parseSummed(row: string): JournalLine | null {
  const [, sum, latin1] = /^1 ([0-9a-f]{8}) (\{.*\})$/.exec(row) ?? []
  if (sum === undefined || latin1 === undefined) return null
  const json = Buffer.from(latin1, 'latin1')
  return checksum(json) === sum ? parsed(json.toString('utf8')) : null
}

function parseOld(row: string): JournalLine | null {
  return row.startsWith('{') ? parsed(Buffer.from(row, 'latin1').toString('utf8')) : null
}

function parsed(json: string): JournalLine | null {
  try {
    const line = JSON.parse(json) as JournalLine
    if (typeof line.id !== 'number') return null
    if (line.op === 'undone' || line.op === 'amend') return line
    return line.op === 'intend' && hops.includes(line.hop) ? line : null
  } catch {
    return null
  }
}

const checksum = (json: string | Buffer): string => crc32(json).toString(16).padStart(8, '0')
