/** The socket by which a UDP session's target knows it: connected, and with room for a burst. */
import { close, EAFNOSUPPORT, openSocket, setOption, type Descriptor } from '../../../linux/libc.ts'
import type { Sockaddr } from '../../../linux/sockaddr-fields.ts'
import { isShortage } from './dial.ts'
import { metItself } from './self-connect.ts'
import { canDialAs, dialAs } from './transparent-dial.ts'
import { connectUdp } from './udp-connect.ts'
import { segmentation } from './udp-replies.ts'

/** A burst of the largest datagrams must survive one turn; the system caps it (`net.core.rmem_max`). */
const socketBufferBytes = 1024 * 1024

interface DatagramDial {
  /** The client's address where the target is to see it (`source: keep`); null is our own. */
  readonly as: string | null
  /** Descriptors are short. @returns whether there is one more now */
  readonly makeRoom: () => boolean
}

/** @returns one that is connected, or an errno below zero */
export function dialDatagrams(address: Sockaddr, dial: DatagramDial): Descriptor | number {
  const socket = socketTo(address, dial)
  if (typeof socket === 'number' || !metItself(socket, address)) return socket
  // Another one cannot be given that port, as long as this one has it.
  const other = socketTo(address, dial)
  close(socket)
  return other
}

function socketTo(address: Sockaddr, { as, makeRoom }: DatagramDial): Descriptor | number {
  let socket = openSocket(address[0] as number, 'datagram')
  if (typeof socket === 'number' && isShortage(socket) && makeRoom())
    socket = openSocket(address[0] as number, 'datagram')
  if (typeof socket === 'number') return socket
  setOption(socket, 'receiveBuffer', socketBufferBytes)
  if (segmentation.on) setOption(socket, 'groReceive', 1)
  const asClient = as === null || (canDialAs(as, address) && dialAs(socket, as) === 0)
  const error = asClient ? connectUdp(socket, address) : -EAFNOSUPPORT
  if (error < 0) close(socket)
  return error < 0 ? error : socket
}
