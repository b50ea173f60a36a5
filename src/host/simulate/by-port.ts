/**
 * The rules of a chain that a packet to some port may meet, in their order: thousands that are each about another port
 * are passed over at once. What is left out would not have matched.
 */
import type { Chain, FilterRule } from './program.ts'

interface Index {
  /** Places of those that may match any port. */
  readonly any: readonly number[]
  readonly byPort: ReadonlyMap<number, readonly number[]>
}

/** A shorter chain is walked as it is. */
const leastIndexed = 32

const indexes = new WeakMap<readonly FilterRule[], Index>()

export function rulesFor({ rules }: Chain, port: number): readonly FilterRule[] {
  if (rules.length < leastIndexed) return rules
  const index = indexes.get(rules) ?? indexOf(rules)
  indexes.set(rules, index)
  const places = [...index.any, ...(index.byPort.get(port) ?? [])].sort((a, b) => a - b)
  return places.map((place) => rules[place] as FilterRule)
}

function indexOf(rules: readonly FilterRule[]): Index {
  const any: number[] = []
  const byPort = new Map<number, number[]>()
  for (const [place, { port }] of rules.entries()) {
    const there = port === null ? any : byPort.get(port)
    if (there) there.push(place)
    else if (port !== null) byPort.set(port, [place])
  }
  return { any, byPort }
}
