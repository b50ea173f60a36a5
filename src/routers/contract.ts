/** Router protocols that open a port: one mapping is one lease. */
import type { Cidr, Family } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'
import type { Host } from '../host/contract.ts'
import type { Json, Lease, OpenOptions } from '../model/hop.ts'

/**
 * Milliseconds a router that is looked at is waited for after each asking: one lost packet is asked for again soon, and
 * a router that has answered none of four is told as silent, within the 5 s in which a broken hop is to be seen.
 */
export const lookWaitsMs = [200, 300, 500, 700] as const

export interface RouterMember {
  /** `pcp`, `nat-pmp`, `upnp`. */
  readonly id: string
  /** As people write it: `PCP`, `NAT-PMP`, `UPnP IGD`. */
  readonly title: string
  /**
   * Looks for routers that speak this protocol, on the interfaces and gateways that the machine really has; with
   * `at`, by unicast at that address alone. Nothing found is an empty list. Ends within 6 s.
   */
  discover(options: DiscoverOptions): Promise<readonly Router[]>
  /** Takes away what the journal says was mapped; the router need not be found the old way. Twice is harmless. */
  undo(effect: Json, options: { signal: AbortSignal; tools: RouterTools }): Promise<void>
  /** What an effect mapped, where another protocol of that router may show it; null where none does. */
  mapped?(effect: Json): Mapped | null
}

export interface Mapped {
  readonly router: string
  readonly protocol: string
  readonly internalAddress: string
  readonly internalPort: number
}

export interface DiscoverOptions {
  readonly signal: AbortSignal
  readonly tools: RouterTools
  readonly at?: Reach
}

/** One router behind another: where it is, and who we are to it (the WAN address of the one between). */
export interface Reach {
  readonly address: string
  readonly clientAddress: string
}

export interface RouterTools {
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
}

/** One router by one protocol. A router of family 6 opens pinholes: its external port is always the internal one. */
export interface Router {
  readonly member: string
  /** `pcp`, `upnp-2`, `nat-pmp`, `upnp-1`. */
  readonly flavour: string
  /** Of the protocols of one router the lowest is asked first: pinhole by UPnP 0, PCP 1, UPnP v2 2, NAT-PMP 3, UPnP v1 4. */
  readonly rank: number
  readonly family: Family
  /** Where it answers. The same router by another protocol has the same address. */
  readonly address: string
  /** Where exactly it is asked: two of the same flavour, place and client address are one. */
  readonly place: string
  /** This machine as that router sees it. */
  readonly clientAddress: string
  /** True where many mappings that are verified at the same moment are one question to it; otherwise each is one. */
  readonly looksAtAll: boolean
  /** It tells what others mapped, and lets that be deleted; what it refuses is known to be another's. */
  readonly showsOthers: boolean
  info(options: { signal: AbortSignal }): Promise<RouterInfo>
  /** Every mapping the protocol lets us see; null where it has no list (PCP, NAT-PMP). */
  mappings(options: { signal: AbortSignal }): Promise<readonly Mapping[] | null>
  /** One mapping as the router has it; null where it has none, `unknown` where the protocol cannot tell. */
  lookup(key: MappingKey, options: { signal: AbortSignal }): Promise<Mapping | null | 'unknown'>
  /**
   * @throws NaruError ROUTER_PORT_TAKEN, ROUTER_OTHER_PORT, ROUTER_REFUSED, ROUTER_TABLE_FULL, ROUTER_NO_ADDRESS,
   * ROUTER_SILENT, ROUTER_ANSWER_BAD, ROUTER_NAT_BETWEEN
   */
  open(request: MappingRequest, options: OpenOptions): Promise<MappingLease>
  /** Deletes by hand (`naru router rm`). @throws NaruError where it is not there or someone else's and not forced. */
  remove(key: MappingKey, options: { signal: AbortSignal; force?: boolean }): Promise<void>
  /** Calls `onRestart` whenever the router lost its mappings or may have, until the signal fires. Returns at once. */
  watch(options: { signal: AbortSignal; onRestart: (why: Text) => void }): void
}

export interface MappingKey {
  readonly protocol: Protocol
  readonly externalPort: number
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
  /** Tells the mappings of one Naru from those of another on the same machine; part of the description. */
  readonly owner?: string
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
