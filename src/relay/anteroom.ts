/**
 * Where a client waits for a place within the limits. One that ends a connection and begins the next at once is heard of
 * again before its target has said goodbye to the first: it would be turned away for a connection that it has ended. So
 * whoever finds no place has a moment for one to be given back; never are there more at once than the limit says.
 * Who waits with many makes room for who waits with fewer, so that one source cannot take the whole of it.
 */
import { sourceKey } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Admitted, RefuseReason } from './admit.ts'

/** Enough for a target that answers FIN from the other side of the world; little for who is to be turned away. */
const mostWaitMs = 500
const firstLookMs = 2
const longestLookMs = 50
/** Each holds a descriptor. */
const mostWaiting = 64

interface Waiting {
  /** A `sourceKey`. */
  readonly source: string
  readonly reason: RefuseReason
  readonly ask: () => Admitted | null
  readonly done: (admitted: Admitted) => void
  readonly giveUpAtMs: number
  lookInMs: number
  timer: Disposable | null
}

export class Anteroom {
  readonly #clock: Clock
  /** By source, who came first in front. */
  readonly #waiting = new Map<string, Set<Waiting>>()
  #size = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param address the client's.
   * @param reason why there was no place.
   * @param ask whether there is one by now; null where the client is gone, or nobody is to be let in any more.
   * @param done unless it is gone: with a ticket, or with the reason why not.
   * @returns false where a wait would be no use; then neither is called.
   */
  wait(
    address: string,
    reason: RefuseReason,
    ask: () => Admitted | null,
    done: (admitted: Admitted) => void,
  ): boolean {
    if (!isForPlace(reason)) return false
    const source = sourceKey(address)
    if (this.#size >= mostWaiting && !this.#makeRoomFor(source)) return false
    const giveUpAtMs = this.#clock.monotonic() + mostWaitMs
    const one = { source, reason, ask, done, giveUpAtMs, lookInMs: firstLookMs, timer: null }
    const others = this.#waiting.get(source)
    if (others) others.add(one)
    else this.#waiting.set(source, new Set([one]))
    this.#size++
    this.#lookIn(one)
    return true
  }

  #lookIn(one: Waiting): void {
    one.timer = this.#clock.after(one.lookInMs, () => {
      const admitted = one.ask()
      const none = admitted?.ok === false && isForPlace(admitted.reason)
      if (none && this.#clock.monotonic() < one.giveUpAtMs) {
        one.lookInMs = Math.min(one.lookInMs * 2, longestLookMs)
        return this.#lookIn(one)
      }
      this.#leave(one)
      if (admitted) one.done(admitted)
    })
  }

  #leave(one: Waiting): void {
    const others = this.#waiting.get(one.source)
    others?.delete(one)
    if (others?.size === 0) this.#waiting.delete(one.source)
    this.#size--
  }

  /** The last to come of whoever waits with most goes, unless the newcomer's would then be more. */
  #makeRoomFor(source: string): boolean {
    const crowd = [...this.#waiting.values()].reduce((a, b) => (b.size > a.size ? b : a))
    if (crowd.size <= (this.#waiting.get(source)?.size ?? 0) + 1) return false
    const last = [...crowd].at(-1) as Waiting
    last.timer?.[Symbol.dispose]()
    this.#leave(last)
    last.done({ ok: false, reason: last.reason })
    return true
  }
}

function isForPlace(reason: RefuseReason): boolean {
  return reason === 'limit-source' || reason === 'limit-connections'
}
