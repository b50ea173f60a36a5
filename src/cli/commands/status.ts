/** `naru status [NAME]`: all that is known of a rule, or of the daemon itself. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { say, verbatim } from '../../base/text.ts'
import { shownState, type ShownState } from '../../model/shown-state.ts'
import { give, giveOptions } from '../print/addresses.ts'
import { verboseOption } from '../options.ts'
import { printProblem } from '../print/errors.ts'
import { openElsewhere, ruleDetail } from '../print/rules.ts'
import { span } from '../print/units.ts'
import { stateWords } from '../print/words.ts'
import { findRule } from '../connect.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'status',
  summary: say('all about a rule, or about the daemon'),
  arguments: [{ name: 'NAME', text: say('name of the rule'), optional: true, completes: 'rule' }],
  options: [...giveOptions, verboseOption],
  about: say(
    'Of a rule that naru open holds in another terminal it tells the hops as they were when one last changed, not the traffic.',
  ),
  examples: [
    {
      command: 'naru status iis --qr',
      text: say('its address, for a phone'),
    },
    {
      command: 'naru status iis',
      text: say('each hop, what it granted, the traffic'),
    },
    {
      command: 'naru status',
      text: say('the daemon, its file and the link to the web page'),
    },
  ],
  json: say('RuleStatus; without NAME {about, session, rules}'),
  run: (context) => (context.args('NAME').length === 0 ? daemon(context) : rule(context)),
}

async function rule(context: Context): Promise<ExitCode> {
  const { print, json, io } = context
  const { status, traffic } = await findRule(context, context.arg('NAME'))
  if (json) print.json(status)
  else {
    const verbose = context.switched('verbose')
    for (const line of ruleDetail(status, print, { now: io.now(), traffic, verbose })) print.prose(line)
  }
  await give(status, context)
  if (!json && traffic === 'unknown') print.talk(openElsewhere([status.name]))
  return status.hops.some(({ state }) => state === 'broken') || status.state === 'failed' ? 3 : 0
}

async function daemon({ deps, file, print, json, io }: Context): Promise<ExitCode> {
  const naru = await deps.connect({ file })
  const [about, session, rules] = [await naru.about(), await naru.session(), await naru.rules.list()]
  const broken = rules.filter(({ state }) => state === 'failed' || state === 'degraded').length
  if (json) {
    print.json({ about, session, rules })
    return broken > 0 ? 3 : 0
  }
  const told = (sign: string, state: ShownState): string[] => {
    const count = rules.filter((one) => shownState(one) === state).length
    return count > 0 ? [`${sign} ${count} ${print.say(stateWords[state])}`] : []
  }
  const states = [
    ...told('✗', 'failed'),
    ...told('✗', 'silent'),
    ...told('✗', 'degraded'),
    ...told('…', 'untried'),
  ]
  const lines: readonly [{ en: string; ko: string }, string | null][] = [
    [verbatim('Naru'), `${about.version} (pid ${about.pid}, ${span(io.now() - about.startedAt)})`],
    [say('file'), about.file],
    [say('web page'), session.loginUrl ?? about.web],
    [say('to look only'), session.readOnlyUrl],
    [say('rules'), `${rules.length}${states.length > 0 ? ` (${states.join(', ')})` : ''}`],
  ]
  for (const [title, value] of lines) if (value !== null) print.data(`${print.say(title)}: ${value}`)
  if (about.fileProblem) printProblem(about.fileProblem, print)
  return broken > 0 ? 3 : 0
}
