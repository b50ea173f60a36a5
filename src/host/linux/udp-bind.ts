/**
 * UDP sockets on a wildcard and on single addresses of one port, side by side, of which the kernel prefers the single
 * one: that takes SO_REUSEPORT, which no other user's process can join (socket(7)), and for which Node has no door
 * before 22.12. By koffi, which is optional.
 */
import { bind, close, Descriptor, familyInet6, loadFfi, openSocket, setOption } from '../../linux/libc.ts'
import { existsSync, readFileSync } from 'node:fs'
import { familyOf } from '../../base/address.ts'
import { parseTable, type ProcSocket } from './proc-sockets.ts'
import { sockaddrOf } from '../../linux/sockaddr.ts'

export interface UdpDoors {
  /** @param beside joins those of this user that are there. @returns a bound descriptor, or an errno below zero */
  open(address: string, port: number, beside: boolean): number
  /** Node lets everyone bind beside a socket that it was given by number; this takes that back. */
  unshare(fd: number): void
  /** Somebody hears everyone there, and not one client alone. */
  isTaken(address: string, port: number): boolean
}

/**
 * Whether a UDP socket hears everyone at `address` (`*` is both families): those that are connected are of sessions that
 * outlive their rule, here or in a predecessor. Who cannot read the kernel's tables takes it for taken.
 */
export function isTaken(address: string, port: number): boolean {
  try {
    return listening().some((socket) => socket.port === port && meets(socket.address, address))
  } catch {
    return true
  }
}

function listening(): ProcSocket[] {
  const read = (family: 4 | 6, name: string): ProcSocket[] =>
    parseTable('udp', family, readFileSync(`/proc/thread-self/net/${name}`, 'utf8'))
  const six = existsSync('/proc/thread-self/net/udp6') ? read(6, 'udp6') : []
  return [...read(4, 'udp'), ...six].filter(({ state }) => state === 'listening')
}

/** An IPv6 wildcard that is there may take IPv4 too. */
function meets(there: string, wanted: string): boolean {
  if (there === wanted || there === '::' || wanted === '*') return true
  if (familyOf(there) !== familyOf(wanted)) return false
  return there === '0.0.0.0' || wanted === '0.0.0.0' || wanted === '::'
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
    isTaken,
    unshare(fd) {
      setOption(Descriptor.borrow(fd), 'reuseAddress', 0)
    },
  }
}
