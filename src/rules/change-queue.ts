/**
 * The changes of one rule, one after the other; and what failed, tried again in its turn after 1 s, then after twice as
 * long each time. Whoever wants a change does not wait for such a try: it is called off.
 */
import { within, type Clock } from '../base/clock.ts'
import { firstRetryMs, lastRetryMs } from './run-tools.ts'

/** A whole round of what failed before. */
const retryLimitMs = 60_000

export interface ChangeQueueOptions {
  readonly clock: Clock
  /** Aborts when nothing may be begun any more. */
  readonly working: AbortSignal
  readonly retry: (signal: AbortSignal) => Promise<unknown>
}

export class ChangeQueue {
  readonly #options: ChangeQueueOptions
  #queue: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #later: Disposable | null = null
  /** A router that keeps silent takes ten seconds, a try at a time. */
  #retrying: AbortController | null = null
  #retryMs = firstRetryMs

  constructor(options: ChangeQueueOptions) {
    this.#options = options
  }

  /** Something is under way. */
  get isBusy(): boolean {
    return this.#waiting > 0
  }

  /** After everything before it, however that ended. */
  take<T>(run: () => Promise<T>): Promise<T> {
    this.#waiting++
    const next = this.#queue.then(run, run).finally(() => {
      this.#waiting--
    })
    this.#queue = next.catch(() => {})
    return next
  }

  /** In turn, and at once where a try of what failed before is under way. */
  takeBeforeRetry<T>(run: () => Promise<T>): Promise<T> {
    this.#retrying?.abort()
    this.#retrying = null
    return this.take(run)
  }

  retryLater(): void {
    const { clock } = this.#options
    this.#later = clock.after(this.#retryMs, () => this.retryNow())
    this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs)
  }

  retryNow(): void {
    if (this.#retrying || this.#options.working.aborted) return
    const retrying = new AbortController()
    this.#retrying = retrying
    void this.take(async () => {
      if (!retrying.signal.aborted) await within(retrying.signal, retryLimitMs, this.#options.retry)
    })
      .catch(() => {})
      .finally(() => {
        if (this.#retrying === retrying) this.#retrying = null
      })
  }

  /** No try is waited for any more; the next begins after `retryLater`. */
  forgetRetry(): void {
    this.#later?.[Symbol.dispose]()
  }

  /** Nothing failed: the next failure is tried again soon. */
  allWell(): void {
    this.#retryMs = firstRetryMs
  }
}
