/** A rule as the main thread holds it: its sockets, its revisions, and what the threads say of it. */
import { systemClock } from '../../../base/clock.ts'
import { onAbort } from '../../../base/on-abort.ts'
import { NaruError } from '../../../base/errors.ts'
import { say, verbatim, type Text } from '../../../base/text.ts'
import type { CloseReason, Connection, Counters } from '../../../model/connection.ts'
import type { Effect, LeaseDescription, Verdict } from '../../../model/hop.ts'
import { formatListen } from '../../../model/listen.ts'
import type { Rule } from '../../../model/rule.ts'
import { formatTarget } from '../../../model/target.ts'
import { targetsItself } from '../../../relay/loop.ts'
import { SharedBucket } from '../../../relay/bucket.ts'
import { HealthChecks } from '../../../relay/health.ts'
import { inRanges } from '../../../relay/in-ranges.ts'
import { keyOf, Targets, type TargetState } from '../../../relay/pick.ts'
import { SharedTally } from '../../../relay/tally.ts'
import { removeSocketFile, socketFileAt } from '../../../relay/unix-path.ts'
import { watchLink } from '../../../relay/zone.ts'
import type { EngineLease, EngineRequest, EngineState, Passing } from '../../contract.ts'
import type { WorkerPool } from './worker-pool.ts'
import { close, Descriptor, setKeepalive } from '../../../linux/libc.ts'
import type { Listener } from './listeners.ts'
import type { ListenerData, RuleMemory, ToThread } from '../shared/messages.ts'
import { mostTargets, TargetHealth } from '../shared/target-health.ts'
import { allocateCells, cell, parseId, reasonCell, reasonList, sumCell, sumOpen } from '../shared/records.ts'

/** Numbers that stand for revisions and listeners in shared memory; unique within the engine. */
export interface Numbers {
  revision(lease: SpliceLease, rule: Rule): number
  listener(listener: Listener): number
  forget(lease: SpliceLease): void
}

/** How long threads may take to say that they listen no more, or that all is cut. */
const answerWithinMs = 2000

export class SpliceLease implements EngineLease {
  readonly goodUntil = null
  readonly renewAfter = null
  readonly number: number
  readonly request: EngineRequest
  readonly revisions = new Set<number>()
  readonly #pool: WorkerPool
  readonly #numbers: Numbers
  readonly #listeners: readonly Listener[]
  readonly listenerNumbers: readonly number[]
  readonly #effect: Effect | null
  readonly #link: Disposable | null
  /** Which file a Unix listen's socket is. */
  readonly file: string | null
  #rule: Rule
  #revision: number
  #slots: readonly number[] = []
  readonly #slotByTarget = new Map<string, number>()
  readonly #freeSlots = Array.from({ length: mostTargets }, (_, slot) => slot)
  #memory: RuleMemory
  #targets: Targets | null = null
  #health: HealthChecks | null = null
  #state: 'listening' | 'retired' | 'ended' = 'listening'
  #failed: string | null = null
  readonly #pausedThreads = new Set<number>()
  #unlistening: Set<number> | null = null
  #yielding: Set<number> | null = null
  /** False while a predecessor still accepts by the same sockets. */
  #begun: boolean
  /** Who waits for something to change. */
  readonly #waiting = new Set<() => void>()

  constructor(options: {
    number: number
    request: EngineRequest
    pool: WorkerPool
    numbers: Numbers
    listeners: readonly Listener[]
    effect: Effect | null
  }) {
    this.number = options.number
    this.request = options.request
    this.#pool = options.pool
    this.#numbers = options.numbers
    this.#listeners = options.listeners
    this.#effect = options.effect
    this.#rule = options.request.rule
    const { listen } = this.#rule
    this.file = listen.kind === 'unix' ? socketFileAt(listen.path) : null
    this.#link = watchLink(listen.kind === 'inet' ? listen.address : null, systemClock, (why) =>
      this.#tell({ state: 'adrift', why }),
    )
    this.#memory = memoryFor(options.pool.size)
    this.listenerNumbers = options.listeners.map((listener) => options.numbers.listener(listener))
    this.#revision = this.#newRevision(this.#rule)
    this.#begun = options.request.inherit === undefined
    for (let thread = 0; thread < options.pool.size; thread++) this.openOn(thread)
    this.#checkHealth()
    void options.request.inherit?.begun.then(() => this.#begin())
  }

