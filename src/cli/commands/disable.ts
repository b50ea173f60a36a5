/** `naru disable NAME`: closes a rule and keeps it in the file. */
import { say } from '../../base/text.ts'
import { change, dryRun, now, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'disable',
  summary: say('close a rule and keep it in the file', '규칙을 닫되 파일에는 남깁니다'),
  arguments: [{ name: 'NAME', text: say('name of the rule', '규칙 이름'), completes: 'rule' }],
  options: [now, dryRun],
  examples: [
    { command: 'naru disable iis --now', text: say('close it and cut its connections', '닫고 연결 끊기') },
  ],
  json: resultJson,
  run(context) {
    const name = context.arg('NAME')
    const cut = context.switched('now')
    return change(
      context,
      name,
      say(`disabled ${name}`, `${name} 규칙을 껐습니다`),
      (naru, options) => naru.rules.disable(name, { ...options, now: cut }),
      say(`${name} is off already`, `${name} 규칙은 이미 꺼져 있습니다`),
    )
  },
}
