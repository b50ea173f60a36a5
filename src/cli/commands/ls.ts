/** `naru ls`: the rules with each hop's state. */
import { say, verbatim } from '../../base/text.ts'
import { engineReasons, ruleTable } from '../print/rules.ts'
import { daemonOrFile } from '../reach.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ls',
  summary: say('rules with each hop’s state', '규칙과 각 구간의 상태'),
  about: say(
    'Where no daemon runs it shows the rules of the file. Why each rule has its engine is told below the table, on stderr.',
    '실행 중인 데몬이 없으면 파일에 적힌 규칙을 보여 줍니다. 규칙마다 그 엔진을 고른 이유는 표 아래에, 표준 오류로 알려 줍니다.',
  ),
  examples: [
    {
      command: 'naru ls --json | jq -r ".rules[].name"',
      text: say('names, for a script', '스크립트용 이름 목록'),
    },
  ],
  json: say('{running, rules: RuleStatus[]}', '{running, rules: RuleStatus[]}'),
  async run(context) {
    const { print, json, io } = context
    const { naru, running } = await daemonOrFile(context, { quiet: true })
    const rules = await naru.rules.list()
    if (json) {
      print.json({ running, rules })
      return 0
    }
    if (!running)
      print.talk(
        say(
          'No Naru runs; these are the rules of the file.',
          '실행 중인 Naru가 없습니다. 파일에 적힌 규칙입니다.',
        ),
      )
    if (rules.length === 0)
      print.talk(
        say(
          'There are no rules yet: naru add NAME LISTEN TARGET',
          '아직 규칙이 없습니다: naru add 이름 수신 대상',
        ),
      )
    else for (const line of ruleTable(rules, print, io.now())) print.data(line)
    for (const line of engineReasons(rules, print)) print.talk(verbatim(line))
    return 0
  },
}
