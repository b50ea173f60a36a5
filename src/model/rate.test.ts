import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatBandwidth, parseBandwidth } from './rate.ts'

it('bandwidth is read back as it was written', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_250_000_000 }), (bytes) => {
      const back = parseBandwidth(formatBandwidth(bytes))
      expect(Math.abs(back - bytes)).toBeLessThanOrEqual(1)
    }),
  )
})

it.each([
  ['100mbit', 12_500_000],
  ['1gbit', 125_000_000],
  ['512kbit', 64_000],
  ['1.5mbit', 187_500],
  ['8bit', 1],
  [' 10Mbit ', 1_250_000],
])('%s is %i bytes a second', (text, bytes) => expect(parseBandwidth(text)).toBe(bytes))

it.each([
  '',
  '100',
  '100mb',
  '7bit',
  '0mbit',
  '-1mbit',
  '1e3kbit',
  '1,5mbit',
  'mbit',
  '1 mbit',
  '99999999999mbit',
])('%j is refused with a reason', (text) =>
  expect(() => parseBandwidth(text)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' })),
)
