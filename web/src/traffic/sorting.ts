/** The order of connections by a column; equal ones stay in the daemon's order. */
import type { Connection } from '../../../src/model/connection.ts'

export type SortColumn = 'rule' | 'client' | 'target' | 'bytes' | 'age' | 'state'

export interface Sorting {
  readonly column: SortColumn
  readonly descending: boolean
}

const keys: Readonly<Record<SortColumn, (connection: Connection) => string | number>> = {
  rule: ({ rule }) => rule,
  client: ({ client }) => client,
  target: ({ target }) => target ?? '',
  bytes: ({ bytesToTarget, bytesToClient }) => bytesToTarget + bytesToClient,
  age: ({ openedAt, closedAt }) => (closedAt === null ? -openedAt : 1e15 - openedAt),
  state: ({ state, closeReason }) => closeReason ?? state,
}

/** Youngest first for `age`; what is closed comes after what is open. */
export function byColumn({ column, descending }: Sorting): (a: Connection, b: Connection) => number {
  const key = keys[column]
  const sign = descending ? -1 : 1
  return (a, b) => {
    const [x, y] = [key(a), key(b)]
    return x === y ? 0 : x < y ? -sign : sign
  }
}
