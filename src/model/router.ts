/** What `naru router` shows and takes. Plain data; mappings/manual-mappings.ts answers it. */
import type { Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'
import type { RouterSteps } from './router-steps.ts'

/** One box, by every protocol it speaks. */
export interface RouterView {
  readonly address: string
  readonly family: 4 | 6
  /** Best first: `pcp`, `upnp-2`, `nat-pmp`, `upnp-1`, `upnp-pinhole`. */
  readonly protocols: readonly string[]
  readonly model: string | null
  readonly maker: string | null
  readonly page: string | null
  readonly externalAddress: string | null
  readonly uptimeSeconds: number | null
  readonly above: 'public' | 'nat' | 'carrier-grade-nat' | 'unknown'
  readonly aboveText: Text
}

export interface RouterEntry {
  readonly router: string
  readonly protocol: Protocol
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  readonly description: string
  readonly enabled: boolean
  /** Null is permanent. */
  readonly leaseSecondsLeft: number | null
  /** The rule's name where Naru made it. */
  readonly rule: string | null
  /** Leads to this machine. */
  readonly here: boolean
}

export interface RouterAdd {
  readonly name: string
  readonly protocols: readonly Protocol[]
  /** `any` takes what is given; of an IPv6 address the internal port is opened, whatever stands here. */
  readonly externalPort: number | 'any'
  /** Where any will do, the one to ask for first. @default internalPort */
  readonly preferredPort?: number
  readonly internalPort: number
  /** Null is this machine. */
  readonly internalAddress: string | null
  /** 0 is as long as the router lets it. @default 0 */
  readonly leaseSeconds?: number
}

export interface RouterAdded {
  readonly text: Text
  readonly externalAddress: string | null
  readonly externalPort: number
  /** What was granted differently. */
  readonly notes: readonly Text[]
}

export interface RouterCheck {
  /** `open`: proven. `wrong`: the router's list says otherwise. `unknown`: nothing here can tell. */
  readonly state: 'open' | 'wrong' | 'unknown'
  readonly evidence: readonly Text[]
  /** What to type, where it is not open. */
  readonly steps: RouterSteps | null
}

/** `naru router`. Every call ends within about 10 s. */
export interface RouterDesk {
  /** @throws NaruError ROUTER_NOT_FOUND */
  info(options: { signal: AbortSignal }): Promise<readonly RouterView[]>
  /** @throws NaruError ROUTER_NOT_FOUND, ROUTER_NO_LIST where no protocol of any router has a list */
  list(options: { signal: AbortSignal }): Promise<readonly RouterEntry[]>
  /** Opens by hand: not renewed, not undone at exit. @throws NaruError ROUTER_… */
  add(wish: RouterAdd, options: { signal: AbortSignal }): Promise<readonly RouterAdded[]>
  /** @throws NaruError ROUTER_MAPPING_UNKNOWN, ROUTER_NOT_OURS */
  remove(
    key: { protocol: Protocol; externalPort: number },
    options: { signal: AbortSignal; force?: boolean },
  ): Promise<void>
  /** Is that rule's port open on the router, and what to type where it is not. */
  check(rule: RouterCheckWish, options: { signal: AbortSignal }): Promise<RouterCheck>
}

export interface RouterCheckWish {
  readonly name: string
  readonly protocols: readonly Protocol[]
  readonly ports: { readonly first: number; readonly last: number }
  readonly externalPort: number | 'any' | null
  readonly allow: readonly { readonly family: 4 | 6; readonly address: string; readonly bits: number }[]
}
