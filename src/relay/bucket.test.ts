import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SharedBucket, TokenBucket, type Bucket } from './bucket.ts'

describe.each([
  ['local', (rate: number): Bucket => new TokenBucket(rate)],
  ['shared', (rate: number): Bucket => new SharedBucket(rate, SharedBucket.allocate())],
])('a %s bucket', (_kind, bucketOf) => {
  it('lets a tenth of a second through at once', () => {
    const bucket = bucketOf(1000)
    expect(bucket.spend(100, 0)).toBe(0)
    expect(bucket.spend(100, 0)).toBeCloseTo(100)
    expect(bucket.spend(0, 100)).toBeCloseTo(0)
  })

  it('saves nothing up while nobody spends', () => {
    const bucket = bucketOf(1000)
    expect(bucket.spend(1100, 100_000)).toBeCloseTo(1000)
  })

  it('keeps the rate for who waits as told', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 65_536 }), { minLength: 20, maxLength: 200 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 10_000, max: 10_000_000 }), (reads, rate) => {
        const bucket = bucketOf(rate)
        let now = 0
        for (const bytes of reads) now += bucket.spend(bytes, now)
        const ideal = (reads.reduce((sum, bytes) => sum + bytes, 0) / rate) * 1000
        expect(now).toBeGreaterThanOrEqual(ideal - 101)
        expect(now).toBeLessThanOrEqual(ideal + 1)
      }),
    )
  })
})
