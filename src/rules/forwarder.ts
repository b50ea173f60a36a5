/**
 * The story: rules come from the store (load), are held against what runs (plan), each is brought to what it should be
 * (apply), read back and repaired while it lasts (observe, renew), and taken away without a trace (undo).
 */
import { setMaxListeners } from 'node:events'
import { awake } from '../base/awake.ts'
import { NaruError, toNaruError, type NaruErrorJson } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import { stopped } from '../base/single-flight.ts'
import type { Check } from '../doctor/checks/contract.ts'
import type { Deps } from '../instance/deps.ts'
import type { Instance } from '../instance/instance.ts'
import { damageText, Journal, type JournalEntry } from '../instance/journal.ts'
import { ownerTag } from '../mappings/owner-tag.ts'
import { publisherOf } from '../mappings/publisher.ts'
import type { Connection } from '../model/connection.ts'
import type { Facts } from '../model/facts.ts'
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
import { merged, mustBeNew } from './changes.ts'
import type { Predecessor } from './hand-over.ts'
import { desiredHops } from './hops/index.ts'
import { LanWatch } from './lan.ts'
import { load, type Loaded } from './load.ts'
import { Reconciler } from './reconcile.ts'
import { Report } from './report.ts'
import { RuleEdits } from './rule-edits.ts'
import type { RuleRunTools } from './rule-run.ts'
import { RuleSet } from './rule-set.ts'
import type { ApplyOptions } from './run-tools.ts'
import { closeEngines, Shutdown } from './shutdown.ts'
import { Succession } from './succession.ts'
import { ChangeTurns } from './change-turns.ts'
import { Upkeep, type UpkeepOptions } from './upkeep.ts'
import { notUndone, settleAdopted, undoJournal } from './undo.ts'

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

