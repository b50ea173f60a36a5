/** What was found in another program's file beside the rules that are there: what is there already, and free names. */
import type { FoundRule, NamedRule } from './exchange.ts'
import type { RuleInput } from './face.ts'
import { formatRule, parseRule } from './rule-file.ts'

/** A name that is taken gets a number behind it. */
export function namedBeside(
  found: readonly FoundRule[],
  existing: readonly { readonly name: string; readonly rule: RuleInput }[],
): readonly NamedRule[] {
  const taken = new Set(existing.map(({ name }) => name))
  const there = new Map(existing.map(({ name, rule }) => [sameness(name, rule), name]))
  return found.map(({ name: wanted, rule, place }) => {
    const already = there.get(sameness(wanted, rule))
    const name = already ?? free(wanted, taken)
    taken.add(name)
    return { name, wanted, rule, place, isThere: already !== undefined }
  })
}

/** Two ways to write one rule are the same; whether it is switched on, and what people call it, is not the question. */
function sameness(name: string, rule: RuleInput): string {
  const plain = { enabled: true, title: null, description: null, tags: [] }
  return JSON.stringify(formatRule({ ...parseRule(name, rule), ...plain }))
}

function free(wanted: string, taken: ReadonlySet<string>): string {
  let name = wanted
  for (let count = 2; taken.has(name); count++) name = `${wanted.slice(0, 36)}-${count}`
  return name
}
