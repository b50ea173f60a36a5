/**
 * One rule's life while Naru runs. `apply` brings what is held to what is wanted, hop by hop; `observe` reads back and
 * repairs; `end` closes from the outside in. Changes of one rule wait for each other, and never for another rule's.
 */
import { setMaxListeners } from 'node:events'
import { within, type Clock } from '../base/clock.ts'
import { isNaruError, NaruError, toNaruError } from '../base/errors.ts'
import { stopped } from '../base/single-flight.ts'
import { say, type Text } from '../base/text.ts'
import type { EngineEvent, EngineLease, Passing } from '../engines/contract.ts'
import type { CloseReason, Connection, Counters } from '../model/connection.ts'
import type { HopStatus, RuleInput, RuleState, RuleStatus, ServiceState } from '../model/naru-api.ts'
import { hops, type Hop, type Json, type Lease } from '../model/hop.ts'
import type { PlanStep } from '../model/plan.ts'
import type { Finding } from '../model/finding.ts'
import { formatListen, listensOverlap } from '../model/listen.ts'
import type { Heritage, LentSocket } from '../model/handover-sockets.ts'
import type { EngineId, Rule } from '../model/rule.ts'
import { addCounters, noCounters } from './counters.ts'
import { FlapDamping } from './flap-damping.ts'
import type { RuleToCheck } from '../doctor/diagnose.ts'
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
import { isEngineFailure, isEngineLease } from './hops/relay.ts'
import type { DesiredHop } from './hops/desired.ts'
import type { Journal } from '../instance/journal.ts'
import { hopNames } from '../doctor/verdict.ts'
import type { LoadedRule } from './load.ts'
import { shown, stepsBetween, type Step } from './steps.ts'
import { repair } from './repair.ts'
import { helpsManually } from './manual-row.ts'

/** The longest that one step may take; discovery of a silent router takes 6 s. */
const stepLimitMs = 20_000
/** What goes on in the background has its own limits. */
const neverAborted = new AbortController().signal
// Every rule's drain waits for it.
setMaxListeners(0, neverAborted)
const firstRetryMs = 1000
const lastRetryMs = 30_000

export interface RunTools {
  readonly clock: Clock
  readonly journal: Journal
  /** Aborts when nothing may be begun any more. */
  readonly working: AbortSignal
  /** Aborts when there is no time left to undo anything. */
  readonly undoing: AbortSignal
  /** What openings carry that a saved list may bring back. */
  readonly mark: () => Promise<string>
  /** What the process whose place this one takes has in force for a rule at a hop. */
  before(rule: string, hop: Hop, member: string): readonly Json[]
  /** Every hop that the rule wants, in any order. Does not throw: a hop that cannot be is one whose `open` throws. */
  wants(rule: Rule, context: WantContext): Promise<readonly DesiredHop[]>
  onChange(run: RuleRun): void
  onHop(run: RuleRun, status: HopStatus): void
  tell(level: 'info' | 'warn' | 'error', rule: string, text: Text): void
}

export interface WantContext {
  readonly failedEngines: ReadonlyMap<EngineId, Text>
  readonly onEngineEvent: (event: EngineEvent) => void
  /** The event under the name that the rule has now. */
  readonly named: (event: EngineEvent) => EngineEvent
  readonly signal: AbortSignal
}

export interface ApplyOptions {
  /** Undo what this call opened where a step fails, and throw; otherwise keep it and try again later. */
  readonly strict: boolean
  /** Where `strict`: a router that does nothing is no reason to undo the rest, where a person can type the row. @default false */
  readonly rowByHand?: boolean
  /** Cut in place of draining where the rule ends. */
  readonly now?: boolean
  readonly signal: AbortSignal
  readonly reason?: CloseReason
  /** What is no longer wanted goes once the relay stands, so that all can be as before where it does not. @default false */
  readonly relayFirst?: boolean
}

/** An effect that could not be undone, and why. */
export interface Unreleased {
  readonly rule: string
  readonly hop: Hop
  readonly member: string
  readonly text: Text
  readonly why: NaruError
}

