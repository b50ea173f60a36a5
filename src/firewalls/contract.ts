/** Host firewalls: one tagged allow rule is one lease. Never a flush, never another back end's rules. */
import type { Cidr } from '../base/address.ts'
import type { PortRange, Protocol } from '../base/port.ts'
import type { Host } from '../host/contract.ts'
import type { MarkedEntry } from '../model/marked-entry.ts'
import type { FirewallAnswer, FirewallQuestion, FirewallStatus } from '../model/firewall.ts'
import type { Json, Lease, OpenOptions } from '../model/hop.ts'
import type { Support } from '../model/support.ts'

export type { FirewallAnswer, FirewallQuestion, FirewallStatus } from '../model/firewall.ts'

export interface FirewallMember {
  /** `nftables`, `iptables`, `ufw`, `firewalld`, `windows`, `macos`, `none`. */
  readonly id: string
  /** Is this the one that decides here? Asked in the room's order; the first yes is it. */
  detect(options: FirewallOptions): Promise<Support>
  /** What stops packets today, what of it is ours. */
  status(options: FirewallOptions): Promise<FirewallStatus>
  /** Would a packet get in, and by which rule? */
  explain(question: FirewallQuestion, options: FirewallOptions): Promise<FirewallAnswer>
  /** Did nothing decide but the default? @default where what decides names no port and no source */
  decidesByDefault?(answer: FirewallAnswer): boolean
  /** @throws NaruError NOT_PERMITTED, FIREWALL_… */
  open(request: FirewallRequest, options: FirewallOptions & OpenOptions): Promise<Lease>
  /** What somebody with rights would type to open it by hand; null where nothing is to be done. */
  byHand?(request: FirewallRequest, options: FirewallOptions): string | null | Promise<string | null>
  /** Removes what the journal says was added. Twice is harmless. */
  undo(effect: Json, options: FirewallOptions): Promise<void>
  /**
   * All there is that some Naru opened, also what no journal has: a saved ruleset brings back what it held. Left out
   * where nothing comes back that way.
   */
  carried?(options: FirewallOptions): Promise<readonly MarkedEntry[]>
}

export type { MarkedEntry } from '../model/marked-entry.ts'

export interface FirewallOptions {
  readonly host: Host
  readonly signal: AbortSignal
}

export interface FirewallRequest {
  readonly rule: string
  readonly protocols: readonly Protocol[]
  readonly ports: PortRange
  /** The local address packets come to; null is any. */
  readonly address: string | null
  /** Who may come in; empty is everyone. */
  readonly allow: readonly Cidr[]
}
