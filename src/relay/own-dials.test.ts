import { expect, it } from 'vitest'
import { allocateDials, givePlace, OwnDials, OwnStreamDials, takePlace } from './own-dials.ts'

it('a client from a port that we dial from has one crossing more behind it', () => {
  const dials = new OwnDials(allocateDials())
  expect(dials.behind(40_000)).toBe(0)
  dials.leaves(40_000, dials.behind(50_000))
  dials.leaves(40_001, dials.behind(40_000))
  expect([dials.behind(40_000), dials.behind(40_001)]).toEqual([1, 2])
})

it('a port that we have left is a stranger’s', () => {
  const dials = new OwnDials(allocateDials())
  dials.leaves(40_000, 7)
  dials.ended(40_000)
  expect(dials.behind(40_000)).toBe(0)
})

it('a dial under way is known by where it goes, and then by where it comes from', () => {
  const memory = allocateDials()
  const [main, thread] = [new OwnStreamDials(memory), new OwnStreamDials(memory, 3)]
  thread.begins(80, 4)
  expect([main.behind(40_000, 80), main.behind(40_000, 81)]).toEqual([5, 0])
  thread.leaves(40_000, 4)
  expect([main.behind(40_000, 80), main.behind(40_001, 80)]).toEqual([5, 0])
  thread.begins(80, 4)
  thread.fails()
  thread.ended(40_000)
  expect(main.behind(40_000, 80)).toBe(0)
})

it('a dial that was made long ago is not what comes in from its port now', () => {
  let now = 5000
  const dials = new OwnStreamDials(allocateDials(), 0, () => now)
  dials.leaves(40_000, 7)
  now += 10
  expect(dials.behind(40_000, 80)).toBe(8)
  now += 1
  expect(dials.behind(40_000, 80)).toBe(0)
})

it('protocols have ports of their own', () => {
  const memory = allocateDials()
  new OwnStreamDials(memory).leaves(40_000, 0)
  expect(new OwnDials(memory).behind(40_000)).toBe(0)
})

it('of several dials that it may have come by, the one with most behind it counts', () => {
  const memory = allocateDials()
  for (const place of [1, 2, 3]) new OwnStreamDials(memory, place).begins(80, place === 2 ? 6 : 1)
  expect(new OwnStreamDials(memory).behind(40_000, 80)).toBe(7)
})

it('each thread has a place of its own, and a later one takes it after it', () => {
  const [one, two] = [takePlace(), takePlace()]
  expect(one).not.toBe(two)
  givePlace(one)
  expect(takePlace()).toBe(one)
  givePlace(one)
  givePlace(two)
})
