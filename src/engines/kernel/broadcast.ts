/** Addresses that are many machines' at once. */
import { networkInterfaces } from 'node:os'
import { addressBytes, addressFromBytes, addressRange, familyOf } from '../../base/address.ts'

/** A multicast address, or the broadcast address of everywhere or of a network that this machine is in. */
export function isForMany(address: string): boolean {
  const range = addressRange(address)
  if (range === 'multicast' || range === 'broadcast') return true
  if (familyOf(address) === 6) return false
  return ownBroadcasts().has(address)
}

/** One reading, 60 µs, serves whoever asks in the same turn of the loop: thousands of rules do. */
function ownBroadcasts(): ReadonlySet<string> {
  if (!broadcasts) {
    const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
    broadcasts = new Set(own.flatMap(({ family, address, netmask }) => lastOf(family, address, netmask)))
    setImmediate(() => (broadcasts = null))
  }
  return broadcasts
}

let broadcasts: ReadonlySet<string> | null = null

/** Networks of one or two addresses have no broadcast (RFC 3021). */
function lastOf(family: string, own: string, netmask: string): string[] {
  if (family !== 'IPv4') return []
  const [mine, mask] = [addressBytes(own), addressBytes(netmask)]
  if ((mask[3] as number) >= 0xfe) return []
  return [addressFromBytes(mask.map((part, at) => ((mine[at] as number) & part) | (~part & 0xff)))]
}
