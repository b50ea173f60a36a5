import { expect, it } from 'vitest'
import { Latest } from './latest.ts'

function counted(): { latest: Latest<number>; made: () => number } {
  let made = 0
  return { latest: new Latest(async () => ++made), made: () => made }
}

it('is made once for all who ask in the same turn', async () => {
  const { latest, made } = counted()
  expect(await Promise.all([latest.get(), latest.get(), latest.get()])).toEqual([1, 1, 1])
  expect(made()).toBe(1)
})

it('is made anew for who asks after it was begun', async () => {
  const { latest } = counted()
  expect(await latest.get()).toBe(1)
  expect(await latest.get()).toBe(2)
})

it('is taken as it is by who asked before it was begun and waited for its turn', async () => {
  const { latest, made } = counted()
  const asked = performance.now()
  await latest.get(asked)
  for (let turn = 0; turn < 1000; turn++) expect(await latest.get(asked)).toBe(1)
  expect(made()).toBe(1)
})

it('fails for who shared it alone', async () => {
  let fails = true
  const latest = new Latest(async () => {
    if (fails) throw new Error('out of luck')
    return 'made'
  })
  await expect(Promise.all([latest.get(), latest.get()])).rejects.toThrow('out of luck')
  fails = false
  expect(await latest.get()).toBe('made')
})
