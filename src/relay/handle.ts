/**
 * The system's handle beneath a Node socket. Node has no public way to it; where it looks otherwise some day, a rule
 * does not pass to another process, a client's bytes are read in Node's own way, and all else works.
 */
import type { Socket as DatagramSocket } from 'node:dgram'
import type { OnReadOpts, Server, Socket } from 'node:net'

export interface DatagramHandle {
  readonly fd: number
  recvStop(): void
  recvStart(): void
  /** @returns 0, or an errno below zero */
  disconnect?(): number
}

/** Null where there is none, as on Windows. */
export function descriptorOf(socket: Server | Socket): number | null {
  const fd = (socket as unknown as { _handle?: { fd?: unknown } | null })._handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : null
}

export function handleOf(socket: DatagramSocket): DatagramHandle | null {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const state = key && (socket as unknown as Record<symbol, { handle?: Partial<DatagramHandle> | null }>)[key]
  const { handle } = state || {}
  if (!handle || typeof handle.fd !== 'number' || handle.fd < 0) return null
  return handle.recvStop && handle.recvStart ? (handle as DatagramHandle) : null
}

/** The port of ours that a socket uses, also while it still dials; 0 where it has none or nobody knows. */
export function ownPortOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as {
    _handle?: { getsockname?: (into: object) => number } | null
  }
  const own: { port?: number } = {}
  return handle?.getsockname?.(own) === 0 ? (own.port ?? 0) : 0
}

/** Bytes that the system has not taken yet; those of a large `write` count down as it takes them. */
export function unsentOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { writeQueueSize?: unknown } | null }
  const size = handle?.writeQueueSize
  return typeof size === 'number' ? size : socket.writableLength
}

type Keyed = Record<symbol, unknown>

/** `OnReadOpts`, of functions that need no `this`. */
interface ReadInto {
  readonly buffer: OnReadOpts['buffer']
  readonly callback: (this: void, bytes: number, into: Uint8Array) => boolean
}

/** Where a Node socket keeps what `onread` was given; null where it does so elsewhere. */
let onreadKeys:
  | { readonly buffer: symbol; readonly make: symbol; readonly callback: symbol }
  | null
  | undefined

/**
 * Has a socket that came in read as `onread` has one that goes out, for which alone Node offers it: an accepted socket
 * otherwise allocates 64 KiB a read. @returns false where it cannot; `data` then tells as ever
 */
export function readInto(socket: Socket, { buffer, callback }: ReadInto): boolean {
  const { _handle: handle } = socket as unknown as {
    _handle?: { useUserBuffer?: (into: Uint8Array) => void }
  }
  onreadKeys ??= keysOf(socket)
  if (!onreadKeys || typeof handle?.useUserBuffer !== 'function' || typeof buffer !== 'function') return false
  const own = socket as unknown as Keyed
  const first = buffer()
  own[onreadKeys.buffer] = first
  own[onreadKeys.make] = buffer
  own[onreadKeys.callback] = callback
  handle.useUserBuffer(first)
  return true
}

function keysOf(socket: Socket): typeof onreadKeys {
  const symbols = Object.getOwnPropertySymbols(socket)
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name)
  const [buffer, make, callback] = [named('kBuffer'), named('kBufferGen'), named('kBufferCb')]
  if (!buffer || !make || !callback) return null
  return { buffer, make, callback }
}
