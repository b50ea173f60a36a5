import { describe, expect, it } from 'vitest'
import { parseRule } from '../rule-file.ts'
import { formatRule } from '../rule-format.ts'
import type { RuleInput } from '../naru-api.ts'
import type { Json } from '../hop.ts'
import type { JsonSchema } from '../schema.ts'
import { ruleKeys } from './index.ts'
import { rowsWithin, type KeyRow } from './row.ts'

const rows = Object.entries<KeyRow>(ruleKeys).flatMap(([key, row]) => {
  const within = Object.entries(rowsWithin(row))
  return within.length === 0
    ? [{ path: [key], row }]
    : within.map(([inner, innerRow]) => ({ path: [key, inner], row: innerRow }))
})

/** Something that the shape takes and that is not the default. */
function sampleOf({ shape: { schema }, fallback, shape }: KeyRow): Json {
  const { enum: words, examples, minimum, type, anyOf } = schema
  const other = (all: unknown): Json =>
    (all as readonly Json[]).find((one) => one !== shape.write?.(fallback)) as Json
  if (words) return (words as Json[]).find((one) => one !== fallback) as Json
  if (examples) return other(examples)
  if (type === 'boolean') return !(fallback as boolean)
  if (type === 'integer') return Number(minimum) + 10
  if (anyOf)
    return sampleOf({
      shape: { ...shape, schema: (anyOf as JsonSchema[]).at(-1) as JsonSchema },
      fallback,
    } as KeyRow)
  return 'text'
}

describe('each key of a rule', () => {
  const needed: RuleInput = { listen: 8080, target: '10.0.0.1:80' }
  const others = rows.filter(({ path: [key = ''] }) => !(key in needed) && key !== 'targets')

  it.each(others.map(({ path, row }) => [path.join('.'), path, row] as const))(
    '%s is read, and written back',
    (_, path, row) => {
      const [key = '', inner] = path
      const value = sampleOf(row)
      const said = inner === undefined ? value : { [inner]: value }
      const rule = parseRule('web', { ...needed, [key]: said })
      const written = formatRule(rule)
      expect(written).toHaveProperty(path)
      expect(rule).not.toEqual(parseRule('web', needed))
      expect(parseRule('web', written)).toEqual(rule)
    },
  )

  it('that nobody says is not written', () => {
    expect(formatRule(parseRule('web', needed))).toEqual(needed)
  })
})
