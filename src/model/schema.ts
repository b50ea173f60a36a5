/**
 * Shapes of untrusted values: each reads a value, says everything that is wrong with it and where, and describes
 * itself as JSON Schema. A schema library would do, but the one we would take costs 120 ms to import here, half of
 * what `naru open` may take to its first byte.
 */
import { isNaruError, toNaruError } from '../base/errors.ts'
import { say, sayOf, verbatim, type Text } from '../base/text.ts'
import type { Json } from './hop.ts'

export type KeyPath = readonly (string | number)[]

export interface Problem {
  readonly path: KeyPath
  /** What is wrong and what is allowed. */
  readonly text: Text
}

/** No more than these are told at once: whoever sends rubbish gets a short answer. */
export const mostProblems = 20

export type JsonSchema = { readonly [key: string]: unknown }

/** `W` is what may be written where `T` is read from it: for the types of programs, since nothing is trusted. */
export interface Shape<T, W = unknown> {
  /** Undefined where the value is wrong; then at least one problem was added. */
  read(value: unknown, path: KeyPath, problems: Problem[]): T | undefined
  readonly schema: JsonSchema
  /** How a value is written; as it is where this is missing. */
  write?(value: T): Json
  /** Never there; it carries the type. */
  readonly writtenAs?: W
}

/** What may be written for a shape, or for a map with these keys. */
export type Written<S> = S extends Shape<unknown, infer W> ? W : never
export type WrittenMap<F extends Record<string, Field<unknown>>> = Flat<
  { readonly [K in keyof F as F[K] extends { fallback: unknown } ? never : K]: Written<F[K]['shape']> } & {
    readonly [K in keyof F as F[K] extends { fallback: unknown } ? K : never]?: Written<F[K]['shape']>
  }
>
type Flat<T> = { [K in keyof T]: T[K] }

export interface Field<T, W = unknown> {
  readonly shape: Shape<T, W>
  /** One line for the option table and the schema. */
  readonly doc: Text
  /** Stands in where the key is missing; without it the key is required. */
  readonly fallback?: T
  /** Written even where it is what would be so anyway. */
  readonly always?: true
}

/** What a map with these keys is read as. */
export type Read<F extends Record<string, Field<unknown>>> = { readonly [K in keyof F]: ValueOf<F[K]> }
export type ValueOf<R extends Field<unknown>> =
  | (R['shape'] extends Shape<infer T> ? T : never)
  | (R extends { readonly fallback: infer D } ? D : never)

interface WrittenSchema extends JsonSchema {
  readonly type?: 'string'
  readonly examples?: readonly (string | number)[]
}

/** A string or number that one of our parsers reads. Its error becomes the problem. */
export function written<T, const S extends WrittenSchema>(
  parse: (text: string) => T,
  schema: S,
  write?: (value: T) => Json,
): Shape<T, S extends { type: 'string' } ? string : string | number> {
  return {
    schema: { type: ['string', 'integer'], ...schema },
    ...(write && { write }),
    read(value, path, problems) {
      if (typeof value !== 'string' && typeof value !== 'number')
        return wrong(problems, path, notA(value, schema))
      try {
        return parse(String(value))
      } catch (error) {
        const { text } = toNaruError(error)
        const why = isNaruError(error, 'VALUE_INVALID') ? error.params.why : text
        return wrong(problems, path, quoted(value, typeof why === 'object' ? why : text))
      }
    },
  }
}

/** What a person wrote for persons: any language, no control signs. Spaces around it are cut off. */
export function freeText({
  most,
  lines,
}: {
  readonly most: number
  readonly lines: number
}): Shape<string, string> {
  return {
    schema: { type: 'string', minLength: 1, maxLength: most },
    read(value, path, problems) {
      if (typeof value !== 'string') return wrong(problems, path, notA(value, {}))
      const text = value.trim()
      const why = whyNotText(text, most, lines)
      return why === null ? text : wrong(problems, path, quoted(value, why))
    },
  }
}

function whyNotText(text: string, most: number, lines: number): Text | null {
  if (text.length === 0) return say('nothing is written')
  if (text.length > most) return say`at most ${most} characters are allowed`
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/.test(text))
    return say('it has control characters')
  if (text.split('\n').length > lines)
    return lines === 1 ? say('write it on one line') : say`at most ${lines} lines are allowed`
  return null
}

