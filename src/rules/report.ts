/** What is told of the rules: to the log, to those who listen, and to those who ask. */
import type { Clock } from '../base/clock.ts'
import { NaruError, type NaruErrorJson } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { listed, say, type Text } from '../base/text.ts'
import type { EngineEvent } from '../engines/contract.ts'
import type { Connection } from '../model/connection.ts'
import { formatListen } from '../model/listen.ts'
import type {
  ChangeResult,
  Happening,
  NaruEvent,
  RuleStatus,
  TrafficMoment,
  TrafficOptions,
} from '../model/naru-api.ts'
import type { Plan } from '../model/plan.ts'
import { formatTarget } from '../model/target.ts'
import { addressesOf } from './addresses.ts'
import { Rates } from './counters.ts'
import { Events, type EventBody } from './events.ts'
import type { LanWatch } from './lan.ts'
import type { Loaded } from './load.ts'
import { manualRow } from './manual-row.ts'
import type { RuleRun } from './rule-run.ts'
import type { RuleSet } from './rule-set.ts'
import { toldChanges } from './told-changes.ts'
import { momentMs, TrafficHistory } from './traffic-history.ts'

const closedKept = 1000
/** An import of thousands to a machine that is away fills no log. */
const brokenTold = 20

export interface ReportOptions {
  readonly clock: Clock
  readonly log: Log
  readonly rules: RuleSet
  /** Where others find this machine. */
  readonly place: LanWatch
  /** Told of a rule whenever something of it changes, also while it opens. @default nobody */
  readonly onRule?: ((rule: RuleStatus) => void) | undefined
}

export class Report {
  readonly #options: ReportOptions
  readonly #events: Events
  readonly #rates = new Rates()
  readonly #history = new TrafficHistory()
  #momentAt = 0
  readonly #closed: (() => Connection)[] = []
  #fileProblem: NaruError | null = null

  constructor(options: ReportOptions) {
    this.#options = options
    this.#events = new Events(options.clock)
  }

  /** Why the file, or some of its rules, could not be; null where all is as it says. */
  get fileProblem(): NaruErrorJson | null {
    return this.#fileProblem?.toJSON() ?? null
  }

  happened(): readonly Happening[] {
    return this.#events.happened
  }

  listen(options: { signal: AbortSignal; since?: number }): AsyncIterable<NaruEvent> {
    return this.#events.listen(options)
  }

  traffic({ span = 'quarter', rule }: TrafficOptions): readonly TrafficMoment[] {
    return span === 'day' ? this.#history.minutes(rule ?? null) : this.#history.moments
  }

  /** Open ones, then those that ended lately, the latest first. */
  connections({ rule, limit = 10_000 }: { rule?: string; limit?: number }): readonly Connection[] {
    const runs = this.#options.rules.all().filter(({ name }) => rule === undefined || name === rule)
    const open = runs.flatMap((run) => run.connections())
    const closed = this.#closed
      .map((connection) => connection())
      .filter((connection) => rule === undefined || connection.rule === rule)
      .toReversed()
    return [...open, ...closed].slice(0, limit)
  }

  status(run: RuleRun): RuleStatus {
    const { rules, place, clock } = this.#options
    const { rule } = run
    const counters = run.counters()
    const hops = run.hopStatuses()
    const kept = rules.kept.get(run.name)
    return {
      name: run.name,
      rule: rules.loaded.rules.get(run.name)?.input ?? run.input,
      ...(kept && { kept: kept.why.toJSON() }),
      listen: formatListen(rule.listen),
      targets: rule.targets.map(({ to }) => formatTarget(to)),
      state: run.state(),
      service: run.service(),
      engine: run.engine(),
      hops,
      counters,
      rate: this.#rates.of(run.name, counters, clock.monotonic()),
      until: rule.until,
      addresses: addressesOf(rule, { hops, place: place.now, samplePort: rules.samplePort }),
      byHand: manualRow(rule, hops, place.now, place.router),
    }
  }

  /** What a change came to. */
  result(plan: Plan, failures: readonly NaruErrorJson[], touched: readonly string[]): ChangeResult {
    const { loaded, runs } = this.#options.rules
    return {
      plan,
      failures,
      revision: loaded.revision,
      rules: touched.flatMap((name) => runs.get(name) ?? []).map((run) => this.status(run)),
    }
  }

