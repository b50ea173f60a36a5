/** Where a router can be: the gateways and networks of interfaces that lead to a real one, never a VPN or a VM switch. */
import { addressRange, type Family } from '../base/address.ts'
import type { Interface, Network } from './contract.ts'

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
    const source = sourceOn(adapter, route.family, route.source)
    if (source === null) continue
    const zone =
      route.gateway.startsWith('fe80:') && !route.gateway.includes('%') ? `%${route.interface}` : ''
    const address = route.gateway + zone
    if (!found.has(address))
      found.set(address, { family: route.family, address, interface: route.interface, source })
  }
  return [...found.values()]
}

/** Our IPv4 addresses on every network that may hold a router, for multicast searches. */
export async function realNetworks(
  network: Network,
  signal: AbortSignal,
): Promise<readonly { readonly interface: string; readonly address: string; readonly bits: number }[]> {
  const interfaces = await network.interfaces({ signal })
  return interfaces
    .filter((adapter) => adapter.up && ['ethernet', 'wifi', 'other'].includes(adapter.kind))
    .flatMap(({ name, addresses }) => {
      const first = addresses.find(({ family }) => family === 4)
      return first ? [{ interface: name, address: first.address, bits: first.bits }] : []
    })
}

/** A container's own default route does lead to what is its router; a VPN's never does. */
function leadsToRouter({ up, kind }: Interface): boolean {
  return up && kind !== 'vpn' && kind !== 'vm' && kind !== 'loopback'
}

function sourceOn(adapter: Interface, family: Family, preferred: string | null): string | null {
  const own = adapter.addresses.filter((entry) => entry.family === family).map(({ address }) => address)
  if (family === 4) return preferred ?? own[0] ?? null
  if (preferred !== null && addressRange(preferred) === 'unicast') return preferred
  return own.find((address) => addressRange(address) === 'unicast') ?? null
}
