/** A rule as it is written in the file, the API and `open`'s flags: read, or everything that is wrong with it. */
import { NaruError } from '../base/errors.ts'
import { inEach, say, type Text } from '../base/text.ts'
import type { Rule } from './rule.ts'
import { ruleShape } from './rule-keys/index.ts'
import { aloneTo } from './rule-keys/targets.ts'
import { contradictions } from './rule-sense.ts'
import { mostProblems, type Problem } from './schema.ts'

export const longestName = 40

/** Names are words that fit into a firewall comment and a router's description. */
export const rulePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/

export function nameProblem(name: string): Text | null {
  if (rulePattern.test(name)) return null
  return say(
    'a name has 1 to 40 letters, digits, ".", "_" or "-" and begins with a letter or digit; any other word may be its title',
  )
}

/** Everything that is wrong with a rule at once, or the rule. Paths start at the rule itself. */
export function readRule(
  name: string,
  input: unknown,
): { rule: Rule; problems: [] } | { rule: null; problems: Problem[] } {
  const problems: Problem[] = []
  const bad = nameProblem(name)
  if (bad) problems.push({ path: [], text: bad })
  const read = ruleShape.read(input, [], problems)
  if (read === undefined) {
    if (problems.length >= mostProblems) problems.push({ path: [], text: say('there may be more') })
    return { rule: null, problems }
  }
  const { target, targets, ...rest } = read
  if ((target === null) === (targets === null)) {
    problems.push({
      path: [],
      text: say('write either target or targets'),
    })
  }
  const rule: Rule = { name, ...rest, targets: targets ?? (target ? [aloneTo(target)] : []) }
  if (problems.length === 0) problems.push(...contradictions(rule))
  return problems.length > 0 ? { rule: null, problems } : { rule, problems: [] }
}

/** @throws NaruError RULE_INVALID with every problem. */
export function parseRule(name: string, input: unknown): Rule {
  const { rule, problems } = readRule(name, input)
  if (rule) return rule
  throw new NaruError('RULE_INVALID', { name: name.slice(0, 60), problems: joined(problems) })
}

/**
 * Several problems as one line each: `limits.connections: …`. Which of a list it is its value tells, and whoever typed
 * an option has no file with places in it.
 */
export function joined(problems: readonly Problem[]): Text {
  const place = (path: Problem['path']): string => path.filter((word) => typeof word === 'string').join('.')
  const line = (language: keyof Text): string =>
    problems.map(({ path, text }) => (path.length > 0 ? `${place(path)}: ` : '') + text[language]).join('; ')
  return inEach(line)
}
