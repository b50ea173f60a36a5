/**
 * A rule as one thread carries it. An edit makes a new revision: connections keep the one they came in under, the
 * counts and the targets' health go on.
 */
import type { Clock } from '../../../base/clock.ts'
import { Admission } from '../../../relay/admit.ts'
import { Anteroom } from '../../../relay/anteroom.ts'
import { maxReadOf, SharedBucket, type Bucket } from '../../../relay/bucket.ts'
import type { DescriptorUser } from '../../../relay/descriptors.ts'
import { Targets, type TargetState } from '../../../relay/pick.ts'
import type { PrefixTrie } from '../../../base/prefix-trie.ts'
import { proxiesOf, type Terms } from '../../../relay/terms.ts'
import { SharedTally } from '../../../relay/tally.ts'
import type { CloseReason } from '../../../model/connection.ts'
import type { Rule } from '../../../model/rule.ts'
import type { RuleMemory } from '../shared/messages.ts'
import { ResolveCache } from './resolve-cache.ts'
import { SwapList, type OnSwapList } from './swap-list.ts'
import { TargetHealth } from '../shared/target-health.ts'
import { cellsOf, reasonCell, sumOpen } from '../shared/records.ts'

/** A client's and a target's. */
export const descriptorsEach = 2

/** What a lease has on one thread. */
export class RuleOnThread implements DescriptorUser {
  readonly id: number
  readonly thread: number
  readonly cells: Float64Array
  readonly carried = new SwapList<Flow>()
  readonly listeners = new Set<Listening>()
  readonly names: ResolveCache
  readonly anteroom: Anteroom
  revision: RuleRevision
  /** Takes nobody new for now: descriptors are short. */
  paused = false
  readonly #allCells: SharedArrayBuffer
  readonly #onPaused: (paused: boolean) => void

  constructor(options: {
    id: number
    thread: number
    revision: number
    rule: Rule
    memory: RuleMemory
    slots: readonly number[]
    names: ResolveCache
    clock: Clock
    onPaused: (paused: boolean) => void
  }) {
    const { revision, rule, memory, slots } = options
    this.thread = options.thread
    this.id = options.id
    this.names = options.names
    this.anteroom = new Anteroom(options.clock)
    this.cells = cellsOf(memory.cells, options.thread)
    this.#allCells = memory.cells
    this.#onPaused = options.onPaused
    this.revision = new RuleRevision({ id: revision, ruleOnThread: this, rule, memory, slots, before: null })
  }

  update(revision: number, rule: Rule, memory: RuleMemory, slots: readonly number[]): void {
    const before = this.revision
    this.revision = new RuleRevision({ id: revision, ruleOnThread: this, rule, memory, slots, before })
  }

  /** Over all threads: the greediest rule is the same wherever one looks. */
  get held(): number {
    return descriptorsEach * sumOpen(this.#allCells)
  }

  pause(): void {
    this.paused = true
    for (const listening of this.listeners) listening.pause()
    this.#onPaused(true)
  }

  resume(): void {
    this.paused = false
    for (const listening of this.listeners) listening.resume()
    this.#onPaused(false)
  }

  count(reason: CloseReason): void {
    this.cells[reasonCell(reason)]!++
  }
}

/** A connection or a session. */
export interface Flow extends OnSwapList {
  readonly serial: number
  end(reason: CloseReason): void
}

export interface Listening {
  pause(): void
  resume(): void
  /** Takes what waits in the queue, or leaves it to a successor, and listens no more. */
  stop(queued: 'take' | 'leave', apart: boolean): void
  /** A successor reads the shared socket from now on. */
  yield?(): void
  /** There is no successor after all. */
  takeBack?(): void
}

export class RuleRevision implements Terms {
  readonly id: number
  readonly ruleOnThread: RuleOnThread
  readonly rule: Rule
  readonly admission: Admission
  readonly targets: Targets
  readonly bucket: Bucket | null
  /** Peers whose PROXY header is believed; null where the rule expects none at all. */
  readonly proxies: PrefixTrie | null
  /** Targets see the client's own address. */
  readonly keeps: boolean
  /** Most bytes to read at once. */
  readonly maxRead: number
  readonly timeouts: Rule['timeouts']
  readonly #targetHealth: TargetHealth
  readonly #slots: readonly number[]

  constructor(parts: {
    readonly id: number
    readonly ruleOnThread: RuleOnThread
    readonly rule: Rule
    readonly memory: RuleMemory
    readonly slots: readonly number[]
    /** Whose targets' state it goes on with. */
    readonly before: RuleRevision | null
  }) {
    const { id, ruleOnThread, rule, memory, slots, before } = parts
    this.#targetHealth = new TargetHealth(memory.targetHealth, ruleOnThread.thread)
    this.#slots = slots
    this.id = id
    this.ruleOnThread = ruleOnThread
    this.rule = rule
    this.admission = new Admission(rule, new SharedTally(memory.tally))
    this.targets = new Targets(rule, before?.targets)
    this.keeps = rule.source === 'keep'
    this.proxies = rule.acceptProxy.length > 0 ? proxiesOf(rule) : null
    const { bytesPerSecond } = rule.limits
    this.bucket = bytesPerSecond === null ? null : new SharedBucket(bytesPerSecond, memory.bucket)
    this.maxRead = maxReadOf(bytesPerSecond)
    // Made here and not where the message was read: the one shape that every event of every connection looks at.
    this.timeouts = { ...rule.timeouts }
  }

  /** Every target that may serve, in the order to try. */
  order(source: string, nowMs: number, name: string | null = null): readonly TargetState[] {
    if (this.targets.states.length === 1 && !this.targets.byName) return this.targets.states
    return this.#targetHealth.order(this.targets, this.#slots, source, nowMs, name)
  }

  /** As `Targets.again`: what is left of `order` takes another turn. */
  again(order: readonly TargetState[], from: number, source: string, nowMs: number): void {
    if (order.length - from > 1)
      this.#targetHealth.again(this.targets, this.#slots, order, from, source, nowMs)
  }

  failed(state: TargetState, nowMs: number): void {
    this.#targetHealth.failed(state, this.#slotOf(state), nowMs)
  }

  succeeded(state: TargetState): void {
    this.#targetHealth.succeeded(state, this.#slotOf(state))
  }

  /** As `TargetState.good`. */
  goodOf(state: TargetState): number {
    return this.#targetHealth.good(state, this.#slotOf(state))
  }

  found(state: TargetState, good: number): void {
    this.#targetHealth.found(state, this.#slotOf(state), good)
  }

  carries(state: TargetState, change: 1 | -1): void {
    this.#targetHealth.carries(state, this.#slotOf(state), change)
  }

  #slotOf(state: TargetState): number {
    return this.#slots[this.targets.states.indexOf(state)] ?? -1
  }
}
