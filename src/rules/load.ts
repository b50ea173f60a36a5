/** From what the store holds to rules that can be trusted: each is read once, then all are held against each other. */
import { say } from '../base/text.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { formatListen, listensOverlap } from '../model/listen.ts'
import { ListenIndex } from '../model/listen-index.ts'
import type { Rule } from '../model/rule.ts'
import { readRule } from '../model/rule-file.ts'
import type { Problem } from '../model/schema.ts'
import type { Snapshot } from '../stores/contract.ts'

export interface Loaded {
  readonly revision: string
  readonly rules: ReadonlyMap<string, LoadedRule>
}

export interface LoadedRule {
  readonly rule: Rule
  readonly input: RuleInput
}

/** What was read before need not be read again: 10,000 rules of which one changed cost one. */
export type Known = ReadonlyMap<string, LoadedRule>

/** @throws NaruError FILE_INVALID with every problem */
export function load(snapshot: Snapshot, known: Known = new Map()): Loaded {
  const problems: Problem[] = []
  const rules = new Map<string, LoadedRule>()
  for (const [name, input] of snapshot.rules) {
    const before = known.get(name)
    if (before && sameInput(before.input, input)) rules.set(name, before)
    else {
      const read = readRule(name, input)
      if (read.rule) rules.set(name, { rule: read.rule, input })
      problems.push(...read.problems.map(({ path, text }) => ({ path: ['rules', name, ...path], text })))
    }
  }
  const fresh = [...rules.values()]
    .filter((loaded) => known.get(loaded.rule.name) !== loaded)
    .map(({ rule }) => rule)
  problems.push(
    ...overlaps(
      [...rules.values()].map(({ rule }) => rule),
      fresh,
    ),
  )
  if (problems.length > 0) throw snapshot.invalid(problems)
  return { revision: snapshot.revision, rules }
}

function sameInput(a: RuleInput, b: RuleInput): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** Enabled rules that would claim a socket of another; rules that are not fresh were held against each other before. */
export function overlaps(rules: readonly Rule[], fresh: readonly Rule[] = rules): Problem[] {
  const enabled = rules.filter((rule) => rule.enabled)
  if (fresh.length > fewFresh) return overlapsInOrder(enabled)
  return fresh.flatMap((rule) => {
    const other =
      rule.enabled && enabled.find((one) => one !== rule && listensOverlap(one.listen, rule.listen))
    return other ? [overlap(rule, other)] : []
  })
}

/** Below this many, each is held against all; above, sorting first is cheaper. */
const fewFresh = 20

/** Sorted by first port, each is held against what those before it hold. */
function overlapsInOrder(enabled: readonly Rule[]): Problem[] {
  const found: Problem[] = []
  const before = new ListenIndex<Rule>()
  for (const rule of enabled.toSorted((a, b) => firstPort(a) - firstPort(b))) {
    const other = before.someoneAt(rule.listen)
    if (other) found.push(overlap(rule, other))
    before.add(rule.listen, rule)
  }
  return found
}

export function overlap(rule: Rule, other: Rule): Problem {
  const [mine, theirs] = [formatListen(rule.listen), formatListen(other.listen)]
  return {
    path: ['rules', rule.name, 'listen'],
    text: say`${mine} is already taken by the rule ${other.name} (${theirs})`,
  }
}

function firstPort({ listen }: Rule): number {
  return listen.kind === 'inet' ? listen.ports.first : 0
}
