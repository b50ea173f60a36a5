/** docs/cli.md, docs/errors.md, docs/rules.md and docs/api.md, made from the definitions and the tables of codes, keys and routes. */
import { withBothParticles } from '../base/particle.ts'
import type { CodeEntry } from '../base/codes/entry.ts'
import { codes } from '../base/codes/index.ts'
import { koreanOf } from '../base/korean.ts'
import { say, type Language, type Text } from '../base/text.ts'
import { routes } from '../api/protocol/routes.ts'
import { ruleSchema } from '../model/rule-keys/index.ts'
import type { JsonSchema } from '../model/schema.ts'
import { variableTable } from './environment.ts'
import { optionText, optionUsage, usageLine } from './help.ts'
import { globalOptions } from './options.ts'
import type { Verb } from './verb.ts'

const generated = '<!-- Made by `node scripts/generate.mjs` from the source. Edit there. -->'

export function commandReference(verbs: readonly Verb[], language: Language): string {
  const t = (text: Text): string => text[language]
  const print = { say: t }
  const sections = verbs
    .filter(({ hidden }) => !hidden)
    .flatMap((verb) => [verbSection(verb, `naru ${verb.name}`, '##', print)])
  return `${[
    generated,
    '',
    `# ${t(say('Commands'))}`,
    '',
    t(
      say(
        'Data goes to stdout, talk and errors to stderr. `--json` is stable: keys are added, never taken away or given another meaning; an error is `{"error": {code, message, fix, details}}` on stderr. Off a terminal nothing is ever asked.',
      ),
    ),
    '',
    `| ${t(say('exit code'))} | ${t(say('meaning'))} |`,
    '|---|---|',
    ...exitCodes.map(([code, text]) => `| ${code} | ${t(text)} |`),
    '',
    `## ${t(say('Everywhere'))}`,
    '',
    ...optionTable(globalOptions, print),
    '',
    `## ${t(say('Environment'))}`,
    '',
    t(
      say(
        'An option counts before its variable, the variable before the file. The service of `naru service install` reads them from `/etc/default/naru`.',
      ),
    ),
    '',
    ...variableTable(t),
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()}\n`
}

const exitCodes: readonly [number, Text][] = [
  [0, say('done')],
  [1, say('failed')],
  [2, say('usage, or an invalid file')],
  [3, say('some hops failed')],
  [4, say('not permitted')],
  [5, say('address in use')],
]

type Say = { readonly say: (text: Text) => string }

function verbSection(verb: Verb, command: string, level: string, print: Say): string {
  const lines = [`${level} ${command}`, '', sentence(print.say(verb.summary)), '']
  if (verb.about) lines.push(print.say(verb.about), '')
  if (verb.run) lines.push('```', usageLine(verb, command), '```', '')
  const args = verb.arguments ?? []
  if (args.length > 0) {
    lines.push('| | |', '|---|---|')
    lines.push(...args.map(({ name, text }) => `| \`${name}\` | ${cell(print.say(text))} |`), '')
  }
  if (verb.options?.length) lines.push(...optionTable(verb.options, print), '')
  for (const { command: example, text } of verb.examples ?? [])
    lines.push(`    ${example}`, '', print.say(text), '')
  if (verb.json) lines.push(`\`--json\`: ${print.say(verb.json)}`, '')
  for (const inner of verb.verbs ?? [])
    lines.push(verbSection(inner, `${command} ${inner.name}`, '###', print))
  return lines.join('\n')
}

function optionTable(options: NonNullable<Verb['options']>, print: Say): string[] {
  return [
    '| | |',
    '|---|---|',
    ...options.map(
      (option) =>
        `| \`${optionUsage(option).replaceAll('|', '\\|')}\` | ${cell(optionText(option, print))} |`,
    ),
  ]
}

const inKorean = (english: string): string => withBothParticles(koreanOf(english) ?? english)

