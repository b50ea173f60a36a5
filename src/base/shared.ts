/**
 * One question that many ask: whoever asks while it is under way gets the same answer. It ends early only when
 * everybody who waited for it has gone.
 */
export class Shared<T> {
  readonly #ask: (signal: AbortSignal) => Promise<T>
  #current: Asked<T> | null = null

  constructor(ask: (signal: AbortSignal) => Promise<T>) {
    this.#ask = ask
  }

  /** True while it is being asked. */
  get underWay(): boolean {
    return this.#current !== null
  }

  /** Rejects with the signal's reason where that fires first; the others go on waiting. */
  get(signal: AbortSignal): Promise<T> {
    return this.#join((this.#current ??= this.#begin()), signal)
  }

  #begin(): Asked<T> {
    const stop = new AbortController()
    const current = { answer: this.#ask(stop.signal), stop, waiting: 0 }
    const over = (): void => {
      if (this.#current === current) this.#current = null
    }
    current.answer.then(over, over)
    return current
  }

  async #join(current: Asked<T>, signal: AbortSignal): Promise<T> {
    current.waiting++
    try {
      return await orAborted(current.answer, signal)
    } finally {
      if (--current.waiting === 0 && signal.aborted) {
        if (this.#current === current) this.#current = null
        current.stop.abort(signal.reason)
      }
    }
  }
}

interface Asked<T> {
  readonly answer: Promise<T>
  readonly stop: AbortController
  waiting: number
}

/** `promise`, or the signal's reason where that fires first; `promise` itself goes on. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
