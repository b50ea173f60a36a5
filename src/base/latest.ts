import { orAborted, stopped } from './single-flight.ts'

/**
 * An answer that is dear to make and the same for all who ask at once. Whoever asks gets one that was begun after it
 * asked, so that nobody misses a change of its own; those who wait meanwhile share the next.
 */
export class Latest<T> {
  readonly #make: () => Promise<T>
  readonly #keptMs: number
  #underWay: Made<T> | null = null
  #next: Promise<T> | null = null

  /** @param keptMs how long an answer is kept for those who wait in a line; who waits longer has one made anew */
  constructor(make: () => Promise<T>, keptMs = 1000) {
    this.#make = make
    this.#keptMs = keptMs
  }

  /** @param asked when, of `performance.now()`: who had to wait for its turn may take one that was begun meanwhile */
  get(asked: number = performance.now()): Promise<T> {
    if (this.#underWay && this.#underWay.begun > asked) return this.#underWay.value
    this.#next ??= this.#begin(this.#underWay)
    return this.#next
  }

  /** For one who may leave before: the answer is made all the same. @throws NaruError ABORTED */
  async getUntil(signal: AbortSignal, what: string, asked?: number): Promise<T> {
    if (signal.aborted) throw stopped(signal, what)
    return orAborted(this.get(asked), signal, what)
  }

  async #begin(before: Made<T> | null): Promise<T> {
    await before?.value.catch(() => {})
    // Those whose requests arrived in the same turn of the loop are served together.
    await new Promise((resolve) => setImmediate(resolve))
    this.#next = null
    const made = { begun: performance.now(), value: this.#make() }
    this.#underWay = made
    try {
      return await made.value
    } finally {
      setTimeout(() => this.#forget(made), this.#keptMs).unref()
    }
  }

  #forget(made: Made<T>): void {
    if (this.#underWay === made) this.#underWay = null
  }
}

interface Made<T> {
  readonly begun: number
  readonly value: Promise<T>
}

/** One `Latest` for each `of`, whose question is the same for all who ask it of that one. */
export function latestOf<K extends object, T>(
  what: string,
  make: (of: K) => Promise<T>,
): (of: K, signal: AbortSignal) => Promise<T> {
  const known = new WeakMap<K, Latest<T>>()
  return (of, signal) => {
    const latest = known.get(of) ?? new Latest(() => make(of))
    known.set(of, latest)
    return latest.getUntil(signal, what)
  }
}
