import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Recency, type Linked } from './recency.ts'

class Thing implements Linked<Thing> {
  newer: Thing | null = null
  older: Thing | null = null
}

it('keeps things in the order of their last use, whatever comes and goes', () => {
  const step = fc.tuple(fc.constantFrom('add', 'use', 'remove'), fc.nat(1000))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const recency = new Recency<Thing>()
      const order: Thing[] = []
      for (const [what, at] of steps) {
        const thing = order[at % Math.max(order.length, 1)]
        if (what === 'add' || !thing) {
          const fresh = new Thing()
          recency.add(fresh)
          order.push(fresh)
          continue
        }
        order.splice(order.indexOf(thing), 1)
        if (what === 'use') {
          recency.used(thing)
          order.push(thing)
        } else recency.remove(thing)
      }
      const walked: Thing[] = []
      for (let thing = recency.oldest; thing; thing = thing.newer) walked.push(thing)
      expect(walked).toEqual(order)
      expect(recency.size).toBe(order.length)
      expect(recency.newest).toBe(order.at(-1) ?? null)
      expect(recency.findOldest((thing) => thing === order[1])).toBe(order[1] ?? null)
    }),
  )
})
