/** One doctor check: stands alone, has a limit, answers by evidence. */
import type { Clock } from '../base/clock.ts'
import type { Text } from '../base/text.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { GuestMember } from '../guests/contract.ts'
import type { Host } from '../host/contract.ts'
import type { Finding } from '../model/finding.ts'
import type { Hop } from '../model/hop.ts'
import type { Rule } from '../model/rule.ts'
import type { RouterMember } from '../routers/contract.ts'

export interface Check {
  /** The code of the finding it can make; its page in docs/doctor is made from this object. */
  readonly code: string
  readonly hop: Hop | 'machine' | 'outside'
  readonly title: Text
  /** What it looks at and why that decides. */
  readonly explains: Text
  /** Codes whose presence makes this one a mere consequence. */
  readonly dependsOn: readonly string[]
  /** Cheap enough for the daemon to run by itself every few seconds. */
  readonly cheap: boolean
  /** @default 3_000 */
  readonly limitMs?: number
  /** Empty where all is well. Must not change anything outside this process. */
  run(subject: CheckSubject, options: { signal: AbortSignal }): Promise<readonly Finding[]>
}

export interface CheckSubject {
  /** Null checks the machine in general. */
  readonly rule: Rule | null
  /** Leases of that rule, as the daemon holds them. */
  readonly held: readonly { readonly hop: Hop; readonly member: string; readonly data: unknown }[]
  readonly host: Host
  readonly clock: Clock
  readonly routers: readonly RouterMember[]
  readonly firewalls: readonly FirewallMember[]
  readonly guests: readonly GuestMember[]
  /** True where the user allowed asking servers on the internet (STUN). */
  readonly mayAskInternet: boolean
}
