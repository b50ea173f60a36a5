/** What a host firewall says of itself. Plain data; members of `firewalls` make it. */
import type { PortRange, Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'

export interface FirewallQuestion {
  readonly protocol: Protocol
  readonly port: number
  /** Null is "from anywhere". */
  readonly from: string | null
}

export interface FirewallAnswer {
  readonly verdict: 'allowed' | 'blocked' | 'unknown'
  /** The rule or policy that decides, as the tool prints it. */
  readonly by: string
  /** Where it is blocked: a rule that lets some sources in all the same. */
  readonly partly?: string
  readonly why: Text
  /** Somebody else's NAT sends it elsewhere before a listener on that port is asked. @default nobody does */
  readonly sentOn?: SentOn
}

export interface SentOn {
  /** `192.0.2.2:80`, or `:22` for another port of this machine. */
  readonly to: string
  /** The rule that does it, as the tool prints it. */
  readonly by: string
}

export interface FirewallStatus {
  readonly member: string
  readonly active: boolean
  readonly defaultInput: 'allow' | 'block' | 'unknown'
  readonly open: readonly {
    readonly protocol: Protocol | 'any'
    readonly ports: PortRange | null
    readonly from: string | null
    /** The rule's name where it is ours. */
    readonly ours: string | null
    readonly text: string
  }[]
}
