import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseListen } from '../model/listen.ts'
import { formatRule } from '../model/rule-format.ts'
import { readRule } from '../model/rule-file.ts'
import type { Rule } from '../model/rule.ts'
import { parseTarget } from '../model/target.ts'
import { exportRules, importRules, readable, writable } from './index.ts'

/** What begins a line, a word or a section somewhere, and what is no sign at all. */
const hostile = fc
  .array(
    fc.constantFrom(
      '\n',
      '\r',
      '\t',
      ' ',
      ';',
      '{',
      '}',
      '"',
      "'",
      '\\',
      '$(id)',
      '`id`',
      '#',
      ',',
      ':',
      '%',
      '!',
      '&',

      'listen evil',
      'bind :22',
      'server',
      '${HOME}',
      'unix@',
      '-j ACCEPT',
      'a',
      'b.c',
      '/',
      '/run/',
      '배',
      '\u0085',
      '\u2028',
      '\uD800',
      '\0',
      '\u001B[2J',
      'COMMIT',
      '10.0.0.9:22',
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => parts.join(''))
const path = fc.tuple(fc.constantFrom('', '/', '/tmp/'), hostile).map((parts) => parts.join(''))
const input = fc.record(
  {
    listen: fc.oneof(
      fc.constant('127.0.0.1:8000'),
      path.map((one) => `unix:${one}`),
    ),
    targets: fc
      .oneof(
        fc.constant({ to: '10.0.0.1:80' }),
        path.map((one) => ({ to: `unix:${one}` })),
        hostile.map((one) => ({ to: `${one}:80` })),
        hostile.map((one) => ({ to: `docker:${one}:80` })),
        hostile.map((name) => ({ to: '10.0.0.1:80', name })),
      )
      .map((target) => [target]),
    title: hostile,
    description: hostile,
    tags: hostile.map((one) => [one]),
  },
  { requiredKeys: ['listen', 'targets'] },
)
const rules: fc.Arbitrary<Rule[]> = fc
  .array(fc.tuple(fc.oneof({ weight: 5, arbitrary: fc.constant('') }, hostile), input), { maxLength: 4 })
  .map((some) => some.flatMap(([name, one], at) => readRule(name || `r${at}`, one).rule ?? []))

const forwards = (some: readonly Rule[]): string[] =>
  some.map((rule) => JSON.stringify([rule.listen, rule.targets.map(({ to, name }) => [to, name])])).toSorted()

describe.each(writable.map(({ id }) => id))('whatever strings rules hold, %s', (to) => {
  it('forwards what they do, and nothing else', () => {
    const from = readable.find(({ id }) => id === to)?.id
    fc.assert(
      fc.property(rules, (drawn) => {
        const some = [...new Map(drawn.map((rule) => [JSON.stringify(rule.listen), rule])).values()]
        const { text, rules: carried } = exportRules(to, some)
        for (const line of text.split('\n')) expect(line).not.toMatch(/[^\t -~]/)
        const plain = some.filter(({ name }) => carried.includes(name))
        if (to === 'socat') expect(text.split('\n').filter((line) => !socatLine.test(line))).toEqual([])
        else if (from) {
          const read = plain.length === 0 ? [] : importRules(text, { from }).rules
          const back = read.flatMap(({ name, rule }) => readRule(name, rule).rule ?? [])
          expect(forwards(back)).toEqual(forwards(plain))
        } else for (const rule of plain) expect(JSON.stringify(formatRule(rule))).not.toMatch(/unix:/)
      }),
      { numRuns: 400 },
    )
  })
})

const socatLine =
  /^(?:#.*|pids=.*|trap 'kill \$pids' EXIT|trap 'exit 0' INT TERM|wait|socat (?:-T \d+ )?[\w:.,=[\]/-]+ [\w:.,=[\]/-]+ &|)$/

it.each([
  ['a path', '/run/a\n  bind :22'],
  ['a half of a character', '/run/\uD800'],
  ['an end of C', '/run/a\0b'],
  ['a separator of lines', '/run/a\u2028b'],
])('%s that would break a line is no path', (_what, path) => {
  expect(() => parseListen(`unix:${path}`)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }))
  expect(() => parseTarget(`unix:${path}`)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }))
})
