/**
 * Every hop of one rule: what it holds there, why it could not, what a look or a check saw, and how all that is told.
 * A fault is told at once and its end when it has lasted (flap-damping).
 */
import type { Clock } from '../base/clock.ts'
import type { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import { hopNames } from '../doctor/verdict.ts'
import type { Finding } from '../model/finding.ts'
import { hops, type Hop, type Lease } from '../model/hop.ts'
import type { HopStatus } from '../model/naru-api.ts'
import { FlapDamping } from './flap-damping.ts'
import {
  aheadStatus,
  failedStatus,
  foundStatus,
  foundTrouble,
  openStatus,
  troubleOf,
  type HopState,
  type Trouble,
} from './hop-state.ts'
import type { DesiredHop } from './hops/desired.ts'

export interface HopFailure {
  readonly wanted: DesiredHop
  readonly why: NaruError
  /** Milliseconds since the Unix epoch. */
  readonly at: number
}

export interface RuleHopsOptions {
  readonly clock: Clock
  /** Goes into the log and to those who watch. */
  readonly tell: (level: 'info' | 'warn', text: Text) => void
}

export class RuleHops {
  readonly held = new Map<Hop, HopState>()
  readonly failures = new Map<Hop, HopFailure>()
  /** Wanted, and not come to yet while the others are opened. */
  readonly ahead = new Map<Hop, DesiredHop>()
  readonly #options: RuleHopsOptions
  readonly #damping = new Map<Hop, FlapDamping<Trouble>>()
  /** What the checks found, hop by hop, and when they last looked. */
  #found: ReadonlyMap<Hop, Trouble> = new Map()
  #examinedAt: number | null = null
  /** Lost, and opened again since: said of the hop once it is told as well. */
  readonly #reopened = new Set<Hop>()
  readonly #reported = new Map<Hop, string>()

  constructor(options: RuleHopsOptions) {
    this.#options = options
  }

  /** The checks have looked at it as it is now. */
  get isExamined(): boolean {
    return this.#examinedAt !== null
  }

  inner(): ReadonlyMap<Hop, Lease> {
    return new Map([...this.held].map(([hop, { lease }]) => [hop, lease]))
  }

  opened(state: HopState): void {
    this.held.set(state.hop, state)
    this.#damping.delete(state.hop)
  }

  reopened(hop: Hop): void {
    this.#reopened.add(hop)
  }

  /** What was seen of the rule as it was says nothing of it as it is. */
  forgetSeen(): void {
    this.#found = new Map()
    this.#examinedAt = null
    this.#damping.clear()
  }

  /** Takes what the cheap checks found to block; what they find no more is over. */
  examined(findings: readonly Finding[]): void {
    const found = new Map<Hop, Trouble>()
    for (const finding of findings) {
      const hop = placeOf(finding.hop)
      // The relay is ours and tells by itself what keeps it from opening.
      if (finding.severity === 'blocks' && (hop !== 'relay' || this.held.has(hop)) && !found.has(hop))
        found.set(hop, foundTrouble(finding))
    }
    this.#found = found
    this.#examinedAt = this.#options.clock.now()
    for (const hop of hops) this.settle(hop)
  }

  /** Did the checks find something at that hop the last time? */
  found(hop: Hop): boolean {
    return this.#found.has(hop)
  }

  knows({ code, hop }: Finding): boolean {
    return this.#damping.get(placeOf(hop))?.told?.code === code
  }

  /** Holds what was seen of a hop against what is told of it, and tells what changed. */
  settle(hop: Hop): void {
    const lost = this.held.get(hop)?.lost
    const trouble = lost ? troubleOf(lost) : this.failures.has(hop) ? null : (this.#found.get(hop) ?? null)
    const damping = this.#damping.get(hop) ?? new FlapDamping<Trouble>()
    if (trouble) this.#damping.set(hop, damping)
    const change = damping.see(trouble, this.#options.clock.monotonic())
    if (change === 'broke' && trouble) this.#options.tell('warn', trouble.text)
    if (change === 'recovered') this.#options.tell('info', this.#recovered(hop))
  }

  #recovered(hop: Hop): Text {
    const shown = { en: hop, ko: hopNames[hop].ko }
    return this.#reopened.delete(hop) ? say`${shown} was opened again` : say`${shown} works again`
  }

  statuses(): HopStatus[] {
    return hops.flatMap((hop) => this.#statusOf(hop) ?? [])
  }

  /** Without what the checks say: they would take their own word for evidence. */
  ownStatuses(): HopStatus[] {
    return hops.flatMap((hop) => this.#ownStatusOf(hop) ?? [])
  }

  /** Those whose state or words changed since this was asked last. */
  news(): HopStatus[] {
    return this.statuses().filter((status) => {
      const words = `${status.state} ${status.text.en} ${status.notes.map(({ en }) => en).join()}`
      if (this.#reported.get(status.hop) === words) return false
      this.#reported.set(status.hop, words)
      return true
    })
  }

  #statusOf(hop: Hop): HopStatus | null {
    const failure = this.failures.get(hop)
    if (failure) return failedStatus(failure.wanted, failure.why, failure.at)
    const held = this.held.get(hop)
    const damping = this.#damping.get(hop)
    if (held) return openStatus(held, damping)
    const ahead = this.ahead.get(hop)
    if (ahead && !damping) return aheadStatus(ahead)
    return damping ? foundStatus(hop, damping, this.#examinedAt) : null
  }

  #ownStatusOf(hop: Hop): HopStatus | null {
    const failure = this.failures.get(hop)
    if (failure) return failedStatus(failure.wanted, failure.why, failure.at)
    const held = this.held.get(hop)
    if (!held) return null
    const own = openStatus(held, undefined)
    return held.lost ? { ...own, state: 'broken', text: held.lost.text, problem: held.lost.code } : own
  }
}

/** What is wrong with the machine, or outside, concerns the hop that leads there. */
function placeOf(hop: Finding['hop']): Hop {
  return hop === 'machine' || hop === 'outside' ? 'router' : hop
}
