import { expect, it } from 'vitest'
import type { TrafficFlow } from '../model/naru-api.ts'
import { TrafficMinutes } from './traffic-minutes.ts'

const stepMs = 5000
const perMinute = 12

/** The same flows for so many minutes, beginning at 0. */
function fed(minutes: number, moved: readonly (readonly [string, TrafficFlow])[]): TrafficMinutes {
  const history = new TrafficMinutes()
  const all: TrafficFlow = [0, moved.reduce((sum, [, flow]) => sum + flow[1], 0), moved.length]
  for (let step = 0; step <= minutes * perMinute; step++) history.take(moved, all, step * stepMs)
  return history
}

it('remembers the mean of each minute, and the most that was open in it', () => {
  const history = new TrafficMinutes()
  for (let step = 0; step <= perMinute; step++) {
    const flow: TrafficFlow = [step < 7 ? 1300 : 0, 26, step === 3 ? 9 : 1]
    history.take([['a', flow]], flow, step * stepMs)
  }
  expect(history.of('a')).toEqual([{ at: 60_000, all: [700, 26, 9], rules: { a: [700, 26, 9] } }])
  expect(history.of(null)).toEqual([{ at: 60_000, all: [700, 26, 9], rules: {} }])
})

it('keeps a day', () => {
  const history = fed(26 * 60, [['a', [0, 10, 1]]])
  expect(history.of('a')).toHaveLength(24 * 60)
  expect(history.of('a')[0]?.at).toBeGreaterThan(60 * 60_000)
})

it('tells of ten thousand rules the busiest, and does not call the others silent', () => {
  const history = fed(
    2,
    Array.from({ length: 10_000 }, (_, index) => [`r${index}`, [0, index + 1, 0]]),
  )
  expect(history.of('r9999').at(-1)?.rules).toEqual({ r9999: [0, 10_000, 0] })
  expect(history.of('r1').at(-1)?.rules).toEqual({})
  expect(history.of('r1').at(-1)?.all[1]).toBe((10_000 * 10_001) / 2)
})

it('calls a rule silent that did not move, whatever it is called', () => {
  const history = fed(1, [['a', [0, 10, 1]]])
  expect(history.of('constructor').at(-1)?.rules).toEqual({ constructor: [0, 0, 0] })
})

it('goes on after the clock was set back', () => {
  const history = new TrafficMinutes()
  for (let step = 0; step <= perMinute; step++) history.take([], [0, 0, 0], 1e12 + step * stepMs)
  for (let step = 0; step <= 2 * perMinute; step++) history.take([], [0, 0, 0], 1e9 + step * stepMs)
  expect(history.of(null).length).toBeGreaterThanOrEqual(3)
})
