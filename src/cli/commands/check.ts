/** `naru check`: is the file valid? Every mistake at once, with line and column. */
import { say } from '../../base/text.ts'
import { noteLines } from '../print/notes.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'check',
  summary: say('validate the file; every mistake at once'),
  arguments: [{ name: 'FILE', text: say('in place of --config'), optional: true, completes: 'file' }],
  examples: [
    {
      command: 'naru check ./naru.yaml',
      text: say('exit code 2 where it is not valid'),
    },
  ],
  json: say('{valid: true, file, rules, notes}; an error goes to stderr as {error}'),
  async run(context) {
    const { deps, print, json } = context
    const naru = await deps.offline({ file: context.args('FILE')[0] ?? context.file })
    const { file } = await naru.about()
    const rules = await naru.rules.list()
    const { notes } = await naru.plan()
    if (json) {
      print.json({ valid: true, file, rules: rules.map(({ name }) => name), notes })
      return 0
    }
    print.data(print.say(say`${file}: valid, ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`))
    for (const line of noteLines(notes, print.paintTalk.yellow('!'), print)) print.talk(line)
    return 0
  },
}
