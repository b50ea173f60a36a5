/** The options every verb knows. */
import { say } from '../base/text.ts'
import { languages } from './language.ts'
import type { VerbOption, Verb } from './verb.ts'

export const globalOptions: readonly VerbOption[] = [
  {
    name: 'config',
    short: 'c',
    value: 'FILE',
    completes: 'file',
    text: say(
      'the rules file (NARU_CONFIG, then naru/naru.yaml in $XDG_CONFIG_HOME, ~/.config or %APPDATA%, then /etc/naru/naru.yaml)',
      '규칙 파일 (NARU_CONFIG, $XDG_CONFIG_HOME이나 ~/.config 또는 %APPDATA%의 naru/naru.yaml, /etc/naru/naru.yaml 순)',
    ),
  },
  { name: 'json', text: say('print JSON, stable for programs', '프로그램용 JSON으로 출력') },
  { name: 'lang', value: 'LANGUAGE', choices: languages, text: say('speak this language', '출력 언어') },
  { name: 'no-color', text: say('no colours (also NO_COLOR)', '색 없이 출력 (NO_COLOR도 가능)') },
  { name: 'help', short: 'h', text: say('this help', '도움말') },
]

/** For verbs that tell of rules in a line each. */
export const verboseOption: VerbOption = {
  name: 'verbose',
  text: say(
    'also why each rule has its engine, and why others cannot carry it',
    '규칙마다 그 엔진을 고른 이유와 다른 엔진을 쓰지 못한 이유까지 표시',
  ),
}

/** Those that a verb takes: what prints a script or nothing at all has no JSON. */
export function commonOptions({
  json,
  verbs,
  run,
}: Pick<Verb, 'json' | 'verbs' | 'run'>): readonly VerbOption[] {
  const speaks = json !== undefined || verbs !== undefined || run === undefined
  return speaks ? globalOptions : globalOptions.filter(({ name }) => name !== 'json')
}
