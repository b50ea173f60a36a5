/** Connects a UDP socket to where its datagrams go. */
import { connect, EACCES, setOption, type Descriptor } from '../../../linux/libc.ts'
import type { Sockaddr } from '../../../linux/sockaddr-fields.ts'

/** A broadcast address takes leave of the system to send there (SO_BROADCAST, socket(7)). @returns 0 or an errno below zero */
export function connectUdp(socket: Descriptor, address: Sockaddr): number {
  const result = connect(socket, address)
  if (result !== -EACCES) return result
  setOption(socket, 'broadcast', 1)
  return connect(socket, address)
}
