/**
 * The story: rules come from the store (load), are held against what runs (plan), each is brought to what it should be
 * (apply), read back and repaired while it lasts (observe, renew), and taken away without a trace (undo).
 */
import { setMaxListeners } from 'node:events'
import { awake } from '../base/awake.ts'
import { withLimit } from '../base/clock.ts'
import { NaruError, toNaruError, type NaruErrorJson } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import { orAborted, stopped } from '../base/single-flight.ts'
import { say, type Text } from '../base/text.ts'
import type { Check } from '../doctor/checks/contract.ts'
import type { EngineEvent } from '../engines/contract.ts'
import type { Connection } from '../model/connection.ts'
import type {
  Happening,
  About,
  AddedRules,
  ChangeOptions,
  ChangeResult,
  Naru,
  NaruEvent,
  NewRule,
  RuleInput,
  RuleStatus,
  TrafficMoment,
  TrafficOptions,
} from '../model/naru-api.ts'
import type { Facts } from '../model/facts.ts'
import { formatListen } from '../model/listen.ts'
import { ListenIndex } from '../model/listen-index.ts'
import type { Plan, PlanStep } from '../model/plan.ts'
import type { Rule } from '../model/rule.ts'
import { formatTarget } from '../model/target.ts'
import type { Hop, Json } from '../model/hop.ts'
import type { StoreChange, Snapshot } from '../stores/contract.ts'
import { addressesOf } from './addresses.ts'
import {
  addedOf,
  changed,
  existing,
  merged,
  mustBeNew,
  notesFor,
  nothingToDo,
  renamed,
  withNew,
} from './changes.ts'
import { circlesHere } from '../machine/circles.ts'
import { Rates } from './counters.ts'
import { createDoctor, type Doctor } from '../doctor/diagnose.ts'
import { Events, type EventBody } from './events.ts'
import { HandOver, mustListen, settle, textOf, type Predecessor } from './hand-over.ts'
import { desiredHops } from './hops/index.ts'
import type { Instance } from '../instance/instance.ts'
import { damageText, Journal, type JournalEntry } from '../instance/journal.ts'
import { load, type Loaded, type LoadedRule } from './load.ts'
import type { Deps } from '../instance/deps.ts'
import { LanWatch } from './lan.ts'
import { manualRow } from './manual-row.ts'
import { ownerTag } from '../mappings/owner-tag.ts'
import { publisherOf } from '../mappings/publisher.ts'
import { RuleRun, type RuleRunTools } from './rule-run.ts'
import type { ApplyOptions } from './run-tools.ts'
import { Heartbeat } from './heartbeat.ts'
import { momentMs, TrafficHistory } from './traffic-history.ts'
import { toldChanges } from './told-changes.ts'
import { leftIn, notUndone, undoJournal } from './undo.ts'
import { watch } from '../doctor/watch.ts'

/**
 * Rules applied at once that wait for no router and no guest: what an engine or a firewall asks the system is one question
 * for all that ask together (10,000 relays: 5.0 s instead of 9.7 s with 64).
 */
const localAtOnce = 512

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

/** Within this everything is undone; what hangs longer is left to the journal, and named. */
const stopLimitMs = 4500
interface BringOptions {
  /** Cut in place of draining. */
  readonly now?: boolean
  /** Try again what could not be and goes on as it was. */
  readonly again?: boolean
  /** Where `strict`: one that cannot be is told of, as others are opened all the same. */
  readonly eachAlone?: boolean
}

