/** Words of the command line, by a verb's definition. What does not fit is told with what was probably meant. */
import { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import { nearest } from '../model/schema.ts'
import { on, type VerbOption, type Verb, type ParsedWords } from './verb.ts'

/** @param command `naru router add`, for the hint. @throws NaruError USAGE */
export function parseWords(
  verb: Verb,
  command: string,
  words: readonly string[],
  global: readonly VerbOption[],
): ParsedWords {
  const known = [...(verb.options ?? []), ...global]
  const options: Record<string, string[]> = {}
  const loose: string[] = []
  const left = [...words]
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === '--') {
      loose.push(...left.splice(0))
    } else if (/^-{1,2}[^\d-]/.test(word)) {
      const { option, value } = optionOf(word, known, left, command)
      if (!option.many && options[option.name] && option.value !== undefined)
        throw usage(command, say`--${option.name} is given twice`)
      ;(options[option.name] ??= []).push(value)
    } else if (longDash.test(word)) {
      throw notTyped(word, known, command)
    } else loose.push(word)
  }
  // Who asks for help need not say the rest.
  return { options, args: options['help'] ? {} : argumentsOf(verb, command, loose) }
}

function optionOf(
  word: string,
  known: readonly VerbOption[],
  left: string[],
  command: string,
): { option: VerbOption; value: string } {
  const [, dashes = '', name = '', , inline] = /^(--?)([^=]*)(=([^]*))?$/.exec(word) ?? []
  const option = known.find((one) => (dashes === '--' ? one.name === name : one.short === name))
  if (!option) throw unknownOption(word.split('=')[0] as string, known, command)
  if (option.value === undefined) {
    if (inline !== undefined) throw usage(command, say`--${option.name} takes no value`)
    return { option, value: on }
  }
  return { option, value: checked(option, inline ?? nextValue(option, left, command), command) }
}

function nextValue(option: VerbOption, left: string[], command: string): string {
  const next = left[0]
  if (option.bare !== undefined)
    return next !== undefined && option.choices?.includes(next) ? (left.shift() as string) : option.bare
  if (next === undefined || /^--?[^\d-]/.test(next))
    throw usage(command, say`--${option.name} needs a value: --${option.name} ${option.value}`)
  return left.shift() as string
}

function checked(option: VerbOption, value: string, command: string): string {
  if (!option.choices || option.choices.includes(value)) return value
  const choices = option.choices.join(', ')
  throw usage(command, say`--${option.name} is one of ${choices}, not "${value}"`)
}

function argumentsOf(
  verb: Verb,
  command: string,
  loose: readonly string[],
): Record<string, readonly string[]> {
  const found: Record<string, readonly string[]> = {}
  let at = 0
  for (const { name, optional, many } of verb.arguments ?? []) {
    const values = many ? loose.slice(at) : loose.slice(at, at + 1)
    if (values.length === 0 && !optional) throw usage(command, say`${name} is missing`)
    found[name] = values
    at += values.length
  }
  const extra = loose[at]
  if (extra !== undefined) throw usage(command, say`"${extra}" is one word too many`)
  return found
}

/** What a page or a word processor makes of `--`. No argument begins so. */
const longDash = /^[\u2010-\u2015\u2212]-?(?=[a-z])/i

function notTyped(word: string, known: readonly VerbOption[], command: string): NaruError {
  const typed = word.replace(longDash, '')
  const [name = ''] = typed.split('=')
  const short = known.some((one) => one.short === name)
  const meant = `${short ? '-' : '--'}${typed}`
  return usage(command, say`"${word}" begins with a dash that no keyboard types: write ${meant}`)
}

function unknownOption(word: string, known: readonly VerbOption[], command: string): NaruError {
  // Their dashes are alike in all of them, and say nothing of which is meant.
  const all = known.flatMap(({ name, short }) => (short ? [name, short] : [name]))
  const meant = nearest(word.replace(/^-+/, ''), all)
  const dashed = meant && `${meant.length > 1 ? '--' : '-'}${meant}`
  return usage(command, unknown(say('option'), word, dashed))
}

/** "there is no X named Y; did you mean Z?" */
export function unknown(what: Text, word: string, meant: string | null): Text {
  return meant === null
    ? say`there is no ${what} ${word}`
    : say`there is no ${what} ${word}; did you mean ${meant}?`
}

export function usage(command: string, why: Text): NaruError<'USAGE'> {
  return new NaruError('USAGE', { why, command: `${command} --help` })
}
