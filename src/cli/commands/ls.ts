/** `naru ls`: the rules with each hop's state. */
import { isNaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { ruleFilter } from '../../model/rule-filter.ts'
import { roomOf } from '../io.ts'
import { verboseOption } from '../options.ts'
import { engineReasons, keptLines, openElsewhere, ruleTable } from '../print/rules.ts'
import { daemonOrFile, fileOf } from '../connect.ts'
import type { Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'ls',
  summary: say('rules with each hop’s state', '규칙과 각 구간의 상태'),
  about: say(
    'STATE tells that the port is open from that somebody answers behind it: target untried is open and not looked at yet, target silent is open and nobody answers. Where no daemon runs it shows the rules of the file; what naru open holds in another terminal is listed too.',
    '상태는 포트가 열린 것과 대상이 응답하는 것을 구분합니다. 대상 확인 전은 열렸지만 아직 확인하지 않은 것, 대상 응답 없음은 열렸지만 대상이 응답하지 않는 것입니다. 실행 중인 데몬이 없으면 파일에 적힌 규칙을 보여 줍니다. 다른 터미널에서 naru open으로 연 것도 함께 나옵니다.',
  ),
  arguments: [
    {
      name: 'FILTER',
      optional: true,
      many: true,
      text: say('the same as --filter', '--filter와 같음'),
    },
  ],
  options: [
    verboseOption,
    {
      name: 'filter',
      short: 'f',
      value: 'TEXT',
      many: true,
      text: say(
        'only rules with this text, or with state=open, tag=work, engine=splice, name=, listen= or target=',
        '이 글자가 있는 규칙만. state=open, tag=work, engine=splice, name=, listen=, target=도 가능',
      ),
    },
  ],
  examples: [
    { command: 'naru ls state=failed', text: say('what does not work', '열리지 않은 규칙만') },
    {
      command: 'naru ls --filter tag=game --filter 25565',
      text: say('both have to hold', '둘 다 맞는 규칙'),
    },
    {
      command: 'naru ls --json | jq -r ".rules[].name"',
      text: say('names, for a script', '스크립트용 이름 목록'),
    },
  ],
  json: say(
    '{running, rules: RuleStatus[], elsewhere: RuleStatus[]}; elsewhere is what naru open holds in other terminals, as it was when a hop last changed.',
    '{running, rules: RuleStatus[], elsewhere: RuleStatus[]}. elsewhere는 다른 터미널의 naru open이 열어 둔 규칙으로, 구간 상태가 마지막으로 바뀐 때의 모습입니다.',
  ),
  async run(context) {
    const { print, json, io, deps } = context
    const words = [...context.args('FILTER'), ...context.options('filter')]
    const isMeant = ruleFilter(words)
    const [{ naru, running }, others] = await Promise.all([daemonOrFile(context), deps.openElsewhere()])
    const elsewhere = others.filter(isMeant)
    const all = await naru.rules.list().catch((error: unknown) => {
      // Who only ever opens in the foreground has none.
      if (others.length > 0 && isNaruError(error, 'FILE_MISSING')) return []
      throw error
    })
    const rules = all.filter(isMeant)
    if (json) {
      print.json({ running, rules, elsewhere })
      return 0
    }
    const isEmpty = rules.length === 0 && elsewhere.length === 0
    if (!running && (rules.length > 0 || isEmpty)) {
      const file = await fileOf(naru)
      print.talk(elsewhere.length > 0 ? othersOfFile(file) : ofFile(file))
    }
    if (isEmpty) print.talk(words.length > 0 ? noneMeant : howToBegin)
    else
      for (const line of ruleTable(rules, print, { now: io.now(), elsewhere, room: roomOf(io.stdout) }))
        print.data(line)
    for (const line of keptLines(rules, print)) print.talk(line)
    if (context.switched('verbose'))
      for (const line of engineReasons([...rules, ...elsewhere], print)) print.talk(verbatim(line))
    if (elsewhere.length > 0) print.talk(openElsewhere(elsewhere.map(({ name }) => name)))
    return 0
  },
}

const ofFile = (file: Text): Text =>
  say(
    `No Naru runs; these are the rules of ${file.en}.`,
    `실행 중인 Naru가 없습니다. ${file.ko}에 적힌 규칙입니다.`,
  )
const othersOfFile = (file: Text): Text =>
  say(
    `No daemon runs; what naru open does not hold is shown as it is in ${file.en}.`,
    `실행 중인 데몬이 없습니다. naru open이 연 것을 뺀 나머지는 ${file.ko}에 적힌 규칙입니다.`,
  )
const noneMeant = say('No rule is like that.', '조건에 맞는 규칙이 없습니다.')
const howToBegin = say(
  'There are no rules yet: naru add NAME LISTEN TARGET',
  '아직 규칙이 없습니다: naru add 이름 수신 대상',
)
