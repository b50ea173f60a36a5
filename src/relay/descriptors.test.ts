import { expect, it } from 'vitest'
import { systemClock, type Clock } from '../base/clock.ts'
import { countDescriptors, descriptorLimit, Descriptors, type DescriptorUser } from './descriptors.ts'

class Rule implements DescriptorUser {
  held = 0
  paused = 0
  resumed = 0
  readonly #all: Descriptors

  constructor(all: Descriptors) {
    this.#all = all
    all.register(this)
  }

  get accepting(): boolean {
    return this.paused === this.resumed
  }

  take(count: number): void {
    for (let at = 0; at < count; at++) {
      if (!this.accepting) return
      this.held++
      this.#all.took(1)
    }
  }

  give(count: number): void {
    this.held -= count
    this.#all.gave(count)
  }

  pause(): void {
    this.paused++
  }

  resume(): void {
    this.resumed++
  }
}

function machine(limit: number, others: number): { all: Descriptors; tick: () => void; rules: Rule[] } {
  let ticking: (() => void) | null = null
  let now = 0
  const clock: Clock = {
    ...systemClock,
    monotonic: () => (now += 1000),
    every(_ms, run) {
      ticking = run
      return { [Symbol.dispose]: () => void (ticking = null) }
    },
  }
  const rules: Rule[] = []
  const count = (): number => others + rules.reduce((sum, { held }) => sum + held, 0)
  return { all: new Descriptors({ limit, count, clock }), tick: () => ticking?.(), rules }
}

it('the greediest stops first, the modest go on, and all come back when there is room', () => {
  const { all, tick, rules } = machine(200, 50)
  const [greedy, modest] = [new Rule(all), new Rule(all)]
  rules.push(greedy, modest)
  modest.take(5)
  greedy.take(1000)
  expect(greedy.accepting).toBe(false)
  expect(all.free).toBeGreaterThan(10)
  modest.take(5)
  expect(modest.accepting).toBe(true)
  modest.take(50)
  expect(modest.accepting).toBe(false)
  expect(all.free).toBeGreaterThan(0)
  for (let at = 0; at < 5; at++) tick()
  expect([greedy.accepting, modest.accepting]).toEqual([false, false])
  greedy.give(60)
  tick()
  expect([greedy.accepting, modest.accepting]).toEqual([false, true])
  tick()
  expect([greedy.accepting, modest.accepting]).toEqual([true, true])
})

it('an EMFILE that came all the same stops everyone until there is room again', () => {
  const { all, tick, rules } = machine(200, 50)
  const rule = new Rule(all)
  rules.push(rule)
  all.exhausted()
  expect(rule.accepting).toBe(false)
  tick()
  expect(rule.accepting).toBe(true)
})

it('the limit is what the system says', () => {
  expect(descriptorLimit()).toBeGreaterThan(10)
})

it('goes on where nobody lists them, as without /proc', () => {
  const all = new Descriptors({ limit: 1000, count: () => countDescriptors('/no/such/folder') })
  const rule = new Rule(all)
  rule.take(500)
  expect(rule.accepting).toBe(true)
  rule.take(500)
  expect(rule.accepting).toBe(false)
})
