import { expect, it } from 'vitest'
import { systemClock } from './clock.ts'
import { throttled } from './throttle.ts'

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5))
}

it('answers the first hint at once and a crowd of them once more', async () => {
  const at: number[] = []
  const life = new AbortController()
  const hint = throttled(async () => void at.push(performance.now()), {
    everyMs: 100,
    clock: systemClock,
    signal: life.signal,
  })
  for (let count = 0; count < 1000; count++) hint()
  expect(at).toHaveLength(1)
  await until(() => at.length === 2)
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(90)
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(at).toHaveLength(2)
  life.abort()
  hint()
  expect(at).toHaveLength(2)
})

it('runs once more where it was hinted at while it ran long, never two at once', async () => {
  const life = new AbortController()
  const ends: (() => void)[] = []
  const hint = throttled(() => new Promise((resolve) => ends.push(resolve)), {
    everyMs: 10,
    clock: systemClock,
    signal: life.signal,
  })
  hint()
  hint()
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(ends).toHaveLength(1)
  ends[0]?.()
  await until(() => ends.length === 2)
  life.abort()
})
