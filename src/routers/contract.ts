/** Router protocols that open a port: one mapping is one lease. */
import type { Cidr } from '../base/address.ts'
import type { Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'
import type { Json, Lease, OpenOptions } from '../model/hop.ts'
import type { Host } from '../host/contract.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'

export interface RouterMember {
  /** `pcp`, `nat-pmp`, `upnp`. */
  readonly id: string
  /**
   * Looks for routers that speak this protocol, on the interfaces and gateways that the machine really has.
   * Nothing found is an empty list. Ends within 6 s.
   */
  discover(options: { signal: AbortSignal; tools: RouterTools }): Promise<readonly Router[]>
  /** Takes away what the journal says was mapped; the router need not be found the old way. Twice is harmless. */
  undo(effect: Json, options: { signal: AbortSignal; tools: RouterTools }): Promise<void>
}

export interface RouterTools {
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
}

/** One router by one protocol. */
export interface Router {
  readonly member: string
  /** `pcp`, `upnp-2`, `nat-pmp`, `upnp-1`: PCP > UPnP v2 > NAT-PMP > UPnP v1. */
  readonly flavour: string
  info(options: { signal: AbortSignal }): Promise<RouterInfo>
  /** Every mapping the protocol lets us see; null where it has no list (PCP, NAT-PMP). */
  mappings(options: { signal: AbortSignal }): Promise<readonly Mapping[] | null>
  open(request: MappingRequest, options: OpenOptions): Promise<MappingLease>
  /** Deletes by hand (`naru router rm`). @throws NaruError where it is not there or someone else's and not forced. */
  remove(
    key: { protocol: Protocol; externalPort: number },
    options: { signal: AbortSignal; force?: boolean },
  ): Promise<void>
  /** The router restarted, or our address changed: every mapping is to be renewed now. Null ends the watch. */
  watch(options: { signal: AbortSignal; onRestart: (why: Text) => void }): void
}

export interface RouterInfo {
  readonly member: string
  readonly flavour: string
  readonly address: string
  readonly model: string | null
  readonly maker: string | null
  readonly presentationUrl: string | null
  readonly externalAddress: string | null
  readonly uptimeSeconds: number | null
  /** What is above it, by evidence. */
  readonly above: 'public' | 'nat' | 'carrier-grade-nat' | 'unknown'
}

export interface MappingRequest {
  readonly rule: string
  readonly protocol: Protocol
  readonly externalPort: number
  /** Take the port the router gives where `externalPort` is not to be had. */
  readonly anyPort: boolean
  readonly internalPort: number
  /** Null is this machine's address towards that router. */
  readonly internalAddress: string | null
  /** @default 7200 */
  readonly leaseSeconds: number
  readonly allow: readonly Cidr[]
}

export interface Mapping {
  readonly protocol: Protocol
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  readonly description: string
  readonly enabled: boolean
  /** Null is permanent. */
  readonly leaseSecondsLeft: number | null
  readonly remoteHost: string | null
  /** Described `naru:…`. */
  readonly ours: boolean
}

export interface MappingLease extends Lease {
  readonly externalAddress: string | null
  readonly externalPort: number
}
