/**
 * Whether a dial that failed is held against its target, so that everybody is sent elsewhere for a while. Only what any
 * other client would meet as well is: otherwise one client turns all others away from a target that serves them.
 */
import { portCount } from '../base/port.ts'
import type { CloseReason } from '../model/connection.ts'
import type { Rule } from '../model/rule.ts'
import type { Target } from '../model/target.ts'
import { isOwnFault } from './own-lack.ts'
import { portOf } from './route.ts'

type Dialled = Pick<Rule, 'listen' | 'source'>

/** @param port of the rule's, by which the client came. */
export function isTargetsFault(rule: Dialled, to: Target, port: number, reason: CloseReason): boolean {
  if (isOwnFault(reason)) return false
  switch (reason) {
    case 'name-not-found':
    case 'loop':
      return true
    // Of a client whose address is kept the answer may go another way, as on the target's own network.
    case 'connect-timeout':
      return rule.source !== 'keep' && speaksForAll(rule, to, port)
    default:
      return speaksForAll(rule, to, port)
  }
}

/** The client chooses among the ports of a range, also one that nobody serves: the first speaks for all, as in health checks. */
export function speaksForAll({ listen }: Dialled, to: Target, port: number): boolean {
  return to.kind === 'unix' || portCount(to.ports) === 1 || portOf(to, listen, port) === to.ports.first
}
