/** A table of texts, each column as wide as its widest cell on a terminal. The last column is never padded. */
import { padded, widthOf } from './width.ts'

export interface Column {
  readonly title: string
  /** @default left */
  readonly align?: 'left' | 'right'
}

const gap = '  '

export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, at) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(row[at] ?? '')), widthOf(title)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => {
        const right = columns[at]?.align === 'right'
        if (!right && at === columns.length - 1) return cell
        return padded(cell, widths[at] ?? 0, right ? 'right' : 'left')
      })
      .join(gap)
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map((row) => line(row))]
}
