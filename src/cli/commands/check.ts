/** `naru check`: is the file valid? Every mistake at once, with line and column. */
import { say } from '../../base/text.ts'
import { noteLines } from '../print/notes.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'check',
  summary: say('validate the file; every mistake at once', '파일 검사. 잘못된 곳을 한 번에 모두 보여 줌'),
  arguments: [
    { name: 'FILE', text: say('in place of --config', '--config 대신'), optional: true, completes: 'file' },
  ],
  examples: [
    {
      command: 'naru check ./naru.yaml',
      text: say('exit code 2 where it is not valid', '잘못되었으면 종료 코드 2'),
    },
  ],
  json: say(
    '{valid: true, file, rules, notes}; an error goes to stderr as {error}',
    '{valid: true, file, rules, notes}. 오류는 stderr에 {error}로',
  ),
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
    print.data(
      print.say(
        say(
          `${file}: valid, ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`,
          `${file}: 올바름, 규칙 ${rules.length}개`,
        ),
      ),
    )
    for (const line of noteLines(notes, print.paintTalk.yellow('!'), print)) print.talk(line)
    return 0
  },
}
