/**
 * One rule's life while Naru runs. `apply` brings what is held to what is wanted, hop by hop; `observe` reads back and
 * repairs; `end` closes from the outside in. Changes of one rule wait for each other, and never for another rule's.
 */
import type { Text } from '../base/text.ts'
import type { NaruError } from '../base/errors.ts'
import type { RuleToCheck } from '../doctor/diagnose.ts'
import type { EngineLease, Passing } from '../engines/contract.ts'
import type { Connection, Counters } from '../model/connection.ts'
import type { Finding } from '../model/finding.ts'
import type { LentSocket } from '../model/handover-sockets.ts'
import type { Hop } from '../model/hop.ts'
import { formatListen } from '../model/listen.ts'
import type { HopStatus, RuleInput, RuleState, RuleStatus, ServiceState } from '../model/naru-api.ts'
import type { PlanStep } from '../model/plan.ts'
import type { Rule } from '../model/rule.ts'
import { ChangeQueue } from './change-queue.ts'
import { Convergence } from './convergence.ts'
import type { HopState } from './hop-state.ts'
import { isEngineLease } from './hops/relay.ts'
import type { LoadedRule } from './load.ts'
import { Releases, type Unreleased } from './releases.ts'
import { Repair } from './repair.ts'
import { RuleHops, type HopFailure } from './rule-hops.ts'
import { RuleName } from './rule-name.ts'
import { RuleRelays } from './rule-relays.ts'
import { engineOf, serviceOf, stateOf } from './rule-state.ts'
import type { ApplyOptions, RunTools } from './run-tools.ts'
import { shown, stepsBetween } from './steps.ts'

export interface RuleRunTools extends RunTools {
  onChange(run: RuleRun): void
  onHop(run: RuleRun, status: HopStatus): void
}

export class RuleRun {
  readonly #name: RuleName
  readonly #tools: RuleRunTools
  readonly #hops: RuleHops
  readonly #relays: RuleRelays
  readonly #releases: Releases
  readonly #repair: Repair
  readonly #changes: ChangeQueue
  readonly #convergence: Convergence
  #loaded: LoadedRule
  #ended = false
  /** It listened until a moment ago, for another rule's sake. */
  #madeRoom = false

