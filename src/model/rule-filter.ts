/** Which rules are meant: words that all have to hold, in the same way for the command line and for who reads the list. */
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { Json } from './hop.ts'
import type { RuleStatus } from './naru-api.ts'
import { nearest } from './schema.ts'
import { shownState, type ShownState } from './shown-state.ts'

type Holds = (rule: RuleStatus) => boolean

const keys = ['name', 'state', 'tag', 'engine', 'listen', 'target'] as const
type Key = (typeof keys)[number]

const valuesOf: Readonly<Record<Key, (rule: RuleStatus) => readonly string[]>> = {
  name: ({ name }) => [name],
  state: (rule) => [rule.state, shownState(rule)],
  tag: ({ rule }) => texts(rule['tags']),
  engine: ({ engine }) => (engine ? [engine.id] : []),
  listen: ({ listen }) => [listen],
  target: ({ targets }) => targets,
}
const states: Readonly<Record<ShownState, true>> = {
  stopped: true,
  open: true,
  untried: true,
  silent: true,
  opening: true,
  degraded: true,
  failed: true,
  disabled: true,
  draining: true,
  expired: true,
}
/** Of these the whole word is meant, of the others a part is enough. */
const whole: ReadonlySet<Key> = new Set(['state', 'tag', 'engine'])

/** `state=open`, `tag=work`, or a text that is found in any of what names the rule. @throws NaruError VALUE_INVALID */
export function ruleFilter(words: readonly string[]): Holds {
  const all = words.map(holdsOf)
  return (rule) => all.every((holds) => holds(rule))
}

function holdsOf(word: string): Holds {
  const [, key, value = ''] = /^([a-z]+)=(.*)$/s.exec(word) ?? []
  if (key === undefined) return (rule) => everyText(rule).some((text) => includes(text, word))
  const known = keys.find((one) => one === key)
  if (!known) throw unknownKey(word, key)
  if (known === 'state' && !Object.hasOwn(states, value.toLowerCase())) throw unknownState(word, value)
  const fits = whole.has(known) ? same : includes
  return (rule) => valuesOf[known](rule).some((text) => fits(text, value))
}

function everyText(status: RuleStatus): readonly string[] {
  const { name, listen, targets, rule } = status
  return [
    name,
    listen,
    ...targets,
    ...texts(rule['title']),
    ...texts(rule['description']),
    ...texts(rule['tags']),
  ]
}

function texts(value: Json | undefined): readonly string[] {
  return (Array.isArray(value) ? value : [value]).filter((one) => typeof one === 'string')
}

const same = (text: string, other: string): boolean => text.toLowerCase() === other.toLowerCase()
const includes = (text: string, part: string): boolean => text.toLowerCase().includes(part.toLowerCase())

function unknownState(word: string, value: string): NaruError {
  const all = Object.keys(states)
  const meant = nearest(value, all)
  return new NaruError('VALUE_INVALID', {
    what: '--filter',
    value: word,
    why: meant ? say`did you mean state=${meant}?` : say`a state is one of ${all.join(', ')}`,
  })
}

function unknownKey(value: string, key: string): NaruError {
  const meant = nearest(key, keys)
  const list = keys.map((one) => `${one}=…`).join(', ')
  return new NaruError('VALUE_INVALID', {
    what: '--filter',
    value,
    why: meant ? say`did you mean ${meant}=?` : say`write a text, or one of ${list}`,
  })
}
