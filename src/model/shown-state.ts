/** A rule's state as people are told it: that it listens is one thing, that somebody answers behind it another. */
import type { RuleState, RuleStatus } from './naru-api.ts'

export type ShownState = RuleState | 'untried' | 'silent'

export function shownState({ state, service }: Pick<RuleStatus, 'state' | 'service'>): ShownState {
  if (state === 'open' && service === 'untried') return 'untried'
  return state === 'degraded' && service === 'silent' ? 'silent' : state
}
