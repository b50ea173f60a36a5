import { describe, expect, it } from 'vitest'
import type { Balance, TargetChoice } from '../model/rule.ts'
import { formatTarget, parseTarget } from '../model/target.ts'
import { Targets, type TargetState } from './pick.ts'

function choice(to: string, extra: Partial<TargetChoice> = {}): TargetChoice {
  return { to: parseTarget(to), weight: 1, backup: false, name: null, ...extra }
}

function names(states: readonly TargetState[]): string[] {
  return states.map(({ choice }) => formatTarget(choice.to))
}

const [a, b, c] = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'] as const

function firsts(
  targets: Targets,
  count: number,
  source = (at: number) => `10.1.0.${at}`,
): Record<string, number> {
  const tally: Record<string, number> = {}
  for (let at = 0; at < count; at++) {
    const [first] = names(targets.order(source(at), 0))
    tally[first!] = (tally[first!] ?? 0) + 1
  }
  return tally
}

describe('balance', () => {
  it('takes turns by weight, and evenly spread', () => {
    const targets = new Targets({ targets: [choice(a, { weight: 3 }), choice(b)], balance: 'round-robin' })
    const order = Array.from({ length: 8 }, () => names(targets.order('', 0))[0])
    expect(order).toEqual([a, a, b, a, a, a, b, a])
  })

  it('shares among all others what a dead one would have had, and gives that no more than its turn when it is back', () => {
    const targets = new Targets({ targets: [choice(a), choice(b), choice(c)], balance: 'round-robin' })
    const [dead] = targets.states
    const carried: Record<string, number> = {}
    // Thirty come at once, so that all of them still try it.
    const orders = Array.from({ length: 30 }, () => [...targets.order('', 0)])
    for (const order of orders) {
      if (order[0] === dead) {
        dead?.failed(0)
        targets.again(order, 1, '', 0)
        order.shift()
      }
      const [name] = names(order)
      carried[name!] = (carried[name!] ?? 0) + 1
    }
    expect(carried).toEqual({ [b]: 15, [c]: 15 })
    dead?.succeeded()
    expect(firsts(targets, 30)).toEqual({ [a]: 10, [b]: 10, [c]: 10 })
  })

  it('tries another turn among those that are as good, and neither a backup nor one that failed before', () => {
    const all = [choice(a), choice(b), choice(c), choice('10.0.0.4:80', { backup: true })]
    const targets = new Targets({ targets: all, balance: 'round-robin' })
    targets.states[2]!.failed(0)
    const order = [...targets.order('', 0)]
    targets.again(order, 1, '', 0)
    expect(names(order)).toEqual([a, b, '10.0.0.4:80', c])
    targets.again(order, 2, '', 0)
    targets.again(order, 4, '', 0)
    expect(names(order)).toEqual([a, b, '10.0.0.4:80', c])
  })

  it('prefers who has the fewest connections for its weight', () => {
    const targets = new Targets({
      targets: [choice(a, { weight: 2 }), choice(b)],
      balance: 'least-connections',
    })
    targets.states[0]!.open = 3
    targets.states[1]!.open = 1
    expect(names(targets.order('', 0))[0]).toBe(b)
    targets.states[1]!.open = 2
    expect(names(targets.order('', 0))[0]).toBe(a)
  })

  it('sends a source to the same target, spread by weight, and moves only those of a target that is gone', () => {
    const all = [choice(a, { weight: 2 }), choice(b), choice(c)]
    const targets = new Targets({ targets: all, balance: 'source-hash' })
    const source = (at: number) => `10.${at >> 8}.${at & 255}.7`
    const before = Array.from({ length: 4000 }, (_, at) => names(targets.order(source(at), 0))[0])
    const share = before.filter((one) => one === a).length / before.length
    expect(share).toBeGreaterThan(0.47)
    expect(share).toBeLessThan(0.53)
    const fewer = new Targets({ targets: all.slice(0, 2), balance: 'source-hash' })
    before.forEach((was, at) => {
      const is = names(fewer.order(source(at), 0))[0]
      if (was !== c) expect(is).toBe(was)
    })
  })

  it.each<Balance>(['round-robin', 'least-connections', 'source-hash'])(
    '%s offers every target in turn',
    (balance) => {
      const targets = new Targets({ targets: [choice(a), choice(b), choice(c)], balance })
      expect(names(targets.order('10.0.0.9', 0)).toSorted()).toEqual([a, b, c])
    },
  )
})

describe('a target that does not answer', () => {
  it('is tried last for a while, longer each time, and first again after', () => {
    const targets = new Targets({ targets: [choice(a), choice(b)], balance: 'round-robin' })
    const [first] = targets.states as [TargetState]
    first.failed(0)
    expect(firsts(targets, 10)).toEqual({ [b]: 10 })
    expect(names(targets.order('', 0))).toEqual([b, a])
    expect(first.answers(999)).toBe(false)
    expect(first.answers(1000)).toBe(true)
    first.failed(1000)
    expect(first.answers(2999)).toBe(false)
    first.succeeded()
    expect(first.answers(1001)).toBe(true)
  })

  it('is tried all the same where no other is left', () => {
    const targets = new Targets({ targets: [choice(a), choice(b)], balance: 'round-robin' })
    targets.states.forEach((state) => state.failed(0))
    expect(targets.order('', 0)).toHaveLength(2)
  })

  it('gives way to a backup only when all are down', () => {
    const targets = new Targets({ targets: [choice(a), choice(b, { backup: true })], balance: 'round-robin' })
    expect(names(targets.order('', 0))).toEqual([a, b])
    targets.states[0]!.up = false
    expect(names(targets.order('', 0))).toEqual([b, a])
  })

  it('is remembered across an edit', () => {
    const before = new Targets({ targets: [choice(a), choice(b)], balance: 'round-robin' })
    before.states[0]!.failed(0)
    before.states[0]!.open = 7
    const after = new Targets(
      { targets: [choice(b), choice(a, { weight: 5 }), choice(c)], balance: 'round-robin' },
      before,
    )
    const kept = after.states.find(({ choice }) => formatTarget(choice.to) === a)
    expect(kept).toMatchObject({ open: 7, failures: 1, choice: { weight: 5 } })
  })
})

describe('names', () => {
  const targets = new Targets({
    targets: [
      choice(a, { name: 'a.example.org' }),
      choice(b, { name: '*.example.org' }),
      choice(c, { name: '*.deep.example.org' }),
      choice('10.0.0.4:80'),
    ],
    balance: 'round-robin',
  })
  const served = (name: string | null) => names(targets.order('', 0, name))

  it('go to the exact one, then the longest wildcard, then the default', () => {
    expect(served('a.example.org')).toEqual([a])
    expect(served('A.EXAMPLE.ORG')).toEqual([a])
    expect(served('b.example.org')).toEqual([b])
    expect(served('x.deep.example.org')).toEqual([c])
    expect(served('example.org')).toEqual(['10.0.0.4:80'])
    expect(served('elsewhere.net')).toEqual(['10.0.0.4:80'])
    expect(served(null)).toEqual(['10.0.0.4:80'])
  })

  it('that nobody serves get nobody', () => {
    const strict = new Targets({ targets: [choice(a, { name: 'a.example.org' })], balance: 'round-robin' })
    expect(strict.order('', 0, 'b.example.org')).toEqual([])
    expect(strict.order('', 0, null)).toEqual([])
    expect(strict.order('', 0, 'a.example.org')).toHaveLength(1)
  })
})
