/**
 * One thread's loop: it waits for events, hands each to whoever watches that descriptor, and runs what is due. A
 * watcher is known to epoll by slot and generation, so an event that was meant for one that is gone reaches nobody.
 * Streams of small messages may be received from by a ring; while there are any, that is what the loop waits in, and
 * epoll is one of those that it waits for.
 */
// The global is a getter, which each turn would ask twice.
import { performance } from 'node:perf_hooks'
import { BusyPoll } from './busy-poll.ts'
import { Deadlines } from './deadlines.ts'
import { Epoll } from '../../../linux/epoll.ts'
import { type Descriptor } from '../../../linux/libc.ts'
import { Ring, ringKind } from '../../../linux/io-uring.ts'

export abstract class Watcher {
  slot = -1
  generation = 0
  abstract onEvents(mask: number): void
}

/** Watches a stream that the ring may receive from, so that what comes in is there without asking. */
export abstract class Receiver extends Watcher {
  /**
   * @param result bytes in `buffer`, which is the watcher's until it gives it back; 0 at the end of the stream; or an
   *   errno below zero. @param more the ring receives on; otherwise epoll tells what it is asked to again.
   */
  abstract onReceived(result: number, buffer: number, more: boolean): void
  /** @param result bytes of `buffer` that were sent, or an errno below zero. */
  abstract onSent(result: number, buffer: number): void
}

/** Goes on with work that was put off so that others get their turn. */
export interface Resumable {
  resume(): void
}

/** Longest sleep: a thread in epoll_wait cannot be ended from outside, so it looks up now and then. */
const longestWaitMs = 1000
/** Events taken at once. */
const batch = 512
/** More events than these in a turn mean that nobody sleeps for want of a single answer. */
const crowd = 32

