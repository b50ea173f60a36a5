/** `naru enable NAME`: opens a rule that is disabled. */
import { say } from '../../base/text.ts'
import { change, dryRun, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'enable',
  summary: say('open a rule that is disabled', '꺼 둔 규칙을 엽니다'),
  arguments: [{ name: 'NAME', text: say('name of the rule', '규칙 이름'), completes: 'rule' }],
  options: [dryRun],
  examples: [{ command: 'naru enable iis', text: say('open it again', '다시 열기') }],
  json: resultJson,
  run(context) {
    const name = context.arg('NAME')
    return change(
      context,
      name,
      say(`enabled ${name}`, `${name} 규칙을 켰습니다`),
      (naru, options) => naru.rules.enable(name, options),
      say(`${name} is on already`, `${name} 규칙은 이미 켜져 있습니다`),
    )
  },
}
