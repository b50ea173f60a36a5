/** What `top` shows and where its cursor stands. Lines in, keys in; it never touches the terminal itself. */
import { say, type Text } from '../../base/text.ts'
import type { Connection } from '../../model/connection.ts'
import type { RuleStatus } from '../../model/naru-api.ts'
import { moveOf } from '../move-keys.ts'
import type { Printer } from '../print/printer.ts'
import { mark } from '../print/marks.ts'
import { ruleTable } from '../print/rules.ts'
import { table } from '../print/table.ts'
import { bytes, connections as countOf, rate, span } from '../print/units.ts'
import { clipped, padded, plainOf } from '../print/width.ts'

export interface Row {
  readonly connection: Connection
  /** Bytes a second. */
  readonly toTarget: number
  readonly toClient: number
}

interface SortColumn {
  readonly title: Text
  readonly right: boolean
  readonly cell: (row: Row, now: number) => string
  /** What it is sorted by, the largest first; texts run from A. */
  readonly key: (row: Row) => number | string
}

const columns: readonly SortColumn[] = [
  {
    title: say('RATE'),
    right: true,
    cell: ({ toTarget, toClient }) => rate(toTarget + toClient),
    key: ({ toTarget, toClient }) => toTarget + toClient,
  },
  {
    title: say('RULE'),
    right: false,
    cell: ({ connection }) => connection.rule,
    key: ({ connection }) => connection.rule,
  },
  {
    title: say('CLIENT'),
    right: false,
    cell: ({ connection }) => connection.client || 'unix',
    key: ({ connection }) => connection.client,
  },
  {
    title: say('TARGET'),
    right: false,
    cell: ({ connection }) => connection.target ?? '…',
    key: ({ connection }) => connection.target ?? '',
  },
  {
    title: say('PROTO'),
    right: false,
    cell: ({ connection }) => connection.protocol,
    key: ({ connection }) => connection.protocol,
  },
  {
    title: say('↓ IN'),
    right: true,
    cell: ({ connection }) => bytes(connection.bytesToTarget),
    key: ({ connection }) => connection.bytesToTarget,
  },
  {
    title: say('↑ OUT'),
    right: true,
    cell: ({ connection }) => bytes(connection.bytesToClient),
    key: ({ connection }) => connection.bytesToClient,
  },
  {
    title: say('AGE'),
    right: true,
    cell: ({ connection }, now) => span(now - connection.openedAt),
    key: ({ connection }) => -connection.openedAt,
  },
]

export class Screen {
  readonly #print: Printer
  readonly #now: () => number
  #sort = 0
  #reversed = false
  #cursor = 0
  #top = 0
  #page = 10
  #shown: readonly Row[] = []

  constructor(print: Printer, now: () => number) {
    this.#print = print
    this.#now = now
  }

  /** @param size the terminal's, or null to print everything once. */
  lines(
    rules: readonly RuleStatus[],
    rows: readonly Row[],
    size: { columns: number; rows: number } | null,
  ): string[] {
    this.#shown = this.#sorted(rows)
    this.#cursor = Math.max(0, Math.min(this.#cursor, this.#shown.length - 1))
    const table = ruleTable(rules, this.#print, { now: this.#now(), room: size?.columns, busiest: true })
    const head = [...table, '', this.#summary(rules, rows)]
    if (size === null) return [...head, ...this.#table(this.#shown)]
    // Many rules may not push the connections off the screen.
    const kept = head.length + 4 > size.rows ? [head.at(-1) as string] : head
    this.#page = Math.max(1, size.rows - kept.length - 2)
    this.#top = Math.max(this.#cursor - this.#page + 1, Math.min(this.#top, this.#cursor))
    const visible = this.#shown.slice(this.#top, this.#top + this.#page)
    const [titles = '', ...body] = this.#table(visible)
    const lines = [...kept, this.#print.paint.dim(titles)]
    for (const [at, line] of body.entries())
      lines.push(this.#top + at === this.#cursor ? highlighted(line, size.columns) : line)
    while (lines.length < size.rows - 1) lines.push('')
    lines.push(this.#print.paint.dim(this.#print.say(hint)))
    return lines.slice(0, size.rows).map((line) => clipped(line, size.columns))
  }

  /** @returns the id of the connection to cut, or null. */
  press(key: string): string | null {
    const move = moveOf(key, this.#page)
    if (move !== undefined) this.#cursor = Math.max(0, Math.min(this.#shown.length - 1, this.#cursor + move))
    if (key === 's') this.#sort = (this.#sort + 1) % columns.length
    if (key === 'r') this.#reversed = !this.#reversed
    return key === 'c' ? (this.#shown[this.#cursor]?.connection.id ?? null) : null
  }

  #summary(rules: readonly RuleStatus[], rows: readonly Row[]): string {
    const sum = (of: (rule: RuleStatus) => number): number =>
      rules.reduce((total, rule) => total + of(rule), 0)
    const parts = [
      this.#print.say(countOf(rows.length)),
      `↓ ${rate(sum(({ rate: speed }) => speed.toTarget))}`,
      `↑ ${rate(sum(({ rate: speed }) => speed.toClient))}`,
    ]
    return this.#print.paint.bold(parts.join('  '))
  }

  #table(rows: readonly Row[]): string[] {
    const arrow = this.#reversed ? '▲' : '▼'
    const titles = columns.map(({ title, right }, at) => ({
      title: this.#print.say(title) + (at === this.#sort ? arrow : ''),
      align: right ? ('right' as const) : ('left' as const),
    }))
    return table(
      titles,
      rows.map((row) => columns.map((column) => column.cell(row, this.#now()))),
    )
  }

  #sorted(rows: readonly Row[]): Row[] {
    const { key } = columns[this.#sort] as SortColumn
    const direction = this.#reversed ? -1 : 1
    return [...rows].sort(
      (a, b) => direction * compared(key(a), key(b)) || compared(a.connection.id, b.connection.id),
    )
  }
}

const hint = say('↑↓ move  s sort  r reverse  c cut  q quit')

function compared(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return b - a
  return String(a) < String(b) ? -1 : a === b ? 0 : 1
}

function highlighted(line: string, width: number): string {
  return mark(7) + padded(clipped(plainOf(line), width), width) + mark(27)
}
