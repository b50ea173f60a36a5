/**
 * What is told of a hop, kept calm: a fault is told at once, its end only when it has lasted. A hop that comes and goes
 * is told as broken once and stays so, since whoever reads `ls` wants to know that it cannot be relied on.
 */

/** Between two changes of one hop at least this passes; and so long must a hop do well before it is told. */
export const dampingMs = 5000
/** A hop that broke again within this is doubted twice as long each time. */
const memoryMs = 300_000
const longestDoubtMs = 60_000

export type HealthChange = 'broke' | 'recovered'

/** Time comes in as a monotonic clock's milliseconds. `T` is what is wrong. */
export class FlapDamping<T> {
  #told: T | null = null
  #changedAt = -Infinity
  #wellSince: number | null = null
  #relapses = 0

  /** What stands told: null is "all is well". */
  get told(): T | null {
    return this.#told
  }

  /** Set while what is told is over and not yet believed. */
  get doubted(): boolean {
    return this.#told !== null && this.#wellSince !== null
  }

  /** How often it broke again, soon after it was well. */
  get relapses(): number {
    return this.#relapses
  }

  /** @param trouble what a look saw, null where all was well. @returns what is to be told */
  see(trouble: T | null, now: number): HealthChange | null {
    return trouble === null ? this.#well(now) : this.#ill(trouble, now)
  }

  #ill(trouble: T, now: number): HealthChange | null {
    if (this.#wellSince !== null && this.#told !== null) this.#relapses++
    this.#wellSince = null
    if (this.#told !== null) {
      this.#told = trouble
      return null
    }
    if (now - this.#changedAt < dampingMs) return null
    this.#relapses = now - this.#changedAt < memoryMs ? this.#relapses + 1 : 0
    return this.#tell(trouble, now)
  }

  #well(now: number): HealthChange | null {
    if (this.#told === null) return null
    this.#wellSince ??= now
    const doubtMs = Math.min(longestDoubtMs, dampingMs * 2 ** this.#relapses)
    if (now - this.#wellSince < doubtMs || now - this.#changedAt < dampingMs) return null
    this.#wellSince = null
    return this.#tell(null, now)
  }

  #tell(told: T | null, now: number): HealthChange {
    this.#told = told
    this.#changedAt = now
    return told === null ? 'recovered' : 'broke'
  }
}
