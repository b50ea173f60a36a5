/** `naru disable NAME`: closes a rule and keeps it in the file. */
import { say } from '../../base/text.ts'
import { change, changeEach, dryRun, now, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'disable',
  summary: say('close a rule and keep it in the file'),
  arguments: [{ name: 'NAME', text: say('names of rules'), many: true, completes: 'rule' }],
  options: [now, dryRun],
  examples: [{ command: 'naru disable iis --now', text: say('close it and cut its connections') }],
  json: resultJson,
  run(context) {
    const cut = context.switched('now')
    return changeEach(context, (name) =>
      change(
        context,
        name,
        say`disabled ${name}`,
        (naru, options) => naru.rules.disable(name, { ...options, now: cut }),
        say`${name} is off already`,
      ),
    )
  },
}