export function errorReference(): string {
  const rows = Object.entries<CodeEntry>(codes).sort(([a], [b]) => (a < b ? -1 : 1))
  return `${[
    generated,
    '',
    '# Errors',
    '',
    'A code is forever. Programs branch on it, people read the sentence. `{…}` is filled in.',
    '',
    '코드는 바뀌지 않습니다. 프로그램은 코드로 판단하고 사람은 문장을 읽습니다. `{…}`에는 값이 들어갑니다.',
    '',
    ...rows.flatMap(([code, { exit, text, fix }]) => [
      `## ${code}`,
      '',
      `exit ${exit}`,
      '',
      `- ${line(text)}`,
      `- ${line(inKorean(text))}`,
      ...(fix ? ['', `→ ${line(fix)}`, '', `→ ${line(inKorean(fix))}`] : []),
      '',
    ]),
  ]
    .join('\n')
    .trimEnd()}\n`
}

const rights = {
  look: 'look-only',
  full: 'full',
  none: 'none yet',
}

export function apiReference(): string {
  return `${[
    generated,
    '',
    '# Routes of the API',
    '',
    'How one asks, with which token, and what comes back: [howto/api-and-metrics.md](howto/api-and-metrics.md). Every shape is in `/api/openapi.json`. A look that asks the internet, or the doctor about names or an address, wants the full token.',
    '',
    '| route | token | |',
    '|---|---|---|',
    ...Object.values(routes).map(
      ({ method, path, right, summary }) =>
        `| \`${method.toUpperCase()} ${path}\` | ${rights[right]} | ${cell(summary)} |`,
    ),
  ].join('\n')}\n`
}

export function ruleReference(): string {
  return `${[
    generated,
    '',
    '# The keys of a rule',
    '',
    'In `naru.yaml` under `rules: NAME:`, in the API and with `--set`. Unknown keys are errors. `naru.schema.json` in the package says the same to editors.',
    '',
    '| key | value | default | meaning |',
    '|---|---|---|---|',
    ...keyRows(ruleSchema, ''),
    '',
    '# Beside the rules',
    '',
    '| key | value | default | meaning |',
    '|---|---|---|---|',
    ...besideRules(),
    '',
    ...howItIsRead,
  ].join('\n')}\n`
}

const howItIsRead = [
  '# Units',
  '',
  '| what | how it is written |',
  '|---|---|',
  '| durations | `250ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`; a number alone is seconds |',
  '| rates | `512kbit`, `100mbit`, `1gbit`: bits a second, by thousands |',
  '| ports | `8888`, `8000-8100`; behind a listen `/tcp`, `/udp` or `/tcp+udp`, without it TCP |',
  '| addresses | `192.168.0.10`, `[2001:db8::1]`; ranges of them `192.168.0.0/16`, `2001:db8::/32` |',
  '| times | with their offset: `2026-12-24T18:00:00+09:00`, `2026-12-24T09:00:00Z` |',
  '',
  '# An example',
  '',
  '```yaml',
  'rules:',
  '  shop:',
  '    title: the shop',
  '    listen: 8443',
  '    targets: [{ to: 10.0.0.2:443, weight: 2 }, { to: 10.0.0.3:443, backup: true }]',
  '    health: { every: 5s, rise: 1, fall: 2 }',
  '    publish: { firewall: auto, router: auto, externalPort: 443 }',
  '    deny: [203.0.113.0/24]',
  '    limits: { connections: 1000, perSource: 50, bandwidth: 100mbit }',
  '    timeouts: { connect: 3s, idle: 10m }',
  '    until: 2026-12-24T18:00:00+09:00',
  '```',
  '',
  '# Who may come in',
  '',
  'The longest prefix among `allow` and `deny` that holds the client decides; of one prefix in both, `deny` stays. A client in neither comes in only where there is no `allow`. `::ffff:10.0.0.0/104` is `10.0.0.0/8`; other IPv6 prefixes are of IPv6 clients alone, so everybody is `0.0.0.0/0` and `::/0`. Addresses in lists have no zone. `limits.perSource` takes an IPv6 /64 for one source, and all link-local addresses of one link. A rule with `limits` is carried in user space: the kernel cannot count as they do (docs/connections.md).',
  '',
  '# Targets by name',
  '',
  'The first TLS hello or HTTP request of a connection decides for all of it: later requests of the same connection go where the first went. What names nobody, is neither TLS nor HTTP, or says nothing within `timeouts.hello` goes to the targets without a name; servers that speak first are met so. Of an absolute URL its host counts, before `Host`. Of a head over 32 KiB the `Host` in that much of it decides; without one the answer is 431. Who asks for a name that nobody serves is told so: 421, or the TLS alert `unrecognized_name`.',
]

