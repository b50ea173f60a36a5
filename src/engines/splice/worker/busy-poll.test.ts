import { describe, expect, it } from 'vitest'
import { BusyPoll } from './busy-poll.ts'

const look = 0.03

/** Events come `gapMs` after each wait began; who sleeps is awake `wakeMs` after them. */
function world({ lookMs = look, wakeMs = 0.018 } = {}) {
  let now = 0
  let arrives = 0
  let seen = { looks: 0, sleeps: 0 }
  /** Others have the core for so long during the next look. */
  let away = 0
  const epoll = {
    wait(ms: number) {
      if (ms === 0) {
        seen.looks++
        now += 0.001 + away
        away = 0
        return now >= arrives ? 1 : 0
      }
      seen.sleeps++
      const end = now + ms
      now = Math.max(now, Math.min(end, arrives + wakeMs))
      return now >= arrives ? 1 : 0
    },
  }
  const poll = new BusyPoll(lookMs, () => now)
  const turn = (gapMs: number, mostMs = 1000) => {
    arrives = now + gapMs
    const began = now
    const count = poll.wait(epoll, mostMs)
    return { count, took: now - began }
  }
  /** What `turns` of them take. */
  const turns = (count: number, gapMs: number) => {
    seen = { looks: 0, sleeps: 0 }
    const began = now
    for (let i = 0; i < count; i++) turn(gapMs)
    return { ...seen, ms: now - began }
  }
  return { turn, turns, leaveCore: (ms: number) => void (away = ms), pass: (ms: number) => void (now += ms) }
}

describe('busy polling', () => {
  it('takes the place of sleeps where events come within the look', () => {
    const { turns } = world()
    const first = turns(40, 0.015)
    expect(first.sleeps).toBeLessThanOrEqual(16)
    const then = turns(100, 0.015)
    expect(then.sleeps).toBe(0)
    expect(then.ms / 100).toBeCloseTo(0.015, 2)
  })

  it.each([0.04, 0.08])('looks seldom and in vain where they come %f ms after', (gap) => {
    const { turns } = world()
    const { sleeps, looks } = turns(1600, gap)
    expect(sleeps).toBe(1600)
    // One turn of 16, of 30 µs each.
    expect(looks).toBeLessThanOrEqual(100 * 31)
  })

  it('never where they come much later, and at once no more where they come later than they did', () => {
    const { turns } = world()
    expect(turns(1000, 5).looks).toBe(0)
    turns(1000, 0.01)
    expect(turns(1000, 5).looks).toBeLessThanOrEqual(8 * 31)
  })

  it('waits no longer than it is asked to, and tells of nothing', () => {
    const { turn, turns } = world()
    turns(1000, 0.01)
    expect(turn(5, 2).count).toBe(0)
    expect(turn(5, 2).took).toBeCloseTo(2, 1)
    const due = turn(5, 0.02)
    expect(due.took).toBeCloseTo(0.02)
  })

  it('rests where others want the core, ever longer while they do', () => {
    const { turns, turn, leaveCore, pass } = world()
    const isLooking = () => turns(100, 0.01).looks > 0
    const crowd = () => {
      turns(100, 0.01)
      for (let i = 0; i < 2; i++) {
        leaveCore(3)
        turn(0.01)
      }
    }
    turns(100, 0.01)
    leaveCore(3)
    turn(0.01)
    // Once in a while is nobody's core lost.
    expect(isLooking()).toBe(true)
    pass(1000)
    for (const rest of [1000, 2000, 4000]) {
      crowd()
      expect(isLooking()).toBe(false)
      pass(rest - 10)
      expect(isLooking()).toBe(false)
      pass(10)
      expect(isLooking()).toBe(true)
    }
    pass(60_000)
    crowd()
    pass(1000)
    expect(isLooking()).toBe(true)
  })

  it('is not done with 0', () => {
    expect(world({ lookMs: 0 }).turns(1000, 0.01).looks).toBe(0)
  })
})