  constructor(loaded: LoadedRule, tools: RuleRunTools) {
    this.#name = new RuleName(loaded.rule.name)
    this.#loaded = loaded
    this.#tools = tools
    const { clock, working } = tools
    const name = (): string => this.name
    const onChange = (): void => this.#report()
    const isOver = (): boolean => this.#ended
    const retry = async (signal: AbortSignal): Promise<void> => {
      if (!this.#ended) await this.#convergence.run({ strict: false, signal })
    }
    const changes = new ChangeQueue({ clock, working, retry })
    const inTurn = <T>(run: () => Promise<T>): Promise<T> => changes.take(run)
    const tell = (level: 'info' | 'warn' | 'error', text: Text): void => tools.tell(level, this.name, text)
    const hops = new RuleHops({ clock, tell })
    const releases = new Releases({ tools, name, inTurn })
    const relays = new RuleRelays({
      current: () => this.#relay(),
      release: (lease) => releases.release('relay', lease),
      onGone: onChange,
    })
    const rule = (): Rule => this.rule
    const shared = { tools, name: this.#name, rule, hops, relays, releases, changes }
    this.#changes = changes
    this.#hops = hops
    this.#releases = releases
    this.#relays = relays
    this.#repair = new Repair({ clock, hops, name, isOver, inTurn, onChange })
    this.#convergence = new Convergence({ ...shared, isOver, tell, onChange })
  }

  get name(): string {
    return this.#name.now
  }

  /** The same rule by another name: nothing in force is touched. */
  rename(loaded: LoadedRule): void {
    this.#tools.tellLeaving({ rule: this.name, to: loaded.rule.name })
    this.#name.rename(loaded.rule.name)
    this.#loaded = loaded
  }

  get rule(): Rule {
    return this.#loaded.rule
  }

  /** The rule as it is carried: what the file says may be another that could not be. */
  get loaded(): LoadedRule {
    return this.#loaded
  }

  get input(): RuleInput {
    return this.#loaded.input
  }

  /** It listens, and is to after that change. */
  goesOn(rule: Rule): boolean {
    return this.#hops.held.has('relay') && this.#convergence.isActive(rule)
  }

  /**
   * What `apply` would do for `rule`, or for the end of it.
   * @param asked as `WantContext.asked`
   */
  async plan(rule: Rule | null, signal: AbortSignal, asked?: number): Promise<PlanStep[]> {
    const wanted = rule ? await this.#convergence.wants(rule, { signal, asked }) : []
    return stepsBetween(this.#hops.held, wanted).map((step) => shown(this.name, step))
  }

  /** @returns what could not be done. @throws NaruError where `strict` and something could not; nothing new is left then */
  apply(loaded: LoadedRule, options: ApplyOptions): Promise<readonly NaruError[]> {
    return this.#changes.takeBeforeRetry(async () => {
      if (this.#ended) return []
      const moves = this.#moves(loaded)
      this.#become(loaded)
      try {
        return await this.#convergence.run(options)
      } finally {
        if (moves) this.#convergence.runner.freePorts()
      }
    })
  }

  /**
   * As `apply`; but a rule that listens, and would not as it is wanted, goes on as it was.
   * @returns what could not be done beyond the relay @throws NaruError why it is as before
   */
  change(loaded: LoadedRule, options: ApplyOptions): Promise<readonly NaruError[]> {
    return this.#changes.takeBeforeRetry(async () => {
      if (this.#ended) return []
      const before = this.#loaded
      const moves = this.#moves(loaded)
      const listened = this.#hops.held.has('relay') || this.#madeRoom
      this.#madeRoom = false
      this.#become(loaded)
      if (!listened) return this.#convergence.run(options)
      try {
        const failures = await this.#convergence.run({ ...options, relayFirst: true })
        const why = this.#convergence.isActive(loaded.rule) ? this.#whyNotAsWanted() : null
        if (!why) return failures
        throw why
      } catch (error) {
        await this.#takeBack(before, options)
        throw error
      } finally {
        if (moves) this.#convergence.runner.freePorts()
      }
    })
  }

  /** What was kept of its ports may be another rule's from then on. */
  #moves({ rule }: LoadedRule): boolean {
    return formatListen(rule.listen) !== formatListen(this.rule.listen)
  }

  #become(loaded: LoadedRule): void {
    // While it is closed, nobody notices that another engine is tried.
    if (!this.#convergence.isActive(this.rule)) this.#convergence.engines.clear()
    else this.#convergence.engines.clearUnlessSame(this.rule, loaded.rule)
    const { until } = loaded.rule
    if (until !== this.rule.until) this.#tools.tellLeaving({ rule: this.name, until })
    this.#loaded = loaded
    this.#hops.forgetSeen()
  }

