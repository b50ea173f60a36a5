/**
 * A socket that dials its target as the client: bound to the client's own address, which this machine need not have
 * (IP_TRANSPARENT, ip(7)). The way back is keep.ts's business.
 */
import { addressRange } from '../../../base/address.ts'
import { bind, familyInet, setOption, type Descriptor } from '../../../linux/libc.ts'
import { sockaddrOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'

/** Can the target see this client at all? An address of the other family has no way to tell. */
export function canDialAs(source: string, target: Sockaddr): boolean {
  return source !== '' && source.includes(':') === (target[0] !== familyInet)
}

/**
 * The port is chosen when it connects, so that one address has not only 28,000 of them. A client on loopback is this
 * machine, and elsewhere this machine is known by the address that the system chooses: 127.0.0.1 stays within a host.
 * @returns 0 or an errno below zero
 */
export function dialAs(socket: Descriptor, source: string): number {
  if (addressRange(source) === 'loopback') return 0
  setOption(socket, 'portLater', 1)
  const transparent = setOption(socket, source.includes(':') ? 'transparent6' : 'transparent4', 1)
  return transparent || bind(socket, sockaddrOf(source, 0))
}
