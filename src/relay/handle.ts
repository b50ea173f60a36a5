/**
 * The system's handle beneath a Node socket. Node has no public way to it; where it looks otherwise some day, a rule
 * does not pass to another process, and all else works.
 */
import type { Socket as DatagramSocket } from 'node:dgram'
import type { Server } from 'node:net'

export interface DatagramHandle {
  readonly fd: number
  recvStop(): void
  recvStart(): void
}

/** Null where there is none, as on Windows. */
export function descriptorOf(server: Server): number | null {
  const fd = (server as unknown as { _handle?: { fd?: unknown } | null })._handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : null
}

export function handleOf(socket: DatagramSocket): DatagramHandle | null {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const state = key && (socket as unknown as Record<symbol, { handle?: Partial<DatagramHandle> | null }>)[key]
  const { handle } = state || {}
  if (!handle || typeof handle.fd !== 'number' || handle.fd < 0) return null
  return handle.recvStop && handle.recvStart ? (handle as DatagramHandle) : null
}
