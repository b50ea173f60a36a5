/**
 * Addresses as the kernel tells them of its sockets: in sock_diag as bytes, in /proc/net as 32-bit words in the
 * machine's own byte order, in hex. One of IPv4 on a socket of IPv6 reads `::ffff:10.0.0.1`.
 */
import { endianness } from 'node:os'
import { addressFromBytes } from '../../base/address.ts'

const little = endianness() === 'LE'

/** 8 hex digits are IPv4, 32 are IPv6. */
export function hexAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (little) bytes.swap32()
  return addressAt(bytes, 0, bytes.length === 16)
}

/** The 4 or 16 bytes in network order from `at` on. */
export function addressAt(bytes: Buffer, at: number, isSix: boolean): string {
  // IPv4 and wildcards are most of what a table holds, and joining beats a general formatter fifty-fold.
  if (!isSix) return dotted(bytes, at)
  if (bytes.readUInt32BE(at) === 0 && bytes.readUInt32BE(at + 4) === 0) {
    const third = bytes.readUInt32BE(at + 8)
    if (third === 0xffff) return `::ffff:${dotted(bytes, at + 12)}`
    if (third === 0 && bytes.readUInt32BE(at + 12) === 0) return '::'
  }
  return addressFromBytes(bytes.subarray(at, at + 16))
}

const dotted = (bytes: Buffer, at: number): string =>
  `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
