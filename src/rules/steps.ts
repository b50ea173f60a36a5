/**
 * From what a rule holds and what it wants to the steps between, in the order in which they are done: what is no longer
 * wanted closes from the outside in, the rest opens from the inside out. `apply` does exactly these.
 */
import type { Hop } from '../model/hop.ts'
import type { PlanStep } from '../model/plan.ts'
import { say } from '../base/text.ts'
import type { HopState } from './hop-state.ts'
import type { DesiredHop } from './hops/desired.ts'

/** In the order of opening. The service is asked through the guest's forward where there is one. */
export const openingOrder: readonly Hop[] = ['guest', 'service', 'relay', 'firewall', 'router']

export type Step =
  | { readonly action: 'close'; readonly held: HopState }
  | { readonly action: 'keep'; readonly held: HopState; readonly wanted: DesiredHop }
  | { readonly action: 'update'; readonly held: HopState; readonly wanted: DesiredHop }
  | { readonly action: 'open'; readonly held: HopState | null; readonly wanted: DesiredHop }

export function stepsBetween(held: ReadonlyMap<Hop, HopState>, wanted: readonly DesiredHop[]): Step[] {
  const steps: Step[] = []
  for (const hop of openingOrder.toReversed()) {
    const there = held.get(hop)
    if (there && !wanted.some((want) => want.hop === hop)) steps.push({ action: 'close', held: there })
  }
  for (const hop of openingOrder) {
    const want = wanted.find((one) => one.hop === hop)
    if (want) steps.push(stepFor(held.get(hop) ?? null, want))
  }
  return steps
}

function stepFor(held: HopState | null, wanted: DesiredHop): Step {
  if (!held) return { action: 'open', held: null, wanted }
  if (held.wanted.key === wanted.key && !held.lost) return { action: 'keep', held, wanted }
  const mayUpdate = wanted.update !== undefined && held.wanted.member === wanted.member && !held.lost
  return mayUpdate ? { action: 'update', held, wanted } : { action: 'open', held, wanted }
}

/** As people and programs see it. */
export function shown(rule: string, step: Step): PlanStep {
  const about = step.action === 'close' ? step.held.wanted : step.wanted
  return {
    rule,
    hop: about.hop,
    member: about.member,
    action: step.action,
    what: about.what,
    why: step.action === 'close' ? say('no longer wanted') : about.why,
    needs: step.action === 'open' ? about.needs : null,
  }
}