function besideRules(): string[] {
  const { rules: _rules, ...properties } = fileSchema()['properties'] as Record<string, JsonSchema>
  return keyRows({ properties }, '')
}

function keyRows(schema: JsonSchema, prefix: string): string[] {
  return Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>).flatMap(
    ([key, value]) => {
      const { description, default: usual, ...shape } = value
      const name = `${prefix}${key}`
      return [
        `| \`${name}\` | ${cell(valueOf(shape))} | ${usual === undefined ? '' : `\`${JSON.stringify(usual).replaceAll('"', '')}\``} | ${typeof description === 'string' ? cell(description) : ''} |`,
        ...keyRows(mapIn(shape), `${name}${isList(shape) ? '[]' : ''}.`),
      ]
    },
  )
}

/** The map within "a map, a list of maps, or something shorter". */
function mapIn(shape: JsonSchema): JsonSchema {
  if (shape['properties']) return shape
  const inner = [shape['items'], ...((shape['anyOf'] as JsonSchema[] | undefined) ?? [])].filter(
    Boolean,
  ) as JsonSchema[]
  return inner.map(mapIn).find((one) => one['properties']) ?? {}
}

const isList = (shape: JsonSchema): boolean =>
  ((shape['anyOf'] as JsonSchema[] | undefined) ?? [shape]).some((one) => one['type'] === 'array')

function valueOf(shape: JsonSchema): string {
  if (Array.isArray(shape['enum'])) return shape['enum'].map((word) => `\`${String(word)}\``).join(' ')
  if (Array.isArray(shape['examples']))
    return `such as ${shape['examples'].map((one) => `\`${String(one)}\``).join(' ')}`
  if (Array.isArray(shape['anyOf'])) return alternatives(shape['anyOf'] as JsonSchema[])
  if (shape['type'] === 'array') return `a list: ${valueOf(shape['items'] as JsonSchema)}`
  if (shape['type'] === 'integer') return `${String(shape['minimum'])}–${String(shape['maximum'])}`
  if (shape['type'] === 'object') return 'a map'
  return typeof shape['type'] === 'string' ? shape['type'].replace('boolean', '`true` `false`') : ''
}

/** A value that may be alone or in a list is told once. */
function alternatives(shapes: readonly JsonSchema[]): string {
  const lists = shapes.filter(({ type }) => type === 'array').map(({ items }) => valueOf(items as JsonSchema))
  const words = shapes
    .filter(({ type }) => type !== 'array')
    .map(valueOf)
    .filter(Boolean)
  const alone = words.filter((word) => lists.includes(word))
  const parts = [
    ...words,
    ...(alone.length > 0 ? ['a list of these'] : lists.map((word) => `a list: ${word}`)),
  ]
  return [...new Set(parts)].join(', or ')
}

/** The whole file's JSON Schema, for editors. */
export function fileSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'naru.yaml',
    type: 'object',
    properties: {
      rules: {
        description: 'rules by name',
        type: ['object', 'null'],
        propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$' },
        additionalProperties: ruleSchema,
      },
      sample: {
        description: 'port on 127.0.0.1 of a small page that Naru itself serves',
        type: 'integer',
        minimum: 1,
        maximum: 65_535,
      },
      names: {
        description: 'names given out for this place (DDNS); `naru doctor` sees whether they still lead here',
        type: 'array',
        items: { type: 'string', examples: ['home.example.org'] },
      },
      stun: {
        description: 'STUN servers in place of the built-in ones, asked only with `--internet`',
        type: 'array',
        items: { type: 'string', examples: ['stun.example.org:3478'] },
      },
    },
    additionalProperties: false,
  }
}

const line = (text: string): string => text.replaceAll('\n', ' ')
const cell = (text: string): string => line(text).replaceAll('|', '\\|')
const sentence = (text: string): string =>
  text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.')
