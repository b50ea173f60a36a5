/**
 * The heartbeat: expiry, renewal in time, looking at every hop, traffic samples. One tick for all rules, so that a
 * clock that jumped (NTP, suspend) is noticed by comparing it with the one that cannot.
 */
import type { Clock } from '../base/clock.ts'
import type { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { Hop } from '../model/hop.ts'
import { isEngineLease } from './hops/relay.ts'
import type { RuleRun } from './rule-run.ts'
import { watchEveryMs } from '../doctor/watch.ts'

const tickMs = 500
const sampleMs = 1000
/** A hop that breaks is named within 5 s: a look, a second look 300 ms later, and the repair. */
const lookEveryMs = 2500
/** However many rules there are, no more looks than this in a second. */
const looksPerSecond = 200
const jumpMs = 3000
/** What was just opened does not wait for the round. */
const firstLookMs = 1000
/** Each look reads all sockets of the machine once: many together cost less than a few at a time. */
const firstLooks = 1000

export interface HeartbeatOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly runs: () => ReadonlyMap<string, RuleRun>
  /** The doctor's cheap checks on all of them; null where nobody wants to know. */
  readonly examine: ((runs: readonly RuleRun[]) => Promise<void>) | null
  readonly apply: (run: RuleRun) => Promise<readonly NaruError[]>
  readonly sample: () => void
  readonly tell: (text: Text) => void
}

export class Heartbeat implements Disposable {
  readonly #options: HeartbeatOptions
  readonly #timer: Disposable
  readonly #looked = new Map<RuleRun, number>()
  readonly #looking = new Set<RuleRun>()
  readonly #expired = new Set<RuleRun>()
  #sampledAt = 0
  #examinedAt: number
  #firstLooksFrom = -Infinity
  #examining = false
  #offset: number

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#offset = options.clock.now() - options.clock.monotonic()
    this.#examinedAt = options.clock.monotonic()
    this.#timer = options.clock.every(tickMs, () => this.#tick())
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]()
  }

  #tick(): void {
    const { clock, signal, runs } = this.#options
    const [now, monotonic] = [clock.now(), clock.monotonic()]
    const jumped = this.#hasJumped(now, monotonic)
    if (monotonic - this.#sampledAt >= sampleMs) {
      this.#sampledAt = monotonic
      this.#options.sample()
    }
    const atLeastMs = (runs().size / looksPerSecond) * 1000
    if (jumped || monotonic - this.#examinedAt >= Math.max(watchEveryMs, atLeastMs)) this.#examine(monotonic)
    else if (monotonic >= this.#firstLooksFrom) this.#lookFirst(monotonic)
    // Half a tick early rather than half a second late.
    const lookMs = Math.max(lookEveryMs, atLeastMs) - tickMs / 2
    for (const run of runs().values()) {
      this.#expire(run, now)
      run.sweepRetired()
      if (jumped || run.isDue(now)) void run.renewDue(now, signal, jumped).catch(() => {})
      if (jumped || monotonic - (this.#looked.get(run) ?? 0) >= lookMs) this.#look(run, monotonic)
    }
    for (const run of this.#looked.keys()) if (runs().get(run.name) !== run) this.#forget(run)
  }

  #hasJumped(now: number, monotonic: number): boolean {
    const offset = now - monotonic
    const jump = Math.round((offset - this.#offset) / 1000)
    if (Math.abs(offset - this.#offset) < jumpMs) return false
    this.#offset = offset
    this.#options.tell(say`the clock jumped by ${jump} s; looking at everything again`)
    return true
  }

  #expire(run: RuleRun, now: number): void {
    const { until, enabled } = run.rule
    if (!enabled || until === null) return
    const over = until <= now
    // A clock that was set back brings a rule back.
    if (over === this.#expired.has(run) && !(over && run.leases().length > 0)) return
    if (over) this.#expired.add(run)
    else this.#expired.delete(run)
    void this.#options.apply(run).catch(() => {})
  }

  #look(run: RuleRun, monotonic: number): void {
    this.#looked.set(run, monotonic)
    const watched = watchedHops(run)
    if (watched.length === 0 || this.#looking.has(run)) return
    this.#looking.add(run)
    void run
      .observe({ signal: this.#options.signal, hops: watched })
      .catch(() => {})
      .finally(() => this.#looking.delete(run))
  }

  #examine(monotonic: number): void {
    if (this.#examining) return
    this.#examinedAt = monotonic
    this.#examineThese([...this.#options.runs().values()])
  }

  #lookFirst(monotonic: number): void {
    if (this.#examining || !this.#options.examine) return
    const untried: RuleRun[] = []
    for (const run of this.#options.runs().values()) {
      if (run.isUntried) untried.push(run)
      if (untried.length === firstLooks) break
    }
    if (untried.length === 0) return
    this.#firstLooksFrom = monotonic + Math.max(firstLookMs, (untried.length / looksPerSecond) * 1000)
    this.#examineThese(untried)
  }

  #examineThese(runs: readonly RuleRun[]): void {
    const { examine } = this.#options
    if (!examine) return
    this.#examining = true
    void examine(runs)
      .catch(() => {})
      .finally(() => (this.#examining = false))
  }

  #forget(run: RuleRun): void {
    this.#looked.delete(run)
    this.#expired.delete(run)
  }
}

/** What others hold has to be looked at. */
function watchedHops(run: RuleRun): Hop[] {
  return run
    .leases()
    .filter(({ lease }) => !isEngineLease(lease) || lease.mustBeLookedAt)
    .map(({ hop }) => hop)
}
