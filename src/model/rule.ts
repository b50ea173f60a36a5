/** What the user wants: a named forward, listen → target, with policy and how far out to publish. Plain data, parsed. */
import type { Cidr } from '../base/address.ts'
import type { Listen } from './listen.ts'
import type { Target } from './target.ts'

export interface Rule {
  readonly name: string
  /** What people call it, in any language; null where the name is enough. */
  readonly title: string | null
  readonly description: string | null
  /** Words to group and find rules by. */
  readonly tags: readonly string[]
  readonly enabled: boolean
  readonly listen: Listen
  /** At least one. */
  readonly targets: readonly TargetChoice[]
  readonly balance: Balance
  /** Null dials without asking first. */
  readonly health: Health | null
  readonly publish: Publish
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
  readonly limits: Limits
  readonly timeouts: Timeouts
  readonly source: SourceMode
  /** Which datagrams of a UDP session carry a PROXY v2 header. */
  readonly proxyUdp: 'every' | 'first'
  /** Peers whose PROXY header is believed; from any other peer a header is refused. Empty: none is expected. */
  readonly acceptProxy: readonly Cidr[]
  readonly engine: EngineChoice
  /** Milliseconds since the Unix epoch at which the rule expires, or null. */
  readonly until: number | null
}

export interface TargetChoice {
  readonly to: Target
  /** Share of new connections, 1–256. */
  readonly weight: number
  /** Used only while no other target is up. */
  readonly backup: boolean
  /** TLS server name or HTTP host this target serves: `a.example.org`, `*.example.org`; null serves what no other does. */
  readonly name: string | null
}

export const balances = ['round-robin', 'least-connections', 'source-hash'] as const
export type Balance = (typeof balances)[number]

export interface Health {
  readonly everyMs: number
  /** Successes in a row that bring a target up. */
  readonly rise: number
  /** Failures in a row that take it down. */
  readonly fall: number
}

export interface Publish {
  /** `off`, `auto`, or a firewall member's id. */
  readonly firewall: string
  /** `off`, `auto`, or a router member's id. */
  readonly router: string
  /** `direct`: the relay dials the guest. `nat`: the hypervisor forwards. */
  readonly guest: 'direct' | 'nat'
  /** The router's port; null is the listen port, `any` takes what the router gives. */
  readonly externalPort: number | 'any' | null
}

export interface Limits {
  /** Connections (TCP) or sessions (UDP) at once; null is no limit. */
  readonly connections: number | null
  readonly perSource: number | null
  readonly newPerSecond: number | null
  /** Both directions together. */
  readonly bytesPerSecond: number | null
}

export interface Timeouts {
  readonly connectMs: number
  /** Without a byte either way; 0 is never. */
  readonly idleMs: number
  /** A UDP session without a datagram. */
  readonly udpMs: number
  /** How long connections may finish after `rm`, `disable` or expiry. */
  readonly drainMs: number
  /** For a client's TLS hello, HTTP head or PROXY header, where a rule has to know it before it dials. */
  readonly helloMs: number
  /** TCP keepalive probes start after this much silence; 0 is never. */
  readonly keepaliveMs: number
}

export const sourceModes = ['auto', 'relay', 'keep', 'proxy-v1', 'proxy-v2'] as const
export type SourceMode = (typeof sourceModes)[number]

export const engineIds = ['kernel', 'splice', 'sockets'] as const
export type EngineId = (typeof engineIds)[number]
export type EngineChoice = 'auto' | EngineId
