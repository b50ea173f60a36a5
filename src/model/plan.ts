/** The ordered steps from rule to leases, printable before anything is done. */
import { say, type Text } from '../base/text.ts'
import type { Hop } from './hop.ts'

export interface PlanStep {
  readonly rule: string
  readonly hop: Hop
  /** Which member does it, such as `kernel`, `ufw` or `pcp`; null where nobody can. */
  readonly member: string | null
  readonly action: 'open' | 'update' | 'keep' | 'close'
  readonly what: Text
  /** One line: why this member, or why none. */
  readonly why: Text
  /** Set where the step needs a right that this process does not have. */
  readonly needs: { readonly text: Text; readonly command: string } | null
}

export interface Plan {
  /** In the order they are done: opening inside out, closing outside in. */
  readonly steps: readonly PlanStep[]
  /** Remarks that stop nothing: a well-known port to the outside, an expiry in the past. */
  readonly notes: readonly PlanNote[]
}

/** A sentence of its own; one on a rule begins with its name, and has what it says without it as well. */
export interface PlanNote extends Text {
  readonly rule?: string
  readonly what?: Text
}

export function noteOn(rule: string, what: Text): PlanNote {
  return Object.assign(say`${rule}: ${what}`, { rule, what })
}
