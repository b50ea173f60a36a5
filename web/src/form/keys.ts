/**
 * Fields of the form that are rows of the table of keys: each is called by its key, such as `limits.perSource`, is what
 * its shape says, and holds text as it is written in the file. Empty is what would be so anyway.
 */
import type { Json } from '../../../src/model/hop.ts'
import type { RuleInput } from '../../../src/model/naru-api.ts'
import { ruleKeys } from '../../../src/model/rule-keys/index.ts'
import {
  rowsWithin,
  type FormField,
  type KeyMap,
  type KeyRow,
  type KeyRows,
} from '../../../src/model/rule-keys/row.ts'
import { isMap as isAnyMap, type JsonSchema } from '../../../src/model/schema.ts'
import { listOf } from '../parts/columns.ts'

type Rows = typeof ruleKeys
type Shown<F> = { [K in keyof F & string]: F[K] extends { readonly form: object } ? K : never }[keyof F &
  string]

/** The name of such a field, in the draft and in what is wrong with it. */
export type KeyField = {
  [K in keyof Rows]: Rows[K] extends { readonly shape: KeyMap<infer F> }
    ? `${K}.${Shown<F>}`
    : Rows[K] extends { readonly form: object }
      ? K
      : never
}[keyof Rows]

interface FieldRow {
  readonly field: KeyField
  /** Key of the rule, and the one within it, where it is a map. */
  readonly path: readonly [string, string?]
  readonly form: FormField
  /** Words to choose from; null where it is written. */
  readonly choices: readonly string[] | null
  /** One entry a line. */
  readonly isList: boolean
  readonly usual: string
}

const rows: KeyRows = ruleKeys

export const keyFields: readonly FieldRow[] = Object.entries(rows).flatMap(([key, row]) => {
  const within = Object.entries(rowsWithin(row))
  return within.length > 0
    ? within.flatMap(([inner, innerRow]) => fieldOfRow([key, inner], innerRow))
    : fieldOfRow([key], row)
})

function fieldOfRow(path: FieldRow['path'], { form, shape: { schema }, fallback }: KeyRow): FieldRow[] {
  if (!form) return []
  const choices = (schema['enum'] as readonly string[] | undefined) ?? null
  const isList = ((schema['anyOf'] ?? []) as readonly JsonSchema[]).some(({ type }) => type === 'array')
  const field = path.join('.') as KeyField
  return [{ field, path, form, choices, isList, usual: choices === null ? '' : (fallback as string) }]
}

export function fieldsAt(place: FormField['place']): readonly FieldRow[] {
  return keyFields.filter(({ form }) => form.place === place)
}

export type KeyTexts = Readonly<Record<KeyField, string>>

/** As the rule has them; of an empty one, as they are where nothing is written. */
export function textsOf(rule: RuleInput): KeyTexts {
  return Object.fromEntries(
    keyFields.map(({ field, path: [key, inner], isList, usual }) => {
      const value = inner === undefined ? rule[key] : mapOf(rule[key])[inner]
      const text = isList ? listOf(value).join('\n') : textOf(value)
      return [field, text || usual]
    }),
  ) as unknown as KeyTexts
}

/** What of `rule` is written otherwise with these texts, key by key; undefined takes it out. */
export function changesOf(
  texts: KeyTexts,
  was: KeyTexts | null,
  rule: RuleInput,
): Map<string, Json | undefined> {
  const changes = new Map<string, Json | undefined>()
  for (const row of keyFields) {
    const [key, inner] = row.path
    if (was?.[row.field] === texts[row.field]) continue
    const value = valueOf(row, texts[row.field])
    const before = changes.has(key) ? changes.get(key) : rule[key]
    changes.set(key, inner === undefined ? value : withKey(before, inner, value))
  }
  return changes
}

function valueOf({ choices, isList, usual }: FieldRow, written: string): Json | undefined {
  const text = written.trim()
  if (text === usual || text === '') return undefined
  if (isList) return text.split(/[\s,]+/).filter(Boolean)
  return choices === null ? numeric(text) : text
}

function withKey(map: Json | undefined, key: string, value: Json | undefined): Json | undefined {
  const { [key]: _, ...others } = mapOf(map)
  const next = value === undefined ? others : { ...mapOf(map), [key]: value }
  return Object.keys(next).length > 0 ? next : undefined
}

/** The field that a problem's path belongs to: `acceptProxy.0` is of `acceptProxy`. */
export function keyFieldOf(path: string): KeyField | null {
  return keyFields.find(({ field }) => path === field || path.startsWith(`${field}.`))?.field ?? null
}

export const isMap = (value: Json | undefined): value is RuleInput => isAnyMap(value)
export const mapOf = (value: Json | undefined): RuleInput => (isMap(value) ? value : {})

export const textOf = (value: Json | undefined): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''

export function numeric(text: string): Json {
  return /^\d{1,15}$/.test(text) ? Number(text) : text
}
