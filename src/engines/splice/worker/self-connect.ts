/** Whether a socket is connected to its own end. */
import { familyUnix, lastAddress, localAddress, type Descriptor } from '../../../linux/libc.ts'
import { addressOf, portOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'

/**
 * Where nobody listens on a port of this machine that the system gives out by itself, a socket may be given that very port
 * and then meets itself: TCP by simultaneous open (RFC 9293 §3.5), UDP by each datagram.
 */
export function metItself(socket: Descriptor, dialled: Sockaddr): boolean {
  if (dialled[0] === familyUnix) return false
  localAddress(socket)
  const own = lastAddress()
  if (portOf(own) !== portOf(dialled)) return false
  const to = addressOf(dialled)
  // Who dials the unspecified address meets this machine.
  return to === addressOf(own) || to === '0.0.0.0' || to === '::'
}
