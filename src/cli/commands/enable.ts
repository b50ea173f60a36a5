/** `naru enable NAME`: opens a rule that is disabled. */
import { say } from '../../base/text.ts'
import { change, changeEach, dryRun, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'enable',
  summary: say('open a rule that is disabled'),
  arguments: [{ name: 'NAME', text: say('names of rules'), many: true, completes: 'rule' }],
  options: [dryRun],
  examples: [{ command: 'naru enable iis', text: say('open it again') }],
  json: resultJson,
  run(context) {
    return changeEach(context, (name) =>
      change(
        context,
        name,
        say`enabled ${name}`,
        (naru, options) => naru.rules.enable(name, options),
        say`${name} is on already`,
      ),
    )
  },
}
