/**
 * Socket addresses as the kernel writes them (sockaddr_in, sockaddr_in6, sockaddr_un) and as people read them. The
 * bytes are alike on every Linux: the family in the machine's order (little-endian here), the port in the network's.
 */
import { addressFromBytes, familyOf, formatEndpoint } from '../base/address.ts'
import { familyInet, familyInet6, familyUnix } from './libc.ts'
import { sockaddrLength, type Sockaddr } from './sockaddr.ts'

export { sockaddrOf, type Sockaddr } from './sockaddr.ts'

export function sockaddrOfPath(path: string): Sockaddr {
  const bytes = Buffer.from(path)
  const sockaddr = new Uint8Array(2 + bytes.length + 1)
  sockaddr[0] = familyUnix
  sockaddr.set(bytes, 2)
  return sockaddr
}

/** Copies what counts of it: a loop, which is quicker than a view and `set` for so few bytes. */
export function copySockaddr(from: Sockaddr, into: Uint8Array, at: number): void {
  const length = Math.min(sockaddrLength(from), from.length)
  for (let i = 0; i < length; i++) into[at + i] = from[i] as number
}

export function portOf(bytes: Uint8Array, at = 0): number {
  return ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
}

/** The address without its port; a mapped IPv4 address as IPv4; empty for a Unix peer. */
export function addressOf(bytes: Uint8Array, at = 0): string {
  if (bytes[at] === familyInet) return dotted(bytes, at + 4)
  if (bytes[at] !== familyInet6) return ''
  if (isMapped(bytes, at + 8)) return dotted(bytes, at + 20)
  const address = addressFromBytes(bytes.subarray(at + 8, at + 24))
  const scope = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(24, true)
  return scope === 0 ? address : `${address}%${scope}`
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(bytes: Uint8Array): boolean {
  if (bytes[0] === familyInet) return bytes[4] === 127
  if (bytes[0] !== familyInet6 || bytes[23] !== 1) return false
  for (let i = 8; i < 23; i++) if (bytes[i] !== 0) return false
  return true
}

/** Without an IPv6 zone; null for a Unix peer. */
export function peerIn(bytes: Uint8Array, at = 0): { address: string; port: number } | null {
  const address = addressOf(bytes, at).split('%')[0] as string
  return address === '' ? null : { address, port: portOf(bytes, at) }
}

/** `192.168.1.7:50123`, `[::1]:80`; empty for a Unix peer. */
export function endpointOf(bytes: Uint8Array, at = 0): string {
  const address = addressOf(bytes, at)
  return address === '' ? '' : formatEndpoint(address, portOf(bytes, at))
}

/** `0.0.0.0` … `255.255.255.255` without going through a parser: this is on the way of each new connection. */
function dotted(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
}

function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff
}

/** What a socket of `address`'s family is opened as. */
export function socketFamily(address: string): number {
  return familyOf(address) === 6 ? familyInet6 : familyInet
}
