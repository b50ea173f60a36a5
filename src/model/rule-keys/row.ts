/**
 * What there is to say of a key of a rule, in one row: how it is written and read, its sentence, the option of the
 * command line, the field of the web page's form, and what is lost where another program cannot say it. Whoever needs
 * one of these walks the rows and lists no keys of its own.
 */
import type { Text } from '../../base/text.ts'
import type { Json } from '../hop.ts'
import { record, type Field, type Shape, type ValueOf, type WrittenMap } from '../schema.ts'

export interface KeyRow<T = unknown> extends Field<T> {
  /** What it is called in a parsed rule, where the unit is part of the name. @default the key */
  readonly inside?: string
  /** @default none: `--set KEY=VALUE` alone */
  readonly option?: KeyOption
  /** @default none: the form leaves the key as the file has it */
  readonly form?: FormField
  /** What a format that cannot say it loses; false where that is nothing, or told of another key. @default told by the key */
  readonly loss?: KeyLoss | false
}

export type KeyRows = Readonly<Record<string, KeyRow>>

/** Of `open`, `add` and `edit`. Words to choose from, and whether a number is wanted, are those of the shape. */
export interface KeyOption {
  readonly name: string
  /** What its value is called in the help; without it the option is a switch. */
  readonly value?: string
  /** @default the key's `doc` */
  readonly text?: Text
  /** The value may be left out; then it is this. */
  readonly bare?: string
  /** @default those of the shape */
  readonly choices?: readonly string[]
  /** May be given several times. `by-commas`: one time may hold several. */
  readonly many?: 'one-each' | 'by-commas'
}

export interface FormField {
  /** The part of the form that it stands in. */
  readonly place: 'targets' | 'limits' | 'waiting' | 'health'
  readonly label: Text
  readonly hint?: Text
  /** What each word that can be chosen is called. @default the word */
  readonly choices?: Readonly<Record<string, Text>>
}

export interface KeyLoss {
  /** @default the key as it is written: `acceptProxy` */
  readonly text?: Text
  /** Without it the rule would be another one or open to others, so it is left out whole. */
  readonly vital?: true
}

/** A map of keys as a parsed rule has it: under the names that they have inside. */
export type Inside<F extends KeyRows> = {
  readonly [K in keyof F as F[K] extends { readonly inside: infer N extends string } ? N : K]: ValueOf<F[K]>
}

/** A map of keys within a rule, with its rows, for those who walk the table. */
export interface KeyMap<F extends KeyRows> extends Shape<Inside<F>, WrittenMap<F>> {
  readonly rows: F
  /** What stands in where none of its keys is written. */
  readonly usual: Inside<F>
  write(value: Inside<F>): Json
}

export function group<const F extends KeyRows>(rows: F): KeyMap<F> {
  const shape = record(rows)
  const names = Object.entries(rows).map(([key, row]) => [key, row.inside ?? key] as const)
  const inside = (read: Readonly<Record<string, unknown>>): Inside<F> =>
    Object.fromEntries(names.map(([key, name]) => [name, read[key]])) as Inside<F>
  const outside = (value: Readonly<Record<string, unknown>>): Parameters<typeof shape.write>[0] =>
    Object.fromEntries(names.map(([key, name]) => [key, value[name]])) as Parameters<typeof shape.write>[0]
  return {
    rows,
    usual: inside(Object.fromEntries(Object.entries(rows).map(([key, { fallback }]) => [key, fallback]))),
    schema: shape.schema,
    read(value, path, problems) {
      const read = shape.read(value, path, problems)
      return read && inside(read)
    },
    write: (value) => shape.write(outside(value)),
  }
}

/** The rows within a key; none where it is no map of keys. */
export function rowsWithin({ shape }: KeyRow): KeyRows {
  return 'rows' in shape ? (shape as KeyMap<KeyRows>).rows : {}
}