/** A whole number from `least` to `most`. */
export function whole(least: number, most: number): Shape<number, number> {
  return {
    schema: { type: 'integer', minimum: least, maximum: most },
    read(value, path, problems) {
      if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most)
        return value
      const why = say`a whole number from ${least} to ${most} is needed`
      return wrong(problems, path, quoted(value, why))
    },
  }
}

export function oneOf<const T extends string>(allowed: readonly T[]): Shape<T, T> {
  return {
    schema: { enum: allowed },
    read(value, path, problems) {
      const found = allowed.find((word) => word === value)
      if (found !== undefined) return found
      const list = allowed.join(', ')
      return wrong(problems, path, quoted(value, sayOf('schema')`allowed are: ${list}`))
    },
  }
}

export const yesNo: Shape<boolean, boolean> = {
  schema: { type: 'boolean' },
  read(value, path, problems) {
    if (typeof value === 'boolean') return value
    return wrong(problems, path, quoted(value, say('write true or false')))
  },
}

/** A list, or a single value that stands for a list of one. */
export function listOf<T, W>(
  item: Shape<T, W>,
  limits: { least?: number; most: number },
): Shape<readonly T[], W | readonly W[]> {
  const { least = 0, most } = limits
  return {
    schema: { anyOf: [{ type: 'array', items: item.schema, minItems: least, maxItems: most }, item.schema] },
    write: (values) => values.map((value) => writtenBy(item, value)),
    read(value, path, problems) {
      const values = Array.isArray(value) ? (value as unknown[]) : [value]
      if (values.length < least || values.length > most) {
        return wrong(problems, path, say`from ${least} to ${most} entries are allowed`)
      }
      const before = problems.length
      const read: unknown[] = []
      for (const [index, one] of values.entries()) {
        if (problems.length >= mostProblems) break
        read.push(item.read(one, Array.isArray(value) ? [...path, index] : path, problems))
      }
      return problems.length === before ? (read as T[]) : undefined
    },
  }
}

/** Another shape for the same value: `first` where `isFirst` says so, else `second`, which writes it. */
export function either<A, B, V, W>(
  isFirst: (value: unknown) => boolean,
  first: Shape<A, V>,
  second: Shape<B, W>,
): Shape<A | B, V | W> {
  return {
    schema: { anyOf: [first.schema, second.schema] },
    write: (value) => (isFirst(value) ? writtenBy(first, value) : writtenBy(second, value)),
    read(value, path, problems) {
      const shape = isFirst(value) ? first : second
      const before = problems.length
      const read = shape.read(value, path, problems)
      const [one, other] = [allowedBy(first.schema), allowedBy(second.schema)]
      // What is no map is wrong as a whole, and whoever wrote it wants to know of both ways to write it.
      if (read !== undefined || isMap(value) || !one || !other) return read
      const allowed = say`allowed are: ${one}, or ${other}`
      problems.splice(before)
      return wrong(problems, path, quoted(value, allowed))
    },
  }
}

/** What may be written by that schema, in a few words; null where they say too little. */
function allowedBy({ type, enum: words, minimum, maximum, properties }: JsonSchema): Text | null {
  if (type === 'boolean') return verbatim('true, false')
  if (Array.isArray(words)) return verbatim(words.join(', '))
  if (type === 'integer') return say`a whole number from ${String(minimum)} to ${String(maximum)}`
  if (type !== 'object') return null
  const keys = Object.keys(properties as object).join(', ')
  return say`a map of ${keys}`
}

export function mapped<A, B, W>(
  shape: Shape<A, W>,
  to: (value: A) => B,
  write?: (value: B) => Json,
): Shape<B, W> {
  return {
    schema: shape.schema,
    ...(write && { write }),
    read(value, path, problems) {
      const read = shape.read(value, path, problems)
      return read === undefined ? undefined : to(read)
    },
  }
}

/** As it is written; nothing where the absence of a key is its meaning. */
function defaultOf(shape: Shape<unknown>, fallback: unknown): JsonSchema {
  if (!['string', 'number', 'boolean'].includes(typeof fallback)) return {}
  return { default: writtenBy(shape, fallback) }
}

function writtenBy<T>(shape: Shape<T>, value: unknown): Json {
  return shape.write ? shape.write(value as T) : (value as Json)
}

