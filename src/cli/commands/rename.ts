/** `naru rename OLD NEW`: another name for the same rule; nothing is opened or closed. */
import { say } from '../../base/text.ts'
import { change, dryRun, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'rename',
  summary: say('give a rule another name'),
  about: say(
    'Nothing is opened or closed, and its connections go on. In the file it keeps its place and its comments. What people call it, in any language, is its title: naru edit NAME --title TEXT.',
  ),
  arguments: [
    { name: 'OLD', text: say('its name'), completes: 'rule' },
    { name: 'NEW', text: say('its next name') },
  ],
  options: [dryRun],
  examples: [{ command: 'naru rename open-8888 iis', text: say('a name to remember') }],
  json: resultJson,
  run(context) {
    const [name, to] = [context.arg('OLD'), context.arg('NEW')]
    const done = say`renamed ${name} to ${to}`
    return change(context, to, done, (naru, options) => naru.rules.rename(name, to, options))
  },
}