  #whyNotAsWanted(): NaruError | null {
    const relay = this.#hops.failures.get('relay')
    if (relay) return relay.why
    return this.#hops.held.has('relay') ? null : (this.failures()[0] ?? null)
  }

  /** What cannot be as before at once is tried again, as ever. */
  async #takeBack(before: LoadedRule, options: ApplyOptions): Promise<void> {
    this.#become(before)
    this.#hops.failures.clear()
    await this.#convergence.run({ ...options, strict: false }).catch(() => {})
  }

  /** Frees its listen ahead of `apply`, as another rule may take it. Connections go on. */
  makeRoom(): Promise<void> {
    return this.#changes.takeBeforeRetry(async () => {
      const relay = this.#hops.held.get('relay')
      if (relay) {
        this.#madeRoom = true
        await this.#convergence.runner.retire(relay)
      }
      this.#convergence.runner.freePorts()
    })
  }

  /** Closes from the outside in. Connections drain in the background; `drained` tells when the last is gone. */
  end(options: Omit<ApplyOptions, 'strict'>): Promise<void> {
    return this.#changes.takeBeforeRetry(async () => {
      this.#ended = true
      this.#changes.forgetRetry()
      this.#tools.tellLeaving({ rule: this.name, over: options.now ? 'cut' : 'drain' })
      await this.#releases.tryAgain()
      for (const step of stepsBetween(this.#hops.held, []))
        if (step.action === 'close') await this.#convergence.runner.close(step.held, options)
      this.#convergence.runner.freePorts()
      await this.#relays.drainAll([], { ...options, drainMs: this.rule.timeouts.drainMs })
      this.#report()
    })
  }

  /** Resolves when nothing of it is left, draining connections included. */
  drained(): Promise<void> {
    return this.#relays.drained()
  }

  /** Resolves when, moreover, nothing is left in force that could not be undone at first. */
  async gone(): Promise<void> {
    await this.drained()
    await this.#releases.all()
  }

  /** What it wants no more and could not undo. */
  stillInForce(): readonly NaruError[] {
    return this.#releases.stillInForce()
  }

  unreleased(): readonly Unreleased[] {
    return this.#releases.unreleased()
  }

  /** Lets nothing change from now on until `thaw`; resolves once what is under way is done. */
  freeze(thaw: Promise<void>): Promise<void> {
    return new Promise((frozen) => {
      void this.#changes.take(() => {
        frozen()
        return thaw
      })
    })
  }

  /** Sockets that a successor gets, those that only keep a port included. */
  lends(): readonly LentSocket[] {
    return this.#relays.lends()
  }

  /** How its listening sockets pass to a successor; undefined where they do not, or there are none. */
  passing(): Passing | undefined {
    return this.#relays.passing()
  }

  /** A successor has it all: lets go of every hop as it stands. Connections go on without limit. */
  async leave(): Promise<void> {
    this.#ended = true
    this.#changes.forgetRetry()
    const relay = this.#relay()
    this.#hops.held.clear()
    this.#convergence.runner.freePorts()
    if (relay?.passing) await this.#relays.leave(relay)
  }

  /** After `leave`: the rule is over, and so are its connections, at once where `now`. */
  async endLeft({ now }: { readonly now: boolean }): Promise<void> {
    const { drainMs } = this.rule.timeouts
    await this.#relays.drainAll([], { now, reason: 'cut', drainMs, signal: this.#tools.undoing })
  }

  /** After `leave`: datagrams of its ports are somebody else's from now on. */
  letGo(): Promise<void> {
    return this.#relays.letGo()
  }

  failures(): readonly NaruError[] {
    return [...this.#hops.failures.values()].map(({ why }) => why)
  }

  /** Something of it is being changed, or tried again. */
  get isBusy(): boolean {
    return this.#changes.isBusy
  }

  /** What could not be, by its hop. */
  failed(): ReadonlyMap<Hop, HopFailure> {
    return this.#hops.failures
  }

  /** Why it does not listen; null where it does, or only its service is missing. */
  whyNotListening(): NaruError | null {
    if (this.#hops.held.has('relay') || this.#hops.failures.has('service')) return null
    return this.failures()[0] ?? null
  }

  /** Connections that go on here though it listens no more, or listens anew. */
  get carried(): number {
    return this.#relays.carried
  }

  /** Takes away what waited for a connection that has ended. */
  sweepRetired(): void {
    this.#relays.sweep()
  }

  leases(): readonly HopState[] {
    return [...this.#hops.held.values()]
  }

  /** Reads every hop back; what was lost is opened again, what cannot be is named. */
  async observe(options: { signal: AbortSignal; hops: readonly Hop[] }): Promise<void> {
    this.#relays.sweep()
    const watched = this.leases().filter(({ hop }) => options.hops.includes(hop))
    await Promise.all(watched.map((held) => this.#repair.look(held, options.signal)))
  }

  /** It is open, or to be. */
  get isToCheck(): boolean {
    return !this.#ended && this.#convergence.isActive(this.rule)
  }

  toCheck(): RuleToCheck | null {
    if (!this.isToCheck) return null
    return { rule: this.rule, hops: this.#hops.ownStatuses() }
  }

  knows(finding: Finding): boolean {
    return this.#hops.knows(finding)
  }

  /** Takes what the cheap checks found to block; what they find no more is over. */
  examined(findings: readonly Finding[], of: RuleToCheck): void {
    if (of.rule !== this.rule) return
    this.#hops.examined(findings)
    this.#report()
    if (this.#hops.failures.has('service') && !this.#hops.found('service')) this.#changes.retryNow()
  }

  /** By the user's word, without waiting for the heartbeat; nothing of the past is held against it. */
  reopen(signal: AbortSignal): Promise<readonly NaruError[]> {
    return this.#changes.takeBeforeRetry(async () => {
      if (this.#ended) return []
      for (const held of this.leases()) await this.#repair.renew(held, signal)
      this.#convergence.engines.clear()
      this.#hops.forgetSeen()
      return this.#convergence.run({ strict: false, signal })
    })
  }

  /** Renews what is due, all of it where `all`: the clock jumped or the router restarted. */
  async renewDue(now: number, signal: AbortSignal, all = false): Promise<void> {
    const due = this.leases().filter((held) => all || isDue(held, now))
    await Promise.all(due.map((held) => this.#changes.take(() => this.#repair.renew(held, signal))))
  }

  /** Asked twice a second of each rule, most of which hold nothing that ends. */
  isDue(now: number): boolean {
    for (const held of this.#hops.held.values()) if (isDue(held, now)) return true
    return false
  }

  /** Asks for what it holds at that hop anew, as it may have been taken away. */
  async renewAt(hop: Hop, signal: AbortSignal): Promise<void> {
    const held = this.#hops.held.get(hop)
    if (held) await this.#changes.take(() => this.#repair.renew(held, signal))
  }

  state(): RuleState {
    const { enabled } = this.rule
    return stateOf({
      hops: this.#hops,
      isWanted: !this.#ended && this.#convergence.isActive(this.rule),
      isExpired: enabled && !this.#ended,
      isDraining: this.#relays.isDraining,
      isBusy: this.#changes.isBusy,
    })
  }

  hopStatuses(): HopStatus[] {
    return this.#hops.statuses()
  }

  service(): ServiceState {
    return serviceOf(this.#hops)
  }

  /** It listens, and its targets wait for the first look. */
  get isUntried(): boolean {
    if (this.#ended || this.#hops.isExamined || this.#hops.held.has('service')) return false
    return this.goesOn(this.rule)
  }

  engine(): RuleStatus['engine'] {
    return engineOf(this.#hops)
  }

  listening(): readonly string[] {
    return this.#relay()?.listening ?? []
  }

  connections(): Connection[] {
    return this.#name.ofConnections(this.#relays.connections())
  }

  counters(): Counters {
    return this.#relays.counters()
  }

  cut(id: string): boolean {
    return this.#relays.cut(id)
  }

  #relay(): EngineLease | null {
    const lease = this.#hops.held.get('relay')?.lease
    return lease && isEngineLease(lease) ? lease : null
  }

  /** Tells of every hop whose state or words changed since the last time. */
  #report(): void {
    for (const status of this.#hops.news()) this.#tools.onHop(this, status)
    this.#tools.onChange(this)
  }
}

function isDue({ lease: { renewAfter } }: HopState, now: number): boolean {
  return renewAfter !== null && renewAfter <= now
}
