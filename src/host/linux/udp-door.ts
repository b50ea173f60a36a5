/**
 * UDP sockets on a wildcard and on single addresses of one port, side by side, of which the kernel prefers the single
 * one: that takes SO_REUSEPORT, which no other user's process can join (socket(7)), and for which Node has no door
 * before 22.12. By koffi, which is optional.
 */
import { bind, close, Descriptor, familyInet6, loadFfi, openSocket, setOption } from './ffi.ts'
import { sockaddrOf } from './sockaddr.ts'

export interface UdpDoors {
  /** @param beside joins those of this user that are there. @returns a bound descriptor, or an errno below zero */
  open(address: string, port: number, beside: boolean): number
  /** Node lets everyone bind beside a socket that it was given by number; this takes that back. */
  unshare(fd: number): void
}

/** Null where koffi is not installed or not wanted, and where the system is no Linux. */
export function udpDoors(): UdpDoors | null {
  try {
    loadFfi()
  } catch {
    return null
  }
  return {
    open(address, port, beside) {
      const sockaddr = sockaddrOf(address, port)
      const socket = openSocket(sockaddr[0] as number, 'datagram')
      if (typeof socket === 'number') return socket
      if (sockaddr[0] === familyInet6) setOption(socket, 'v6Only', 1)
      // The first is bound alone, so that a port that someone else has is seen as taken; then others may join it.
      if (beside) setOption(socket, 'reusePort', 1)
      const result = bind(socket, sockaddr)
      if (result < 0) {
        close(socket)
        return result
      }
      setOption(socket, 'reusePort', 1)
      return Descriptor.release(socket)
    },
    unshare(fd) {
      setOption(Descriptor.borrow(fd), 'reuseAddress', 0)
    },
  }
}
