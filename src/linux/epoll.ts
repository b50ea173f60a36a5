/**
 * Readiness by epoll(7): a set of descriptors to wait on, each with a slot and a generation that come back with its
 * events.
 */
import {
  Arena,
  close,
  controlEpoll,
  createEpoll,
  epollEvent,
  waitForEvents,
  waitForEventsFinely,
  type Descriptor,
} from './libc.ts'

export const epollIn = 0x1
/** Urgent data. */
export const epollPriority = 0x2
export const epollOut = 0x4
export const epollError = 0x8
export const epollHangUp = 0x10
export const epollReadHangUp = 0x2000
/** One waiter is woken, not all of them (since Linux 4.5). */
export const epollExclusive = 1 << 28
export const epollEdge = 1 << 31

/** A set of descriptors to wait on; each carries a slot and a generation that come back with its events. */
export class Epoll {
  readonly #set: Descriptor
  readonly #events: Arena
  /** Waits of less than a millisecond are kept to (epoll_pwait2(2), since Linux 5.11); otherwise they are a whole one. */
  readonly waitsFinely: boolean

  /** @param most events that one wait gives. @throws Error where there is no descriptor or no memory for it */
  constructor(most: number) {
    const set = createEpoll()
    if (typeof set === 'number') throw new Error(`epoll_create1: errno ${-set}`)
    this.#set = set
    this.#events = Arena.allocate(most * epollEvent.words * 4)
    this.waitsFinely = waitForEventsFinely(set, this.#events, 0) >= 0
  }

  /** @returns 0 or an errno below zero. */
  add(descriptor: Descriptor, mask: number, slot: number, generation: number): number {
    return controlEpoll(this.#set, 'add', descriptor, mask, slot, generation)
  }

  modify(descriptor: Descriptor, mask: number, slot: number, generation: number): number {
    return controlEpoll(this.#set, 'modify', descriptor, mask, slot, generation)
  }

  remove(descriptor: Descriptor): number {
    return controlEpoll(this.#set, 'remove', descriptor, 0, 0, 0)
  }

  /** Waits at most `timeoutMs` ms. @returns how many events there are; 0 also after a signal. */
  wait(timeoutMs: number): number {
    const finely = timeoutMs > 0 && timeoutMs < 1 && this.waitsFinely
    const wait = finely ? waitForEventsFinely : waitForEvents
    return Math.max(0, wait(this.#set, this.#events, timeoutMs))
  }

  mask(event: number): number {
    return this.#events.words[event * epollEvent.words] as number
  }
  slot(event: number): number {
    return this.#events.words[event * epollEvent.words + epollEvent.dataWord] as number
  }
  generation(event: number): number {
    return this.#events.words[event * epollEvent.words + epollEvent.dataWord + 1] as number
  }

  /** What a ring may wait for: readable where there are events. */
  get readiness(): Descriptor {
    return this.#set
  }

  close(): void {
    close(this.#set)
  }
}
