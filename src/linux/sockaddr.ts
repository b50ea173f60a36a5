/**
 * Addresses as the kernel takes them (sockaddr_in, sockaddr_in6). The bytes are alike on every Linux: the family in the
 * machine's order (little-endian here), the port in the network's.
 */
import { networkInterfaces } from 'node:os'
import { addressBytes } from '../base/address.ts'
import { familyInet, familyInet6 } from './libc.ts'

export type Sockaddr = Uint8Array

/** @param address canonical text; an IPv6 zone is an interface's name or number. */
export function sockaddrOf(address: string, port: number): Sockaddr {
  const bytes = addressBytes(address)
  const six = bytes.length === 16
  const sockaddr = new Uint8Array(six ? 28 : 16)
  sockaddr[0] = six ? familyInet6 : familyInet
  sockaddr[2] = port >> 8
  sockaddr[3] = port & 0xff
  sockaddr.set(bytes, six ? 8 : 4)
  if (six) new DataView(sockaddr.buffer).setUint32(24, scopeOf(address), true)
  return sockaddr
}

function scopeOf(address: string): number {
  const zone = address.split('%')[1]
  if (!zone) return 0
  if (/^\d{1,9}$/.test(zone)) return Number(zone)
  for (const entry of networkInterfaces()[zone] ?? []) {
    if (entry.family === 'IPv6' && entry.scopeid !== 0) return entry.scopeid
  }
  return 0
}

/** Bytes that count of what the kernel wrote. */
export function sockaddrLength(bytes: Uint8Array, at = 0): number {
  return bytes[at] === familyInet6 ? 28 : bytes[at] === familyInet ? 16 : 2
}

/** `::ffff:…` of the four bytes of an IPv4 address. */
export function mappedBytes(address: Uint8Array): Uint8Array {
  const mapped = new Uint8Array(16)
  mapped.fill(0xff, 10, 12)
  mapped.set(address, 12)
  return mapped
}
