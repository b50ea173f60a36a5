/**
 * Traffic of the last 15 minutes: what the daemon remembers of the time before this page was opened, five seconds a
 * moment, then each second as it comes.
 */
import type { TrafficFlow, TrafficMoment, TrafficSample } from '../../../src/model/naru-api.ts'
import { Watched } from './watched.ts'

export const keptMs = 15 * 60_000

export class TrafficSamples {
  /** Grows by one at each change: what to draw anew for. */
  readonly version = new Watched(0)
  #moments: TrafficMoment[] = []

  get moments(): readonly TrafficMoment[] {
    return this.#moments
  }

  add(at: number, samples: readonly TrafficSample[]): void {
    const all: [number, number, number] = [0, 0, 0]
    const rules: Record<string, TrafficFlow> = {}
    for (const { name, rate, counters } of samples) {
      const flow = [rate.toTarget, rate.toClient, counters.open] as const
      rules[name] = flow
      flow.forEach((value, index) => (all[index] = (all[index] ?? 0) + value))
    }
    this.#moments.push({ at, all, rules })
    this.#forget(at)
    this.version.set(this.version.value + 1)
  }

  /** What the daemon remembers, before the first moment that this page has seen itself. */
  fill(remembered: readonly TrafficMoment[]): void {
    const first = this.#moments[0]?.at ?? Number.POSITIVE_INFINITY
    this.#moments = [...remembered.filter(({ at }) => at < first), ...this.#moments]
    this.#forget(Date.now())
    this.version.set(this.version.value + 1)
  }

  #forget(now: number): void {
    const from = this.#moments.findIndex(({ at }) => at > now - keptMs)
    if (from > 0) this.#moments.splice(0, from)
  }
}