const closedKept = 1000
/** An import of thousands to a machine that is away fills no log. */
const brokenTold = 20
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
  readonly #events: Events
  readonly #rates = new Rates()
  /** Where others find this machine. */
  readonly #place: LanWatch
  readonly #history = new TrafficHistory()
  #momentAt = 0
  readonly #runs = new Map<string, RuleRun>()
  /** Rules that ended but whose connections still drain. */
  readonly #leaving = new Set<RuleRun>()
  readonly #closed: (() => Connection)[] = []
  /** Aborts when a stop begins: no change begins from then on, and the one under way is called off. */
  readonly #work = new AbortController()
  /** Aborts when whoever lets connections finish wants to wait for them no more. */
  readonly #hurry = new AbortController()
  /** Aborts when the time that undoing may take is over. */
  readonly #undoing = new AbortController()
  /** Aborts when this Naru has stopped. */
  readonly #life = new AbortController()
  readonly #startedAt: number
  #loaded: Loaded = { revision: '', rules: new Map() }
  #fileProblem: NaruError | null = null
  /** What the file says and could not be: those rules go on as they were, until it says otherwise or is read again. */
  readonly #kept = new Map<string, { readonly loaded: LoadedRule; readonly why: NaruError }>()
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
  #samplePort: number | null = null

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
    this.#events = new Events(parts.clock)
    this.#startedAt = parts.clock.now()
    // Every hop of every rule that is looked at listens to the end; Node takes more than ten for a leak.
    for (const { signal } of [this.#work, this.#undoing, this.#life]) setMaxListeners(0, signal)
    this.#predecessor = options.predecessor ?? null
    this.#place = new LanWatch(parts.host, parts.clock, () => publisherOf(parts).finder.known)
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
        await this.#reconcile(loaded, snapshot)
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
    return this.#failures()
  }

  /** Opens everything beside the predecessor, taking up what that one has; changes wait for `settle`. */
  async #succeed(predecessor: Predecessor, loaded: Loaded, snapshot: Snapshot): Promise<void> {
    for (const engine of this.#parts.engines) engine.succeed?.(predecessor.pid)
    this.#before = this.#journal.live()
    this.#changes = predecessor.inherit.begun
    await this.#reconcile(loaded, snapshot)
    mustListen(this.#runs, predecessor)
  }

  /** The predecessor has let go: what it had and no rule wants is undone. */
  async settle(): Promise<void> {
    this.#predecessor = null
    const before = this.#before
    this.#before = []
    const signal = this.#undoing.signal
    await settle(before, { journal: this.#journal, parts: this.#parts, runs: this.#runs, signal }).finally(
      () => this.#settled.resolve(),
    )
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
      runs: [...this.#runs.values()],
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
    return this.#carried()
  }

  /** After `leave`: a process that starts anew, as the successor is gone, may bind every port. Streams go on. */
  async letGo(): Promise<void> {
    if (!this.#passedOn) return
    await Promise.all(this.#all().map((run) => run.letGo()))
    await this.#instance.letGo()
  }

  async #endWithConnections(): Promise<void> {
    while (this.#carried() > 0 && !this.#life.signal.aborted)
      await this.#parts.clock.sleep(lookForEndMs, this.#life.signal).catch(() => {})
    await this.stop().catch(() => {})
  }

  #carried(): number {
    return this.#all().reduce((sum, { carried }) => sum + carried, 0)
  }

  #failures(): readonly NaruErrorJson[] {
    return [...this.#runs.values()].flatMap((run) => run.failures().map((error) => error.toJSON()))
  }

  /** What the predecessor has for a rule that says the same. */
  #beforeOf(rule: string, hop: Hop, member: string): readonly Json[] {
    const run = this.#runs.get(rule)
    if (!run || this.#predecessor?.rules[rule]?.text !== textOf(run.input)) return []
    return this.#before
      .filter((entry) => entry.rule === rule && entry.hop === hop && entry.member === member)
      .map(({ effect }) => effect)
  }

  /** In the background: a mapping of ours that no journal knows (it was lost) leads here for ever otherwise. */
  #sweepRouters(): void {
    if (![...this.#runs.values()].some(({ rule }) => rule.publish.router !== 'off')) return
    void publisherOf(this.#parts)
      .sweep(withLimit(this.#work.signal, 30_000))
      .catch(() => {})
  }

  /** What was in force before and is carried by a rule again is struck out; the rest is undone now. */
  async #settleAdopted(before: ReadonlySet<number>, signal: AbortSignal): Promise<void> {
    for (const { id, rule, hop, member } of this.#journal.live()) {
      if (before.has(id) && hop === 'relay' && this.#runs.get(rule)?.engine()?.id === member)
        await this.#journal.undone(id)
    }
    await undoJournal(this.#journal, this.#parts, { signal, keep: ({ id }) => !before.has(id) })
  }

  /** Aborts when this Naru has stopped. */
  get ended(): AbortSignal {
    return this.#life.signal
  }

  /** Port of the built-in sample page that the file asks for. */
  get samplePort(): number | null {
    return this.#samplePort
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
      revision: this.#loaded.revision,
      web: this.#web,
      fileProblem: this.#fileProblem?.toJSON() ?? null,
    })

  readonly rules: Naru['rules'] = {
    list: () => Promise.resolve(this.#ordered().map((run) => this.#status(run))),
    get: async (name) => this.#status(this.#find(name)),
    add: (name, rule, options) => this.#change(name, () => (mustBeNew(this.#loaded, name), rule), options),
    addAll: (rules, options) => this.#addAll(rules, options),
    edit: (name, change, options) => this.#change(name, () => merged(this.#input(name), change), options),
    remove: (name, options) => this.#change(name, () => (this.#input(name), null), options),
    enable: (name, options) =>
      this.#change(name, () => merged(this.#input(name), { enabled: null }), options),
    disable: (name, options) =>
      this.#change(name, () => merged(this.#input(name), { enabled: false }), options),
    rename: (name, to, options) => this.#rename(name, to, options),
    reopen: (name) => this.#reopen(name),
  }

  async plan(change?: { name: string; rule: RuleInput | null }): Promise<Plan> {
    if (change) return this.#planFor(changed(this.#loaded, change))
    return this.#planFor(
      load(await this.#parts.store.read({ signal: this.#work.signal }), this.#loaded.rules),
    )
  }

  connections({ rule, limit = 10_000 }: { rule?: string; limit?: number } = {}): Promise<
    readonly Connection[]
  > {
    const runs = [...this.#runs.values(), ...this.#leaving].filter(
      ({ name }) => rule === undefined || name === rule,
    )
    const open = runs.flatMap((run) => run.connections())
    const closed = this.#closed
      .map((connection) => connection())
      .filter((connection) => rule === undefined || connection.rule === rule)
      .toReversed()
    return Promise.resolve([...open, ...closed].slice(0, limit))
  }

  happened(): Promise<readonly Happening[]> {
    return Promise.resolve(this.#events.happened)
  }

  traffic({ span = 'quarter', rule }: TrafficOptions = {}): Promise<readonly TrafficMoment[]> {
    return Promise.resolve(span === 'day' ? this.#history.minutes(rule ?? null) : this.#history.moments)
  }

  cut(connection: string): Promise<boolean> {
    return Promise.resolve([...this.#runs.values(), ...this.#leaving].some((run) => run.cut(connection)))
  }

  events(options: { signal: AbortSignal; since?: number }): AsyncIterable<NaruEvent> {
    return this.#events.listen({ ...options, signal: AbortSignal.any([options.signal, this.#life.signal]) })
  }

  /** An invalid file changes nothing and is reported. @throws NaruError FILE_INVALID, FILE_UNREADABLE */
  reload(): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      try {
        const snapshot = await this.#parts.store.read({ signal: this.#work.signal })
        const loaded = load(snapshot, this.#loaded.rules)
        const plan = await this.#planFor(loaded)
        const failures = await this.#reconcile(loaded, snapshot, { again: true })
        return this.#result(plan, failures, [...new Set(plan.steps.map(({ rule }) => rule))])
      } catch (error) {
        const { en, ko } = this.#setFileProblem(toNaruError(error)).text
        this.#tell('error', null, say(`nothing was changed: ${en}`, `아무것도 바꾸지 않았습니다: ${ko}`))
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
    if (!this.#hurry.signal.aborted) await untilAborted(this.#drainAll(), this.#hurry.signal)
    const limit = this.#parts.clock.after(stopLimitMs, () => {
      this.#undoing.abort(new DOMException(`no end within ${stopLimitMs} ms`, 'TimeoutError'))
    })
    await untilAborted(this.#undoAll(), this.#undoing.signal)
    limit[Symbol.dispose]()
    publisherOf(this.#parts)[Symbol.dispose]()
    const whys = this.#all().flatMap((run) => run.unreleased())
    const left = this.#passedOn ? [] : leftIn(this.#journal.live(), whys)
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

  /** Those who passed this place on go with it. */
  async #endLeaving(drain: boolean): Promise<void> {
    if (this.#passedOn) return
    for (const pid of await this.#instance.leaving()) {
      try {
        process.kill(pid, drain ? 'SIGUSR1' : 'SIGTERM')
      } catch {
        // It ended by itself.
      }
    }
  }

  /** What is under way has ended, and nobody takes or gives this place. */
  async #standsStill(): Promise<void> {
    await this.#handing
    if (this.#predecessor) await this.#settled.promise
    await this.#changes
  }

  async #drainAll(): Promise<void> {
    await this.#standsStill()
    await this.#endLeaving(true)
    await Promise.all(
      this.#all().map((run) =>
        run.end({ reason: 'shutdown', signal: this.#undoing.signal }).then(() => run.drained()),
      ),
    )
  }

  async #undoAll(): Promise<void> {
    await this.#standsStill()
    await this.#endLeaving(false)
    const how = { now: true, reason: 'shutdown', signal: this.#undoing.signal } as const
    await Promise.all(this.#all().map((run) => run.end(how)))
    await closeEngines(this.#parts)
    if (this.#passedOn) return
    // What could not be undone by the one who did it is tried once more as a next start would.
    const keep = ({ id, hop }: JournalEntry): boolean => hop === 'relay' && this.#journal.wrote(id)
    await undoJournal(this.#journal, this.#parts, { signal: this.#undoing.signal, keep })
  }

  #all(): RuleRun[] {
    return [...this.#runs.values(), ...this.#leaving]
  }

  async #reopen(name: string): Promise<ChangeResult> {
    const run = this.#find(name)
    this.#refuseIfOver()
    const signal = withLimit(this.#work.signal, reopenLimitMs)
    const plan = { steps: await run.plan(run.rule, signal), notes: [] }
    const failures = (await run.reopen(signal)).map((error) => error.toJSON())
    return this.#result(plan, failures, [name])
  }

  /**
   * One change at a time: validate, plan, apply, write the file. Where a rule that listens would not any more, or the
   * file cannot be written, all is as it was.
   */
  #change(
    name: string,
    make: () => RuleInput | null,
    options: ChangeOptions & { now?: boolean } = {},
  ): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      const change = { name, rule: make() }
      const wanted = changed(this.#loaded, change)
      const plan = await this.#planFor(wanted)
      if (options.dryRun) return this.#result(plan, [], [name])
      const { snapshot, failures } = await this.#written(change, wanted, options)
      const loaded = load(snapshot, wanted.rules)
      const more = await this.#reconcile(loaded, snapshot, { now: options.now ?? false })
      this.#tellRule(name)
      return this.#result(plan, [...failures.map((error) => error.toJSON()), ...more], [name])
    })
  }

  /** One look at what is there, one writing of the file, and then all are opened. */
  #addAll(asked: readonly NewRule[], options: ChangeOptions = {}): Promise<AddedRules> {
    return this.#inTurn(async () => {
      const { wanted, fresh, refusals } = withNew(this.#loaded, asked)
      const { host, store } = this.#parts
      const { signal } = this.#work
      const notes = await circlesHere(
        [...wanted.rules.values()].map(({ rule }) => rule),
        fresh.map(({ rule }) => rule),
        host,
        withLimit(signal, 30_000),
      )
      if (!options.dryRun && fresh.length > 0) {
        const changes = fresh.map(({ rule, input }) => ({ name: rule.name, rule: input }))
        const snapshot = await store.change(changes, { signal, revision: options.revision })
        await this.#reconcile(load(snapshot, wanted.rules), snapshot, { eachAlone: true })
      }
      const failureOf = (name: string): NaruErrorJson | null =>
        this.#runs.get(name)?.failures()[0]?.toJSON() ?? null
      return { rules: addedOf(asked, refusals, failureOf), notes, revision: this.#loaded.revision }
    })
  }

  /** What goes on listening is changed before the file is. @returns what of it could not be done */
  async #written(
    change: StoreChange,
    wanted: Loaded,
    { revision, now }: ChangeOptions & { now?: boolean },
  ): Promise<{ snapshot: Snapshot; failures: readonly NaruError[] }> {
    const { store } = this.#parts
    const { signal } = this.#work
    const [run, loaded] = [this.#runs.get(change.name), wanted.rules.get(change.name)]
    if (!run || !loaded || !run.goesOn(loaded.rule))
      return { snapshot: await store.change([change], { signal, revision }), failures: [] }
    const asItWas = run.loaded
    let failures: readonly NaruError[] = []
    const before = async (): Promise<void> => {
      failures = await run.change(loaded, this.#how(now))
    }
    try {
      const snapshot = await store.change([change], { signal, revision, before })
      return { snapshot, failures: [...failures, ...run.stillInForce()] }
    } catch (error) {
      if (run.loaded !== asItWas) await run.apply(asItWas, this.#how())
      throw error
    }
  }

  /** Nothing in force is touched: what it was made under stays, and only what people see and write is another name. */
  #rename(name: string, to: string, options: ChangeOptions = {}): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      const wanted = renamed(this.#loaded, name, to)
      if (options.dryRun) return this.#result(nothingToDo, [], [name])
      const { input } = wanted.rules.get(to) as LoadedRule
      const snapshot = await this.#parts.store.change([{ name: to, rule: input, was: name }], {
        signal: this.#work.signal,
        revision: options.revision,
      })
      const loaded = load(snapshot, wanted.rules)
      await this.#callRun(name, loaded.rules.get(to) as LoadedRule)
      this.#loaded = { ...wanted, rules: new Map(wanted.rules).set(to, loaded.rules.get(to) as LoadedRule) }
      const failures = await this.#reconcile(loaded, snapshot)
      this.#tellRule(to)
      this.#tell('info', to, say(`renamed, was ${name}`, `이름 변경: ${name} → ${to}`))
      return this.#result(nothingToDo, failures, [to])
    })
  }

  async #callRun(name: string, loaded: LoadedRule): Promise<void> {
    const run = this.#runs.get(name)
    if (!run) return
    await this.#journal.rename(name, loaded.rule.name)
    this.#runs.delete(name)
    const asWritten = run.loaded === this.#loaded.rules.get(name)
    run.rename(asWritten ? loaded : { ...run.loaded, rule: { ...run.rule, name: loaded.rule.name } })
    this.#runs.set(run.name, run)
    this.#rates.forget(name)
    this.#history.forget(name)
    this.#events.rename(name, run.name)
    this.#events.emit({ type: 'rule-removed', name, renamedTo: run.name })
  }

  async #planFor(wanted: Loaded): Promise<Plan> {
    const signal = withLimit(this.#work.signal, 30_000)
    const steps: PlanStep[] = []
    for (const [name, run] of this.#runs)
      if (!wanted.rules.has(name)) steps.push(...(await run.plan(null, signal)))
    const notes: Text[] = []
    const fresh: Rule[] = []
    for (const loaded of wanted.rules.values()) {
      const run = this.#runs.get(loaded.rule.name)
      if (run && this.#loaded.rules.get(loaded.rule.name) === loaded) continue
      steps.push(...(await this.#run(loaded).plan(loaded.rule, signal)))
      notes.push(...(await notesFor(loaded.rule, this.#parts, signal)))
      fresh.push(loaded.rule)
    }
    if (fresh.length > 0) {
      const all = [...wanted.rules.values()].map(({ rule }) => rule)
      notes.push(...(await circlesHere(all, fresh, this.#parts.host, signal)))
    }
    return { steps, notes }
  }

  /** Brings what runs to what is loaded; only what changed is touched. @returns what could not be done */
  async #reconcile(
    wanted: Loaded,
    snapshot: Snapshot,
    { now = false, again = false, eachAlone = false }: BringOptions = {},
  ): Promise<readonly NaruErrorJson[]> {
    const before = this.#loaded.rules
    this.#loaded = wanted
    this.#samplePort = snapshot.samplePort
    const ended = [...this.#runs.values()].filter(({ name }) => !wanted.rules.has(name))
    // What leaves makes room first: a listen may pass from one rule to another.
    await Promise.all(ended.map((run) => this.#end(run, now)))
    for (const [name, { loaded }] of this.#kept)
      if (again || wanted.rules.get(name) !== loaded) this.#kept.delete(name)
    const changed = [...wanted.rules.values()].filter(
      (loaded) =>
        this.#runs.get(loaded.rule.name)?.loaded !== loaded &&
        this.#kept.get(loaded.rule.name)?.loaded !== loaded,
    )
    const closing = changed.filter(({ rule }) => !rule.enabled)
    const moving = changed.filter(({ rule }) => this.#moves(rule))
    const later = changed.filter((loaded) => !closing.includes(loaded) && !moving.includes(loaded))
    const { atOnce = 64 } = this.#options
    const failures: NaruError[] = []
    const applyAll = async (rules: readonly LoadedRule[], most: number): Promise<void> => {
      const each = (loaded: LoadedRule): Promise<readonly NaruError[]> =>
        this.#apply(loaded, now).catch((error: unknown) => {
          // One that was carried goes on as it was; what was not leaves nothing.
          const why = toNaruError(error)
          if (this.#runs.get(loaded.rule.name)?.loaded === loaded) {
            if (eachAlone) return [why]
            throw error
          }
          this.#kept.set(loaded.rule.name, { loaded, why })
          this.#tellRule(loaded.rule.name)
          return [why]
        })
      failures.push(...(await this.#each(rules, most, each)).flat())
    }
    await applyAll(closing, atOnce)
    // All of them, before the first takes another's.
    await this.#each(this.#inTheWay(moving, [...moving, ...later]), atOnce, async ({ rule }) => {
      await this.#runs.get(rule.name)?.makeRoom()
    })
    await applyAll(moving, atOnce)
    await applyAll(
      later.filter(({ rule }) => opensHereAlone(rule)),
      localAtOnce,
    )
    await applyAll(
      later.filter(({ rule }) => !opensHereAlone(rule)),
      atOnce,
    )
    this.#tellKept()
    const touched = [...ended, ...changed.flatMap(({ rule }) => this.#runs.get(rule.name) ?? [])]
    // What it begins with is told by whoever starts it.
    if (this.#ticker) this.#tellChanges(before)
    return [...failures, ...touched.flatMap((run) => run.stillInForce())].map((error) => error.toJSON())
  }

  #tellChanges(before: Loaded['rules']): void {
    const told = toldChanges(before, this.#loaded.rules)
    if (!told) return
    this.#tell('info', told.rule, told.text)
    const broken = told.opened.flatMap((name) =>
      (this.#runs.get(name)?.hopStatuses() ?? [])
        .filter(({ state }) => state === 'broken')
        .map(({ text }) => ({ name, text })),
    )
    for (const { name, text } of broken.slice(0, brokenTold)) this.#tell('warn', name, text)
  }

  /** Is open, and is to be open on another listen. */
  #moves(rule: Rule): boolean {
    const run = this.#runs.get(rule.name)
    return run !== undefined && rule.enabled && formatListen(run.rule.listen) !== formatListen(rule.listen)
  }

  /** Those whose place another one is to have. */
  #inTheWay(moving: readonly LoadedRule[], coming: readonly LoadedRule[]): readonly LoadedRule[] {
    if (moving.length === 0) return []
    const wanted = new ListenIndex<LoadedRule>()
    for (const loaded of coming) wanted.add(loaded.rule.listen, loaded)
    return moving.filter((loaded) => {
      const run = this.#runs.get(loaded.rule.name)
      return run !== undefined && wanted.someoneAt(run.rule.listen, loaded) !== null
    })
  }

  async #each<T, R>(items: readonly T[], most: number, run: (item: T) => Promise<R>): Promise<R[]> {
    const results: R[] = []
    let next = 0
    const worker = async (): Promise<void> => {
      for (let index = next++; index < items.length; index = next++)
        results[index] = await run(items[index] as T)
    }
    await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker))
    return results
  }

  /** @throws NaruError why it goes on as it was, where it was carried */
  async #apply(loaded: LoadedRule, now = false): Promise<readonly NaruError[]> {
    const run = this.#run(loaded)
    this.#runs.set(loaded.rule.name, run)
    return run.change(loaded, this.#how(now))
  }

  #how(now = false): ApplyOptions {
    const { strict = false, rowByHand: byHand = false } = this.#options
    return { strict, rowByHand: byHand, now, signal: this.#work.signal }
  }

  async #end(run: RuleRun, now: boolean): Promise<void> {
    this.#runs.delete(run.name)
    this.#rates.forget(run.name)
    this.#history.forget(run.name)
    this.#leaving.add(run)
    await run.end({ now, reason: 'cut', signal: this.#undoing.signal })
    void run.gone().then(() => this.#leaving.delete(run))
    this.#events.emit({ type: 'rule-removed', name: run.name })
  }

  readonly #onEngineEvent = (event: EngineEvent): void => {
    if (event.type === 'closed') {
      this.#closed.push(event.connection)
      if (this.#closed.length > closedKept) this.#closed.splice(0, this.#closed.length - closedKept)
    }
    if (event.type === 'state') this.#tellState(event.rule, event.state)
    // Whom a rule refused is remembered for who asks later; connections are told to who listens.
    else if (event.type === 'refused' || this.#events.listened) this.#events.emit(inWords(event))
  }

  #tellState(rule: string, state: Extract<EngineEvent, { type: 'state' }>['state']): void {
    if (state.state === 'paused')
      this.#tell(
        'warn',
        rule,
        say(
          'out of file descriptors: no new connections for now',
          '파일 디스크립터가 부족해 새 연결을 잠시 받지 않습니다',
        ),
      )
    if (state.state === 'carrying')
      this.#tell('info', rule, say('taking new connections again', '새 연결을 다시 받습니다'))
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
            this.#onEngineEvent(named)
          },
        }),
      onChange: (run) => {
        this.#options.onRule?.(this.#status(run))
        if (this.#events.listened && this.#runs.get(run.name) === run)
          this.#events.emit({ type: 'rule', rule: this.#status(run) })
      },
      onHop: (run, status) => this.#events.emit({ type: 'hop', rule: run.name, status }),
      tell: (level, rule, text) => this.#tell(level, rule, text),
    }
  }

  /** With what the file says of it now. */
  #tellRule(name: string): void {
    const run = this.#runs.get(name)
    if (run && this.#events.listened) this.#events.emit({ type: 'rule', rule: this.#status(run) })
  }

  #tell(level: 'info' | 'warn' | 'error', rule: string | null, text: Text): void {
    this.#parts.log[level]({ rule }, text)
    this.#events.emit({ type: 'log', level, rule, text })
  }

  #ticker: Heartbeat | null = null
  #doctor: Doctor | null = null

  #watch(): void {
    this.#startTicker()
    this.#parts.store.watch({ signal: this.#work.signal, onChange: () => void this.reload().catch(() => {}) })
  }

  #startTicker(): void {
    this.#ticker = new Heartbeat({
      clock: this.#parts.clock,
      signal: this.#work.signal,
      runs: () => this.#runs,
      examine: this.#options.checks ? (runs) => this.#examine(runs) : null,
      apply: (run) => run.apply(run.loaded, this.#how()),
      sample: () => {
        this.#sample()
        void this.#lookAround()
      },
      tell: (text) => this.#tell('warn', null, text),
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
      rules: () => Promise.resolve([...this.#runs.values()].flatMap((run) => run.toCheck() ?? [])),
    })
    const doctor = this.#doctor
    const examine: Doctor['examine'] = (rules, options) => doctor.examine(rules, options)
    const signal = withLimit(this.#work.signal, examineLimitMs)
    await watch(runs, { examine, clock: this.#parts.clock, signal })
  }

  /** An address of ours that changed is another one to give to others. */
  async #lookAround(): Promise<void> {
    if (!(await this.#place.refresh(this.#work.signal)) || !this.#events.listened) return
    for (const run of this.#runs.values()) this.#events.emit({ type: 'rule', rule: this.#status(run) })
  }

  #sample(): void {
    const at = this.#parts.clock.monotonic()
    if (at - this.#momentAt >= momentMs - 100) {
      this.#momentAt = at
      const all = [...this.#runs.values()].map((run) => ({ name: run.name, counters: run.counters() }))
      this.#history.take(all, { at: this.#parts.clock.now(), monotonic: at })
    }
    if (!this.#events.listened) return
    const rules = [...this.#runs.values()].map((run) => {
      const counters = run.counters()
      return { name: run.name, counters, rate: this.#rates.of(run.name, counters, at) }
    })
    const moved = rules.filter(({ rate, counters }) => rate.toTarget + rate.toClient > 0 || counters.open > 0)
    this.#events.emit({ type: 'traffic', rules: moved })
  }

  /** Tells which rules of the file could not be, and go on as they were. */
  #tellKept(): void {
    if (this.#kept.size === 0) return void (this.#fileProblem && this.#setFileProblem(null))
    const whys = [...this.#kept].map(
      ([
        name,
        {
          why: { text },
        },
      ]) => say(`${name}: ${text.en}`, `${name}: ${text.ko}`),
    )
    const rules = say(whys.map(({ en }) => en).join('; '), whys.map(({ ko }) => ko).join('; '))
    const problem = new NaruError('RULES_KEPT', { rules })
    if (problem.message === this.#fileProblem?.message) return
    this.#tell('error', null, this.#setFileProblem(problem).text)
  }

  #setFileProblem<T extends NaruError | null>(problem: T): T {
    this.#fileProblem = problem
    this.#events.emit({ type: 'file', problem: problem?.toJSON() ?? null })
    return problem
  }

  #ordered(): RuleRun[] {
    const known = [...this.#loaded.rules.keys()].flatMap((name) => this.#runs.get(name) ?? [])
    return [...known, ...[...this.#leaving].filter(({ name }) => !this.#runs.has(name))]
  }

  #find(name: string): RuleRun {
    return this.#ordered().find((one) => one.name === name) ?? this.#run(existing(this.#loaded, name))
  }

  #input(name: string): RuleInput {
    return existing(this.#loaded, name).input
  }

  #run(loaded: LoadedRule): RuleRun {
    return this.#runs.get(loaded.rule.name) ?? new RuleRun(loaded, this.#runTools)
  }

  #status(run: RuleRun): RuleStatus {
    const { rule } = run
    const counters = run.counters()
    const hops = run.hopStatuses()
    const place = this.#place.now
    const kept = this.#kept.get(run.name)
    return {
      name: run.name,
      rule: this.#loaded.rules.get(run.name)?.input ?? run.input,
      ...(kept && { kept: kept.why.toJSON() }),
      listen: formatListen(rule.listen),
      targets: rule.targets.map(({ to }) => formatTarget(to)),
      state: run.state(),
      service: run.service(),
      engine: run.engine(),
      hops,
      counters,
      rate: this.#rates.of(run.name, counters, this.#parts.clock.monotonic()),
      until: rule.until,
      addresses: addressesOf(rule, { hops, place, samplePort: this.#samplePort }),
      byHand: manualRow(rule, hops, place, this.#place.router),
    }
  }

  #result(plan: Plan, failures: readonly NaruErrorJson[], touched: readonly string[]): ChangeResult {
    return {
      plan,
      failures,
      revision: this.#loaded.revision,
      rules: touched.flatMap((name) => this.#runs.get(name) ?? []).map((run) => this.#status(run)),
    }
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

/** `promise` itself goes on. */
function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  return orAborted(promise, signal, '').catch(() => {})
}

async function closeEngines({ engines }: Deps, abandon = false): Promise<void> {
  for (const engine of engines) {
    if (abandon) engine.abandon?.()
    await engine.close().catch(() => {})
  }
}

/** No router, no guest's NAT. */
function opensHereAlone({ publish: { router, guest } }: Rule): boolean {
  return router === 'off' && guest === 'direct'
}

function inWords(event: Exclude<EngineEvent, { type: 'state' }>): EventBody {
  return event.type === 'refused' ? event : { type: event.type, connection: event.connection() }
}
