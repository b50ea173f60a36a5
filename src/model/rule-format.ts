/** A rule as it is written: without the keys that say what would be so anyway. */
import type { RuleInput } from './naru-api.ts'
import type { Rule } from './rule.ts'
import { ruleShape } from './rule-keys/index.ts'

/** Back to what `readRule` reads. */
export function formatRule({ name: _name, targets, ...rest }: Rule): RuleInput {
  const [only] = targets
  const alone = targets.length === 1 && only && only.weight === 1 && !only.backup && only.name === null
  return ruleShape.write({
    ...rest,
    target: alone ? only.to : null,
    targets: alone ? null : targets,
  })
}
