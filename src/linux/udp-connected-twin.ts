/**
 * A UDP socket beside another one, on the same local address, that hears one client alone: a connected socket goes
 * before an unconnected one in the kernel's choice, so datagrams of that client come here whoever reads the other.
 */
import { unmapped } from '../base/address.ts'
import type { SocketMaker } from '../model/handover-sockets.ts'
import {
  bind,
  close,
  connect,
  Descriptor,
  familyInet,
  familyInet6,
  lastAddress,
  localAddress,
  openSocket,
  setOption,
} from './libc.ts'
import { mappedBytes, sockaddrLength, sockaddrOf, type Sockaddr } from './sockaddr.ts'

/**
 * @param client its sockaddr, of the family of `shared`
 * @param local which of our addresses it wrote to, 4 or 16 bytes; null where `shared` has only one
 * @returns an errno below zero where it cannot be
 */
export function openConnectedTwin(
  shared: Descriptor,
  client: Sockaddr,
  local: Uint8Array | null,
): Descriptor | number {
  const socket = openSocket(client[0] as number, 'datagram')
  if (typeof socket === 'number') return socket
  const six = client[0] !== familyInet
  // Both must allow it; another user's process still cannot bind there (socket(7)).
  setOption(shared, 'reusePort', 1)
  setOption(socket, 'reusePort', 1)
  if (six) setOption(socket, 'v6Only', 0)
  if (six) setOption(socket, 'packetInfo6', 1)
  setOption(socket, 'packetInfo4', 1)
  setOption(socket, 'groReceive', 1)
  const result = bind(socket, ownAddress(shared, client, local)) || connect(socket, client)
  if (result === 0) return socket
  close(socket)
  return result
}

function ownAddress(shared: Descriptor, client: Sockaddr, local: Uint8Array | null): Sockaddr {
  localAddress(shared)
  const own = lastAddress().slice(0, sockaddrLength(lastAddress()))
  if (local === null) return own
  if (own[0] === familyInet) own.set(local, 4)
  else own.set(local.length === 4 ? mappedBytes(local) : local, 8)
  // A link-local address is one only with its interface: the client's.
  if (local.length === 16) own.set(client.subarray(24, 28), 24)
  return own
}

/** For engines that have no FFI of their own. */
export const socketMaker: SocketMaker = {
  beside(fd, { address, port }) {
    const shared = Descriptor.borrow(fd)
    localAddress(shared)
    const six = lastAddress()[0] === familyInet6
    const client = sockaddrOf(unmapped(address), port)
    if (six !== (client[0] !== familyInet)) return null
    const socket = openConnectedTwin(shared, client, null)
    return typeof socket === 'number' ? null : Descriptor.release(socket)
  },
  unshare(fd) {
    setOption(Descriptor.borrow(fd), 'reuseAddress', 0)
  },
}
