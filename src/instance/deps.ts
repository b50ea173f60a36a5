/** What `control` is handed by the composition root: the machine, the members of every room, and time. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Engine, Resolve } from '../engines/contract.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { GuestMember } from '../guests/contract.ts'
import type { Host } from '../host/contract.ts'
import type { RouterMember } from '../routers/contract.ts'
import type { Store } from '../stores/contract.ts'

export interface Deps {
  readonly version: string
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
  readonly store: Store
  /** In the order `auto` asks them. */
  readonly engines: readonly Engine[]
  /** In the order of detection. */
  readonly firewalls: readonly FirewallMember[]
  readonly routers: readonly RouterMember[]
  readonly guests: readonly GuestMember[]
  /** Addresses of names; guests are resolved by `guests`. */
  readonly resolveName: Resolve
  /**
   * Connects to a TCP target once and closes: is somebody there? After `stayMs` without an end: where a forward
   * accepts before the one behind it does, an end without a byte is a refusal. @default 0 @throws NaruError where not
   */
  readonly probe: (
    endpoint: { host: string; port: number },
    options: { signal: AbortSignal; stayMs?: number },
  ) => Promise<void>
}
