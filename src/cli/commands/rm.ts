/** `naru rm NAME`: closes a rule and takes it out of the file. */
import { say } from '../../base/text.ts'
import { change, dryRun, now, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'rm',
  summary: say('close a rule and take it out of the file', '규칙을 닫고 파일에서 지웁니다'),
  about: say(
    'Its connections may finish within timeouts.drain (30 s); --now cuts them.',
    '열린 연결은 timeouts.drain(30초) 동안 마칠 수 있고, --now는 바로 끊습니다.',
  ),
  arguments: [{ name: 'NAME', text: say('name of the rule', '규칙 이름'), completes: 'rule' }],
  options: [now, dryRun],
  examples: [
    { command: 'naru rm iis --now', text: say('close it and cut its connections', '닫고 연결도 끊기') },
  ],
  json: resultJson,
  run(context) {
    const name = context.arg('NAME')
    const cut = context.switched('now')
    return change(context, name, say(`removed ${name}`, `${name} 규칙을 지웠습니다`), (naru, options) =>
      naru.rules.remove(name, { ...options, now: cut }),
    )
  },
}
