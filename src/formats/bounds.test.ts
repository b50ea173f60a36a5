import { describe, expect, it } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import type { ImportFormat } from '../model/import-export.ts'
import { importRules, mostImportBytes, readable } from './index.ts'

const fill = (unit: string): string => unit.repeat(Math.floor((mostImportBytes - 1) / unit.length))

/** @returns the number of rules, or null. */
function readOrRefused(text: string, from?: ImportFormat): number | null {
  try {
    return importRules(text, from ? { from } : {}).rules.length
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^IMPORT_/) })
    return null
  }
}

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
      expect(cpuMs(() => readOrRefused(fill(unit), from))).toBeLessThan(30_000)
    },
    60_000,
  )
})

it('what is told from its content is told quickly', () => {
  for (const unit of [' ', '\n', ':', 'ipv4 ', '-', 'server ', '1 ', 'a:', '<', '\t\n']) {
    let found: number | null = null
    const read = (): void => {
      found = readOrRefused(fill(`${unit.repeat(1000)}\n`))
    }
    expect(cpuMs(read)).toBeLessThan(30_000)
    // An empty text is what a program prints that forwards nothing; anything else is refused.
    expect([unit, found ?? 0]).toEqual([unit, 0])
    if (unit.trim() !== '') expect([unit, found]).toEqual([unit, null])
  }
}, 60_000)

it('ten thousand forwards are read, one more is too many', () => {
  const rows = (count: number): string =>
    Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255} 80 10.1.0.1 80`).join('\n')
  const read = (): void => expect(importRules(rows(10_000)).rules).toHaveLength(10_000)
  expect(cpuMs(read)).toBeLessThan(30_000)
  expect(() => importRules(rows(10_001))).toThrow('10001:1: more than 10000 forwards')
}, 60_000)

/** Lists and servers of few lines that hold for each of many forwards. */
describe('what a small file multiplies is read in a moment, or refused with its place', () => {
  const many = (count: number, line: (at: number) => string): string =>
    Array.from({ length: count }, (_, at) => line(at)).join('')
  const prefix = (at: number): string => `10.${at >> 8}.${at & 255}`
  const acls = many(1500, (at) => `  acl a src ::${at.toString(16)}\n`)
  const servers = many(1000, (at) => `  server s${at} 10.0.0.1:80\n`)
  it.each([
    [
      'rinetd',
      many(1500, (at) => `allow ${prefix(at)}.*\n`) + many(1500, (at) => `0.0.0.0 ${at + 1} 10.0.0.1 1\n`),
    ],
    [
      'rinetd',
      many(1500, (at) => `allow ${prefix(at)}.*\n`) +
        many(1500, (at) => `0.0.0.0 ${at + 1} 10.0.0.1 1\nallow ${prefix(at)}.1\n`),
    ],
    [
      'rinetd',
      many(50_000, (at) => `deny ${prefix(at)}.*\n`) +
        many(9000, (at) => `0.0.0.0 ${at + 1} 10.0.0.1 1\ndeny 11.0.0.1\n`),
    ],
    [
      'nginx',
      `stream { ${many(1500, (at) => `deny ${prefix(at)}.0/24; `)}${many(
        700,
        (at) => `server { listen ${at + 1}; proxy_pass 10.0.0.1:1; }`,
      )}}`,
    ],
    [
      'nginx',
      `stream { ${many(15_000, (at) => `deny ${prefix(at)}.0/24;\n`)}${many(
        6000,
        (at) => `server { listen ${at + 1}; proxy_pass 10.0.0.1:1; }\n`,
      )}}`,
    ],
    [
      'nginx',
      `stream { upstream u {${many(1000, (at) => `server 10.0.0.1:${at + 1};`)}} server { proxy_pass u;${many(
        3000,
        (at) => `listen ${at + 1};`,
      )}}}`,
    ],
    [
      'haproxy',
      `frontend f\n  bind :80\n${many(1000, (at) => `  use_backend b if { req.ssl_sni n${at} }\n`)}backend b\n${acls}  server s 10.0.0.1:80\n`,
    ],
    ['haproxy', `listen f\n  bind ${many(6000, (at) => `:${at + 1},`).slice(0, -1)}\n${servers}`],
    [
      'haproxy',
      `defaults\n${many(20_000, () => '  timeout connect 5s\n')}${many(
        5000,
        (at) => `listen f${at}\n  bind :${at + 1}\n  server s 10.0.0.1:80\n`,
      )}`,
    ],
    [
      'haproxy',
      `frontend f\n  bind :80\n${many(300, (line) => `  use_backend b if { req.ssl_sni ${many(50, (at) => `n${line * 50 + at} `)}}\n`)}backend b\n  server s 10.0.0.1:80\n`,
    ],
  ])(
    '%s %#',
    (from, text) => {
      expect(cpuMs(() => readOrRefused(text, from as ImportFormat))).toBeLessThan(10_000)
    },
    60_000,
  )
})
