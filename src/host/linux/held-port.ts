/**
 * A port that is kept while no socket of ours serves it: bound, so that nobody else may bind it, and neither listening
 * nor queueing. It binds without SO_REUSEADDR where it can. Where connections or sessions of ours that go on are in the
 * way it binds beside them and takes that leave back at once: an attempt of anybody else to listen then fails (bind(2),
 * listen(2), EADDRINUSE).
 */
import type { Protocol } from '../../base/port.ts'
import {
  bind,
  close,
  Descriptor,
  dropArrivals,
  EADDRINUSE,
  familyInet6,
  listen,
  loadFfi,
  openSocket,
  setOption,
  stopListening,
} from '../../linux/libc.ts'
import { sockaddrOf, type Sockaddr } from '../../linux/sockaddr.ts'
import { isTaken } from './udp-bind.ts'

const backlog = 65_535

/** False where koffi is not installed or not wanted: Node cannot bind a TCP socket without listening. */
export function canHold(): boolean {
  try {
    loadFfi()
    return true
  } catch {
    return false
  }
}

/** @param beside our own of this port that are there, asked for where one is. @returns a descriptor, or an errno below zero */
export function holdPort(
  protocol: Protocol,
  address: string,
  port: number,
  beside: () => readonly number[],
): number {
  const sockaddr = sockaddrOf(address, port)
  const socket = openSocket(sockaddr[0] as number, protocol === 'tcp' ? 'stream' : 'datagram')
  if (typeof socket === 'number') return socket
  if (sockaddr[0] === familyInet6) {
    setOption(socket, 'v6Only', 1)
    // One that is still being tried (RFC 4862) is held as well.
    setOption(socket, 'freeBind4', 1)
  }
  if (protocol === 'udp') dropArrivals(socket, true)
  let result = bind(socket, sockaddr)
  if (result === -EADDRINUSE) {
    const own = beside()
    if (protocol === 'tcp') result = bindBesideStreams(socket, sockaddr, own)
    else if (own.length > 0 || !isTaken(address, port))
      result = shared(socket, own, () => bind(socket, sockaddr))
  }
  if (result === 0) return Descriptor.release(socket)
  close(socket)
  return result
}

/** Connections that go on, and those whose end the kernel waits out, share the port; who listens does not. */
function bindBesideStreams(socket: Descriptor, sockaddr: Sockaddr, beside: readonly number[]): number {
  setOption(socket, 'reuseAddress', 1)
  const bound = (): number => bind(socket, sockaddr) || listen(socket, 0)
  const result = beside.length > 0 ? shared(socket, beside, bound) : bound()
  // Still listening, so that there is no moment at which another could join.
  setOption(socket, 'reuseAddress', 0)
  if (result === 0) stopListening(socket)
  return result
}

/** For as long as `work` takes those of our own user may share (SO_REUSEPORT), and nobody else. */
function shared(socket: Descriptor, beside: readonly number[], work: () => number): number {
  const all = [socket, ...beside.map((fd) => Descriptor.borrow(fd))]
  for (const one of all) setOption(one, 'reusePort', 1)
  const result = work()
  for (const one of all) setOption(one, 'reusePort', 0)
  return result
}

/** From now on it is served: what was held back comes in. @returns 0, or an errno below zero */
export function serveHeld(protocol: Protocol, fd: number): number {
  const socket = Descriptor.borrow(fd)
  if (protocol === 'tcp') return listenHeld(socket)
  // Engines have several sockets on one port.
  setOption(socket, 'reusePort', 1)
  return dropArrivals(socket, false)
}

/** Beside connections that go on, which is how they were bound. */
function listenHeld(socket: Descriptor): number {
  const result = listen(socket, backlog)
  if (result !== -EADDRINUSE) return result
  setOption(socket, 'reuseAddress', 1)
  const beside = listen(socket, backlog)
  setOption(socket, 'reuseAddress', 0)
  return beside
}

export function letGo(fd: number): void {
  close(Descriptor.borrow(fd))
}
