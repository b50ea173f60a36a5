import { describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Admitted } from './admit.ts'
import { Anteroom } from './anteroom.ts'

/** Nobody looks in until the test says so. */
class Still {
  #nowMs = 0
  readonly #due = new Set<{ atMs: number; run: () => void }>()
  readonly clock: Clock = {
    ...systemClock,
    monotonic: () => this.#nowMs,
    after: (ms, run) => {
      const one = { atMs: this.#nowMs + ms, run }
      this.#due.add(one)
      return { [Symbol.dispose]: () => void this.#due.delete(one) }
    },
  }

  pass(ms: number): void {
    this.#nowMs += ms
    for (const one of this.#due) {
      if (one.atMs > this.#nowMs) continue
      this.#due.delete(one)
      one.run()
    }
  }
}

const full: Admitted = { ok: false, reason: 'limit-connections' }

describe('where clients wait for a place', () => {
  function room() {
    const time = new Still()
    const anteroom = new Anteroom(time.clock)
    const turnedAway: string[] = []
    const come = (address: string, ask: () => Admitted | null = () => full): boolean =>
      anteroom.wait(address, 'limit-connections', ask, () => void turnedAway.push(address))
    return { time, come, turnedAway }
  }

  it('who comes alone may have all of it', () => {
    const { come } = room()
    const met = Array.from({ length: 65 }, () => come('192.0.2.1'))
    expect(met.filter(Boolean)).toHaveLength(64)
    expect(met.at(-1)).toBe(false)
  })

  it('the last of a crowd makes room for who waits with fewer, until both have as many', () => {
    const { come, turnedAway } = room()
    for (let at = 0; at < 64; at++) come('192.0.2.1')
    const met = Array.from({ length: 64 }, () => come('192.0.2.2'))
    expect(met.filter(Boolean)).toHaveLength(32)
    expect(turnedAway).toEqual(Array.from({ length: 32 }, () => '192.0.2.1'))
  })

  it.each([
    ['a /64', (at: number) => `2001:db8:0:1::${at.toString(16)}`],
    ['a link', (at: number) => `fe80::${at.toString(16)}%eth0`],
  ])('addresses of %s are one source', (_, address) => {
    const { come, turnedAway } = room()
    for (let at = 1; at <= 64; at++) come(address(at))
    expect(come(address(65))).toBe(false)
    expect(come('192.0.2.1')).toBe(true)
    expect(turnedAway).toEqual([address(64)])
  })

  it('who is gone leaves its place to others, and who found none in time is told', () => {
    const { time, come, turnedAway } = room()
    for (let at = 0; at < 63; at++) come('192.0.2.1', () => null)
    come('192.0.2.2')
    time.pass(2)
    for (let at = 0; at < 63; at++) expect(come('192.0.2.1')).toBe(true)
    expect(turnedAway).toEqual([])
    time.pass(500)
    expect(turnedAway).toContain('192.0.2.2')
  })
})
