/**
 * Where a guest is dialled. Most hypervisors repeat what a program inside the guest reports, and whoever is root there can
 * report anything: an address of this machine would make this machine's own services the guest's.
 */
import { addressRange, canonicalAddress } from '../base/address.ts'
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { GuestMember, GuestOptions } from '../guests/contract.ts'

type Resolved = Awaited<ReturnType<GuestMember['resolve']>>

/** @throws NaruError GUEST_…, GUEST_NO_ADDRESS where all that it reports are none of a guest's */
export async function resolveGuest(
  member: GuestMember,
  name: string,
  options: GuestOptions,
): Promise<Resolved> {
  const found = await member.resolve(name, options)
  if (found.sharesNetwork || found.addresses.length === 0) return found
  const own = await ownAddresses(options)
  const addresses = found.addresses.filter((address) => mayBeAnothers(address, own))
  if (addresses.length > 0) return { ...found, addresses }
  const reported = found.addresses.join(', ')
  throw new NaruError('GUEST_NO_ADDRESS', {
    kind: member.kind,
    name,
    why: say`it reports ${reported}, which leads to this machine itself or to nobody`,
    fix: say('see who is root in that guest, or name its address in the rule'),
  })
}

const nobodys = new Set(['loopback', 'unspecified', 'multicast', 'broadcast'])

/** Where a cloud tells a machine its credentials (AWS, Azure, GCP, Oracle; AWS by IPv6; Alibaba; Azure's agent). */
const metadata = new Set(['169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '168.63.129.16'])

/** Not this machine's, not everybody's, and not an IPv4 address in IPv6's clothes. */
function mayBeAnothers(reported: string, own: ReadonlySet<string>): boolean {
  const address = canonicalAddress(reported)
  if (address === null || address.startsWith('::ffff:') || metadata.has(address)) return false
  if (isLinkLocal4(address) && ![...own].some(isLinkLocal4)) return false
  return !nobodys.has(addressRange(address)) && !own.has(withoutZone(address))
}

/** Of no use to whoever has none on that link himself (RFC 3927 §2.7): what answers there is a service of this machine's host. */
function isLinkLocal4(address: string): boolean {
  return !address.includes(':') && addressRange(address) === 'linkLocal'
}

async function ownAddresses({ host, signal }: GuestOptions): Promise<ReadonlySet<string>> {
  const interfaces = await host.network.interfaces({ signal })
  return new Set(interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => withoutZone(address))))
}

function withoutZone(address: string): string {
  return address.split('%')[0] as string
}