/** What a forwarder is made of; each has begun. */
interface Foundations {
  readonly parts: Deps
  readonly instance: Instance
  readonly journal: Journal
  readonly facts: Facts
}

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
  readonly #turns = new ChangeTurns(() => this.#refuseIfOver())
  readonly #upkeep: Upkeep
  /** How this place is given to another process. */
  readonly succession: Succession
  #stopped: Promise<void> | null = null
  #web: string | null = null
  /** The lock says that this one serves, whether or not a predecessor is still about to let go. */
  #announced = false

  private constructor({ parts, instance, journal, facts }: Foundations, options: ForwarderOptions) {
    this.#parts = parts
    this.#instance = instance
    this.#journal = journal
    this.#facts = facts
    this.#options = options
    this.#startedAt = parts.clock.now()
    // Every hop of every rule that is looked at listens to the end; Node takes more than ten for a leak.
    for (const { signal } of [this.#work, this.#undoing, this.#life]) setMaxListeners(0, signal)
    const { host, clock, log } = parts
    const { atOnce = 64, checks, onRule, predecessor = null } = options
    const [working, undoing, turns] = [this.#work.signal, this.#undoing, this.#turns]
    const how = (now = false): ApplyOptions => this.#how(now)
    const place = new LanWatch(host, clock, () => publisherOf(parts).finder.known)
    const rules = new RuleSet(() => this.#runTools)
    const report = new Report({ clock, log, rules, place, onRule })
    const apply: UpkeepOptions['apply'] = (run) => run.apply(run.loaded, how())
    const upkeep = new Upkeep({ parts, rules, report, place, checks, apply, signal: working })
    const isWatched = (): boolean => upkeep.hasBegun
    const reconciler = new Reconciler({ rules, report, atOnce, how, undoing: undoing.signal, isWatched })
    const shared = { parts, instance, journal, rules }
    const succession = new Succession({
      ...shared,
      turns,
      upkeep,
      predecessor,
      working,
      undoing: undoing.signal,
      life: this.#life.signal,
      stop: () => this.stop(),
    })
    this.#place = place
    this.#rules = rules
    this.#report = report
    this.#upkeep = upkeep
    this.#reconciler = reconciler
    this.succession = succession
    this.#edits = new RuleEdits({ parts, journal, rules, report, reconciler, how, signal: working })
    this.#shutdown = new Shutdown({
      ...shared,
      undoing,
      hurry: this.#hurry.signal,
      standsStill: () => succession.standsStill(),
      passedOn: () => succession.passedOn,
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
    const forwarder = new Forwarder({ parts, instance, journal, facts: await parts.host.facts() }, options)
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
      const { predecessor } = this.#options
      const open = (): Promise<unknown> => this.#reconciler.bring(loaded, snapshot)
      if (predecessor) await this.succession.take(predecessor, open)
      else {
        await open()
        const { carries } = this.#rules
        await settleAdopted(this.#journal, this.#parts, { before, carries, signal: this.#work.signal })
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
    if (!this.succession.isTaking) this.#lookAfter()
    return this.#rules.failures().map((error) => error.toJSON())
  }

  /** The predecessor has let go: what it had and no rule wants is undone. */
  async settle(): Promise<void> {
    await this.succession.settle()
    if (!this.#work.signal.aborted) this.#lookAfter()
  }

  /** Aborts when a stop begins. */
  get stopping(): AbortSignal {
    return this.#work.signal
  }

  #lookAfter(): void {
    this.#upkeep.begin()
    const onChange = (): void => void this.#turns.take(() => this.#edits.reload(false)).catch(() => {})
    this.#parts.store.watch({ signal: this.#work.signal, onChange })
    this.#upkeep.sweepRouters()
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
    addAll: (rules, options) => this.#turns.take(() => this.#edits.addAll(rules, options)),
    edit: (name, change, options) =>
      this.#change(name, () => merged(this.#rules.input(name), change), options),
    remove: (name, options) => this.#change(name, () => (this.#rules.input(name), null), options),
    enable: (name, options) =>
      this.#change(name, () => merged(this.#rules.input(name), { enabled: null }), options),
    disable: (name, options) =>
      this.#change(name, () => merged(this.#rules.input(name), { enabled: false }), options),
    rename: (name, to, options) => this.#turns.take(() => this.#edits.rename(name, to, options)),
    reopen: (name) => this.#reopen(name),
  }

  plan(change?: { name: string; rule: RuleInput | null }): Promise<Plan> {
    return this.#edits.plan(change)
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

  /** By a person's word. An invalid file changes nothing and is reported. @throws NaruError FILE_INVALID, FILE_UNREADABLE */
  reload(): Promise<ChangeResult> {
    return this.#turns.take(() => this.#edits.reload(true))
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
    this.#upkeep.end()
    if (this.succession.isTaking && !this.#announced) return this.#giveUp()
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

  async #reopen(name: string): Promise<ChangeResult> {
    const run = this.#rules.find(name)
    this.#refuseIfOver()
    return this.#edits.reopen(run)
  }

  /** @param make the rule as it is to be, by what is loaded once its turn comes; null takes it away */
  #change(
    name: string,
    make: () => RuleInput | null,
    options?: ChangeOptions & { now?: boolean },
  ): Promise<ChangeResult> {
    return this.#turns.take(async () => this.#edits.change(name, make(), options))
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
      before: (rule, wanted) => this.succession.before(rule, wanted),
      wants: (rule, context) =>
        desiredHops(rule, {
          parts: this.#parts,
          facts: this.#facts,
          failedEngines: context.failedEngines,
          inherit: this.succession.inherit,
          signal: context.signal,
          asked: context.asked,
          onEngineEvent: (event) => {
            const named = context.named(event)
            context.onEngineEvent(named)
            this.#report.engineEvent(named)
          },
        }),
      onChange: (run) => this.#report.changed(run),
      onHop: (run, status) => this.#report.emit({ type: 'hop', rule: run.name, status }),
      tell: (level, rule, text) => this.#report.tell(level, rule, text),
      tellLeaving: (news) => this.succession.tellLeaving(news),
    }
  }

  /** @throws NaruError HANDED_OVER, STOPPING */
  #refuseIfOver(): void {
    if (this.succession.passedOn) throw new NaruError('HANDED_OVER', {})
    if (this.#work.signal.aborted) throw new NaruError('STOPPING', {})
  }
}