  /** The predecessor has let go. */
  #begin(): void {
    this.#begun = true
    if (this.#state !== 'listening') return
    for (let thread = 0; thread < this.#pool.size; thread++) this.openOn(thread)
  }

  /** Asked here, on the main thread; all threads read the answer. Datagrams have none that a check could rely on. */
  #checkHealth(): void {
    this.#health?.[Symbol.dispose]()
    if (this.#listeners.every(({ protocol }) => protocol === 'udp')) return
    this.#targets = new Targets(this.#rule, this.#targets ?? undefined)
    const { states } = this.#targets
    const targetHealth = new TargetHealth(this.#memory.targetHealth, 0)
    const onHeard = (state: TargetState): void => {
      const slot = this.#slots[states.indexOf(state)] ?? -1
      targetHealth.check(slot, state.up)
      if (state.up && state.failures === 0) targetHealth.succeeded(state, slot)
    }
    const { resolve } = this.request
    this.#health = HealthChecks.of(this.#rule, this.#targets, { clock: systemClock, resolve, onHeard })
    if (this.#health === null) for (const slot of this.#slots) targetHealth.check(slot, true)
  }

  get rule(): Rule {
    return this.#rule
  }

  get listening(): readonly string[] {
    return [...new Set(this.#listeners.map(({ label }) => label))]
  }

  /** Tells a thread, also one that was started anew, what to carry. */
  openOn(thread: number): void {
    const listeners = this.#state === 'listening' && this.#begun ? this.#listenersOf(thread) : []
    const { number: lease } = this
    this.#pausedThreads.delete(thread)
    const [revision, rule, memory, slots] = [this.#revision, this.#rule, this.#memory, this.#slots]
    this.#pool.post(thread, { type: 'open', lease, revision, rule, memory, slots, listeners })
  }

  #listenersOf(thread: number): ListenerData[] {
    const mine: ListenerData[] = []
    this.#listeners.forEach(({ socket, protocol, port, part, thread: only }, at) => {
      if (only !== null && only !== thread) return
      const id = this.listenerNumbers[at] as number
      mine.push({ id, fd: Descriptor.number(socket), protocol, port, part })
    })
    return mine
  }

  #newRevision(rule: Rule): number {
    const revision = this.#numbers.revision(this, rule)
    this.#slots = this.#slotsFor(rule)
    this.revisions.add(revision)
    return revision
  }

  /** A target keeps its slot as long as it is named; a new one takes a free slot. */
  #slotsFor({ targets }: Rule): readonly number[] {
    const wanted = new Set(targets.map((choice) => keyOf(choice)))
    const targetHealth = new TargetHealth(this.#memory.targetHealth, 0)
    for (const [key, slot] of this.#slotByTarget) {
      if (wanted.has(key)) continue
      this.#slotByTarget.delete(key)
      this.#freeSlots.push(slot)
    }
    return targets.map((choice) => {
      const known = this.#slotByTarget.get(keyOf(choice))
      if (known !== undefined) return known
      const slot = this.#freeSlots.shift() ?? -1
      if (slot === -1) return slot
      targetHealth.clear(slot)
      this.#slotByTarget.set(keyOf(choice), slot)
      return slot
    })
  }

  update(rule: Rule): boolean {
    const before = this.#rule
    if (rule.name !== before.name || formatListen(rule.listen) !== formatListen(before.listen)) return false
    // What keeps clients' addresses is made ready when a rule opens.
    if ((rule.source === 'keep') !== (before.source === 'keep')) return false
    if (rule.targets.some(({ to }) => targetsItself(rule.listen, to)))
      throw new NaruError('TARGET_LOOP', { name: rule.name, listen: formatListen(rule.listen) })
    this.#rule = rule
    this.#revision = this.#newRevision(rule)
    if (rule.limits.bytesPerSecond !== before.limits.bytesPerSecond)
      this.#memory = { ...this.#memory, bucket: SharedBucket.allocate() }
    const [revision, memory, slots] = [this.#revision, this.#memory, this.#slots]
    const message = { lease: this.number, revision, rule, memory, slots }
    for (let thread = 0; thread < this.#pool.size; thread++)
      this.#pool.post(thread, { type: 'update', ...message })
    if (rule.timeouts.keepaliveMs !== before.timeouts.keepaliveMs) {
      for (const { protocol, socket } of this.#listeners)
        if (protocol === 'tcp') setKeepalive(socket, rule.timeouts.keepaliveMs)
    }
    this.#checkHealth()
    return true
  }

  retire(): Promise<void> {
    return this.#retire(true)
  }

  /** @param keep sessions go on, by sockets of their own: the ports are free. */
  async #retire(keep: boolean): Promise<void> {
    if (this.#state !== 'listening') return this.#until(() => this.#unlistening === null, answerWithinMs)
    const { listen } = this.#rule
    await this.#unlisten('take', keep, async () => {
      // What was never begun is the predecessor's.
      if (listen.kind === 'unix' && this.#begun) removeSocketFile(listen.path, this.file)
      if (this.#begun) await this.#effect?.undone()
    })
  }

  async #unlisten(queued: 'take' | 'leave', apart: boolean, thenUndo: () => Promise<void>): Promise<void> {
    this.#state = 'retired'
    this.#link?.[Symbol.dispose]()
    this.#health?.[Symbol.dispose]()
    this.#unlistening = this.#toLiving({ type: 'unlisten', lease: this.number, queued, apart })
    await this.#until(() => this.#unlistening?.size === 0, answerWithinMs)
    // A thread that did not answer may still send by them.
    if (apart && this.#unlistening.size === 0) this.#closeDatagrams()
    this.#unlistening = null
    for (const { protocol, socket } of this.#listeners) if (protocol !== 'udp') close(socket)
    await thenUndo()
    this.#wake()
    this.#endIfEmpty()
  }

  /** @returns who was told. */
  #toLiving(message: ToThread): Set<number> {
    const told = new Set<number>()
    for (let thread = 0; thread < this.#pool.size; thread++) {
      if (!this.#pool.alive(thread)) continue
      told.add(thread)
      this.#pool.post(thread, message)
    }
    return told
  }

  readonly passing: Passing = {
    lend: () =>
      this.#listeners.map(({ socket, protocol, address, port, part }) => {
        return { protocol, address, port, part, fd: Descriptor.number(socket) }
      }),
    yieldDatagrams: async () => {
      this.#yielding = this.#toLiving({ type: 'yield', lease: this.number })
      await this.#until(() => this.#yielding?.size === 0, answerWithinMs)
    },
    resume: () => void this.#toLiving({ type: 'resume', lease: this.number }),
    leave: () =>
      this.#state === 'listening'
        ? this.#unlisten('leave', false, () => Promise.resolve())
        : Promise.resolve(),
    letGo: async () => {
      this.#yielding = this.#toLiving({ type: 'let-go', lease: this.number })
      await this.#until(() => this.#yielding?.size === 0, answerWithinMs)
      if (this.#state === 'retired') this.#closeDatagrams()
    },
  }

  #datagramsClosed = false

  #closeDatagrams(): void {
    if (this.#datagramsClosed) return
    this.#datagramsClosed = true
    for (const { protocol, socket } of this.#listeners) if (protocol === 'udp') close(socket)
  }

  async drain({ drainMs, reason, signal }: Parameters<EngineLease['drain']>[0]): Promise<void> {
    await this.#retire(drainMs > 0)
    await this.#until(() => this.open === 0, drainMs, signal)
    await this.#cutAll(reason)
  }

  async release(): Promise<void> {
    await this.#retire(false)
    await this.#cutAll('shutdown')
  }

  async #cutAll(reason: CloseReason): Promise<void> {
    for (let thread = 0; thread < this.#pool.size; thread++)
      this.#pool.post(thread, { type: 'cut', lease: this.number, serial: null, reason })
    await this.#until(() => this.open === 0, answerWithinMs)
  }

  /** Connections and sessions that are open now. */
  get open(): number {
    return sumOpen(this.#memory.cells)
  }

  connections(): readonly Connection[] {
    const found: Connection[] = []
    for (let thread = 0; thread < this.#pool.size; thread++)
      found.push(...(this.#pool.reader(thread)?.list((revision) => this.revisions.has(revision)) ?? []))
    return found
  }

  counters(): Counters {
    const { cells } = this.#memory
    // Before everything else: whatever is over by now is whole in what is read below.
    const ended = sumCell(cells, cell.ended)
    const opened = sumCell(cells, cell.opened)
    const closed: Partial<Record<CloseReason, number>> = {}
    for (const reason of reasonList) {
      const count = sumCell(cells, reasonCell(reason))
      if (count > 0) closed[reason] = count
    }
    return {
      open: opened - ended,
      offloaded: sumCell(cells, cell.offloaded),
      opened,
      closed,
      bytesToTarget: sumCell(cells, cell.toTarget),
      bytesToClient: sumCell(cells, cell.toClient),
      datagramsToTarget: sumCell(cells, cell.datagramsToTarget),
      datagramsToClient: sumCell(cells, cell.datagramsToClient),
      datagramsLost: sumCell(cells, cell.lost),
    }
  }

  cut(id: string, reason: CloseReason): boolean {
    const parsed = parseId(id)
    if (!parsed) return false
    const revision = this.#pool.reader(parsed.thread)?.revisionOf(parsed.serial) ?? null
    if (revision === null || !this.revisions.has(revision)) return false
    this.#pool.post(parsed.thread, { type: 'cut', lease: this.number, serial: parsed.serial, reason })
    return true
  }

  get memory(): RuleMemory {
    return this.#memory
  }

  /** A batch of its events was read. */
  moved(): void {
    this.#wake()
    this.#endIfEmpty()
  }

  unlistened(thread: number): void {
    this.#unlistening?.delete(thread)
    this.#wake()
  }

  yielded(thread: number): void {
    this.#yielding?.delete(thread)
    this.#wake()
  }

  /** What a thread says; the rule is paused while any thread is. */
  stateOn(thread: number, state: EngineState): void {
    const before = this.#pausedThreads.size
    if (state.state === 'paused') this.#pausedThreads.add(thread)
    else this.#pausedThreads.delete(thread)
    const changed = before === 0 ? this.#pausedThreads.size > 0 : this.#pausedThreads.size === 0
    if (changed) this.#tell(state)
  }

  /** No thread is left to carry it. */
  fail(why: string): void {
    if (this.#failed !== null || this.#state === 'ended') return
    this.#failed = why
    this.#tell({ state: 'failed', why })
  }

  #tell(state: EngineState): void {
    this.request.onEvent({ type: 'state', rule: this.#rule.name, state })
  }

  describe(): LeaseDescription {
    const listening = this.listening
    const targets = this.#rule.targets.map(({ to }) => formatTarget(to))
    const text = `${inRanges(listening)} → ${targets.join(', ')}`
    return { member: 'splice', text: verbatim(text), differs: [], data: { listening, targets } }
  }

  /** What the threads last said; a pause for want of descriptors is held, with a note. */
  verify(): Promise<Verdict> {
    const why = this.#whyLost()
    if (why)
      return Promise.resolve({
        state: 'lost',
        why: new NaruError('LISTEN_FAILED', { listen: formatListen(this.#rule.listen), why }),
      })
    const note = say('accepts nobody for now: this process is out of file descriptors')
    return Promise.resolve({ state: 'held', notes: this.#pausedThreads.size > 0 ? [note] : [] })
  }

  #whyLost(): Text | null {
    if (this.#state !== 'listening') return say('it was closed')
    return this.#failed === null ? null : verbatim(this.#failed)
  }

  /** Listening sockets do not run out. */
  renew(): Promise<void> {
    return Promise.resolve()
  }

  #endIfEmpty(): void {
    if (this.#state !== 'retired' || this.#unlistening !== null || this.open > 0) return
    this.#state = 'ended'
    for (let thread = 0; thread < this.#pool.size; thread++)
      this.#pool.post(thread, { type: 'forget', lease: this.number })
    this.#closeDatagrams()
    this.#numbers.forget(this)
  }

  #wake(): void {
    for (const look of this.#waiting) look()
  }

  /** Resolves once `done`, after `limitMs`, or with the signal. */
  #until(done: () => boolean, limitMs: number, signal?: AbortSignal): Promise<void> {
    if (done() || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const stop = (): void => {
        timer[Symbol.dispose]()
        wait?.[Symbol.dispose]()
        this.#waiting.delete(look)
        resolve()
      }
      const look = (): void => {
        if (done()) stop()
      }
      const timer = systemClock.after(limitMs, stop)
      const wait = signal && onAbort(signal, stop)
      this.#waiting.add(look)
    })
  }
}

function memoryFor(threads: number): RuleMemory {
  return {
    cells: allocateCells(threads),
    tally: SharedTally.allocate(),
    bucket: SharedBucket.allocate(),
    targetHealth: TargetHealth.allocate(threads),
  }
}
