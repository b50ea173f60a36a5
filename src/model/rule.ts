/** What the user wants: a named forward, listen → target, with policy and how far out to publish. Plain data, parsed. */
import type { RuleKeys } from './rule-keys/index.ts'
import type { TargetChoice } from './rule-keys/targets.ts'

export type { Balance, EngineId, SourceMode } from './rule-keys/choices.ts'
export type { Limits } from './rule-keys/limits.ts'
export type { TargetChoice } from './rule-keys/targets.ts'

export interface Rule extends Omit<RuleKeys, 'target' | 'targets'> {
  readonly name: string
  /** At least one. */
  readonly targets: readonly TargetChoice[]
}