export class RuleRun {
  #name: string
  /** What is in force was made under this name, and stays so when the rule is renamed; null where it is the same. */
  #madeAs: string | null = null
  readonly #tools: RunTools
  readonly #held = new Map<Hop, HopState>()
  readonly #failures = new Map<Hop, { wanted: DesiredHop; why: NaruError; at: number }>()
  /** Listening no more; their connections go on without limit. */
  readonly #retired = new Set<EngineLease>()
  /** Listening no more; their connections have a limit. */
  readonly #draining = new Map<EngineLease, Promise<void>>()
  /** Why each may carry it no more; until what it failed at is another, or the user wants it tried again. */
  readonly #failedEngines = new Map<EngineId, Text>()
  /** Wanted no more, and not gone for sure: each is tried again, and the journal keeps it until it is. */
  readonly unreleased = new Map<Lease, Unreleased>()
  #again: Disposable | null = null
  #againMs = firstRetryMs
  /** Wait for the last of those. */
  readonly #awaitingAll: (() => void)[] = []
  #loaded: LoadedRule
  /** Of an engine that gave the rule up: nobody else is to have its ports before the next one does. */
  #heritage: Heritage | null = null
  /** Wanted, and not come to yet while the others are opened. */
  readonly #ahead = new Map<Hop, DesiredHop>()
  #past: Counters = noCounters
  #queue: Promise<unknown> = Promise.resolve()
  #busy = 0
  #retry: Disposable | null = null
  /** Called off by whoever wants a change: a router that keeps silent takes ten seconds, a try at a time. */
  #retrying: AbortController | null = null
  #retryMs = firstRetryMs
  #ended = false
  /** It listened until a moment ago, for another rule's sake. */
  #madeRoom = false
  #shown = new Map<Hop, string>()
  /** What is told of each hop, so that nothing flaps. */
  readonly #calm = new Map<Hop, FlapDamping<Trouble>>()
  /** What the checks found, hop by hop, and when they last looked. */
  #found: ReadonlyMap<Hop, Trouble> = new Map()
  #examinedAt: number | null = null
  readonly #reopened = new Set<Hop>()

  constructor(loaded: LoadedRule, tools: RunTools) {
    this.#name = loaded.rule.name
    this.#loaded = loaded
    this.#tools = tools
  }

  get name(): string {
    return this.#name
  }

  /** The same rule by another name: nothing in force is touched. */
  rename(loaded: LoadedRule): void {
    this.#madeAs ??= this.#name
    this.#name = loaded.rule.name
    this.#loaded = loaded
  }

  get rule(): Rule {
    return this.#loaded.rule
  }

  /** The rule as it is carried: what the file says may be another that could not be. */
  get loaded(): LoadedRule {
    return this.#loaded
  }

  /** It listens, and is to after that change. */
  goesOn(rule: Rule): boolean {
    return this.#held.has('relay') && this.#isActive(rule)
  }

  get input(): RuleInput {
    return this.#loaded.input
  }

  /** What `apply` would do for `rule`, or for the end of it. */
  async plan(rule: Rule | null, signal: AbortSignal): Promise<PlanStep[]> {
    const wanted = rule && this.#isActive(rule) ? await this.#wants(rule, signal) : []
    return stepsBetween(this.#held, wanted).map((step) => shown(this.name, step))
  }

  /** @returns what could not be done. @throws NaruError where `strict` and something could not; nothing new is left then */
  apply(loaded: LoadedRule, options: ApplyOptions): Promise<readonly NaruError[]> {
    return this.#inPlaceOfRetry(async () => {
      if (this.#ended) return []
      const moves = this.#moves(loaded)
      this.#become(loaded)
      try {
        return await this.#converge(options)
      } finally {
        if (moves) this.#freePorts()
      }
    })
  }

