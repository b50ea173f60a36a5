/**
 * The one address that the kernel sends a name's or a guest's clients to. In user space each address is tried in turn;
 * here nobody tries, so it must be clear which of them answers: one alone, or one that is nearer than the others (a
 * container on a bridge of this machine, and on a macvlan that only others reach).
 */
import { addressRange, familyOf, type Family } from '../../base/address.ts'
import { say, type Text } from '../../base/text.ts'
import type { Interface, Network, Route } from '../../host/contract.ts'
import { isForMany } from './broadcast.ts'
import { isOnLink } from './masquerade.ts'

export type Chosen =
  | { readonly address: string }
  | {
      readonly address: null
      /** Why there is none. */
      readonly why: Text
    }

export interface Nearby {
  readonly interfaces: readonly Interface[]
  readonly network: Pick<Network, 'routeTo' | 'defaultRoutes'>
  readonly signal: AbortSignal
}

/** More than these are not looked at. */
const mostAddresses = 8

export async function chooseAddress(
  addresses: readonly string[],
  family: Family,
  near: () => Promise<Nearby>,
): Promise<Chosen> {
  const nearby = addresses.filter((address) => addressRange(address) === 'linkLocal')
  // A guest has one beside its others; alone it is what is dialled.
  const far = nearby.length < addresses.length ? addresses.filter((one) => !nearby.includes(one)) : addresses
  const unfit = far.map(noOfAddress).find((why) => why !== null)
  if (unfit) return no(unfit)
  const own = far.filter((address) => familyOf(address) === family)
  const [first] = own
  if (first === undefined) return no(noAddress(family))
  if (far.length === 1) return { address: first }
  if (far.length > mostAddresses) return no(several)
  const nearest = await nearestOf(far, await near())
  const [best] = nearest
  return nearest.length === 1 && best !== undefined && familyOf(best) === family
    ? { address: best }
    : no(several)
}

const no = (why: Text): Chosen => ({ address: null, why })

/** Those that share the best way: on a link of this machine, by a route of their own, by the default route. */
async function nearestOf(addresses: readonly string[], near: Nearby): Promise<string[]> {
  const { interfaces, network, signal } = near
  const onLink = addresses.filter((address) => interfaces.some((one) => isOnLink(one, address)))
  if (onLink.length > 0) return onLink
  const [defaults, ...routes] = await Promise.all([
    network.defaultRoutes({ signal }),
    ...addresses.map((address) => network.routeTo(address, { signal })),
  ])
  const routed = addresses.filter((_, index) => {
    const route = routes[index]
    return route && !defaults.some((one) => isSame(one, route))
  })
  return routed.length > 0 ? routed : addresses.filter((_, index) => routes[index])
}

const isSame = (one: Route, other: Route): boolean =>
  one.family === other.family && one.interface === other.interface && one.gateway === other.gateway

/** Why the kernel sends nobody to that address; null where it may. */
export function noOfAddress(address: string): Text | null {
  const range = addressRange(address)
  if (isForMany(address)) return say('the kernel forwards nothing to a broadcast or multicast address')
  if (range === 'loopback') return say('a target on loopback would need route_localnet for everyone')
  if (range === 'linkLocal' || address.includes('%'))
    return say('a link-local target is dialled from user space')
  return null
}

const several = say('its target has several addresses, and which of them answers is tried in user space')

function noAddress(family: Family): Text {
  return say`its target has no IPv${family} address, and the kernel does not turn IPv4 into IPv6 or back`
}
