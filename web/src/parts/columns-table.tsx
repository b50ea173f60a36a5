/** A plain table: heads, rows, and a sentence where there are none. */
import type { ReactNode } from 'react'

export interface PlainTableProps {
  readonly caption: string
  readonly heads: readonly string[]
  readonly rows: readonly { readonly key: string; readonly cells: readonly ReactNode[] }[]
  readonly none: string
}

export function PlainTable({ caption, heads, rows, none }: PlainTableProps) {
  if (rows.length === 0) return <p className="quiet">{none}</p>
  return (
    <div className="table-box" role="region" aria-label={caption} tabIndex={0}>
      <table className="plain figure">
        <caption className="hidden">{caption}</caption>
        <thead>
          <tr>
            {heads.map((head, index) => (
              <th key={head || index} scope="col">
                {head === '' ? <span className="hidden">·</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells }) => (
            <tr key={key}>
              {cells.map((cell, index) =>
                index === 0 ? (
                  <th key={heads[index]} scope="row">
                    {cell}
                  </th>
                ) : (
                  <td key={heads[index]}>{cell}</td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
