/** What is said of a rule as a whole, from what its hops hold. */
import type { RuleState, RuleStatus, ServiceState } from '../model/naru-api.ts'
import type { RuleHops } from './rule-hops.ts'

export interface RuleFacts {
  readonly hops: RuleHops
  /** It is to be open: enabled, not over, and not ended. */
  readonly isWanted: boolean
  /** Its time is over, and nobody switched it off. */
  readonly isExpired: boolean
  /** Connections of what listened go on. */
  readonly isDraining: boolean
  /** A change is under way. */
  readonly isBusy: boolean
}

export function stateOf({ hops, isWanted, isExpired, isDraining, isBusy }: RuleFacts): RuleState {
  if (!isWanted) {
    if (isDraining) return 'draining'
    return isExpired ? 'expired' : 'disabled'
  }
  const { held, failures } = hops
  // What is tried again and again has failed all the while.
  const tried = !isBusy || failures.size > 0
  if (failures.has('relay') || (!held.has('relay') && tried)) return 'failed'
  if (!held.has('relay')) return 'opening'
  const states = hops.statuses().map(({ state }) => state)
  if (states.includes('broken')) return 'degraded'
  return states.includes('opening') ? 'opening' : 'open'
}

/** Its own lease on the service looks by itself; else the checks do. */
export function serviceOf(hops: RuleHops): ServiceState {
  const statuses = hops.statuses().filter(({ hop }) => hop === 'service' || hop === 'guest')
  if (statuses.some(({ state }) => state === 'broken')) return 'silent'
  return hops.held.has('service') || hops.isExamined ? 'ok' : 'untried'
}

export function engineOf({ held }: RuleHops): RuleStatus['engine'] {
  const relay = held.get('relay')
  if (!relay) return null
  const { why, brief = why } = relay.wanted
  return { id: relay.lease.describe().member, why, brief }
}
