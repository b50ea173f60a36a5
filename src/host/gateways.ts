/** Where a router can be: the gateways and networks of interfaces that lead to a real one, never a VPN or a VM switch. */
import { addressRange, formatCidr, masked, type Family } from '../base/address.ts'
import type { Interface, InterfaceAddress, Network, Route } from './contract.ts'
import { sourceOf } from './ranking.ts'

export interface Gateway {
  readonly family: Family
  /** With its zone where it is link-local: `fe80::1%eth0`. */
  readonly address: string
  readonly interface: string
  /** Our address towards it; for IPv6 one that the internet can reach. */
  readonly source: string
}

/** Default gateways, best first, each once; those of VPN and VM adapters left out. */
export async function gateways(network: Network, signal: AbortSignal): Promise<readonly Gateway[]> {
  const [routes, interfaces] = await Promise.all([
    network.defaultRoutes({ signal }),
    network.interfaces({ signal }),
  ])
  const found = new Map<string, Gateway>()
  for (const route of routes) {
    const adapter = interfaces.find(({ name }) => name === route.interface)
    if (route.gateway === null || !adapter || !leadsToRouter(adapter)) continue
    const source = sourceOn(adapter, route)
    if (source === null) continue
    const zone =
      route.gateway.startsWith('fe80:') && !route.gateway.includes('%') ? `%${route.interface}` : ''
    const address = route.gateway + zone
    if (!found.has(address))
      found.set(address, { family: route.family, address, interface: route.interface, source })
  }
  return [...found.values()]
}

/** Of one card, networks that are searched. */
const mostNetworks = 4

/** Our IPv4 address on every network that may hold a router, for multicast searches: a card may be on several. */
export async function realNetworks(
  network: Network,
  signal: AbortSignal,
): Promise<readonly { readonly interface: string; readonly address: string; readonly bits: number }[]> {
  const interfaces = await network.interfaces({ signal })
  return interfaces
    .filter((adapter) => adapter.up && ['ethernet', 'wifi', 'other'].includes(adapter.kind))
    .flatMap(({ name, addresses }) => {
      const own = addresses.filter(({ family }) => family === 4)
      const routed = own.filter(({ address }) => addressRange(address) !== 'linkLocal')
      const networks = new Map<string, InterfaceAddress>()
      for (const each of routed.length > 0 ? routed : own) {
        const prefix = formatCidr(masked(each.address, each.bits))
        if (!networks.has(prefix)) networks.set(prefix, each)
      }
      return [...networks.values()]
        .slice(0, mostNetworks)
        .map(({ address, bits }) => ({ interface: name, address, bits }))
    })
}

/** A container's own default route does lead to what is its router; a VPN's never does. */
function leadsToRouter({ up, kind }: Interface): boolean {
  return up && kind !== 'vpn' && kind !== 'vm' && kind !== 'loopback'
}

/** For IPv6 the internet must reach it, and others are told of it: not one of a day, whatever packets leave with. */
function sourceOn(adapter: Interface, { family, gateway, source }: Route): string | null {
  if (family === 4) return source ?? sourceOf(adapter, 4, gateway)
  const reachable = adapter.addresses.filter(
    ({ address, passing }) => addressRange(address) === 'unicast' && passing !== 'tentative',
  )
  return sourceOf({ ...adapter, addresses: reachable }, 6)
}
