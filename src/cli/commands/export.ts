/** `naru export --to FORMAT`: rules as another program's file. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { exportFormats, type ExportFormat } from '../../model/import-export.ts'
import type { RuleStatus } from '../../model/naru-api.ts'
import { parseRule } from '../../model/rule-file.ts'
import { usage } from '../parse.ts'
import { printLosses } from '../print/losses.ts'
import { daemonOrFile } from '../connect.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'export',
  summary: say('print rules as another program’s file', '규칙을 다른 프로그램의 설정으로 출력합니다'),
  about: say(
    'What the other program cannot do is listed on stderr. A rule that would then be another one, or open to others, is left out whole, and the exit code is 3; one that is switched off or over is named and no failure. docs/import-export.md has the table of what is carried.',
    '그 프로그램이 할 수 없는 것은 stderr에 보여 줍니다. 그 때문에 다른 규칙이 되거나 더 많은 사람에게 열리는 규칙은 통째로 빼고 종료 코드 3으로 끝납니다. 꺼졌거나 만료된 규칙은 이름만 알려 주며 실패가 아닙니다. 무엇이 옮겨지는지는 docs/import-export.md의 표를 보세요.',
  ),
  arguments: [
    {
      name: 'NAME',
      text: say('only these rules', '이 규칙만'),
      optional: true,
      many: true,
      completes: 'rule',
    },
  ],
  options: [
    {
      name: 'to',
      value: 'FORMAT',
      choices: exportFormats,
      text: say('which program', '어느 프로그램으로'),
    },
  ],
  examples: [
    { command: 'naru export --to nft > naru.nft', text: say('load it with nft -f', 'nft -f로 읽어 들임') },
    {
      command: 'naru export --to haproxy web ssh',
      text: say('two rules as an haproxy.cfg', '규칙 두 개를 haproxy.cfg로'),
    },
  ],
  json: say(
    '{format, text, rules: [name], losses: [{place, rule, leftOut, what, why}]}',
    '{format, text, rules: [name], losses: [{place, rule, leftOut, what, why}]}',
  ),
  async run(context) {
    const { print, json, deps } = context
    const to = context.option('to') as ExportFormat | null
    if (to === null)
      throw usage(
        'naru export',
        say(
          `say which program: --to ${exportFormats.join('|')}`,
          `어느 프로그램인지 쓰세요: --to ${exportFormats.join('|')}`,
        ),
      )
    const rules = (await wanted(context)).map(({ name, rule }) => parseRule(name, rule))
    const exported = await deps.exportRules(to, rules)
    if (json) print.json(exported)
    else {
      print.data(exported.text.replace(/\n$/, ''))
      printLosses(exported.losses, null, print)
    }
    return exported.losses.some(({ leftOut, off }) => leftOut && !off) ? 3 : (0 satisfies ExitCode)
  },
}

/** @throws NaruError RULE_UNKNOWN */
async function wanted(context: Context): Promise<readonly RuleStatus[]> {
  const { naru } = await daemonOrFile(context)
  const rules = await naru.rules.list()
  const names = context.args('NAME')
  const missing = names.find((name) => !rules.some((rule) => rule.name === name))
  if (missing !== undefined)
    throw new NaruError('RULE_UNKNOWN', {
      name: missing.slice(0, 60),
      known:
        rules
          .map(({ name }) => name)
          .slice(0, 20)
          .join(', ') || '–',
    })
  return names.length === 0 ? rules : rules.filter(({ name }) => names.includes(name))
}
