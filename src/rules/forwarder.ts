/**
 * The story: rules come from the store (load), are held against what runs (plan), each is brought to what it should be
 * (apply), read back and repaired while it lasts (observe, renew), and taken away without a trace (undo).
 */
import { setMaxListeners } from 'node:events'
import { awake } from '../base/awake.ts'
import { withLimit } from '../base/clock.ts'
import { NaruError, toNaruError, type NaruErrorJson } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import { stopped } from '../base/single-flight.ts'
import { say } from '../base/text.ts'
import type { Check } from '../doctor/checks/contract.ts'
import { createDoctor, type Doctor } from '../doctor/diagnose.ts'
import { watch } from '../doctor/watch.ts'
import type { Deps } from '../instance/deps.ts'
import type { Instance } from '../instance/instance.ts'
import { damageText, Journal, type JournalEntry } from '../instance/journal.ts'
import { ownerTag } from '../mappings/owner-tag.ts'
import { publisherOf } from '../mappings/publisher.ts'
import type { Connection } from '../model/connection.ts'
import type { Facts } from '../model/facts.ts'
import type { Hop, Json } from '../model/hop.ts'
import type {
  About,
  ChangeOptions,
  ChangeResult,
  Happening,
  Naru,
  NaruEvent,
  RuleInput,
  RuleStatus,
  TrafficMoment,
  TrafficOptions,
} from '../model/naru-api.ts'
import type { Plan } from '../model/plan.ts'
import type { Snapshot } from '../stores/contract.ts'
import { changed, merged, mustBeNew } from './changes.ts'
import { RuleEdits } from './rule-edits.ts'
import { HandOver, mustListen, settle, textOf, type Predecessor } from './hand-over.ts'
import { Heartbeat } from './heartbeat.ts'
import { desiredHops } from './hops/index.ts'
import { LanWatch } from './lan.ts'
import { load, type Loaded } from './load.ts'
import { Reconciler } from './reconcile.ts'
import { Report } from './report.ts'
import type { RuleRun, RuleRunTools } from './rule-run.ts'
import { RuleSet } from './rule-set.ts'
import type { ApplyOptions } from './run-tools.ts'
import { closeEngines, Shutdown } from './shutdown.ts'
import { notUndone, undoJournal } from './undo.ts'

export interface ForwarderOptions {
  /** Undo all where a hop of a rule fails while starting (`naru open`), or keep what works and go on trying. @default false */
  readonly strict?: boolean
  /** Where `strict`: keep the rest where the router does nothing and a person can type the row. @default false */
  readonly rowByHand?: boolean
  /** Told of a rule whenever something of it changes, also while it opens. @default nobody */
  readonly onRule?: (rule: RuleStatus) => void
  /** Rules applied at once that open more than this machine. @default 64 */
  readonly atOnce?: number
  /** The doctor's checks, of which the cheap ones are made every few seconds. @default none */
  readonly checks?: () => Promise<readonly Check[]>
  /** The process whose place this one takes. @default none */
  readonly predecessor?: Predecessor
}

const reopenLimitMs = 60_000
/** For ten thousand rules whose targets all hang. */
const examineLimitMs = 60_000
/** How soon a process that passed its place on sees that its last connection has ended. */
const lookForEndMs = 250

export class Forwarder implements Naru, AsyncDisposable {
  readonly #parts: Deps
  readonly #instance: Instance
  readonly #journal: Journal
  readonly #facts: Facts
  readonly #options: ForwarderOptions
  /** Where others find this machine. */
  readonly #place: LanWatch
  readonly #rules: RuleSet
  readonly #report: Report
  readonly #reconciler: Reconciler
  readonly #edits: RuleEdits
  readonly #shutdown: Shutdown
  /** Aborts when a stop begins: no change begins from then on, and the one under way is called off. */
  readonly #work = new AbortController()
  /** Aborts when whoever lets connections finish wants to wait for them no more. */
  readonly #hurry = new AbortController()
  /** Aborts when the time that undoing may take is over. */
  readonly #undoing = new AbortController()
  /** Aborts when this Naru has stopped. */
  readonly #life = new AbortController()
  readonly #startedAt: number
  #changes: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | null = null
  #web: string | null = null
  /** Set until the process whose place this one takes has let go. */
  #predecessor: Predecessor | null
  /** What that one has in force. */
  #before: readonly JournalEntry[] = []
  /** A successor has everything but the connections. */
  #passedOn = false
  /** The lock says that this one serves, whether or not a predecessor is still about to let go. */
  #announced = false
  /** Resolves once what the predecessor left is settled. */
  readonly #settled = deferred()
  /** Resolves once no successor is about to take this place. */
  #handing: Promise<void> = Promise.resolve()
  #ticker: Heartbeat | null = null
  #doctor: Doctor | null = null

