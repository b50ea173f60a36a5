/**
 * What flowed in the last 24 hours, a minute a moment: the means of the five-second moments that made it up. Of each
 * minute the busiest 50 rules are told apart, so that a day takes some 7 MB at most, however many rules there are.
 */
import type { TrafficFlow, TrafficMoment } from '../model/naru-api.ts'

const minuteMs = 60_000
const kept = 24 * 60
const rulesKept = 50

type Sums = [toTarget: number, toClient: number, mostOpen: number]

export class TrafficMinutes {
  readonly #minutes: TrafficMoment[] = []
  #sums = new Map<string, Sums>()
  #all: Sums = [0, 0, 0]
  #count = 0
  #endsAt: number | null = null

  /** @param moved the rules that moved, @param all of them together, @param at ms since the Unix epoch */
  take(moved: readonly (readonly [name: string, flow: TrafficFlow])[], all: TrafficFlow, at: number): void {
    this.#endsAt ??= at + minuteMs
    this.#count++
    add(this.#all, all)
    for (const [name, flow] of moved) {
      const sums = this.#sums.get(name)
      if (sums) add(sums, flow)
      else this.#sums.set(name, [...flow])
    }
    // A clock that was set back must not keep a minute open for hours.
    if (at >= this.#endsAt || at < this.#endsAt - 2 * minuteMs) this.#close(at)
  }

  /** A rule that was too quiet to be told apart in a minute is missing there; one that was silent has zeros. */
  of(rule: string | null): readonly TrafficMoment[] {
    return this.#minutes.map(({ at, all, rules }) => ({
      at,
      all,
      rules: rule === null ? {} : only(rule, rules),
    }))
  }

  #close(at: number): void {
    const count = this.#count
    const mean = ([toTarget, toClient, open]: Sums): TrafficFlow => [
      Math.round(toTarget / count),
      Math.round(toClient / count),
      open,
    ]
    const flows = [...this.#sums].map(([name, sums]) => [name, mean(sums)] as const)
    if (flows.length > rulesKept) flows.sort(([, a], [, b]) => weight(b) - weight(a)).length = rulesKept
    this.#minutes.push({ at, all: mean(this.#all), rules: Object.fromEntries(flows) })
    if (this.#minutes.length > kept) this.#minutes.shift()
    this.#sums = new Map()
    this.#all = [0, 0, 0]
    this.#count = 0
    this.#endsAt = at + minuteMs
  }
}

function only(rule: string, rules: TrafficMoment['rules']): TrafficMoment['rules'] {
  const flow = Object.hasOwn(rules, rule) ? rules[rule] : undefined
  if (flow) return { [rule]: flow }
  return Object.keys(rules).length < rulesKept ? { [rule]: [0, 0, 0] } : {}
}

function add(sums: Sums, [toTarget, toClient, open]: TrafficFlow): void {
  sums[0] += toTarget
  sums[1] += toClient
  sums[2] = Math.max(sums[2], open)
}

function weight([toTarget, toClient, open]: TrafficFlow): number {
  return toTarget + toClient + open
}
