import { describe, expect, it } from 'vitest'
import { SwapList } from './swap-list.ts'

describe('a roll', () => {
  it('has who came and did not leave, whoever leaves', () => {
    const roll = new SwapList<{ place: number; name: number }>()
    const there = new Set<{ place: number; name: number }>()
    for (let name = 0; name < 1000; name++) {
      const item = { place: -1, name }
      roll.add(item)
      there.add(item)
      // Every third leaves again: of the first, of the last, and of those between.
      if (name % 3 === 0) {
        const leaving = [...there].at(name % 7 === 0 ? -1 : (name * 31) % there.size) as typeof item
        roll.remove(leaving)
        there.delete(leaving)
      }
      expect(roll.all().length).toBe(there.size)
    }
    expect(new Set(roll.all())).toEqual(there)
  })

  it('may lose whom one meets while it is walked', () => {
    const roll = new SwapList<{ place: number }>()
    for (let i = 0; i < 5; i++) roll.add({ place: -1 })
    for (const item of roll.all()) roll.remove(item)
    expect(roll.all().length).toBe(0)
  })
})
