/** `naru rename OLD NEW`: another name for the same rule; nothing is opened or closed. */
import { say } from '../../base/text.ts'
import { change, dryRun, resultJson } from '../change.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'rename',
  summary: say('give a rule another name', '규칙의 이름을 바꿉니다'),
  about: say(
    'Nothing is opened or closed, and its connections go on. In the file it keeps its place and its comments. What people call it, in any language, is its title: naru edit NAME --title TEXT.',
    '아무것도 열거나 닫지 않으며 연결은 그대로 이어집니다. 파일에서도 자리와 주석이 그대로입니다. 한글 이름은 제목으로 붙입니다: naru edit 이름 --title 제목.',
  ),
  arguments: [
    { name: 'OLD', text: say('its name', '지금 이름'), completes: 'rule' },
    { name: 'NEW', text: say('its next name', '새 이름') },
  ],
  options: [dryRun],
  examples: [{ command: 'naru rename open-8888 iis', text: say('a name to remember', '기억하기 쉬운 이름') }],
  json: resultJson,
  run(context) {
    const [name, to] = [context.arg('OLD'), context.arg('NEW')]
    const done = say(`renamed ${name} to ${to}`, `이름 변경: ${name} → ${to}`)
    return change(context, to, done, (naru, options) => naru.rules.rename(name, to, options))
  },
}