  /**
   * As `apply`; but a rule that listens, and would not as it is wanted, goes on as it was.
   * @returns what could not be done beyond the relay @throws NaruError why it is as before
   */
  change(loaded: LoadedRule, options: ApplyOptions): Promise<readonly NaruError[]> {
    return this.#inPlaceOfRetry(async () => {
      if (this.#ended) return []
      const before = this.#loaded
      const moves = this.#moves(loaded)
      const listened = this.#held.has('relay') || this.#madeRoom
      this.#madeRoom = false
      this.#become(loaded)
      if (!listened) return this.#converge(options)
      try {
        const failures = await this.#converge({ ...options, relayFirst: true })
        const why = this.#isActive(loaded.rule) ? this.#whyNotAsWanted() : null
        if (!why) return failures
        throw why
      } catch (error) {
        await this.#takeBack(before, options)
        throw error
      } finally {
        if (moves) this.#freePorts()
      }
    })
  }

  /** What was kept of its ports may be another rule's from then on. */
  #moves({ rule }: LoadedRule): boolean {
    return formatListen(rule.listen) !== formatListen(this.rule.listen)
  }

  #become(loaded: LoadedRule): void {
    // While it is closed, nobody notices that another engine is tried.
    if (carrierKeyOf(loaded.rule) !== carrierKeyOf(this.rule) || !this.#isActive(this.rule))
      this.#failedEngines.clear()
    this.#loaded = loaded
    // What was wrong with the rule as it was says nothing of it as it is.
    this.#found = new Map()
    this.#examinedAt = null
    this.#calm.clear()
  }

  #whyNotAsWanted(): NaruError | null {
    const relay = this.#failures.get('relay')
    if (relay) return relay.why
    return this.#held.has('relay') ? null : (this.failures()[0] ?? null)
  }

  /** What cannot be as before at once is tried again, as ever. */
  async #takeBack(before: LoadedRule, options: ApplyOptions): Promise<void> {
    this.#become(before)
    this.#failures.clear()
    await this.#converge({ ...options, strict: false }).catch(() => {})
  }

  /** Frees its listen ahead of `apply`, as another rule may take it. Connections go on. */
  makeRoom(): Promise<void> {
    return this.#inPlaceOfRetry(async () => {
      const relay = this.#held.get('relay')
      if (!relay) return this.#freePorts()
      this.#madeRoom = true
      await this.#retire(relay)
      this.#freePorts()
    })
  }

  /** Closes from the outside in. Connections drain in the background; `drained` tells when the last is gone. */
  end(options: Omit<ApplyOptions, 'strict'>): Promise<void> {
    return this.#inPlaceOfRetry(async () => {
      this.#ended = true
      this.#retry?.[Symbol.dispose]()
      this.#again?.[Symbol.dispose]()
      this.#again = null
      for (const [lease, { hop }] of this.unreleased) await this.#release(hop, lease)
      for (const step of stepsBetween(this.#held, []))
        if (step.action === 'close') await this.#close(step.held, options)
      this.#freePorts()
      await this.#drainAll([...this.#retired], options)
      this.#report()
    })
  }

  /** Resolves when nothing of it is left, draining connections included. */
  async drained(): Promise<void> {
    while (this.#draining.size > 0) await Promise.allSettled(this.#draining.values())
  }

  /** Resolves when, moreover, nothing is left in force that could not be undone at first. */
  async gone(): Promise<void> {
    await this.drained()
    if (this.unreleased.size > 0) await new Promise<void>((all) => this.#awaitingAll.push(all))
  }

  /** What it wants no more and could not undo. */
  stillInForce(): readonly NaruError[] {
    return [...this.unreleased.values()].map(({ hop, member, text, why }) => {
      const { en, ko } = hopNames[hop]
      const left = say(
        `${en} (${member}) ${text.en}: ${why.text.en}`,
        `${ko} (${member}) ${text.ko}: ${why.text.ko}`,
      )
      return new NaruError('STILL_IN_FORCE', { name: this.name, left }, { left: [left], cause: why })
    })
  }

  /** Lets nothing change from now on until `thaw`; resolves once what is under way is done. */
  freeze(thaw: Promise<void>): Promise<void> {
    return new Promise((frozen) => {
      void this.#inTurn(() => {
        frozen()
        return thaw
      })
    })
  }

  /** Sockets that a successor gets, those that only keep a port included. */
  lends(): readonly LentSocket[] {
    const relay = this.#held.get('relay')?.lease
    if (!relay || !isEngineLease(relay)) return []
    return [...(relay.passing?.lend() ?? []), ...(relay.held?.() ?? [])]
  }

  /** How its listening sockets pass to a successor; undefined where they do not, or there are none. */
  passing(): Passing | undefined {
    const relay = this.#held.get('relay')?.lease
    return relay && isEngineLease(relay) ? relay.passing : undefined
  }

  /** A successor has it all: lets go of every hop as it stands. Connections go on without limit. */
  async leave(): Promise<void> {
    this.#ended = true
    this.#retry?.[Symbol.dispose]()
    const relay = this.#held.get('relay')?.lease
    this.#held.clear()
    this.#freePorts()
    if (!relay || !isEngineLease(relay)) return
    if (!relay.passing) return
    this.#retired.add(relay)
    await relay.passing.leave()
  }

  /** After `leave`: datagrams of its ports are somebody else's from now on. */
  async letGo(): Promise<void> {
    await Promise.all([...this.#retired].map(async (lease) => lease.passing?.letGo()))
  }

  failures(): readonly NaruError[] {
    return [...this.#failures.values()].map(({ why }) => why)
  }

  /** Why it does not listen; null where it does, or only its service is missing. */
  whyNotListening(): NaruError | null {
    if (this.#held.has('relay') || this.#failures.has('service')) return null
    return this.failures()[0] ?? null
  }

  /** Connections that still go on here. */
  get carried(): number {
    this.sweepRetired()
    return [...this.#retired, ...this.#draining.keys()].reduce((sum, one) => sum + one.counters().open, 0)
  }

  leases(): readonly HopState[] {
    return [...this.#held.values()]
  }

  /** Reads every hop back; what was lost is opened again, what cannot be is named. */
  async observe(options: { signal: AbortSignal; hops: readonly Hop[] }): Promise<void> {
    this.sweepRetired()
    const watched = [...this.#held.values()].filter(({ hop }) => options.hops.includes(hop))
    await Promise.all(watched.map((held) => this.#look(held, options.signal)))
  }

  toCheck(): RuleToCheck | null {
    if (this.#ended || !this.#isActive(this.rule)) return null
    const own = hops.flatMap((hop) => this.#ownStatusOf(hop) ?? [])
    return { rule: this.rule, hops: own }
  }

  knows({ code, hop }: Finding): boolean {
    return this.#calm.get(placeOf(hop))?.told?.code === code
  }

  /** Takes what the cheap checks found to block; what they find no more is over. */
  examined(findings: readonly Finding[], of: RuleToCheck): void {
    if (of.rule !== this.rule) return
    const found = new Map<Hop, Trouble>()
    for (const finding of findings) {
      const hop = placeOf(finding.hop)
      // The relay is ours and tells by itself.
      if (finding.severity === 'blocks' && hop !== 'relay' && !found.has(hop))
        found.set(hop, foundTrouble(finding))
    }
    this.#found = found
    this.#examinedAt = this.#tools.clock.now()
    for (const hop of hops) this.#settle(hop)
    this.#report()
    if (this.#failures.has('service') && !found.has('service')) this.#retryNow()
  }

  /** By the user's word, without waiting for the heartbeat; nothing of the past is held against it. */
  reopen(signal: AbortSignal): Promise<readonly NaruError[]> {
    return this.#inPlaceOfRetry(async () => {
      if (this.#ended) return []
      for (const held of this.#held.values()) await this.#repair(held, signal)
      this.#calm.clear()
      this.#failedEngines.clear()
      this.#found = new Map()
      this.#examinedAt = null
      return this.#converge({ strict: false, signal })
    })
  }

  /** Renews what is due, all of it where `all`: the clock jumped or the router restarted. */
  async renewDue(now: number, signal: AbortSignal, all = false): Promise<void> {
    const due = [...this.#held.values()].filter(
      ({ lease }) => all || (lease.renewAfter !== null && lease.renewAfter <= now),
    )
    await Promise.all(due.map((held) => this.#inTurn(() => this.#repair(held, signal))))
  }

  state(): RuleState {
    const { rule } = this.#loaded
    if (this.#ended || !this.#isActive(rule)) {
      if (this.#draining.size > 0) return 'draining'
      return rule.enabled && !this.#ended ? 'expired' : 'disabled'
    }
    // What is tried again and again has failed all the while.
    const tried = this.#busy === 0 || this.#failures.size > 0
    if (this.#failures.has('relay') || (!this.#held.has('relay') && tried)) return 'failed'
    if (!this.#held.has('relay')) return 'opening'
    const states = this.hopStatuses().map((status) => status.state)
    if (states.includes('broken')) return 'degraded'
    return states.includes('opening') ? 'opening' : 'open'
  }

  hopStatuses(): HopStatus[] {
    return hops.flatMap((hop) => this.#statusOf(hop) ?? [])
  }

  /** Its own lease on the service looks by itself; else the checks do. */
  service(): ServiceState {
    const statuses = this.hopStatuses().filter(({ hop }) => hop === 'service' || hop === 'guest')
    if (statuses.some(({ state }) => state === 'broken')) return 'silent'
    return this.#held.has('service') || this.#examinedAt !== null ? 'ok' : 'untried'
  }

  /** It listens, and its targets wait for the first look. */
  get isUntried(): boolean {
    if (this.#ended || this.#examinedAt !== null || this.#held.has('service')) return false
    return this.#held.has('relay') && this.#isActive(this.rule)
  }

  engine(): RuleStatus['engine'] {
    const relay = this.#held.get('relay')
    if (!relay) return null
    const { why, brief = why } = relay.wanted
    return { id: relay.lease.describe().member, why, brief }
  }

  listening(): readonly string[] {
    const lease = this.#held.get('relay')?.lease
    return lease && isEngineLease(lease) ? lease.listening : []
  }

  connections(): Connection[] {
    const all = this.#engineLeases().flatMap((lease) => lease.connections())
    return this.#madeAs === null ? all : all.map((one) => ({ ...one, rule: this.#name }))
  }

  counters(): Counters {
    return this.#engineLeases().reduce((sum, lease) => addCounters(sum, lease.counters()), this.#past)
  }

  cut(id: string): boolean {
    return this.#engineLeases().some((lease) => lease.cut(id, 'cut'))
  }

  #engineLeases(): EngineLease[] {
    const relay = this.#held.get('relay')?.lease
    const leaving = [...this.#retired, ...this.#draining.keys()]
    return relay && isEngineLease(relay) ? [relay, ...leaving] : leaving
  }

  #isActive(rule: Rule): boolean {
    return rule.enabled && (rule.until === null || rule.until > this.#tools.clock.now())
  }

  #wants(rule: Rule, signal: AbortSignal): Promise<readonly DesiredHop[]> {
    return this.#tools.wants(this.#madeAs === null ? rule : { ...rule, name: this.#madeAs }, {
      failedEngines: this.#failedEngines,
      onEngineEvent: (event) => this.#onEngineEvent(event),
      named: (event) => (this.#madeAs === null ? event : renamedEvent(event, this.#name)),
      signal,
    })
  }

  /** @param opened by this very change so far: another engine is tried. */
  async #converge(options: ApplyOptions, opened: HopState[] = []): Promise<readonly NaruError[]> {
    this.#retry?.[Symbol.dispose]()
    const { rule } = this.#loaded
    if (this.#held.size === 0 && this.#engineLeases().length === 0) this.#madeAs = null
    // What is wanted may depend on who answers, which takes a silent router seconds. What is tried again is not news.
    const first = this.#failures.size === 0
    if (first && this.#held.size === 0) this.#report()
    const wanted = this.#isActive(rule) ? await this.#wants(rule, options.signal) : []
    const inOrder = stepsBetween(this.#held, wanted)
    const steps = options.relayFirst ? relayFirst(inOrder) : inOrder
    for (const step of steps)
      if (first && step.action === 'open' && !step.held) this.#ahead.set(step.wanted.hop, step.wanted)
    if (this.#ahead.size > 0) this.#report()
    let failure: NaruError | null = null
    let failing: Hop | null = null
    for (const step of steps) {
      try {
        if (step.action !== 'close') refuseIfStopped(options.signal, this.name)
        const held = await this.#do(step, options)
        if (held) opened.push(held)
        if (step.action !== 'close') this.#ahead.delete(step.wanted.hop)
        // Not before it works: a hop that is tried again and again is broken all the while.
        if (step.action !== 'close') this.#failures.delete(step.wanted.hop)
        this.#report()
      } catch (error) {
        failure = toNaruError(error).of(this.name)
        this.#ahead.clear()
        if (step.action !== 'close') {
          const { wanted: failed } = step
          failing = failed.hop
          // A try that was called off says nothing new.
          if (!options.signal.aborted || !this.#failures.has(failing))
            this.#failures.set(failing, { wanted: failed, why: failure, at: this.#tools.clock.now() })
        }
        // Nothing outside of a hop that does not work is opened.
        break
      }
    }
    if (failure && !options.signal.aborted && this.#failedEngine(failure))
      return this.#converge(options, opened)
    const strict =
      options.strict && !(options.rowByHand && failing === 'router' && failure && helpsManually(failure))
    if (failure && strict) await this.#undo(opened, options)
    for (const hop of this.#failures.keys()) if (hop !== failing) this.#failures.delete(hop)
    if (wanted.length === 0) this.#freePorts()
    this.#report()
    if (!failure) {
      this.#retryMs = firstRetryMs
      return []
    }
    if (strict) throw failure
    this.#retryLater()
    return [failure]
  }

  async #do(step: Step, options: ApplyOptions): Promise<HopState | null> {
    switch (step.action) {
      case 'keep':
        return null
      case 'close':
        await this.#close(step.held, options)
        return null
      case 'update':
        if (step.wanted.update?.(step.held.lease, this.#inner())) {
          step.held.wanted = step.wanted
          return null
        }
        return this.#replace(step.held, step.wanted, options)
      case 'open':
        return step.held ? this.#replace(step.held, step.wanted, options) : this.#open(step.wanted, options)
    }
  }

  async #replace(held: HopState, wanted: DesiredHop, options: ApplyOptions): Promise<HopState> {
    // Nobody can, and nothing has to go for that to be said.
    if (wanted.member === null && options.relayFirst) return this.#open(wanted, options)
    if (held.lost || mustCloseFirst(held.wanted, wanted)) {
      await this.#retire(held)
      return this.#open(wanted, options)
    }
    const next = await this.#open(wanted, options)
    if (isEngineLease(held.lease)) await this.#leaveBehind(held.lease)
    else await this.#release(held.hop, held.lease)
    return next
  }

  async #open(wanted: DesiredHop, { signal }: ApplyOptions): Promise<HopState> {
    const member = wanted.member ?? 'none'
    const before = this.#tools.before(this.name, wanted.hop, member)
    const rule = (): string => this.#name
    const of = {
      get rule() {
        return rule()
      },
      hop: wanted.hop,
      member,
    }
    const { journal, mark } = this.#tools
    const record = { ...journal.recorder(of, before), mark }
    const lease = await within(signal, stepLimitMs, (limited) =>
      wanted.open({ signal: limited, record, inner: this.#inner(), heritage: this.#heritage }),
    )
    if (wanted.hop === 'relay') this.#freePorts()
    const held: HopState = {
      hop: wanted.hop,
      wanted,
      lease,
      lost: null,
      notes: [],
      checkedAt: this.#tools.clock.now(),
    }
    this.#held.set(wanted.hop, held)
    this.#calm.delete(wanted.hop)
    return held
  }

  #inner(): ReadonlyMap<Hop, Lease> {
    return new Map([...this.#held].map(([hop, { lease }]) => [hop, lease]))
  }

  /** Opened anew elsewhere: what is connected goes on under the terms it began with. */
  async #retire(held: HopState): Promise<void> {
    this.#held.delete(held.hop)
    if (!isEngineLease(held.lease)) return this.#release(held.hop, held.lease)
    const heritage = held.lease.bequeath?.()
    if (heritage) {
      this.#freePorts()
      this.#heritage = heritage
    }
    await this.#leaveBehind(held.lease)
  }

  async #leaveBehind(lease: EngineLease): Promise<void> {
    this.#retired.add(lease)
    await lease.retire()
  }

  #freePorts(): void {
    this.#heritage?.[Symbol.dispose]()
    this.#heritage = null
  }

  async #close(
    held: HopState,
    { signal, now, reason = 'drained' }: Omit<ApplyOptions, 'strict'>,
  ): Promise<void> {
    this.#held.delete(held.hop)
    this.#failures.delete(held.hop)
    if (!isEngineLease(held.lease)) return this.#release(held.hop, held.lease)
    await this.#drainAll([held.lease, ...this.#retired], { signal, reason, ...(now && { now }) })
  }

  async #drainAll(
    leases: readonly EngineLease[],
    { signal, now, reason = 'drained' }: Omit<ApplyOptions, 'strict'>,
  ): Promise<void> {
    const { drainMs } = this.rule.timeouts
    // Another rule, or another program, may take the port next.
    if (!now && drainMs > 0) await Promise.allSettled(leases.map((lease) => lease.retire()))
    const how = now
      ? { drainMs: 0, reason, signal }
      : { drainMs, reason: 'drained' as const, signal: neverAborted }
    const drains = leases.map((lease) => this.#drain(lease, how))
    if (now) await Promise.all(drains)
  }

  #drain(
    lease: EngineLease,
    options: { drainMs: number; reason: CloseReason; signal: AbortSignal },
  ): Promise<void> {
    this.#retired.delete(lease)
    const done = lease
      .drain(options)
      .catch(() => {})
      .then(() => this.#gone(lease))
    this.#draining.set(lease, done)
    return done
  }

  async #undo(opened: HopState[], options: ApplyOptions): Promise<void> {
    for (const held of opened.toReversed())
      await this.#close(held, {
        ...options,
        signal: AbortSignal.timeout(5000),
        now: true,
        reason: 'shutdown',
      })
  }

  /** Goes on whoever called off the change that it is part of: what is open no more is to be gone. */
  async #release(hop: Hop, lease: Lease): Promise<void> {
    try {
      await within(this.#tools.undoing, stepLimitMs, (limited) => lease.release({ signal: limited }))
      this.#released(hop, lease)
    } catch (error) {
      const why = toNaruError(error)
      const { member, text } = lease.describe()
      const known = this.unreleased.has(lease)
      this.unreleased.set(lease, { rule: this.name, hop, member, text, why })
      this.#releaseLater()
      if (known) return
      const { en, ko } = why.text
      this.#tools.tell('warn', this.name, say(`could not undo yet: ${en}`, `아직 되돌리지 못했습니다: ${ko}`))
    }
  }

  #released(hop: Hop, lease: Lease): void {
    if (!this.unreleased.delete(lease)) return
    const { text } = lease.describe()
    this.#tools.tell(
      'info',
      this.name,
      say(
        `undone after all: ${hop}: ${text.en}`,
        `다시 시도해 되돌렸습니다: ${hopNames[hop].ko}: ${text.ko}`,
      ),
    )
    if (this.unreleased.size > 0) return
    this.#againMs = firstRetryMs
    for (const all of this.#awaitingAll.splice(0)) all()
  }

  /** A stop tries once more by itself, and so does the next start. */
  #releaseLater(): void {
    if (this.#again || this.#tools.working.aborted) return
    this.#again = this.#tools.clock.after(this.#againMs, () => {
      this.#again = null
      void this.#inTurn(async () => {
        if (this.#tools.working.aborted) return
        for (const [lease, { hop }] of this.unreleased) await this.#release(hop, lease)
      }).catch(() => {})
    })
    this.#againMs = Math.min(this.#againMs * 2, lastRetryMs)
  }

  async #gone(lease: EngineLease): Promise<void> {
    await this.#release('relay', lease)
    this.#past = addCounters(this.#past, { ...lease.counters(), open: 0, offloaded: 0 })
    this.#retired.delete(lease)
    this.#draining.delete(lease)
    this.#report()
  }

  /** A retired lease ends with its last connection. */
  sweepRetired(): void {
    for (const lease of this.#retired) {
      if (lease.counters().open === 0) this.#draining.set(lease, this.#gone(lease))
    }
  }

  async #look(held: HopState, signal: AbortSignal): Promise<void> {
    const verdict = await repair.look(held, signal)
    if (this.#held.get(held.hop) !== held || signal.aborted) return
    held.checkedAt = this.#tools.clock.now()
    if (verdict.state === 'held') {
      held.notes = verdict.notes
      held.lost = null
    } else {
      held.lost = verdict.why.of(this.name)
      this.#settle(held.hop)
      // Told before it is repaired: a router that keeps silent takes ten seconds not to be.
      this.#report()
      await this.#inTurn(() => this.#repair(held, signal))
    }
    this.#settle(held.hop)
    this.#report()
  }

  /** Holds what was seen of a hop against what is told of it, and tells what changed. */
  #settle(hop: Hop): void {
    const lost = this.#held.get(hop)?.lost
    const trouble = lost ? troubleOf(lost) : this.#failures.has(hop) ? null : (this.#found.get(hop) ?? null)
    const calm = this.#calm.get(hop) ?? new FlapDamping<Trouble>()
    if (trouble) this.#calm.set(hop, calm)
    const change = calm.see(trouble, this.#tools.clock.monotonic())
    if (change === 'broke' && trouble) this.#tools.tell('warn', this.name, trouble.text)
    if (change === 'recovered') this.#tools.tell('info', this.name, this.#recovered(hop))
  }

  #recovered(hop: Hop): Text {
    return this.#reopened.delete(hop)
      ? say(`${hop} was opened again`, `${hopNames[hop].ko} 구간을 다시 열었습니다`)
      : say(`${hop} works again`, `${hopNames[hop].ko} 구간이 다시 정상입니다`)
  }

  async #repair(held: HopState, signal: AbortSignal): Promise<void> {
    if (this.#ended || this.#held.get(held.hop) !== held) return
    const failure = await repair.renew(held, signal)
    if (failure && isNaruError(failure, 'ABORTED')) return
    // Where there is no firewall, none was opened.
    if (!failure && held.lost && !held.lease.isEmpty) this.#reopened.add(held.hop)
    held.lost = failure?.of(this.name) ?? null
    held.checkedAt = this.#tools.clock.now()
    this.#settle(held.hop)
    this.#report()
  }

  #onEngineEvent(event: EngineEvent): void {
    if (event.type !== 'state') return
    const { state } = event
    if (state.state !== 'failed' && state.state !== 'unfit' && state.state !== 'adrift') return
    const relay = this.#held.get('relay')
    const id = relay?.wanted.member as EngineId | undefined
    if (!relay || !id || this.#ended) return
    // It is told again and again until it is taken away.
    if (state.state === 'unfit' && relay.lost && isNaruError(relay.lost, 'ENGINE_UNFIT')) return
    if (state.state === 'adrift') this.#tools.tell('info', this.name, state.why)
    else {
      relay.lost =
        state.state === 'unfit'
          ? new NaruError('ENGINE_UNFIT', { engine: id, name: this.name, why: state.why })
          : new NaruError('ENGINE_FAILED', { engine: id, why: state.why })
      this.#passOver(id, relay.lost)
    }
    void this.#inPlaceOfRetry(async () => {
      if (this.#ended) return
      // It would go on past somebody's firewall, or unheard, while what is wanted is found out anew.
      if (state.state !== 'failed' && this.#held.get('relay') === relay) await this.#retire(relay)
      await within(this.#tools.working, stepLimitMs, (signal) => this.#converge({ strict: false, signal }))
    }).catch(() => {})
  }

  /** Another may be tried: that one fails where its listen would not, or turned out to be unfit. */
  #failedEngine(error: NaruError): boolean {
    const relay = this.#failures.get('relay')
    const id = relay?.wanted.member as EngineId | null | undefined
    if (!relay || !id || relay.why !== error || this.rule.engine !== 'auto' || !isEngineFailure(error))
      return false
    this.#passOver(id, error)
    this.#failures.delete('relay')
    return true
  }

  /** `auto` passes over it from now on; said once. */
  #passOver(id: EngineId, error: NaruError): void {
    const unfit = isNaruError(error, 'ENGINE_UNFIT')
    const why = unfit ? (error.params.why as Text) : error.text
    if (this.rule.engine !== 'auto') return this.#tools.tell('error', this.name, error.text)
    this.#failedEngines.set(id, why)
    const what = unfit ? say('cannot carry it', '처리할 수 없어') : say('failed', '실패해')
    this.#tools.tell(
      unfit ? 'info' : 'warn',
      this.name,
      say(
        `engine ${id} ${what.en}, taking another: ${why.en}`,
        `${id} 엔진이 ${what.ko} 다른 엔진을 씁니다: ${why.ko}`,
      ),
    )
  }

  #retryLater(): void {
    if (this.#ended) return
    this.#retry = this.#tools.clock.after(this.#retryMs, () => this.#retryNow())
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs)
  }

  #retryNow(): void {
    if (this.#retrying || this.#tools.working.aborted) return
    const retrying = new AbortController()
    this.#retrying = retrying
    void this.#inTurn(async () => {
      if (!this.#ended && !retrying.signal.aborted)
        await within(retrying.signal, 60_000, (signal) => this.#converge({ strict: false, signal }))
    })
      .catch(() => {})
      .finally(() => {
        if (this.#retrying === retrying) this.#retrying = null
      })
  }

  /** In turn, and at once where a try of what failed before is under way. */
  #inPlaceOfRetry<T>(run: () => Promise<T>): Promise<T> {
    this.#retrying?.abort()
    this.#retrying = null
    return this.#inTurn(run)
  }

  #statusOf(hop: Hop): HopStatus | null {
    const failure = this.#failures.get(hop)
    if (failure) return failedStatus(failure.wanted, failure.why, failure.at)
    const held = this.#held.get(hop)
    const calm = this.#calm.get(hop)
    if (held) return openStatus(held, calm)
    const ahead = this.#ahead.get(hop)
    if (ahead && !calm) return aheadStatus(ahead)
    return calm ? foundStatus(hop, calm, this.#examinedAt) : null
  }

  /** Without what the checks say: they would take their own word for evidence. */
  #ownStatusOf(hop: Hop): HopStatus | null {
    const failure = this.#failures.get(hop)
    if (failure) return failedStatus(failure.wanted, failure.why, failure.at)
    const held = this.#held.get(hop)
    if (!held) return null
    const own = openStatus(held, undefined)
    return held.lost ? { ...own, state: 'broken', text: held.lost.text, problem: held.lost.code } : own
  }

  /** Tells of every hop whose state or words changed since the last time. */
  #report(): void {
    for (const status of this.hopStatuses()) {
      const words = `${status.state} ${status.text.en} ${status.notes.map(({ en }) => en).join()}`
      if (this.#shown.get(status.hop) === words) continue
      this.#shown.set(status.hop, words)
      this.#tools.onHop(this, status)
    }
    this.#tools.onChange(this)
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    this.#busy++
    const next = this.#queue.then(run, run).finally(() => {
      this.#busy--
    })
    this.#queue = next.catch(() => {})
    return next
  }
}

function renamedEvent(event: EngineEvent, rule: string): EngineEvent {
  if ('rule' in event) return { ...event, rule }
  const { connection } = event
  return { ...event, connection: () => ({ ...connection(), rule }) }
}

/** @throws NaruError: what is called off begins nothing more */
function refuseIfStopped(signal: AbortSignal, name: string): void {
  if (signal.aborted) throw stopped(signal, name)
}

function mustCloseFirst(held: DesiredHop, wanted: DesiredHop): boolean {
  if (wanted.replace === 'open-first') return false
  return !held.listen || !wanted.listen || listensOverlap(held.listen, wanted.listen)
}

/** What opens up to the relay, then what closes, then what opens outside of it. */
function relayFirst(steps: readonly Step[]): Step[] {
  const place = (step: Step): number => {
    if (step.action === 'close') return 1
    return step.wanted.hop === 'firewall' || step.wanted.hop === 'router' ? 2 : 0
  }
  return steps.toSorted((a, b) => place(a) - place(b))
}

/** What an engine that failed may fare better with, where it is another. */
function carrierKeyOf({ engine, listen, targets }: Rule): string {
  return JSON.stringify([engine, listen, targets])
}

/** What is wrong with the machine, or outside, concerns the hop that leads there. */
function placeOf(hop: Finding['hop']): Hop {
  return hop === 'machine' || hop === 'outside' ? 'router' : hop
}
