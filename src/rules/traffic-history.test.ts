import { expect, it } from 'vitest'
import { noCounters } from './counters.ts'
import { momentMs, TrafficHistory } from './traffic-history.ts'

const moved = (name: string, bytes: number, open = 0) => ({
  name,
  counters: { ...noCounters, bytesToClient: bytes, open },
})

it('remembers the mean rate of each rule that moved, and the sum of all', () => {
  const history = new TrafficHistory()
  history.take([moved('a', 0), moved('b', 0)], { at: 0, monotonic: 0 })
  history.take([moved('a', 5000, 1), moved('b', 0)], { at: momentMs, monotonic: momentMs })
  expect(history.moments).toEqual([
    { at: 0, all: [0, 0, 0], rules: {} },
    { at: momentMs, all: [0, 1000, 1], rules: { a: [0, 1000, 1] } },
  ])
})

it('keeps a quarter of an hour, and of many rules the busiest', () => {
  const history = new TrafficHistory()
  for (let turn = 0; turn < 200; turn++) {
    const rules = Array.from({ length: 80 }, (_, index) => moved(`r${index}`, turn * 5 * index))
    history.take(rules, { at: turn * momentMs, monotonic: turn * momentMs })
  }
  const last = history.moments.at(-1)
  expect(history.moments).toHaveLength(180)
  expect(Object.keys(last?.rules ?? {})).toHaveLength(50)
  expect(last?.rules).toHaveProperty('r79', [0, 79, 0])
  expect(last?.all).toEqual([0, (79 * 80) / 2, 0])
})
