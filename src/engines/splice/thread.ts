/** What everything on one thread of the engine shares: the loop, buffers, pipes, records, and what to do when descriptors run out. */
import type { EngineState } from '../contract.ts'
import type { Carriage, Listening } from './edition.ts'
import { Deadline } from './deadlines.ts'
import { Arena, close, Datagrams, Descriptor, openSocket, familyInet } from './ffi.ts'
import type { Happenings } from './happenings.ts'
import type { Loop } from './loop.ts'
import { Answers } from './answers.ts'
import { Pipes } from './pipes.ts'
import type { Records } from './shared.ts'

/** One read of a stream. 64 KiB stays in the second-level cache; a read that fills it means bulk. */
export const copyBytes = 65_536
/** How often a thread without descriptors looks whether there are some again. */
const retryMs = 100
/** Blocks that are kept for the next slow peer. */
const mostIdleBlocks = 64

export class Thread {
  readonly number: number
  readonly loop: Loop
  readonly records: Records
  readonly happenings: Happenings
  readonly pipes = new Pipes()
  readonly buffer = Arena.allocate(copyBytes)
  readonly carriages = new Map<number, Carriage>()
  readonly #idleBlocks: Arena[] = []
  readonly #report: (lease: number, state: EngineState) => void
  /** Descriptor numbers from here on are left to the rest of the process. */
  readonly #highest: number
  /** Most UDP sessions of one listener. */
  readonly mostSessions: number
  readonly #retry = new Deadline({ onDeadline: () => this.#tryAgain() })
  #batches: { incoming: Datagrams; outgoing: Datagrams } | null = null
  #answers: Answers | null = null

  constructor(options: {
    number: number
    loop: Loop
    records: Records
    happenings: Happenings
    descriptorLimit: number
    report: (lease: number, state: EngineState) => void
  }) {
    this.number = options.number
    this.loop = options.loop
    this.records = options.records
    this.happenings = options.happenings
    this.#report = options.report
    const { descriptorLimit } = options
    this.mostSessions = Math.min(8192, Math.max(16, Math.floor(descriptorLimit / 4)))
    this.#highest = descriptorLimit - Math.min(32, Math.floor(descriptorLimit / 16))
  }

  /** Batches for UDP; most threads of most rules never need them. */
  get datagrams(): { incoming: Datagrams; outgoing: Datagrams } {
    this.#batches ??= { incoming: new Datagrams(64), outgoing: new Datagrams(64) }
    return this.#batches
  }

  get answers(): Answers {
    this.#answers ??= new Answers(this.datagrams.outgoing)
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

  /** True while nothing new is accepted because descriptors ran out. */
  get paused(): boolean {
    return this.#retry.set
  }

  /** Looks at a new descriptor's number: near the limit, the rest is left to others. */
  isLast(descriptor: Descriptor): boolean {
    return Descriptor.number(descriptor) >= this.#highest
  }

  /** Stops accepting until there are descriptors again. */
  outOfDescriptors(): void {
    if (this.paused) return
    this.pipes.shrink(this.loop.now)
    this.loop.deadlines.arm(this.#retry, retryMs, this.loop.now)
    for (const { id, listeners } of this.carriages.values()) {
      for (const listening of listeners) listening.pause()
      if (listeners.size > 0) this.#report(id, { state: 'paused', why: 'out-of-descriptors' })
    }
  }

  #tryAgain(): void {
    const probe = openSocket(familyInet, 'stream')
    const enough = typeof probe !== 'number' && !this.isLast(probe)
    if (typeof probe !== 'number') close(probe)
    if (!enough) return this.loop.deadlines.arm(this.#retry, retryMs, this.loop.now)
    for (const { id, listeners } of this.carriages.values()) {
      for (const listening of listeners) listening.resume()
      if (listeners.size > 0) this.#report(id, { state: 'carrying' })
    }
  }
}

export type { Listening }