  private constructor(
    parts: Deps,
    instance: Instance,
    journal: Journal,
    facts: Facts,
    options: ForwarderOptions,
  ) {
    this.#parts = parts
    this.#instance = instance
    this.#journal = journal
    this.#facts = facts
    this.#options = options
    this.#startedAt = parts.clock.now()
    // Every hop of every rule that is looked at listens to the end; Node takes more than ten for a leak.
    for (const { signal } of [this.#work, this.#undoing, this.#life]) setMaxListeners(0, signal)
    this.#predecessor = options.predecessor ?? null
    const { host, clock, log } = parts
    this.#place = new LanWatch(host, clock, () => publisherOf(parts).finder.known)
    const rules = new RuleSet(() => this.#runTools)
    const report = new Report({ clock, log, rules, place: this.#place, onRule: options.onRule })
    const how = (now = false): ApplyOptions => this.#how(now)
    const { atOnce = 64 } = options
    const undoing = this.#undoing
    const isWatched = (): boolean => this.#ticker !== null
    const reconciler = new Reconciler({ rules, report, atOnce, how, undoing: undoing.signal, isWatched })
    this.#rules = rules
    this.#report = report
    this.#reconciler = reconciler
    this.#edits = new RuleEdits({ parts, journal, rules, report, reconciler, how, signal: this.#work.signal })
    this.#shutdown = new Shutdown({
      parts,
      instance,
      journal,
      rules,
      undoing,
      hurry: this.#hurry.signal,
      standsStill: () => this.#standsStill(),
      passedOn: () => this.#passedOn,
    })
  }

  /** Cleans up after whoever held this instance before, loads the rules and opens them. */
  static async start(
    parts: Deps,
    instance: Instance,
    options: ForwarderOptions & { signal: AbortSignal },
  ): Promise<{ forwarder: Forwarder; failures: readonly NaruErrorJson[] }> {
    await using scope = new Scope()
    const { predecessor = null } = options
    scope.defer(() => closeEngines(parts, predecessor !== null))
    const snapshot = await parts.store.read({ signal: options.signal })
    const loaded = load(snapshot)
    const journal = await Journal.open(instance.journalPath)
    scope.defer(() => journal.close())
    if (journal.damage) parts.log.warn({}, damageText(journal.damage))
    const adopted = new Set(parts.engines.filter(({ adopts }) => adopts).map(({ id }) => id as string))
    const before = new Set(journal.live().map(({ id }) => id))
    if (parts.routers.length > 0)
      publisherOf(parts).owner = await ownerTag(instance.folder, parts.host, options.signal)
    const keep = ({ member }: JournalEntry): boolean => predecessor !== null || adopted.has(member)
    await undoJournal(journal, parts, { signal: options.signal, keep })
    const forwarder = new Forwarder(parts, instance, journal, await parts.host.facts(), options)
    // From here on it undoes itself.
    scope.move()
    return { forwarder, failures: await forwarder.#begin(loaded, snapshot, before, options.signal) }
  }

  /** @throws NaruError, of which `left` names what could not be undone */
  async #begin(
    loaded: Loaded,
    snapshot: Snapshot,
    before: ReadonlySet<number>,
    signal: AbortSignal,
  ): Promise<readonly NaruErrorJson[]> {
    const callOff = (): void => this.#work.abort(signal.reason)
    signal.addEventListener('abort', callOff)
    if (signal.aborted) callOff()
    const placed = this.#place.refresh(this.#work.signal)
    try {
      if (this.#predecessor) await this.#succeed(this.#predecessor, loaded, snapshot)
      else {
        await this.#reconciler.bring(loaded, snapshot)
        await this.#settleAdopted(before, this.#work.signal)
      }
      await placed
      if (signal.aborted) throw stopped(signal, 'the start')
    } catch (error) {
      const why = signal.aborted ? stopped(signal, 'the start') : toNaruError(error)
      const left = await this.stop().then(() => null, toNaruError)
      throw left ? why.leaving(left.left) : why
    } finally {
      signal.removeEventListener('abort', callOff)
    }
    if (!this.#predecessor) {
      this.#watch()
      this.#sweepRouters()
    }
    return this.#rules.failures().map((error) => error.toJSON())
  }

  /** Opens everything beside the predecessor, taking up what that one has; changes wait for `settle`. */
  async #succeed(predecessor: Predecessor, loaded: Loaded, snapshot: Snapshot): Promise<void> {
    for (const engine of this.#parts.engines) engine.succeed?.(predecessor.pid)
    this.#before = this.#journal.live()
    this.#changes = predecessor.inherit.begun
    await this.#reconciler.bring(loaded, snapshot)
    mustListen(this.#rules.runs, predecessor)
  }

  /** The predecessor has let go: what it had and no rule wants is undone. */
  async settle(): Promise<void> {
    this.#predecessor = null
    const before = this.#before
    this.#before = []
    const signal = this.#undoing.signal
    await settle(before, {
      journal: this.#journal,
      parts: this.#parts,
      runs: this.#rules.runs,
      signal,
    }).finally(() => this.#settled.resolve())
    if (this.#work.signal.aborted) return
    this.#watch()
    this.#sweepRouters()
  }

  /** Aborts when a stop begins. */
  get stopping(): AbortSignal {
    return this.#work.signal
  }

  /** Everything stands still until the answer is taken back or left. */
  async handOver(): Promise<HandOver> {
    let thaw = (): void => {}
    const gate = new Promise<void>((resolve) => (thaw = resolve))
    const handing = deferred()
    const holding = {
      onOver: handing.resolve,
      runs: [...this.#rules.runs.values()],
      journal: this.#journal,
      parts: this.#parts,
      watch: (on: boolean) => {
        this.#ticker?.[Symbol.dispose]()
        if (on && !this.#work.signal.aborted) this.#startTicker()
      },
    }
    await this.#inTurn(() => Promise.resolve())
    this.#changes = gate
    this.#handing = handing.promise
    return HandOver.begin(holding, gate, thaw)
  }

  /** The successor has it: stays until the last connection has ended, however long. @returns how many there are */
  async leave(handOver: HandOver): Promise<number> {
    this.#passedOn = true
    await this.#instance.passOn()
    publisherOf(this.#parts)[Symbol.dispose]()
    await handOver.leave()
    void this.#endWithConnections()
    return this.#rules.carried
  }

  /** After `leave`: a process that starts anew, as the successor is gone, may bind every port. Streams go on. */
  async letGo(): Promise<void> {
    if (!this.#passedOn) return
    await Promise.all(this.#rules.all().map((run) => run.letGo()))
    await this.#instance.letGo()
  }

  async #endWithConnections(): Promise<void> {
    while (this.#rules.carried > 0 && !this.#life.signal.aborted)
      await this.#parts.clock.sleep(lookForEndMs, this.#life.signal).catch(() => {})
    await this.stop().catch(() => {})
  }

  /** What the predecessor has for a rule that says the same. */
  #beforeOf(rule: string, hop: Hop, member: string): readonly Json[] {
    const run = this.#rules.runs.get(rule)
    if (!run || this.#predecessor?.rules[rule]?.text !== textOf(run.input)) return []
    return this.#before
      .filter((entry) => entry.rule === rule && entry.hop === hop && entry.member === member)
      .map(({ effect }) => effect)
  }

  /** In the background: a mapping of ours that no journal knows (it was lost) leads here for ever otherwise. */
  #sweepRouters(): void {
    if (![...this.#rules.runs.values()].some(({ rule }) => rule.publish.router !== 'off')) return
    void publisherOf(this.#parts)
      .sweep(withLimit(this.#work.signal, 30_000))
      .catch(() => {})
  }

  /** What was in force before and is carried by a rule again is struck out; the rest is undone now. */
  async #settleAdopted(before: ReadonlySet<number>, signal: AbortSignal): Promise<void> {
    for (const entry of this.#journal.live())
      if (before.has(entry.id) && this.#rules.carries(entry)) await this.#journal.undone(entry.id)
    await undoJournal(this.#journal, this.#parts, { signal, keep: ({ id }) => !before.has(id) })
  }

  /** Aborts when this Naru has stopped. */
  get ended(): AbortSignal {
    return this.#life.signal
  }

  /** Port of the built-in sample page that the file asks for. */
  get samplePort(): number | null {
    return this.#rules.samplePort
  }

  async announce(web: string | null): Promise<void> {
    this.#web = web
    await this.#instance.announce(web)
    this.#announced = true
  }

  readonly about = (): Promise<About> =>
    Promise.resolve({
      version: this.#parts.version,
      pid: process.pid,
      file: this.#instance.holder.file,
      startedAt: this.#startedAt,
      revision: this.#rules.loaded.revision,
      web: this.#web,
      fileProblem: this.#report.fileProblem,
    })

  readonly rules: Naru['rules'] = {
    list: () => Promise.resolve(this.#rules.ordered().map((run) => this.#report.status(run))),
    get: async (name) => this.#report.status(this.#rules.find(name)),
    add: (name, rule, options) =>
      this.#change(name, () => (mustBeNew(this.#rules.loaded, name), rule), options),
    addAll: (rules, options) => this.#inTurn(() => this.#edits.addAll(rules, options)),
    edit: (name, change, options) =>
      this.#change(name, () => merged(this.#rules.input(name), change), options),
    remove: (name, options) => this.#change(name, () => (this.#rules.input(name), null), options),
    enable: (name, options) =>
      this.#change(name, () => merged(this.#rules.input(name), { enabled: null }), options),
    disable: (name, options) =>
      this.#change(name, () => merged(this.#rules.input(name), { enabled: false }), options),
    rename: (name, to, options) => this.#inTurn(() => this.#edits.rename(name, to, options)),
    reopen: (name) => this.#reopen(name),
  }

  async plan(change?: { name: string; rule: RuleInput | null }): Promise<Plan> {
    const { loaded } = this.#rules
    if (change) return this.#edits.planFor(changed(loaded, change))
    return this.#edits.planFor(
      load(await this.#parts.store.read({ signal: this.#work.signal }), this.#rules.loaded.rules),
    )
  }

  connections(options: { rule?: string; limit?: number } = {}): Promise<readonly Connection[]> {
    return Promise.resolve(this.#report.connections(options))
  }

  happened(): Promise<readonly Happening[]> {
    return Promise.resolve(this.#report.happened())
  }

  traffic(options: TrafficOptions = {}): Promise<readonly TrafficMoment[]> {
    return Promise.resolve(this.#report.traffic(options))
  }

  cut(connection: string): Promise<boolean> {
    return Promise.resolve(this.#rules.all().some((run) => run.cut(connection)))
  }

  events(options: { signal: AbortSignal; since?: number }): AsyncIterable<NaruEvent> {
    return this.#report.listen({ ...options, signal: AbortSignal.any([options.signal, this.#life.signal]) })
  }

  /** An invalid file changes nothing and is reported. @throws NaruError FILE_INVALID, FILE_UNREADABLE */
  reload(): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      try {
        const snapshot = await this.#parts.store.read({ signal: this.#work.signal })
        const loaded = load(snapshot, this.#rules.loaded.rules)
        const plan = await this.#edits.planFor(loaded)
        const failures = await this.#reconciler.bring(loaded, snapshot, { again: true })
        return this.#report.result(plan, failures, [...new Set(plan.steps.map(({ rule }) => rule))])
      } catch (error) {
        const { en, ko } = this.#report.setFileProblem(toNaruError(error)).text
        this.#report.tell(
          'error',
          null,
          say(`nothing was changed: ${en}`, `아무것도 바꾸지 않았습니다: ${ko}`),
        )
        throw error
      }
    })
  }

  /**
   * No change begins any more and the one under way is called off; then everything is undone, within 5 s, or with
   * `drain` once connections have finished. A stop without `drain` ends the waiting of one with it.
   * @throws NaruError NOT_UNDONE: what it names is in the journal, and the next start of any Naru undoes it
   */
  stop({ drain = false }: { drain?: boolean } = {}): Promise<void> {
    if (!drain) this.#hurry.abort()
    if (!this.#stopped) {
      this.#stopped = awake(() => this.#stopOnce())
      // Whoever asked hears it; who only waits for the end need not.
      this.#stopped.catch(() => {})
    }
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stopOnce(): Promise<void> {
    this.#work.abort(new NaruError('STOPPING', {}))
    this.#ticker?.[Symbol.dispose]()
    if (this.#predecessor && !this.#announced) return this.#giveUp()
    const left = await this.#shutdown.run()
    publisherOf(this.#parts)[Symbol.dispose]()
    await this.#journal.close().catch(() => {})
    await this.#instance.release({ forget: this.#instance.holder.file === null })
    this.#life.abort()
    if (left.length > 0) throw notUndone(left)
  }

  /** The predecessor goes on: nothing of what is in force is touched. */
  async #giveUp(): Promise<void> {
    await closeEngines(this.#parts, true)
    await this.#journal.close().catch(() => {})
    this.#life.abort()
  }

  /** What is under way has ended, and nobody takes or gives this place. */
  async #standsStill(): Promise<void> {
    await this.#handing
    if (this.#predecessor) await this.#settled.promise
    await this.#changes
  }

  async #reopen(name: string): Promise<ChangeResult> {
    const run = this.#rules.find(name)
    this.#refuseIfOver()
    const signal = withLimit(this.#work.signal, reopenLimitMs)
    const plan = { steps: await run.plan(run.rule, signal), notes: [] }
    const failures = (await run.reopen(signal)).map((error) => error.toJSON())
    return this.#report.result(plan, failures, [name])
  }

  /** @param make the rule as it is to be, by what is loaded once its turn comes; null takes it away */
  #change(
    name: string,
    make: () => RuleInput | null,
    options?: ChangeOptions & { now?: boolean },
  ): Promise<ChangeResult> {
    return this.#inTurn(async () => this.#edits.change(name, make(), options))
  }

  #how(now = false): ApplyOptions {
    const { strict = false, rowByHand: byHand = false } = this.#options
    return { strict, rowByHand: byHand, now, signal: this.#work.signal }
  }

  get #runTools(): RuleRunTools {
    return {
      clock: this.#parts.clock,
      journal: this.#journal,
      working: this.#work.signal,
      undoing: this.#undoing.signal,
      mark: () => this.#instance.mark(),
      before: (rule, hop, member) => this.#beforeOf(rule, hop, member),
      wants: (rule, context) =>
        desiredHops(rule, {
          parts: this.#parts,
          facts: this.#facts,
          failedEngines: context.failedEngines,
          inherit: this.#predecessor?.inherit ?? null,
          signal: context.signal,
          onEngineEvent: (event) => {
            const named = context.named(event)
            context.onEngineEvent(named)
            this.#report.engineEvent(named)
          },
        }),
      onChange: (run) => this.#report.changed(run),
      onHop: (run, status) => this.#report.emit({ type: 'hop', rule: run.name, status }),
      tell: (level, rule, text) => this.#report.tell(level, rule, text),
    }
  }

  #watch(): void {
    this.#startTicker()
    this.#parts.store.watch({ signal: this.#work.signal, onChange: () => void this.reload().catch(() => {}) })
  }

  #startTicker(): void {
    this.#ticker = new Heartbeat({
      clock: this.#parts.clock,
      signal: this.#work.signal,
      runs: () => this.#rules.runs,
      examine: this.#options.checks ? (runs) => this.#examine(runs) : null,
      apply: (run) => run.apply(run.loaded, this.#how()),
      sample: () => {
        this.#report.sample()
        void this.#lookAround()
      },
      tell: (text) => this.#report.tell('warn', null, text),
    })
  }

  /** Loaded when it is first asked, so that no start waits for it. */
  async #examine(runs: readonly RuleRun[]): Promise<void> {
    const { checks } = this.#options
    if (!checks) return
    this.#doctor ??= createDoctor({
      ...this.#parts,
      checks: await checks(),
      askStun: () => Promise.resolve(null),
      rules: () => Promise.resolve([...this.#rules.runs.values()].flatMap((run) => run.toCheck() ?? [])),
    })
    const doctor = this.#doctor
    const examine: Doctor['examine'] = (rules, options) => doctor.examine(rules, options)
    const signal = withLimit(this.#work.signal, examineLimitMs)
    await watch(runs, { examine, clock: this.#parts.clock, signal })
  }

  /** An address of ours that changed is another one to give to others. */
  async #lookAround(): Promise<void> {
    if (await this.#place.refresh(this.#work.signal)) this.#report.everyRule()
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const act = async (): Promise<T> => {
      this.#refuseIfOver()
      return awake(run)
    }
    const next = this.#changes.then(act, act)
    this.#changes = next.catch(() => {})
    return next
  }

  /** @throws NaruError HANDED_OVER, STOPPING */
  #refuseIfOver(): void {
    if (this.#passedOn) throw new NaruError('HANDED_OVER', {})
    if (this.#work.signal.aborted) throw new NaruError('STOPPING', {})
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
