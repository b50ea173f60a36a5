/** Bytes a second of each connection, from what it had carried at the last look. */
import type { Connection } from '../../model/connection.ts'
import type { Row } from './screen.ts'

export function speeds(now: () => number): (connections: readonly Connection[]) => Row[] {
  let before = new Map<string, Connection>()
  let at = now()
  return (connections) => {
    const seconds = Math.max(0.001, (now() - at) / 1000)
    const rows = connections.map((connection) => {
      const last = before.get(connection.id)
      return {
        connection,
        toTarget: last ? (connection.bytesToTarget - last.bytesToTarget) / seconds : 0,
        toClient: last ? (connection.bytesToClient - last.bytesToClient) / seconds : 0,
      }
    })
    before = new Map(connections.map((connection) => [connection.id, connection]))
    at = now()
    return rows
  }
}
