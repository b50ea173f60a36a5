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
    ),
  },
  { name: 'json', text: say('print JSON, stable for programs') },
  { name: 'lang', value: 'LANGUAGE', choices: languages, text: say('speak this language') },
  { name: 'no-color', text: say('no colours (also NO_COLOR)') },
  { name: 'help', short: 'h', text: say('this help') },
]

/** For verbs that tell of rules in a line each. */
export const verboseOption: VerbOption = {
  name: 'verbose',
  text: say('also why each rule has its engine, and why others cannot carry it'),
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
