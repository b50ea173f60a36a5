/** Options of `open`, `add` and `edit`, and how they become a rule with the keys of the file: both are of the table of keys. */
import { parseDuration } from '../base/duration.ts'
import { isNaruError, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { Json } from '../model/hop.ts'
import { parseTarget } from '../model/target.ts'
import { ruleKeys } from '../model/rule-keys/index.ts'
import { rowsWithin, type KeyRow, type KeyRows } from '../model/rule-keys/row.ts'
import { isMap, type JsonSchema } from '../model/schema.ts'
import { usage } from './parse.ts'
import type { Context, VerbOption } from './verb.ts'

const forOption: VerbOption = {
  name: 'for',
  value: 'DURATION',
  text: say('close it after this long: 30m, 2h, 1d'),
}

const setOption: VerbOption = {
  name: 'set',
  value: 'KEY=VALUE',
  many: true,
  text: say('any key of the file: timeouts.idle=5m'),
}

const rows: KeyRows = ruleKeys

/** What people ask for most leads in the help; the other keys follow in the order of the table. */
const leading = ['title', 'description', 'tags', 'publish', 'allow', 'deny', 'until', 'engine', 'source']
const inOrder = [...new Set([...leading, 'proxyUdp', 'acceptProxy', ...Object.keys(rows)])]

export const ruleOptions: readonly VerbOption[] = [
  ...inOrder.flatMap((key) => {
    const row = rows[key] as KeyRow
    const options = [row, ...Object.values(rowsWithin(row))].flatMap(optionOf)
    return key === 'until' ? [forOption, ...options] : options
  }),
  setOption,
]

function optionOf({ option, shape, doc }: KeyRow): VerbOption[] {
  if (!option) return []
  const { text = doc, choices = wordsOf(shape.schema), many, ...rest } = option
  return [{ ...rest, ...(choices && { choices }), ...(many && { many: true }), text }]
}

/** The words that may be written, where there are no others. */
function wordsOf({ enum: words }: JsonSchema): readonly string[] | undefined {
  return words as readonly string[] | undefined
}

/**
 * What was not said stays as it was: a map under `publish` closes the hops that it does not name, so that where all were
 * open they are written out beside what was said.
 */
export function publishedAsSaid(rule: RuleInput, before: Json | undefined): RuleInput {
  const said = rule['publish']
  if (!isMap(said) || isMap(before)) return rule
  const unsaid = before === true ? 'auto' : 'off'
  return { ...rule, publish: { firewall: unsaid, router: unsaid, ...said } }
}

type Ask = Pick<Context, 'option' | 'options' | 'switched'>

/** Only what was said: defaults are the file's business. @throws NaruError USAGE, VALUE_INVALID */
export function ruleFrom(asked: Ask, command: string, now: number): RuleInput {
  const set = Object.entries(rows).reduce<RuleInput>((rule, [key, row]) => {
    const value = spoken[key]?.(asked, command, now) ?? valueFrom(asked, row, command)
    return value === null ? rule : { ...rule, [key]: value }
  }, {})
  return asked.options('set').reduce<RuleInput>((rule, text) => withKey(rule, text, command), set)
}

/** Keys whose options say more than a value. Null where nothing was said. */
const spoken: Readonly<Record<string, (asked: Ask, command: string, now: number) => Json>> = {
  health: ({ option }, command) => healthFrom(option('health'), command),
  publish: (asked, command) =>
    mapOrNone({
      ...(asked.switched('publish') && { firewall: 'auto', router: 'auto' }),
      ...valuesFrom(asked, rowsWithin(ruleKeys.publish), command),
    }),
  until: untilFrom,
}

function valueFrom(asked: Ask, { option, shape, ...row }: KeyRow, command: string): Json {
  if (!option) return mapOrNone(valuesFrom(asked, rowsWithin({ shape, ...row }), command))
  if (option.many) {
    const values = asked.options(option.name)
    const each =
      option.many === 'by-commas' ? values.flatMap((value) => value.split(',')).filter(Boolean) : values
    return each.length > 0 ? each : null
  }
  const value = asked.option(option.name)
  return value === null || !takesNumber(shape.schema, value)
    ? value
    : numberFrom(value, `--${option.name}`, command)
}

function valuesFrom(asked: Ask, within: KeyRows, command: string): RuleInput {
  const values = Object.entries(within).map(([key, row]) => [key, valueFrom(asked, row, command)] as const)
  return Object.fromEntries(values.filter(([, value]) => value !== null))
}

/** `any` of `PORT|any` is a word; whatever else is said there is to be a number. */
function takesNumber({ type, anyOf }: JsonSchema, text: string): boolean {
  const others = (anyOf ?? []) as readonly JsonSchema[]
  if (others.some((one) => wordsOf(one)?.includes(text))) return false
  return type === 'integer' || others.some((one) => takesNumber(one, text))
}

/** A target may carry its share: `10.0.0.2:80,weight=2`, `10.0.0.3:80,backup`, `docker:a:443,name=a.example.org`. */
export function targetsFrom(texts: readonly string[], command: string): RuleInput {
  const [only] = texts
  if (only === undefined) return {}
  if (texts.length === 1 && !only.includes(',')) return { target: only }
  return { targets: texts.map((text) => targetFrom(text, command)) }
}

function targetFrom(text: string, command: string): RuleInput {
  const [to = '', ...words] = text.split(',')
  // Wrong, it is told by itself: whoever wrote no file has no `targets.1.to`.
  parseTarget(to)
  const target: Record<string, Json> = { to }
  for (const word of words) {
    const [key, value] = word.split('=', 2)
    if (key === 'backup' && value === undefined) target['backup'] = true
    else if (key === 'weight' && value !== undefined) target['weight'] = numberFrom(value, 'weight', command)
    else if (key === 'name' && value !== undefined) target['name'] = value
    else throw usage(command, say`"${word}" says nothing about a target: write weight=N, backup or name=HOST`)
  }
  return target
}

function healthFrom(text: string | null, command: string): Json {
  if (text === null) return null
  const [every = '', rise, fall] = text.split(',')
  return {
    every,
    ...(rise === undefined ? {} : { rise: numberFrom(rise, '--health', command) }),
    ...(fall === undefined ? {} : { fall: numberFrom(fall, '--health', command) }),
  }
}

function untilFrom({ option }: Ask, command: string, now: number): Json {
  const [span, until] = [option('for'), option('until')]
  if (span !== null && until !== null) throw usage(command, say('give --for or --until, not both'))
  return span === null ? until : new Date(Math.min(now + spanOf(span), lastTime)).toISOString()
}

/** The last that `until` can say: longer is as good as for ever. */
const lastTime = Date.parse('9999-12-31T23:59:59.999Z')

/** Named as it was written on the command line. */
function spanOf(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    if (!isNaruError(error, 'VALUE_INVALID')) throw error
    throw new NaruError('VALUE_INVALID', { what: '--for', value: text, why: error.params['why'] ?? '' })
  }
}

/** `timeouts.idle=5m`: a value that reads as JSON is that, anything else is text. */
function withKey(rule: RuleInput, text: string, command: string): RuleInput {
  const at = text.indexOf('=')
  const path = text.slice(0, at).split('.')
  if (at < 1 || path.some((key) => !/^\w+$/.test(key) || key === '__proto__'))
    throw usage(command, say('--set wants KEY=VALUE, such as timeouts.idle=5m'))
  return placed(rule, path, valueOf(text.slice(at + 1)))
}

function placed(rule: RuleInput, [key = '', ...rest]: readonly string[], value: Json): RuleInput {
  if (rest.length === 0) return { ...rule, [key]: value }
  const inner = rule[key]
  const group =
    inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? (inner as RuleInput) : {}
  return { ...rule, [key]: placed(group, rest, value) }
}

function valueOf(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    return text
  }
}

function mapOrNone(found: RuleInput): RuleInput | null {
  return Object.keys(found).length === 0 ? null : found
}

function numberFrom(text: string, what: string, command: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw usage(command, say`${what} wants a whole number, not "${text}"`)
}
