/** From a target to addresses that can be dialled: plain addresses at once, names and guests by who resolves them. */
import { canonicalAddress } from '../base/address.ts'
import type { Listen } from '../model/listen.ts'
import type { Target } from '../model/target.ts'
import { isLocalAddress, reachesListen } from './loop.ts'
import { targetPort } from '../model/port-map.ts'
import { withZoneName } from './zone.ts'

/** The engines' contract has the same. @throws NaruError NAME_NOT_FOUND, GUEST_… */
export type ResolveTarget = (
  target: Target,
  options: { signal: AbortSignal },
) => Promise<{ readonly addresses: readonly string[]; readonly ttlMs: number }>

export interface TargetRoute {
  readonly addresses: readonly string[]
  readonly port: number
  /** For how long; Infinity for a plain address. */
  readonly ttlMs: number
}

/** A plain address, or null where it has to be resolved first. */
export function plainRoute(target: Exclude<Target, { kind: 'unix' }>, port: number): TargetRoute | null {
  if (target.kind === 'guest') return null
  const address = canonicalAddress(target.host)
  return address === null
    ? null
    : { addresses: [withZoneName(address)], port, ttlMs: Number.POSITIVE_INFINITY }
}

/** @returns null where every address leads back to the rule itself. */
export function withoutLoops(route: TargetRoute, listen: Listen): TargetRoute | null {
  if (listen.kind === 'unix' || route.port < listen.ports.first || route.port > listen.ports.last)
    return route
  const addresses = route.addresses.filter(
    (address) => !reachesListen(listen, address, route.port, isLocalAddress),
  )
  return addresses.length === 0 ? null : { ...route, addresses }
}

/** @param port by which the client came. A Unix client comes by none and meets the target's first. */
export function portOf(target: Exclude<Target, { kind: 'unix' }>, listen: Listen, port: number): number {
  return listen.kind === 'unix' ? target.ports.first : targetPort(port, listen.ports, target.ports)
}
