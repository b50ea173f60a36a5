/** Addresses that are many machines' at once. */
import { networkInterfaces } from 'node:os'
import { addressBytes, addressRange, familyOf } from '../../base/address.ts'

/** A multicast address, or the broadcast address of everywhere or of a network that this machine is in. */
export function isForMany(address: string): boolean {
  const range = addressRange(address)
  if (range === 'multicast' || range === 'broadcast') return true
  if (familyOf(address) === 6) return false
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some(
      ({ family, address: own, netmask }) => family === 'IPv4' && isLastOf(address, own, netmask),
    ),
  )
}

/** Networks of one or two addresses have no broadcast (RFC 3021). */
function isLastOf(address: string, own: string, netmask: string): boolean {
  const [asked, mine, mask] = [address, own, netmask].map(addressBytes) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
  if ((mask[3] as number) >= 0xfe) return false
  return mask.every((part, at) => asked[at] === (((mine[at] as number) & part) | (~part & 0xff)))
}