  tell(level: 'info' | 'warn' | 'error', rule: string | null, text: Text): void {
    this.#options.log[level]({ rule }, text)
    this.#events.emit({ type: 'log', level, rule, text })
  }

  emit(event: EventBody): void {
    this.#events.emit(event)
  }

  /** Something of a run is another. */
  changed(run: RuleRun): void {
    this.#options.onRule?.(this.status(run))
    if (this.#options.rules.runs.get(run.name) === run) this.#emitRule(run)
  }

  /** With what the file says of it now. */
  rule(name: string): void {
    const run = this.#options.rules.runs.get(name)
    if (run) this.#emitRule(run)
  }

  everyRule(): void {
    for (const run of this.#options.rules.runs.values()) this.#emitRule(run)
  }

  #emitRule(run: RuleRun): void {
    if (this.#events.listened) this.#events.emit({ type: 'rule', rule: this.status(run) })
  }

  removed(name: string): void {
    this.#forget(name)
    this.#events.emit({ type: 'rule-removed', name })
  }

  renamed(name: string, renamedTo: string): void {
    this.#forget(name)
    this.#events.rename(name, renamedTo)
    this.#events.emit({ type: 'rule-removed', name, renamedTo })
  }

  #forget(name: string): void {
    this.#rates.forget(name)
    this.#history.forget(name)
  }

  /** What the rules are now that were others before, and what of it does not work. */
  changes(before: Loaded['rules']): void {
    const { loaded, runs } = this.#options.rules
    const told = toldChanges(before, loaded.rules)
    if (!told) return
    this.tell('info', told.rule, told.text)
    const broken = told.opened.flatMap((name) =>
      (runs.get(name)?.hopStatuses() ?? [])
        .filter(({ state }) => state === 'broken')
        .map(({ text }) => ({ name, text })),
    )
    for (const { name, text } of broken.slice(0, brokenTold)) this.tell('warn', name, text)
  }

  readonly engineEvent = (event: EngineEvent): void => {
    if (event.type === 'closed') {
      this.#closed.push(event.connection)
      if (this.#closed.length > closedKept) this.#closed.splice(0, this.#closed.length - closedKept)
    }
    if (event.type === 'state') this.#engineState(event.rule, event.state)
    // Whom a rule refused is remembered for who asks later; connections are told to who listens.
    else if (event.type === 'refused' || this.#events.listened) this.#events.emit(inWords(event))
  }

  #engineState(rule: string, { state }: Extract<EngineEvent, { type: 'state' }>['state']): void {
    if (state === 'paused')
      this.tell('warn', rule, say('out of file descriptors: no new connections for now'))
    if (state === 'carrying') this.tell('info', rule, say('taking new connections again'))
  }

  /** Tells which rules of the file could not be, and go on as they were. */
  keptRules(): void {
    const { kept } = this.#options.rules
    if (kept.size === 0) return void (this.#fileProblem && this.setFileProblem(null))
    const whys = [...kept].map(([name, { why }]) => say`${name}: ${why.text}`)
    const rules = listed(whys, '; ')
    const problem = new NaruError('RULES_KEPT', { rules })
    if (problem.message === this.#fileProblem?.message) return
    this.tell('error', null, this.setFileProblem(problem).text)
  }

  setFileProblem<T extends NaruError | null>(problem: T): T {
    this.#fileProblem = problem
    this.#events.emit({ type: 'file', problem: problem?.toJSON() ?? null })
    return problem
  }

  /** Counts of the moment, for charts and for those who listen. */
  sample(): void {
    const { clock, rules } = this.#options
    const runs = [...rules.runs.values()]
    const at = clock.monotonic()
    if (at - this.#momentAt >= momentMs - 100) {
      this.#momentAt = at
      const all = runs.map((run) => ({ name: run.name, counters: run.counters() }))
      this.#history.take(all, { at: clock.now(), monotonic: at })
    }
    if (!this.#events.listened) return
    const moved = runs
      .map((run) => {
        const counters = run.counters()
        return { name: run.name, counters, rate: this.#rates.of(run.name, counters, at) }
      })
      .filter(({ rate, counters }) => rate.toTarget + rate.toClient > 0 || counters.open > 0)
    this.#events.emit({ type: 'traffic', rules: moved })
  }
}

function inWords(event: Exclude<EngineEvent, { type: 'state' }>): EventBody {
  return event.type === 'refused' ? event : { type: event.type, connection: event.connection() }
}
