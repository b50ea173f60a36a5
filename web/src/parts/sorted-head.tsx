/** A column's head that sorts by it: once more turns the order round. */

export interface SortedHeadProps {
  readonly column: string
  readonly text: string
  /** Null where another column is sorted by. */
  readonly order: 'ascending' | 'descending' | null
  readonly onSort: () => void
}

const signs = { ascending: ' ▴', descending: ' ▾' } as const

export function SortedHead({ column, text, order, onSort }: SortedHeadProps) {
  return (
    <th scope="col" data-column={column} aria-sort={order ?? undefined}>
      <button type="button" onClick={onSort}>
        {text}
        <span aria-hidden="true">{order === null ? '' : signs[order]}</span>
      </button>
    </th>
  )
}
