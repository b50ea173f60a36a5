/**
 * A diagnosis goes to pages, terminals and scripts: of ten thousand rules it would be a hundred megabytes, nearly all of
 * what is well. That is counted; what is wrong at very many rules is told in full once, and by name of each.
 */
import {
  countsOf,
  likeness,
  type CheckCounts,
  type CheckOutcome,
  type DoctorEvent,
} from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'

/** Looks that are listed and told one by one. */
const mostLooks = 10_000
/** Findings that are whole. */
const mostWhole = 500

export class Looks {
  readonly #areMany: boolean
  #counts: CheckCounts = countsOf([])

  constructor(many: number) {
    this.#areMany = many > mostLooks
  }

  get counts(): CheckCounts {
    return this.#counts
  }

  /** Counts them. @returns those to be kept */
  take(outcomes: readonly CheckOutcome[]): readonly CheckOutcome[] {
    const { passed, found, unmade } = this.#counts
    const more = countsOf(outcomes)
    this.#counts = {
      passed: passed + more.passed,
      found: found + more.found,
      unmade: unmade + more.unmade,
    }
    return this.#areMany ? outcomes.filter(({ state }) => state !== 'passed') : outcomes
  }

  /** As many of those that were kept as are listed. */
  listed(kept: readonly CheckOutcome[]): readonly CheckOutcome[] {
    return this.#areMany ? kept.slice(0, mostLooks) : kept
  }
}

/** The first are whole, and of all those alike one. */
export function slimmer(): (finding: Finding) => Finding {
  const seen = new Set<string>()
  let whole = 0
  return (finding) => {
    const key = likeness(finding)
    const isWhole = whole < mostWhole || !seen.has(key)
    seen.add(key)
    if (!isWhole) return { ...finding, evidence: [], fixes: [] }
    whole++
    return finding
  }
}

/**
 * So many looks are told as they begin and end: what goes to a page or a terminal waits in memory where that is slow.
 * Of more those that found something, or could not look, and one in so many of the others: each as it ends.
 */
export function toldOf(
  looks: number,
  onEvent: ((event: DoctorEvent) => void) | undefined,
): (event: DoctorEvent) => void {
  if (!onEvent) return () => {}
  if (looks <= mostLooks) return onEvent
  const every = Math.ceil(looks / mostLooks)
  const slim = slimmer()
  let ended = 0
  return (event) => {
    if (event.type === 'started') return
    if (event.type !== 'finished') return onEvent(event)
    const { outcome, findings } = event
    const { code, hop, rule, title, state } = outcome
    if (state === 'passed' && ended++ % every !== 0) return
    onEvent({ type: 'started', code, hop, rule, title })
    onEvent({ type: 'finished', outcome, findings: findings.map(slim) })
  }
}
