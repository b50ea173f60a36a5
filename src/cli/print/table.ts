/** A table of texts, each column as wide as its widest cell on a terminal. The last column is never padded. */
import { visible } from '../../base/visible.ts'
import { widthOf } from './width.ts'

export interface TableColumn {
  readonly title: string
  /** @default left */
  readonly align?: 'left' | 'right'
  /** Left out where the terminal is too narrow, the highest first; without it the column stays. */
  readonly dispensable?: number
}

/** As `table`, without as many dispensable columns as it takes to stay within `room`. */
export function tableWithin(
  room: number,
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
): string[] {
  const lines = table(columns, rows)
  const least = columns.reduce((most, { dispensable = 0 }) => Math.max(most, dispensable), 0)
  if (least === 0 || lines.every((line) => widthOf(line) <= room)) return lines
  const at = columns.findIndex(({ dispensable }) => dispensable === least)
  const without = <T>(cells: readonly T[]): readonly T[] => cells.toSpliced(at, 1)
  return tableWithin(room, without(columns), rows.map(without))
}

const gap = '  '

export function table(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows.map((cells) => cells.map(visible))]
  // Each cell is measured once: of 5,000 sockets that is half of what printing them takes.
  const widths = lines.map((cells) => cells.map(widthOf))
  const widest = columns.map((_, at) =>
    widths.reduce((most, widthsOfLine) => Math.max(most, widthsOfLine[at] ?? 0), 0),
  )
  return lines.map((cells, row) =>
    cells
      .map((cell, at) => {
        const right = columns[at]?.align === 'right'
        if (!right && at === columns.length - 1) return cell
        const space = ' '.repeat(Math.max(0, (widest[at] ?? 0) - (widths[row]?.[at] ?? 0)))
        return right ? space + cell : cell + space
      })
      .join(gap)
      .trimEnd(),
  )
}
