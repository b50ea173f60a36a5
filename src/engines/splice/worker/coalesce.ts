/**
 * Wake-ups of directions whose bytes come in fast, put together as network cards do their interrupts: for a moment nobody
 * is told of what comes in, then all of it is moved at once. With one stream of iperf3 through 2 cores the thread sleeps
 * 500 instead of 3,000 times a gigabyte and takes 0.6 of the CPU time (docs/performance.md). Slower streams are told of at
 * once, and so are the end and a failure of any.
 */
import { Deadline } from './deadlines.ts'
import type { Loop, Resumable } from './loop.ts'

/** How long bytes gather, ms. At 50 Gbit/s they are 2 MB, a third of what Linux lets a receive buffer grow to (tcp_rmem). */
const gatherMs = 0.3
/** So many milliseconds' worth has to come in before it pays: a page or a file of some MB has ended by then. */
const provenMs = 8

/** The directions of one thread that gather, all until the same moment. */
export class ReadGathering {
  readonly #loop: Loop
  /** Bytes a millisecond that are fast. */
  readonly from: number
  readonly #deadline = new Deadline(this)
  #gathering: Resumable[] = []

  /** @param from bytes a millisecond; where the kernel has no fine deadlines nothing is fast enough */
  constructor(loop: Loop, from: number) {
    this.#loop = loop
    this.from = loop.waitsFinely ? from : Number.POSITIVE_INFINITY
  }

  /** `direction` is resumed after at most `gatherMs`. */
  add(direction: Resumable): void {
    this.#gathering.push(direction)
    if (!this.#deadline.set) this.#loop.deadlines.arm(this.#deadline, gatherMs, this.#loop.now)
  }

  onDeadline(): void {
    for (const direction of this.#gathering) this.#loop.again(direction)
    this.#gathering = []
  }
}

/** What one direction in bulk knows of its pace, and whether it gathers. */
export class Coalescing implements Resumable {
  readonly #gathering: ReadGathering
  readonly #onGathered: () => void
  #gathers = false
  #joined = false
  #fast = false
  #bytes = 0
  #since: number
  /** Bytes since nothing was left. */
  #fresh = 0

  constructor(gathering: ReadGathering, onGathered: () => void, now: number) {
    this.#gathering = gathering
    this.#onGathered = onGathered
    this.#since = now
  }

  /** Epoll is not asked to tell of what comes in. */
  get gathers(): boolean {
    return this.#gathers
  }

  add(bytes: number): void {
    this.#bytes += bytes
    this.#fresh += bytes
  }

  /** Asked where nothing is left. @returns whether it pays to let more come in before anybody looks again. */
  pays(now: number): boolean {
    const { from } = this.#gathering
    const slow = this.#fresh === 0 || this.#bytes < (now - this.#since) * from
    if (slow || this.#bytes >= provenMs * from) {
      this.#fast = !slow
      this.#bytes = 0
      this.#since = now
    }
    this.#fresh = 0
    return this.#fast
  }

  gather(): void {
    this.#gathers = true
    if (!this.#joined) this.#gathering.add(this)
    this.#joined = true
  }

  stop(): void {
    this.#gathers = false
  }

  resume(): void {
    this.#joined = false
    if (this.#gathers) this.#onGathered()
  }
}
