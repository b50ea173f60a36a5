/** What a router has opened for a rule, as its hop tells it in its data: a row a port. */
import type { PortRange } from '../base/port.ts'
import type { Json } from './hop.ts'

export interface OutsidePort {
  /** Null where the router does not tell it. */
  readonly address: string | null
  readonly port: number
}

/** Behind two routers it is the outer one's that the internet finds. */
export function mappedBy(data: Json): readonly OutsidePort[] {
  return (Array.isArray(data) ? (data as readonly Json[]) : []).flatMap((row) => {
    const map = asMap(row)
    const { externalAddress, externalPort } = 'outer' in map ? asMap(map['outer'] ?? null) : map
    if (typeof externalPort !== 'number') return []
    return [{ address: typeof externalAddress === 'string' ? externalAddress : null, port: externalPort }]
  })
}

/** Ports in a row are one range. */
export function inRows(ports: readonly number[]): readonly PortRange[] {
  const rows: { first: number; last: number }[] = []
  for (const port of [...new Set(ports)].toSorted((a, b) => a - b)) {
    const row = rows.at(-1)
    if (row && row.last + 1 === port) row.last = port
    else rows.push({ first: port, last: port })
  }
  return rows
}

function asMap(value: Json): { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: Json })
    : {}
}
