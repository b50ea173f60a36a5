/** What was found in another program's file beside the rules that are there: what is there already, and free names. */
import type { FoundRule, NamedRule } from './import-export.ts'
import type { RuleInput } from './naru-api.ts'
import { formatRule } from './rule-format.ts'
import { longestName, parseRule } from './rule-file.ts'

/** A name that is taken gets a number behind it. */
export function namedBeside(
  found: readonly FoundRule[],
  existing: readonly { readonly name: string; readonly rule: RuleInput }[],
): readonly NamedRule[] {
  const names = new FreeNames(existing.map(({ name }) => name))
  const there = new Map(existing.map(({ name, rule }) => [sameness(name, rule), name]))
  return found.map(({ name: wanted, rule, place }) => {
    const already = there.get(sameness(wanted, rule))
    const name = already ?? names.take(wanted)
    return { name, wanted, rule, place, isThere: already !== undefined }
  })
}

/** Two ways to write one rule are the same; whether it is switched on, and what people call it, is not the question. */
function sameness(name: string, rule: RuleInput): string {
  const plain = { enabled: true, title: null, description: null, tags: [] }
  return JSON.stringify(formatRule({ ...parseRule(name, rule), ...plain }))
}

class FreeNames {
  readonly #taken: Set<string>
  /** The last number that stood behind each. */
  readonly #numbers = new Map<string, number>()

  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken)
  }

  take(wanted: string): string {
    let name = wanted
    let number = this.#numbers.get(wanted) ?? 1
    while (this.#taken.has(name)) name = numbered(wanted, ++number)
    this.#numbers.set(wanted, number)
    this.#taken.add(name)
    return name
  }
}

function numbered(name: string, number: number): string {
  const behind = `-${number}`
  return name.slice(0, longestName - behind.length) + behind
}
