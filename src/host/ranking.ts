/** Which way out is the LAN's: real cards first, VPN and VM adapters last, then by metric. */
import type { NetworkInterfaceInfo } from 'node:os'
import { familyOf } from '../base/address.ts'
import type { Interface, Route } from './contract.ts'

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
        source: source ?? (known ? sourceOf(known, family) : null),
        metric,
      }
    })
    .sort((a, b) => rankOf(a) - rankOf(b) || a.metric - b.metric || a.family - b.family)
}

/** The address packets of `family` leave with: not a link-local one where there is another. */
function sourceOf({ addresses }: Interface, family: 4 | 6): string | null {
  const own = addresses.filter((entry) => entry.family === family)
  const routed = own.find(({ address }) => !/^(fe[89ab]|169\.254\.)/i.test(address))
  return (routed ?? own[0])?.address ?? null
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
