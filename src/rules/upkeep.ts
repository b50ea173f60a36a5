/**
 * What is held is looked after while it lasts: the heartbeat, the doctor's cheap checks on it, the counts of the moment,
 * and the addresses that others find this machine by.
 */
import { withLimit } from '../base/clock.ts'
import type { NaruError } from '../base/errors.ts'
import type { Check } from '../doctor/checks/contract.ts'
import { createDoctor, type Doctor, type RuleToCheck } from '../doctor/diagnose.ts'
import { watch } from '../doctor/watch.ts'
import type { Deps } from '../instance/deps.ts'
import { publisherOf } from '../mappings/publisher.ts'
import { Heartbeat } from './heartbeat.ts'
import type { LanWatch } from './lan.ts'
import type { Report } from './report.ts'
import type { RuleRun } from './rule-run.ts'
import type { RuleSet } from './rule-set.ts'

/** For ten thousand rules whose targets all hang. */
const examineLimitMs = 60_000
const sweepLimitMs = 30_000

export interface UpkeepOptions {
  readonly parts: Deps
  readonly rules: RuleSet
  readonly report: Report
  readonly place: LanWatch
  /** Of which the cheap ones are made; without them nothing is examined. */
  readonly checks: (() => Promise<readonly Check[]>) | undefined
  readonly apply: (run: RuleRun) => Promise<readonly NaruError[]>
  /** Aborts when a stop begins. */
  readonly signal: AbortSignal
}

export class Upkeep {
  readonly #options: UpkeepOptions
  #heartbeat: Heartbeat | null = null
  #doctor: Doctor | null = null
  #began = false

  constructor(options: UpkeepOptions) {
    this.#options = options
  }

  /** It has begun, whether or not it pauses. */
  get hasBegun(): boolean {
    return this.#began
  }

  begin(): void {
    const { parts, rules, report, apply, checks, signal } = this.#options
    this.#began = true
    this.#heartbeat = new Heartbeat({
      clock: parts.clock,
      signal,
      runs: () => rules.runs,
      examine: checks ? (runs) => this.#examine(checks, runs) : null,
      apply,
      sample: () => {
        report.sample()
        void this.#lookAround()
      },
      tell: (text) => report.tell('warn', null, text),
    })
  }

  /** In the background: a mapping of ours that no journal knows (it was lost) leads here for ever otherwise. */
  sweepRouters(): void {
    const { parts, rules, signal } = this.#options
    if (![...rules.runs.values()].some(({ rule }) => rule.publish.router !== 'off')) return
    void publisherOf(parts)
      .sweep(withLimit(signal, sweepLimitMs))
      .catch(() => {})
  }

  end(): void {
    this.#heartbeat?.[Symbol.dispose]()
  }

  /** The doctor is loaded when it is first asked, so that no start waits for it. */
  async #examine(checks: () => Promise<readonly Check[]>, runs: readonly RuleRun[]): Promise<void> {
    const { parts, rules } = this.#options
    this.#doctor ??= createDoctor({
      ...parts,
      checks: await checks(),
      askStun: () => Promise.resolve(null),
      // Which lead to each other: what is known of ten thousand rules' hops is told for those that are looked at alone.
      rules: () => Promise.resolve([...rules.runs.values()].filter((run) => run.isToCheck).map(toFollow)),
    })
    const doctor = this.#doctor
    const examine: Doctor['examine'] = (some, options) => doctor.examine(some, options)
    const signal = withLimit(this.#options.signal, examineLimitMs)
    await watch(runs, { examine, clock: parts.clock, signal })
  }

  /** An address of ours that changed is another one to give to others. */
  async #lookAround(): Promise<void> {
    const { place, report, signal } = this.#options
    if (await place.refresh(signal)) report.everyRule()
  }
}

function toFollow({ rule }: RuleRun): RuleToCheck {
  return { rule, hops: [] }
}
