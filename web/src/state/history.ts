/** Traffic of the last 15 minutes, a column a second: of all rules together, and of each that moved. */
import type { TrafficSample } from '../../../src/model/face.ts'
import { Watched } from './watched.ts'

export interface Moment {
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  /** By rule: bytes a second each way, and connections open. */
  readonly rules: ReadonlyMap<string, readonly [toTarget: number, toClient: number, open: number]>
}

const keptMs = 15 * 60_000

export class TrafficHistory {
  /** Grows by one at each change: what to draw anew for. */
  readonly version = new Watched(0)
  #moments: Moment[] = []

  get moments(): readonly Moment[] {
    return this.#moments
  }

  add(at: number, samples: readonly TrafficSample[]): void {
    const rules = new Map(
      samples.map(({ name, rate, counters }) => [
        name,
        [rate.toTarget, rate.toClient, counters.open] as const,
      ]),
    )
    this.#moments.push({ at, rules })
    this.#forget(at)
    this.version.set(this.version.value + 1)
  }

  /** What the daemon remembers of the time before this page was opened. */
  async fill(_signal: AbortSignal): Promise<void> {}

  #forget(now: number): void {
    const old = this.#moments.findIndex(({ at }) => at > now - keptMs)
    if (old > 0) this.#moments.splice(0, old)
  }
}