/** `performance.now()` begins anew in each thread; this is what all threads share. */
const monotonicOffset = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export class Loop {
  /** Monotonic milliseconds as of this turn, the same clock in every thread. */
  now = performance.now() + monotonicOffset
  readonly deadlines = new Deadlines()
  #wall = 0
  /** The turn that `#wall` is of. */
  #wallAt = Number.NaN
  readonly #epoll = new Epoll(batch)
  /** Null where the kernel has none; undefined until somebody wants it. */
  #ring: Ring | null | undefined
  /** Streams that the ring receives from, and what it sends: it completes each. */
  #inRing = 0
  /** The ring tells of epoll's events. */
  #ringPollsEpoll = false
  readonly #watchers: (Watcher | null)[] = []
  readonly #free: number[] = []
  #generation = 0
  #again: Resumable[] = []
  readonly #afterTurn: (() => number)[] = []
  readonly #onFault: (watcher: object, thrown: unknown) => void
  readonly #busyPoll: BusyPoll

  /**
   * @param onFault hears of a watcher that threw; the loop goes on.
   * @param busyPollMs how long it looks for events instead of sleeping, where that pays, ms
   */
  constructor(onFault: (watcher: object, thrown: unknown) => void, busyPollMs: number) {
    this.#onFault = onFault
    this.#busyPoll = new BusyPoll(busyPollMs)
  }

  /** Wall clock, milliseconds since 1970, as of this turn; asked of the system only where somebody wants it. */
  get wall(): number {
    if (this.#wallAt !== this.now) {
      this.#wall = Date.now()
      this.#wallAt = this.now
    }
    return this.#wall
  }

  /** Deadlines below a millisecond are met. */
  get waitsFinely(): boolean {
    return this.#epoll.waitsFinely
  }

  /** @returns 0 or an errno below zero (then nothing is watched). */
  watch(watcher: Watcher, descriptor: Descriptor, mask: number): number {
    const slot = this.#free.pop() ?? this.#watchers.length
    watcher.slot = slot
    watcher.generation = this.#generation = (this.#generation + 1) >>> 0
    this.#watchers[slot] = watcher
    const error = this.#epoll.add(descriptor, mask, slot, watcher.generation)
    if (error < 0) this.forget(watcher)
    return error
  }

  rewatch(watcher: Watcher, descriptor: Descriptor, mask: number): number {
    return this.#epoll.modify(descriptor, mask, watcher.slot, watcher.generation)
  }

  /** Events of `watcher` reach it no more. Closing the descriptor, or `unwatch`, ends them in the kernel. */
  forget(watcher: Watcher): void {
    if (watcher.slot === -1) return
    this.#watchers[watcher.slot] = null
    this.#free.push(watcher.slot)
    watcher.slot = -1
  }

  unwatch(watcher: Watcher, descriptor: Descriptor): void {
    if (watcher.slot === -1) return
    this.#epoll.remove(descriptor)
    this.forget(watcher)
  }

  /** From now on the ring receives from the stream, and epoll tells of no more than `mask`. @returns false where it cannot. */
  receive(receiver: Receiver, descriptor: Descriptor, mask: number): boolean {
    this.#ring = this.#ring === undefined ? openRing() : this.#ring
    if (!this.#ring?.serves(receiver.slot) || this.rewatch(receiver, descriptor, mask) < 0) return false
    this.#ring.receive(descriptor, receiver.slot, receiver.generation)
    this.#inRing++
    return true
  }

  /** Ends `receive`; until its last `onReceived` there may be more. */
  stopReceiving(receiver: Receiver): void {
    this.#ring?.cancel(receiver.slot, receiver.generation)
  }

  /** Only for who receives: `onSent` tells how it went, within the next turn. */
  send(receiver: Receiver, to: Descriptor, buffer: number, length: number): void {
    this.#ring?.send(to, buffer, length, receiver.slot, receiver.generation)
    this.#inRing++
  }

  received(buffer: number, from: number, length: number): Uint8Array {
    return (this.#ring as Ring).bytes(buffer, from, length)
  }

  giveBack(buffer: number): void {
    this.#ring?.giveBack(buffer)
  }

  /** `work.resume()` is called in the next turn, which does not wait. */
  again(work: Resumable): void {
    this.#again.push(work)
  }

  /** `run` is called at the end of each turn; it answers how long the next wait may be, in ms. */
  afterTurn(run: () => number): void {
    this.#afterTurn.push(run)
  }

  /** Events and completions of this turn. */
  happened = 0

  /** So much happened in this turn that work is better put together than done at once. */
  get crowded(): boolean {
    return this.happened > crowd
  }

  #wait = longestWaitMs

  /** Waits for events, at most until something is due, and serves them. */
  turn(longest = longestWaitMs): void {
    const wait =
      this.#again.length > 0 ? 0 : this.deadlines.untilNext(this.now, Math.min(this.#wait, longest))
    const count = this.#inRing > 0 ? this.#waitInRing(this.#ring as Ring, wait) : this.#waitInEpoll(wait)
    for (let event = 0; event < count; event++) this.#serve(event)
    this.#resume()
    this.#expire()
    this.#wait = longestWaitMs
    for (const run of this.#afterTurn) this.#wait = Math.min(this.#wait, run())
  }

  #waitInEpoll(wait: number): number {
    const count = this.#busyPoll.wait(this.#epoll, wait)
    this.now = performance.now() + monotonicOffset
    this.happened = count
    return count
  }

  /** @returns how many events epoll has. */
  #waitInRing(ring: Ring, wait: number): number {
    if (!this.#ringPollsEpoll) ring.poll(this.#epoll.readiness)
    this.#ringPollsEpoll = true
    const count = ring.enter(wait)
    this.now = performance.now() + monotonicOffset
    this.happened = count
    for (let i = 0; i < count; i++) this.#complete(ring, ring.completion(i))
    ring.seen(count)
    if (this.#ringPollsEpoll) return 0
    const events = this.#epoll.wait(0)
    // One of the completions told of them.
    this.happened += events - 1
    return events
  }

  #complete(ring: Ring, completion: number): void {
    const kind = ring.kind(completion)
    if (kind === ringKind.epoll) this.#ringPollsEpoll = false
    if (kind !== ringKind.received && kind !== ringKind.sent) return
    const result = ring.result(completion)
    const more = ring.more(completion)
    const buffer = kind === ringKind.sent ? ring.emptied(completion) : ring.filled(completion)
    if (!more) this.#inRing--
    const watcher = this.#watchers[ring.slot(completion)]
    if (watcher?.generation !== ring.generation(completion)) {
      if (kind === ringKind.sent || result > 0) ring.giveBack(buffer)
      return
    }
    try {
      if (kind === ringKind.sent) (watcher as Receiver).onSent(result, buffer)
      else (watcher as Receiver).onReceived(result, buffer, more)
    } catch (thrown) {
      this.#onFault(watcher, thrown)
    }
  }

  /** What `of` did went wrong, and who called it goes on. */
  fault(of: object, thrown: unknown): void {
    this.#onFault(of, thrown)
  }

  #serve(event: number): void {
    const watcher = this.#watchers[this.#epoll.slot(event)]
    if (!watcher || watcher.generation !== this.#epoll.generation(event)) return
    try {
      watcher.onEvents(this.#epoll.mask(event))
    } catch (thrown) {
      this.#onFault(watcher, thrown)
    }
  }

  #expire(): void {
    try {
      this.deadlines.expire(this.now)
    } catch (thrown) {
      // The one that threw has left its queue; the rest are due in the next turn.
      this.#onFault(this.deadlines, thrown)
    }
  }

  #resume(): void {
    if (this.#again.length === 0) return
    const due = this.#again
    this.#again = []
    for (const work of due) {
      try {
        work.resume()
      } catch (thrown) {
        this.#onFault(work, thrown)
      }
    }
  }

  close(): void {
    this.#ring?.close()
    this.#epoll.close()
  }
}

/** Null where the kernel has none, or a sandbox denies it: epoll does all of it. */
function openRing(): Ring | null {
  if (process.env.NARU_NO_IO_URING) return null
  try {
    return new Ring()
  } catch {
    return null
  }
}
