/** `naru rm NAME`: closes a rule and takes it out of the file. */
import { say, sayOf } from '../../base/text.ts'
import { change, changeEach, dryRun, now, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'rm',
  summary: say('close a rule and take it out of the file'),
  about: say('Its connections may finish within timeouts.drain (30 s); --now cuts them.'),
  arguments: [{ name: 'NAME', text: say('names of rules'), many: true, completes: 'rule' }],
  options: [now, dryRun],
  examples: [
    { command: 'naru rm iis --now', text: sayOf('before it is removed')('close it and cut its connections') },
  ],
  json: resultJson,
  run(context) {
    const cut = context.switched('now')
    return changeEach(context, (name) =>
      change(context, name, say`removed ${name}`, (naru, options) =>
        naru.rules.remove(name, { ...options, now: cut }),
      ),
    )
  },
}
