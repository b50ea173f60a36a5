/** What `naru ports --watch` shows and how far it is scrolled. Looks in, keys in, lines out; it never touches the terminal. */
import { say } from '../../base/text.ts'
import { portSorts, type MachinePorts, type PortRow, type PortSort } from '../../model/machine.ts'
import { moveOf } from '../move-keys.ts'
import type { Printer } from '../print/printer.ts'
import { clipped, plainOf } from '../print/width.ts'
import { portChanges, portKey } from './port-changes.ts'
import { portTable } from './table.ts'

/** So long a row is marked as new, and one that went is still shown. */
const markedMs = 6000

export class PortsScreen {
  /** Of the table and of the looks; `s` and `a` change them. */
  sort: PortSort
  all: boolean
  readonly #print: Printer
  readonly #now: () => number
  #seen: MachinePorts | null = null
  #came = new Map<string, number>()
  #went: { readonly row: PortRow; readonly at: number }[] = []
  #top = 0
  #page = 10

  constructor(print: Printer, now: () => number, { sort, all }: { sort: PortSort; all: boolean }) {
    this.#print = print
    this.#now = now
    this.sort = sort
    this.all = all
  }

  /** @param another whether it was asked otherwise than the look before, so that nothing came and nothing went */
  saw(seen: MachinePorts, another = false): void {
    const [before, at] = [this.#seen, this.#now()]
    this.#seen = seen
    if (another || before === null) return this.#forget()
    const { came, went } = portChanges(before.rows, seen.rows)
    for (const row of came) this.#came.set(portKey(row), at)
    for (const row of went) this.#went.push({ row, at })
  }

  lines(size: { readonly columns: number; readonly rows: number }): string[] {
    const { paint } = this.#print
    if (!this.#seen) return []
    this.#went = this.#went.filter(({ at }) => this.#now() - at < markedMs)
    const { rows, unseen } = this.#seen
    const gone = this.#went.map(({ row }) => row)
    const [titles = '', ...body] = portTable([...rows, ...gone], this.#print, this.all)
    const marked = body.map((line, at) => this.#marked(line, rows[at]))
    // What went stands above, where it is seen however long the list is.
    const lines = [...marked.slice(rows.length), ...marked.slice(0, rows.length)]
    const foot = [
      ...(unseen ? [paint.yellow(this.#print.say(unseen))] : []),
      paint.dim(this.#print.say(this.#hint())),
    ]
    this.#page = Math.max(1, size.rows - 2 - foot.length)
    this.#top = Math.max(0, Math.min(this.#top, lines.length - this.#page))
    const visible = lines.slice(this.#top, this.#top + this.#page)
    while (visible.length < this.#page) visible.push('')
    const head = [paint.bold(this.#summary(rows.length)), paint.dim(`  ${titles}`)]
    return [...head, ...visible, ...foot].slice(0, size.rows).map((line) => clipped(line, size.columns))
  }

  /** @returns whether the sockets must be looked at again. */
  press(key: string): boolean {
    this.#top = Math.max(0, this.#top + (key === ' ' ? this.#page : (moveOf(key, this.#page) ?? 0)))
    if (key === 's') this.sort = portSorts[(portSorts.indexOf(this.sort) + 1) % portSorts.length] ?? 'port'
    if (key === 'a') this.all = !this.all
    return key === 's' || key === 'a'
  }

  /** Without a row it is one that went. */
  #marked(line: string, row: PortRow | undefined): string {
    const { green, red } = this.#print.paint
    if (!row) return red(`- ${plainOf(line)}`)
    const at = this.#came.get(portKey(row))
    return at !== undefined && this.#now() - at < markedMs ? green(`+ ${plainOf(line)}`) : `  ${line}`
  }

  #forget(): void {
    this.#came = new Map()
    this.#went = []
  }

  #summary(count: number): string {
    const last = Math.min(this.#top + this.#page, count)
    const part = count > this.#page ? ` (${this.#top + 1}–${last})` : ''
    return this.#print.say(say`${count} sockets${part}, by ${this.sort}`)
  }

  #hint() {
    return this.all
      ? say('↑↓ move  s sort  a listening only  q quit')
      : say('↑↓ move  s sort  a connections too  q quit')
  }
}
