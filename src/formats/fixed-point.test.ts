import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { importFormats, type ExportFormat, type ImportFormat } from '../model/import-export.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { Rule } from '../model/rule.ts'
import { formatRule } from '../model/rule-format.ts'
import { readRule } from '../model/rule-file.ts'
import { exportRules, importRules, readable, writable } from './index.ts'

const both = writable.map(({ id }) => id).filter((id) => (importFormats as readonly string[]).includes(id))

const port = fc.integer({ min: 1, max: 65_535 })
const host4 = fc.constantFrom('10.0.0.2', '10.0.0.3', '192.168.79.128', '127.0.0.1')
const host6 = fc.constantFrom('[fd00::2]', '[2001:db8::1]')
const host = fc.oneof({ weight: 4, arbitrary: host4 }, host6, fc.constant('db.example.org'))
const cidr = fc.constantFrom(
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.3',
  '0.0.0.0/0',
  'fd00::/8',
  '::/0',
  '192.168.1.0/24',
)
const listenPorts = fc.oneof(
  { weight: 4, arbitrary: port.map(String) },
  fc.integer({ min: 1000, max: 60_000 }).map((first) => `${first}-${first + 2}`),
)
const listen = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(
        fc.constantFrom('', '', '0.0.0.0:', '[::]:', '10.5.5.5:', '[fd00::5]:'),
        listenPorts,
        fc.constantFrom('', '/udp', '/tcp+udp'),
      )
      .map((parts) => parts.join('')),
  },
  fc.constant('unix:/run/a.sock'),
)
const place = (of: fc.Arbitrary<string>, ports: string): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(of, fc.constantFrom('80', '443', ports)).map((parts) => parts.join(':')),
    },
    fc.constant('unix:/run/b.sock'),
  )
const duration = fc.constantFrom('0', '500ms', '7s', '90s', '1h')
const goal = (ports: string): fc.Arbitrary<RuleInput> =>
  fc.oneof(
    { weight: 3, arbitrary: place(host, ports).map((target): RuleInput => ({ target })) },
    fc
      .array(
        fc.record(
          {
            to: place(host4, ports),
            weight: fc.integer({ min: 1, max: 9 }),
            backup: fc.boolean(),
            name: fc.constantFrom('a.example.org', '*.example.org', 'b.example.net'),
          },
          { requiredKeys: ['to'] },
        ),
        { minLength: 2, maxLength: 4 },
      )
      .map((targets): RuleInput => ({ targets })),
  )
const policy = fc.record(
  {
    balance: fc.constantFrom('round-robin', 'least-connections', 'source-hash'),
    health: fc.constant({ every: '5s', rise: 2, fall: 3 }),
    publish: fc.constant(true),
    allow: fc.array(cidr, { maxLength: 3 }),
    deny: fc.array(cidr, { maxLength: 3 }),
    limits: fc.record(
      { connections: port, perSource: port, newPerSecond: port, bandwidth: fc.constant('8mbit') },
      { requiredKeys: [] },
    ),
    timeouts: fc.record(
      {
        connect: fc.constantFrom('1s', '5s'),
        idle: duration,
        udp: fc.constantFrom('72s', '5m'),
        keepalive: fc.constantFrom('0', '60s', '90s'),
      },
      { requiredKeys: [] },
    ),
    source: fc.constantFrom('auto', 'relay', 'keep', 'proxy-v1', 'proxy-v2'),
    acceptProxy: fc.array(cidr, { maxLength: 2 }),
    enabled: fc.constantFrom(true, true, true, false),
  },
  { requiredKeys: [] },
)
const rule: fc.Arbitrary<RuleInput> = listen.chain((where) =>
  fc
    .tuple(goal(/[\d]+(?:-\d+)?(?=\/|$)/.exec(where)?.[0] ?? '80'), policy)
    .map(([to, more]): RuleInput => ({ listen: where, ...to, ...more })),
)
const names = ['web', 'ssh-2', 'a.b', 'x_y', '9']
const rules: fc.Arbitrary<Rule[]> = fc
  .array(rule, { minLength: 1, maxLength: names.length })
  .map((inputs) => inputs.flatMap((input, index) => readRule(names[index] as string, input).rule ?? []))

function read(text: string, from: ImportFormat): Rule[] {
  return importRules(text, { from }).rules.map(({ name, rule: input }) => {
    const parsed = readRule(name, input)
    if (!parsed.rule) throw new Error(JSON.stringify(parsed.problems))
    return parsed.rule
  })
}

const plain = (some: readonly Rule[]): unknown => some.map((one) => [one.name, formatRule(one)])

describe.each(both)('%s', (id) => {
  const format = id as ExportFormat & ImportFormat

  it('is told from its content, whatever rules are in it', () => {
    fc.assert(
      fc.property(rules, (some) => {
        const { text, rules: carried } = exportRules(format, some)
        fc.pre(carried.length > 0)
        expect(importRules(text)).toMatchObject({ format, detected: true })
      }),
      { numRuns: 60 },
    )
  })

  it('after one import, export and import change nothing any more', () => {
    fc.assert(
      fc.property(rules, (some) => {
        // One that is read switched off is not written until somebody has enabled it.
        const first = read(exportRules(format, some).text, format).filter(({ enabled }) => enabled)
        const text = exportRules(format, first)
        const second = read(text.text, format)
        expect(plain(second)).toEqual(plain(first))
        expect(exportRules(format, second).text).toBe(text.text)
        expect(text.losses.filter(({ leftOut }) => leftOut)).toEqual([])
      }),
      { numRuns: 150 },
    )
  })

  it('names each rule that it leaves out, and loses nothing else without a word', () => {
    fc.assert(
      fc.property(rules, (some) => {
        const { rules: carried, losses } = exportRules(format, some)
        const out = new Set(losses.filter(({ leftOut }) => leftOut).map(({ rule: name }) => name))
        expect(new Set([...carried, ...out])).toEqual(new Set(some.map(({ name }) => name)))
        expect(carried.length + out.size).toBe(some.length)
      }),
      { numRuns: 60 },
    )
  })
})

it('any text at all is refused or read, within its bounds', () => {
  const word = fc.constantFrom(
    'server',
    '{',
    '}',
    ';',
    'listen',
    'frontend',
    'bind',
    '*nat',
    '-A',
    'PREROUTING',
    '<',
    '>',
    '"',
    "'",
    '\\',
    '80',
    '10.0.0.1',
    '\n',
    ' ',
    'services:',
    'ports:',
    '-',
    '[',
    '&a',
    '*a',
  )
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 60 }),
      fc.constantFrom(...readable.map(({ id }) => id)),
      (words, from) => {
        try {
          importRules(words.join(' '), { from })
        } catch (error) {
          expect(error).toMatchObject({ code: 'IMPORT_INVALID' })
        }
      },
    ),
    { numRuns: 1500 },
  )
})
