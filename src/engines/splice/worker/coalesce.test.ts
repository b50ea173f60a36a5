import { describe, expect, it } from 'vitest'
import { Coalescing, ReadGathering } from './coalesce.ts'
import { Deadlines } from './deadlines.ts'
import type { Loop, Resumable } from './loop.ts'

/** Bytes a millisecond from which it pays. */
const from = 1000

function world({ waitsFinely = true, pace = from } = {}) {
  const resumed: Resumable[] = []
  const loop = {
    now: 0,
    waitsFinely,
    deadlines: new Deadlines(),
    again: (work: Resumable) => resumed.push(work),
  }
  const gathering = new ReadGathering(loop as unknown as Loop, pace)
  const looked: string[] = []
  const direction = (name: string) => new Coalescing(gathering, () => looked.push(name), 0)
  const pass = (ms: number) => {
    loop.now += ms
    loop.deadlines.expire(loop.now)
    for (const work of resumed.splice(0)) work.resume()
  }
  /** `bytes` come in within a millisecond, and nothing is left. */
  const come = (to: Coalescing, bytes: number) => {
    pass(1)
    if (bytes > 0) to.add(bytes)
    return to.pays(loop.now)
  }
  return { loop, looked, direction, pass, come }
}

describe('a direction in bulk', () => {
  it('gathers once it has been fast for 8 ms, and no longer than it is', () => {
    const { direction, come } = world()
    const it = direction('it')
    for (let ms = 1; ms < 8; ms++) expect(come(it, 1000)).toBe(false)
    expect(come(it, 1000)).toBe(true)
    expect(come(it, 1000)).toBe(true)
    expect(come(it, 900)).toBe(false)
    for (let ms = 1; ms < 8; ms++) expect(come(it, 1000)).toBe(false)
    expect(come(it, 1000)).toBe(true)
  })

  it('does not where nothing came while it did', () => {
    const { direction, come } = world()
    const it = direction('it')
    expect(come(it, 8000)).toBe(true)
    expect(come(it, 0)).toBe(false)
  })

  it('does not where the kernel knows no time below a millisecond', () => {
    const { direction, come } = world({ waitsFinely: false, pace: 0 })
    const it = direction('it')
    for (let ms = 1; ms < 20; ms++) expect(come(it, 1 << 30)).toBe(false)
  })

  it('looks again after a third of a millisecond, together with the others of its thread', () => {
    const { loop, looked, direction, pass } = world()
    const [first, second] = [direction('first'), direction('second')]
    first.gather()
    pass(0.2)
    second.gather()
    second.gather()
    expect(loop.deadlines.untilNext(loop.now, 1000)).toBeLessThan(0.15)
    expect(looked).toEqual([])
    pass(0.15)
    expect(looked).toEqual(['first', 'second'])
    expect(loop.deadlines.untilNext(loop.now, 1000)).toBe(1000)
    pass(1)
    expect(looked).toHaveLength(2)
    first.gather()
    pass(0.4)
    expect(looked).toEqual(['first', 'second', 'first'])
  })

  it('that has stopped is told of by epoll alone', () => {
    const { looked, direction, pass } = world()
    const it = direction('it')
    it.gather()
    expect(it.gathers).toBe(true)
    it.stop()
    expect(it.gathers).toBe(false)
    pass(1)
    expect(looked).toEqual([])
  })
})
