import { describe, expect, it } from 'vitest'
import { systemClock, withLimit } from './clock.ts'

const monthMs = 30 * 86_400_000

describe('a month, which no timer of Node holds', () => {
  it('is waited for, and is not over at once', async () => {
    let [every, after] = [0, 0]
    const limit = withLimit(undefined, monthMs)
    using _every = systemClock.every(monthMs, () => every++)
    using _after = systemClock.after(monthMs, () => after++)
    // Time enough for a timer of one millisecond, which is what Node makes of it.
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect([every, after, limit.aborted]).toEqual([0, 0, false])
  })
})
