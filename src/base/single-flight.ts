/**
 * One question that many ask: whoever asks while it is under way gets the same answer. It ends early only when
 * everybody who waited for it has gone.
 */
import { NaruError } from './errors.ts'
import { onAbort } from './on-abort.ts'

export class SingleFlight<T> {
  readonly #ask: (signal: AbortSignal) => Promise<T>
  #current: Asked<T> | null = null

  readonly #what: string

  /** @param what what is said to have been stopped where nobody waits any more. */
  constructor(what: string, ask: (signal: AbortSignal) => Promise<T>) {
    this.#what = what
    this.#ask = ask
  }

  /** True while it is being asked. */
  get underWay(): boolean {
    return this.#current !== null
  }

  /** @throws NaruError ABORTED where the signal fires first; the others go on waiting */
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
      return await orAborted(current.answer, signal, this.#what)
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

/** `promise` itself goes on. @throws NaruError ABORTED where the signal fires first */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(stopped(signal, what))
    if (signal.aborted) stop()
    const wait = onAbort(signal, stop)
    promise.then(resolve, reject).finally(() => wait[Symbol.dispose]())
  })
}

export function stopped({ reason }: AbortSignal, what: string): NaruError {
  return reason instanceof NaruError ? reason : new NaruError('ABORTED', { what }, { cause: reason })
}