/** Would it be so without being written? */
export function isUsual(value: unknown, fallback: unknown): boolean {
  if (value === fallback) return true
  if (Array.isArray(value)) return Array.isArray(fallback) && value.length === 0 && fallback.length === 0
  return isMap(value) && isMap(fallback) && Object.keys(value).every((key) => value[key] === fallback[key])
}

export interface MapShape<F extends Record<string, Field<unknown>>> extends Shape<Read<F>, WrittenMap<F>> {
  write(value: Read<F>): { readonly [key: string]: Json }
}

/** A map with these keys and no others. A key that looks like a known one draws "did you mean". */
export function record<F extends Record<string, Field<unknown>>>(fields: F): MapShape<F> {
  const required = Object.keys(fields).filter((key) => !('fallback' in (fields[key] as object)))
  return {
    schema: {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(fields).map(([key, { shape, doc, fallback }]) => [
          key,
          { description: doc.en, ...shape.schema, ...defaultOf(shape, fallback) },
        ]),
      ),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
    },
    write(value) {
      const map: Record<string, Json> = {}
      for (const [key, { shape, fallback, always }] of Object.entries(fields)) {
        const one = value[key]
        if (one !== null && (always || !isUsual(one, fallback))) map[key] = writtenBy(shape, one)
      }
      return map
    },
    read(value, path, problems) {
      if (!isMap(value)) return wrong(problems, path, quoted(value, say('a map of keys is needed')))
      const before = problems.length
      for (const key of Object.keys(value)) {
        if (problems.length >= mostProblems) break
        if (!Object.hasOwn(fields, key))
          problems.push({ path: [...path, key.slice(0, longestShown)], text: unknownKey(key, fields) })
      }
      const read: Record<string, unknown> = {}
      for (const [key, field] of Object.entries(fields)) {
        const given = value[key]
        if (given !== undefined && given !== null)
          read[key] = field.shape.read(given, [...path, key], problems)
        else if ('fallback' in field) read[key] = field.fallback
        else problems.push({ path, text: say`the key ${key} is missing` })
      }
      return problems.length === before ? (read as Read<F>) : undefined
    },
  }
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The known word nearest to `word`, at most two edits away, or null. */
export function nearest(word: string, known: readonly string[]): string | null {
  const ranked = known.map((other) => ({
    other,
    edits: editDistance(word.toLowerCase(), other.toLowerCase()),
  }))
  const best = ranked.toSorted((a, b) => a.edits - b.edits)[0]
  return best && best.edits <= Math.min(2, Math.floor(best.other.length / 2)) ? best.other : null
}

/** Letters put in, left out, changed, or two that stand side by side exchanged. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const turned = exchanged ? (before[j - 2] as number) + 1 : swap
      next.push(Math.min(swap, turned, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] as number
}

function unknownKey(written: string, fields: Record<string, unknown>): Text {
  const known = Object.keys(fields)
  const key = written.slice(0, longestShown)
  const guess = nearest(key, known)
  return guess
    ? say`unknown key ${key}; did you mean ${guess}?`
    : say`unknown key ${key}; allowed are: ${known.join(', ')}`
}

function notA(value: unknown, { examples }: { readonly examples?: readonly (string | number)[] }): Text {
  const such = examples?.[0] === undefined ? '' : String(examples[0])
  return quoted(value, say`write a single value${such === '' ? '' : say`, such as ${such}`}`)
}

function quoted(value: unknown, why: Text): Text {
  const shown = brief(value, longestShown)
  return say`${shown}: ${why}`
}

/** Characters of a wrong value that are shown. */
const longestShown = 80

/** The beginning of a value as JSON: the work is bounded by `room`, however large or deep the value is. */
function brief(value: unknown, room: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room)).slice(0, room)
  if (typeof value !== 'object' || value === null) return String(value).slice(0, room)
  let text = Array.isArray(value) ? '[' : '{'
  for (const key in value) {
    if (text.length >= room) return text.slice(0, room)
    if (text.length > 1) text += ','
    if (!Array.isArray(value)) text += `${JSON.stringify(key.slice(0, room))}:`
    text += brief((value as Record<string, unknown>)[key], Math.max(0, room - text.length))
  }
  return (text + (Array.isArray(value) ? ']' : '}')).slice(0, room)
}

function wrong(problems: Problem[], path: KeyPath, text: Text): undefined {
  problems.push({ path, text })
  return undefined
}
