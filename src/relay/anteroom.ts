/**
 * Where a client waits for a place within the limits. One that ends a connection and begins the next at once is heard of
 * again before its target has said goodbye to the first: it would be turned away for a connection that it has ended. So
 * whoever finds no place has a moment for one to be given back; never are there more at once than the limit says.
 */
import type { Clock } from '../base/clock.ts'
import type { Admitted, RefuseReason } from './admit.ts'

/** Enough for a target that answers FIN from the other side of the world; little for who is to be turned away. */
const mostWaitMs = 500
const firstLookMs = 2
const longestLookMs = 50
/** Those beyond are turned away at once: each holds a descriptor. */
const mostWaiting = 64

export class Anteroom {
  readonly #clock: Clock
  #waiting = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param reason why there was no place.
   * @param ask whether there is one by now; null where the client is gone, or nobody is to be let in any more.
   * @param done unless it is gone: with a ticket, or with the reason why not.
   * @returns false where a wait would be no use; then neither is called.
   */
  wait(reason: RefuseReason, ask: () => Admitted | null, done: (admitted: Admitted) => void): boolean {
    if (!isForPlace(reason) || this.#waiting >= mostWaiting) return false
    this.#waiting++
    this.#lookIn(firstLookMs, this.#clock.monotonic() + mostWaitMs, ask, done)
    return true
  }

  #lookIn(
    ms: number,
    giveUpAtMs: number,
    ask: () => Admitted | null,
    done: (admitted: Admitted) => void,
  ): void {
    this.#clock.after(ms, () => {
      const admitted = ask()
      const none = admitted?.ok === false && isForPlace(admitted.reason)
      if (none && this.#clock.monotonic() < giveUpAtMs)
        return this.#lookIn(Math.min(ms * 2, longestLookMs), giveUpAtMs, ask, done)
      this.#waiting--
      if (admitted) done(admitted)
    })
  }
}

function isForPlace(reason: RefuseReason): boolean {
  return reason === 'limit-source' || reason === 'limit-connections'
}
