/** What came and what went between two looks at the sockets. */
import type { PortRow } from '../../model/machine.ts'

export interface PortChanges {
  readonly came: readonly PortRow[]
  readonly went: readonly PortRow[]
}

/** Several sockets may share all of it (SO_REUSEPORT), so they are counted. */
export function portChanges(before: readonly PortRow[], now: readonly PortRow[]): PortChanges {
  return { came: beyond(now, before), went: beyond(before, now) }
}

/** Those of `rows` that `others` has fewer of. */
function beyond(rows: readonly PortRow[], others: readonly PortRow[]): PortRow[] {
  const left = new Map<string, number>()
  for (const row of others) left.set(portKey(row), (left.get(portKey(row)) ?? 0) + 1)
  return rows.filter((row) => {
    const key = portKey(row)
    const count = left.get(key) ?? 0
    left.set(key, count - 1)
    return count <= 0
  })
}

export function portKey({ protocol, family, address, port, peer, state, process }: PortRow): string {
  return [protocol, family, address, port, peer?.address, peer?.port, state, process?.pid].join(' ')
}
