import { describe, expect, it } from 'vitest'
import { Deadline, Deadlines } from './deadlines.ts'

function recorder() {
  const expired: string[] = []
  const deadline = (name: string): Deadline => new Deadline({ onDeadline: () => expired.push(name) })
  return { expired, deadline }
}

describe('deadlines', () => {
  it('expire in order, each after its own time', () => {
    const deadlines = new Deadlines()
    const { expired, deadline } = recorder()
    deadlines.arm(deadline('late'), 1000, 0)
    deadlines.arm(deadline('soon'), 10, 0)
    deadlines.expire(9)
    expect(expired).toEqual([])
    deadlines.expire(10)
    expect(expired).toEqual(['soon'])
    deadlines.expire(1100)
    expect(expired).toEqual(['soon', 'late'])
  })

  it('never expire early, and at most a sixteenth late', () => {
    for (const ms of [0.3, 1, 7, 16, 17, 250, 999, 5000, 300_000]) {
      const deadlines = new Deadlines()
      const { expired, deadline } = recorder()
      deadlines.arm(deadline('it'), ms, 100)
      deadlines.expire(100 + ms - Math.min(ms, 0.5) / 2)
      expect(expired).toEqual([])
      deadlines.expire(100 + ms * (1 + 1 / 16) + 1)
      expect(expired).toEqual(['it'])
    }
  })

  it('move when armed again, and stay away when dropped', () => {
    const deadlines = new Deadlines()
    const { expired, deadline } = recorder()
    const [moved, dropped, other] = [deadline('moved'), deadline('dropped'), deadline('other')]
    for (const one of [moved, dropped, other]) deadlines.arm(one, 16, 0)
    deadlines.arm(moved, 16, 10)
    deadlines.drop(dropped)
    deadlines.expire(16)
    expect(expired).toEqual(['other'])
    deadlines.expire(26)
    expect(expired).toEqual(['other', 'moved'])
    expect(deadlines.untilNext(26, 1000)).toBe(1000)
  })

  it('tell how long the loop may sleep', () => {
    const deadlines = new Deadlines()
    const { deadline } = recorder()
    deadlines.arm(deadline('a'), 16, 0)
    expect(deadlines.untilNext(4, 1000)).toBe(12)
    expect(deadlines.untilNext(40, 1000)).toBe(0)
    expect(deadlines.untilNext(4, 5)).toBe(5)
    expect(deadlines.untilNext(4.5, 1000)).toBe(12)
    deadlines.arm(deadline('short'), 0.3, 4.5)
    expect(deadlines.untilNext(4.5, 1000)).toBe(0.3125)
  })
})
