/** A change of one rule, held against all the others before anybody acts on it. */
import { canonicalAddress } from '../base/address.ts'
import { withLimit } from '../base/clock.ts'
import { NaruError, toNaruError, type NaruErrorJson } from '../base/errors.ts'
import { say, sayOf, verbatim } from '../base/text.ts'
import type { AddedRule, NewRule, RuleInput } from '../model/naru-api.ts'
import { ListenIndex } from '../model/listen-index.ts'
import { noteOn, type Plan, type PlanNote, type PlanStep } from '../model/plan.ts'
import type { Rule } from '../model/rule.ts'
import { joined, nameProblem, readRule } from '../model/rule-file.ts'
import { ruleNotes } from '../model/rule-sense.ts'
import { isMap, type Problem } from '../model/schema.ts'
import { unknownRule } from '../model/unknown-rule.ts'
import type { StoreChange } from '../stores/contract.ts'
import { reachOf, resolveGuests } from './hops/guest.ts'
import { desiredHops } from './hops/index.ts'
import { overlap, overlaps, type Loaded, type LoadedRule } from './load.ts'
import type { Deps } from '../instance/deps.ts'
import { shown, stepsBetween } from './steps.ts'

/** A person waits for the plan. */
const nameLimitMs = 3000

/** What would be loaded after the change. @throws NaruError RULE_INVALID */
export function changed(now: Loaded, { name, rule: input }: StoreChange): Loaded {
  const rules = new Map(now.rules)
  if (input === null) rules.delete(name)
  else {
    const { rule, problems } = readRule(name, input)
    if (!rule) throw invalid(name, problems)
    rules.set(name, { rule, input })
    const clash = overlaps(
      [...rules.values()].map((other) => other.rule),
      [rule],
    )
    if (clash.length > 0) throw invalid(name, clash.map(ofRule))
  }
  return { revision: now.revision, rules }
}

export interface WithNew {
  readonly wanted: Loaded
  /** Those of `asked` that can be. */
  readonly fresh: readonly LoadedRule[]
  /** Of each that was asked why it may not be, or null. */
  readonly refusals: readonly (NaruError | null)[]
}

/** What would be loaded with those of the rules that may be, each held against all before it. */
export function withNew(now: Loaded, asked: readonly NewRule[]): WithNew {
  const rules = new Map(now.rules)
  const fresh: LoadedRule[] = []
  const held = new ListenIndex<Rule>()
  for (const { rule } of rules.values()) if (rule.enabled) held.add(rule.listen, rule)
  const wanted = { revision: now.revision, rules }
  const refusals = asked.map((one) => {
    const loaded = orRefusal(() => readNew(wanted, held, one))
    if (loaded instanceof NaruError) return loaded
    if (loaded.rule.enabled) held.add(loaded.rule.listen, loaded.rule)
    rules.set(one.name, loaded)
    fresh.push(loaded)
    return null
  })
  return { wanted, fresh, refusals }
}

/** What is told of each. */
export function addedOf(
  asked: readonly NewRule[],
  refusals: WithNew['refusals'],
  failureOf: (name: string) => NaruErrorJson | null = () => null,
): readonly AddedRule[] {
  return asked.map(({ name }, at) => {
    const why = refusals[at]
    return { name, added: !why, problem: why ? why.toJSON() : failureOf(name) }
  })
}

/** @throws NaruError VALUE_INVALID, RULE_EXISTS, RULE_INVALID */
function readNew(now: Loaded, held: ListenIndex<Rule>, { name, rule: input }: NewRule): LoadedRule {
  mustBeNew(now, name)
  const { rule, problems } = readRule(name, input)
  if (!rule) throw invalid(name, problems)
  const other = rule.enabled ? held.someoneAt(rule.listen) : null
  if (other) throw invalid(name, [ofRule(overlap(rule, other))])
  return { rule, input }
}

function orRefusal<T>(make: () => T): T | NaruError {
  try {
    return make()
  } catch (error) {
    if (error instanceof NaruError) return error
    throw error
  }
}

