/** Which way out is the LAN's: real cards first, VPN and VM adapters last, then by metric. */
import type { NetworkInterfaceInfo } from 'node:os'
import { familyOf, masked, type Family } from '../base/address.ts'
import type { Interface, InterfaceAddress, Route } from './contract.ts'

const rank = { ethernet: 0, wifi: 0, other: 1, loopback: 4, container: 3, vm: 3, vpn: 2 } as const

/** Routes over interfaces that are up, best first; a source that is not told is the interface's own address. */
export function bestFirst(routes: readonly Route[], interfaces: readonly Interface[]): Route[] {
  const device = (route: Route): Interface | undefined =>
    interfaces.find(({ name }) => name === route.interface)
  const rankOf = (route: Route): number => rank[device(route)?.kind ?? 'other']
  return routes
    .map(({ family, interface: name, gateway, source, metric }) => {
      const known = device({ family, interface: name, gateway, source, metric })
      return {
        family,
        interface: name,
        gateway,
        source: source ?? (known ? sourceOf(known, family, gateway) : null),
        metric,
      }
    })
    .sort((a, b) => rankOf(a) - rankOf(b) || a.metric - b.metric || a.family - b.family)
}

/**
 * Our address on that card towards `gateway`: a stable one that lives long, on the gateway's own network; a link-local
 * one only where there is no other.
 */
export function sourceOf(
  { addresses }: Interface,
  family: Family,
  gateway: string | null = null,
): string | null {
  const own = addresses.filter((entry) => entry.family === family)
  const [best] = own.toSorted((a, b) => unfit(a, gateway) - unfit(b, gateway) || lifeOf(b) - lifeOf(a))
  return best?.address ?? null
}

const worse = { tentative: 3, deprecated: 2, temporary: 1 } as const

function unfit({ address, bits, passing }: InterfaceAddress, gateway: string | null): number {
  const linkLocal = /^(fe[89ab]|169\.254\.)/i.test(address)
  return (
    (linkLocal ? 8 : 0) + (passing ? worse[passing] * 2 : 0) + (isOnNetwork(gateway, address, bits) ? 0 : 1)
  )
}

function isOnNetwork(gateway: string | null, address: string, bits: number): boolean {
  const bare = gateway?.split('%')[0]
  if (!bare || familyOf(bare) !== familyOf(address)) return false
  return masked(bare, bits).address === masked(address, bits).address
}

function lifeOf({ validSeconds = Infinity }: InterfaceAddress): number {
  return Math.min(validSeconds, Number.MAX_SAFE_INTEGER)
}

/** What Node itself knows, where no tool tells more. It leaves out interfaces without an address. */
export function interfacesOfRuntime(
  found: NodeJS.Dict<NetworkInterfaceInfo[]>,
  kindOf: (name: string) => Interface['kind'],
): Interface[] {
  return Object.entries(found).map(([name, entries = []], index) => ({
    name,
    kind: entries.some(({ internal }) => internal) ? 'loopback' : kindOf(name),
    up: true,
    mac: entries.map(({ mac }) => mac).find((mac) => mac !== '00:00:00:00:00:00') ?? null,
    index: entries.find((entry) => entry.family === 'IPv6')?.scopeid || index + 1,
    addresses: entries.map(({ address, cidr }) => ({
      family: familyOf(address),
      address,
      bits: Number(cidr?.split('/')[1] ?? (address.includes(':') ? 64 : 24)),
    })),
  }))
}
