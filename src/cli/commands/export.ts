/** `naru export --to FORMAT`: rules as another program's file. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { say, verbatim } from '../../base/text.ts'
import { exportFormats, type ExportFormat } from '../../model/import-export.ts'
import type { RuleStatus } from '../../model/naru-api.ts'
import { parseRule } from '../../model/rule-file.ts'
import { unknownRule } from '../../model/unknown-rule.ts'
import { usage } from '../parse.ts'
import { printLosses } from '../print/losses.ts'
import { daemonOrFile } from '../connect.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'export',
  summary: say('print rules as another program’s file'),
  about: say(
    'What the other program cannot do is listed on stderr. A rule that would then be another one, or open to others, is left out whole, and the exit code is 3; one that is switched off or over is named and no failure. docs/import-export.md has the table of what is carried.',
  ),
  arguments: [
    {
      name: 'NAME',
      text: say('only these rules'),
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
      text: say('which program'),
    },
  ],
  examples: [
    { command: 'naru export --to nft > naru.nft', text: say('load it with nft -f') },
    {
      command: 'naru export --to haproxy web ssh',
      text: say('two rules as an haproxy.cfg'),
    },
  ],
  json: verbatim('{format, text, rules: [name], losses: [{place, rule, leftOut, what, why}]}'),
  async run(context) {
    const { print, json, deps } = context
    const to = context.option('to') as ExportFormat | null
    if (to === null) throw usage('naru export', say`say which program: --to ${exportFormats.join('|')}`)
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
  const all = rules.map(({ name }) => name)
  const missing = names.find((name) => !all.includes(name))
  if (missing !== undefined) throw unknownRule(missing, all)
  return names.length === 0 ? rules : rules.filter(({ name }) => names.includes(name))
}
