/**
 * Looking for events a moment longer instead of sleeping, where they come sooner than falling asleep and waking take.
 * Here that makes 118,000 instead of 75,000 UDP round trips a second with 8 clients, at 0.95 of the CPU time for each,
 * and a lone TCP round trip 39 instead of 74 µs, at 1.2 of it (docs/performance.md). It looks only where it found
 * something so far, and leaves it where somebody else wants the core.
 */
// The global is a getter.
import { performance } from 'node:perf_hooks'

/** A sleep that is not longer, ms, may have been worth a look: an event within 30 µs, and a slow wake-up. */
const shortMs = 0.1
/** Trust moves by one with each short sleep, and by this with each look; below it there are no looks. */
const step = 16
const mostTrust = 8 * step
/** Whoever is away from its core for so long, ms, while it looks had to leave it to others. One may be the collector's. */
const awayMs = 1
const awayTwiceMs = 200
const [leastRestMs, mostRestMs] = [1000, 60_000]

export interface Waits {
  /** @returns how many events there are after `ms` at most; 0 ms is a look. */
  wait(ms: number): number
}

export class BusyPoll {
  readonly #lookMs: number
  readonly #now: () => number
  #trust = 0
  #awayAt = Number.NEGATIVE_INFINITY
  #restMs = leastRestMs
  #restUntil = Number.NEGATIVE_INFINITY

  /** @param lookMs how long is looked, ms; 0 is never */
  constructor(lookMs: number, now: () => number = () => performance.now()) {
    this.#lookMs = lookMs
    this.#now = now
  }

  wait(on: Waits, ms: number): number {
    if (this.#lookMs === 0 || ms <= this.#lookMs) return on.wait(ms)
    const began = this.#now()
    if (this.#trust >= step) {
      const found = this.#look(on, began)
      if (found > 0) return found
    }
    const count = on.wait(ms)
    const now = this.#now()
    if (now - began <= shortMs && now >= this.#restUntil) this.#trust++
    return count
  }

  #look(on: Waits, began: number): number {
    for (let now = began, before = began; now - began < this.#lookMs; before = now) {
      const count = on.wait(0)
      now = this.#now()
      if (now - before > awayMs) this.#wasAway(now)
      else if (count > 0) this.#trust = Math.min(mostTrust, this.#trust + step)
      if (count > 0) return count
    }
    this.#trust = Math.max(0, this.#trust - step)
    return 0
  }

  #wasAway(now: number): void {
    const again = now - this.#awayAt < awayTwiceMs
    this.#awayAt = now
    if (!again) return
    const soon = now - this.#restUntil < this.#restMs
    this.#restMs = soon ? Math.min(this.#restMs * 2, mostRestMs) : leastRestMs
    this.#restUntil = now + this.#restMs
    this.#trust = 0
  }
}