/** In its place among the others. @throws NaruError RULE_UNKNOWN, RULE_EXISTS, VALUE_INVALID */
export function renamed(now: Loaded, name: string, to: string): Loaded {
  const { rule, input } = existing(now, name)
  mustBeNew(now, to)
  const rules = [...now.rules].map(([key, loaded]): [string, LoadedRule] =>
    key === name ? [to, { rule: { ...rule, name: to }, input }] : [key, loaded],
  )
  return { revision: now.revision, rules: new Map(rules) }
}

/** A plan of no steps. */
export const nothingToDo: Plan = { steps: [], notes: [] }

/** @throws NaruError RULE_UNKNOWN */
export function existing(loaded: Loaded, name: string): LoadedRule {
  const found = loaded.rules.get(name)
  if (found) return found
  throw unknownRule(name, [...loaded.rules.keys()])
}

/** @throws NaruError VALUE_INVALID, RULE_EXISTS */
export function mustBeNew(loaded: Loaded, name: string): void {
  const bad = nameProblem(name)
  if (bad) throw new NaruError('VALUE_INVALID', { what: 'name', value: name.slice(0, 60), why: bad })
  if (loaded.rules.has(name)) throw new NaruError('RULE_EXISTS', { name })
}

/** Null takes a key out; a map merges into a map; everything else replaces. */
export function merged(rule: RuleInput, change: RuleInput): RuleInput {
  const result: Record<string, RuleInput[string]> = { ...rule }
  for (const [key, value] of Object.entries(change)) {
    const there = result[key]
    if (value === null) delete result[key]
    else if (isInput(value) && isInput(there)) result[key] = merged(there, value)
    else result[key] = value
  }
  return result
}

/** What opening the rule from nothing would take. */
export async function planFresh(rule: Rule, parts: Deps, signal: AbortSignal): Promise<PlanStep[]> {
  if (!rule.enabled || (rule.until !== null && rule.until <= parts.clock.now())) return []
  const tools = {
    parts,
    facts: await parts.host.facts(),
    failedEngines: new Map<never, never>(),
    onEngineEvent: () => {},
    signal,
  }
  return stepsBetween(new Map(), await desiredHops(rule, tools)).map((step) => shown(rule.name, step))
}

/** Remarks that stop nothing, but that a person should read before. */
export async function notesFor(rule: Rule, parts: Deps, signal: AbortSignal): Promise<PlanNote[]> {
  const notes = ruleNotes(rule)
  if (rule.until !== null && rule.until <= parts.clock.now()) {
    notes.push(noteOn(rule.name, say('its time is over already, so it stays closed')))
  }
  if (rule.enabled) notes.push(...(await unresolved(rule, parts, signal)))
  return notes
}

/** A name may come to life later; a mistyped one never does. */
async function unresolved(rule: Rule, parts: Deps, signal: AbortSignal): Promise<PlanNote[]> {
  const resolve = resolveGuests(parts, parts.resolveName)
  const asked = rule.targets.map(async ({ to }): Promise<PlanNote[]> => {
    if (to.kind === 'unix' || (to.kind === 'inet' && isAddress(to.host))) return []
    const limited = withLimit(signal, nameLimitMs)
    try {
      // Where its hypervisor forwards, the guest hop tells.
      if (to.kind === 'inet' || (await reachOf(to, rule, parts, limited)) === 'direct')
        await resolve(to, { signal: limited })
      return []
    } catch (error) {
      const { text, fix } = toNaruError(error)
      const mend = fix && to.kind === 'guest' ? sayOf('after a sentence')`; ${fix}` : verbatim('')
      return [noteOn(rule.name, say`${text}${mend}; it is tried again at each connection`)]
    }
  })
  return (await Promise.all(asked)).flat()
}

function isAddress(host: string): boolean {
  return canonicalAddress(host) !== null
}

function isInput(value: unknown): value is RuleInput {
  return isMap(value)
}

/** Its path starts at the rule. */
function ofRule(problem: Problem): Problem {
  return { ...problem, path: problem.path.slice(2) }
}

function invalid(name: string, problems: readonly Problem[]): NaruError {
  return new NaruError(
    'RULE_INVALID',
    { name: name.slice(0, 60), problems: joined(problems) },
    { problems: problems.map(({ path, text }) => ({ path: path.join('.'), text })) },
  )
}
