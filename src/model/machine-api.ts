/**
 * What one can ask of this machine, with or without a daemon: the CLI asks in its own process, the web page through
 * the API. Looking never changes anything; `router.add` and `router.remove` do by hand.
 */
import type { Text } from '../base/text.ts'
import type { Diagnosis, DoctorEvent } from './diagnosis.ts'
import type { FirewallAnswer, FirewallQuestion, FirewallStatus } from './firewall.ts'
import type { Guest } from './guest.ts'
import type { MachineAddresses, MachinePorts, PortsOptions } from './machine.ts'
import type { RouterDesk } from './router.ts'
import type { GuestKind } from './target.ts'

export interface MachineApi {
  /** Ends within about 7 s. */
  addresses(options: Asking & { readonly mayAskInternet?: boolean }): Promise<MachineAddresses>
  ports(options: Asking & PortsOptions): Promise<MachinePorts>
  /** `naru router`: its own contract. */
  readonly router: RouterDesk
  /** @throws NaruError NOT_PERMITTED */
  firewall(options: Asking): Promise<FirewallReport>
  /** Would a packet get in? @throws NaruError NOT_PERMITTED */
  admits(question: FirewallQuestion, options: Asking): Promise<FirewallAnswer>
  guests(options: Asking): Promise<GuestsReport>
  /** Machines of the LAN that answered lately: where a rule could lead. */
  neighbours(options: Asking): Promise<readonly LanNeighbour[]>
  /** @throws NaruError RULE_UNKNOWN where `about` is neither a rule nor a port */
  diagnose(options: Asking & DiagnoseRequest): Promise<Diagnosis>
}

export interface Asking {
  readonly signal: AbortSignal
}

export interface DiagnoseRequest {
  /** A rule's name, or a port. @default every rule, then the machine */
  readonly about?: string
  /** May servers on the internet be asked (STUN)? @default false */
  readonly mayAskInternet?: boolean
  /** Names given out for this place, such as a DDNS name. @default [] */
  readonly names?: readonly string[]
  /** Waits up to two minutes for a phone to open the link that `onEvent` tells. @default false */
  readonly fromPhone?: boolean
  /** Another machine of the user's that runs `naru vantage`. */
  readonly vantage?: { readonly address: string; readonly port?: number; readonly key: string }
  readonly onEvent?: (event: DoctorEvent) => void
}

export interface FirewallReport {
  /** Null where none is known to filter here. */
  readonly status: FirewallStatus | null
  /** Why this one decides, or why none was found. */
  readonly why: Text
}

export interface LanNeighbour {
  readonly address: string
  readonly mac: string
  readonly interface: string
}

export interface GuestsReport {
  readonly guests: readonly Guest[]
  /** Hypervisors and container engines that were looked for, and what was said. */
  readonly kinds: readonly {
    readonly kind: GuestKind
    readonly here: boolean
    /** False where it is here and would not tell its guests: some may be missing above. */
    readonly listed: boolean
    readonly why: Text
  }[]
}
