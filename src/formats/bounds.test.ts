import { describe, expect, it } from 'vitest'
import { importRules, mostImportBytes, readable } from './index.ts'

const fill = (unit: string): string => unit.repeat(Math.floor((mostImportBytes - 1) / unit.length))

/** Nothing that somebody hands us may take more than a moment, whatever it is taken for. */
describe.each(readable.map(({ id }) => id))('four megabytes of nonsense taken for %s', (from) => {
  it.each([
    ['spaces', ' '],
    ['empty lines', '\n'],
    ['colons', ':::::::::::\n'],
    ['open braces', '{\n'],
    ['open lists', '- ['.repeat(20) + '\n'],
    ['quotes', `"'\\`],
    ['digits', '1'],
    ['dashes', '--- --- ---\n'],
    ['angle brackets', '<>\n'],
    ['words in lines', 'server a b c d e f\n'],
  ])(
    'are done with quickly: %s',
    (_, unit) => {
      const started = performance.now()
      try {
        importRules(fill(unit), { from })
      } catch (error) {
        expect(error).toMatchObject({ code: 'IMPORT_INVALID' })
      }
      expect(performance.now() - started).toBeLessThan(30_000)
    },
    60_000,
  )
})

it('what is told from its content is told quickly', () => {
  for (const unit of [' ', '\n', ':', 'ipv4 ', '-', 'server ', '1 ', 'a:', '<', '\t\n']) {
    const started = performance.now()
    // An empty text is what a program prints that forwards nothing; anything else is refused.
    let found = 0
    try {
      found = importRules(fill(`${unit.repeat(1000)}\n`)).rules.length
      expect(unit.trim()).toBe('')
    } catch (error) {
      expect(error).toHaveProperty('code')
    }
    expect(found).toBe(0)
    expect(performance.now() - started).toBeLessThan(30_000)
  }
}, 60_000)

it('ten thousand forwards are read, one more is too many', () => {
  const rows = (count: number): string =>
    Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255} 80 10.1.0.1 80`).join('\n')
  const started = performance.now()
  expect(importRules(rows(10_000)).rules).toHaveLength(10_000)
  expect(performance.now() - started).toBeLessThan(30_000)
  expect(() => importRules(rows(10_001))).toThrow('10001:1: more than 10000 forwards')
}, 60_000)
