/**
 * What flowed in the last 15 minutes, five seconds a moment, and in the last 24 hours, a minute a moment, so that a page that is opened now can show what was
 * before. Quiet rules cost nothing, and of very many busy ones only the busiest are told apart.
 */
import type { Counters } from '../model/connection.ts'
import type { TrafficFlow, TrafficMoment } from '../model/naru-api.ts'
import { Rates } from './counters.ts'
import { TrafficMinutes } from './traffic-minutes.ts'

export const momentMs = 5000
const keptMs = 15 * 60_000
const rulesKept = 50

export class TrafficHistory {
  readonly #rates = new Rates()
  readonly #moments: TrafficMoment[] = []
  readonly #minutes = new TrafficMinutes()

  get moments(): readonly TrafficMoment[] {
    return this.#moments
  }

  /** A day of a rule, or of all together. */
  minutes(rule: string | null): readonly TrafficMoment[] {
    return this.#minutes.of(rule)
  }

  /** @param at ms since the Unix epoch, @param monotonic ms that only go forward */
  take(
    rules: readonly { readonly name: string; readonly counters: Counters }[],
    { at, monotonic }: { at: number; monotonic: number },
  ): void {
    const flows = rules.map(({ name, counters }): [string, TrafficFlow] => {
      const { toTarget, toClient } = this.#rates.of(name, counters, monotonic)
      return [name, [toTarget, toClient, counters.open]]
    })
    const moved = flows.filter(([, [toTarget, toClient, open]]) => toTarget + toClient + open > 0)
    const all = sum(moved.map(([, flow]) => flow))
    this.#minutes.take(moved, all, at)
    const busiest =
      moved.length > rulesKept ? moved.sort((a, b) => weight(b) - weight(a)).slice(0, rulesKept) : moved
    this.#moments.push({ at, all, rules: Object.fromEntries(busiest) })
    while (this.#moments.length > keptMs / momentMs) this.#moments.shift()
  }

  forget(name: string): void {
    this.#rates.forget(name)
  }
}

function weight([, [toTarget, toClient, open]]: [string, TrafficFlow]): number {
  return toTarget + toClient + open
}

function sum(flows: readonly TrafficFlow[]): TrafficFlow {
  return flows.reduce<TrafficFlow>(
    (all, one) => [all[0] + one[0], all[1] + one[1], all[2] + one[2]],
    [0, 0, 0],
  )
}
