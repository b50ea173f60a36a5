/** What everything on one thread of the engine shares: the loop, buffers, pipes, records, and what to do when descriptors run out. */
import type { EngineState } from '../../contract.ts'
import type { Clock } from '../../../base/clock.ts'
import { Descriptors } from '../../../relay/descriptors.ts'
import { OwnDials, OwnStreamDials } from '../../../relay/own-dials.ts'
import type { RuleOnThread } from './rule-revision.ts'
import { ReadGathering } from './coalesce.ts'
import { Deadline } from './deadlines.ts'
import { Datagrams } from './datagrams.ts'
import { Arena } from '../../../linux/libc.ts'
import type { EventBatch } from './event-batch.ts'
import type { Loop } from './loop.ts'
import { Offloading } from './offloading.ts'
import type { Thresholds } from '../shared/messages.ts'
import { UdpReplies } from './udp-replies.ts'
import { Pipes } from './pipes.ts'
import type { Records } from '../shared/records.ts'

/** One read of a stream. 64 KiB stays in the second-level cache; a read that fills it means bulk. */
export const copyBytes = 65_536
/** Blocks that are kept for the next slow peer. */
const mostIdleBlocks = 64

export class Thread {
  readonly number: number
  readonly loop: Loop
  readonly records: Records
  readonly eventBatch: EventBatch
  readonly pipes = new Pipes()
  readonly buffer = Arena.allocate(copyBytes)
  readonly rulesOnThread = new Map<number, RuleOnThread>()
  /** The loop's own. */
  readonly clock: Clock
  readonly descriptors: Descriptors
  readonly tcpDials: OwnStreamDials
  readonly udpDials: OwnDials
  /** Most UDP sessions of one listener. */
  readonly mostSessions: number
  readonly thresholds: Thresholds
  /** Whoever pauses a rule's accepting tells the main thread. */
  readonly report: (lease: number, state: EngineState) => void
  readonly gathering: ReadGathering
  readonly offloading: Offloading
  readonly #idleBlocks: Arena[] = []
  #batches: { incoming: Datagrams; outgoing: Datagrams } | null = null
  #answers: UdpReplies | null = null

  constructor(options: {
    number: number
    loop: Loop
    records: Records
    eventBatch: EventBatch
    descriptorLimit: number
    dials: SharedArrayBuffer
    place: number
    thresholds: Thresholds
    report: (lease: number, state: EngineState) => void
    askOffload: () => void
    holdOffload: (device: number) => void
  }) {
    const { descriptorLimit: limit, loop } = options
    this.number = options.number
    this.loop = loop
    this.gathering = new ReadGathering(loop, options.thresholds.gatherFrom)
    this.offloading = new Offloading(loop, options.askOffload, options.holdOffload)
    this.records = options.records
    this.eventBatch = options.eventBatch
    this.report = options.report
    this.thresholds = options.thresholds
    this.mostSessions = Math.min(8192, Math.max(16, Math.floor(limit / 4)))
    this.clock = loopClock(loop)
    this.descriptors = new Descriptors({ limit, clock: this.clock })
    this.tcpDials = new OwnStreamDials(options.dials, options.place)
    this.udpDials = new OwnDials(options.dials)
  }

  /** Batches for UDP; most threads of most rules never need them. */
  get datagrams(): { incoming: Datagrams; outgoing: Datagrams } {
    this.#batches ??= { incoming: new Datagrams(64), outgoing: new Datagrams(64) }
    return this.#batches
  }

  get answers(): UdpReplies {
    this.#answers ??= new UdpReplies(this.datagrams.outgoing)
    return this.#answers
  }

  /** At the end of a turn. */
  flushAnswers(): void {
    this.#answers?.flush()
  }

  takeBlock(): Arena {
    return this.#idleBlocks.pop() ?? Arena.allocate(copyBytes)
  }

  /** Arenas are never freed, so all are kept; those beyond what is common give their pages back. */
  giveBlock(block: Arena): void {
    if (this.#idleBlocks.length >= mostIdleBlocks) Arena.forgetPages(block)
    this.#idleBlocks.push(block)
  }

  /** The system had none left: accepting stops until there are some again. */
  outOfDescriptors(): void {
    this.pipes.shrink(this.loop.now)
    this.descriptors.exhausted()
  }
}

/** The loop's own time and deadlines, as a clock: this thread's event loop never runs. */
function loopClock(loop: Loop): Clock {
  const after = (ms: number, run: () => void, again: boolean): Disposable => {
    const deadline = new Deadline({
      onDeadline() {
        if (again) loop.deadlines.arm(deadline, ms, loop.now)
        run()
      },
    })
    loop.deadlines.arm(deadline, ms, loop.now)
    return { [Symbol.dispose]: () => loop.deadlines.drop(deadline) }
  }
  return {
    now: () => Date.now(),
    monotonic: () => loop.now,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve, false)),
    every: (ms, run) => after(ms, run, true),
    after: (ms, run) => after(ms, run, false),
  }
}
