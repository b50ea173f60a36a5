/** `naru import FILE`: forwards of another program, added as rules. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { toNaruError, type NaruErrorJson } from '../../base/errors.ts'
import { say, sayOf, verbatim, type Text } from '../../base/text.ts'
import { importFormats, type FoundRule, type Imported, type ImportFormat } from '../../model/import-export.ts'
import type { ChangeOptions, Naru, RuleInput, RuleStatus } from '../../model/naru-api.ts'
import { formatListen } from '../../model/listen.ts'
import type { Rule } from '../../model/rule.ts'
import { namedBeside } from '../../model/import-names.ts'
import { parseRule } from '../../model/rule-file.ts'
import { formatTarget } from '../../model/target.ts'
import { printProblem } from '../print/errors.ts'
import { printLosses } from '../print/losses.ts'
import { table } from '../print/table.ts'
import { daemonOrFile, tellFileAlone } from '../connect.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'import',
  summary: say('add the forwards of another program'),
  about: say(
    'Reads netsh portproxy, rinetd, nginx stream, HAProxy, iptables-save, Docker Compose and ASUS. What cannot be carried over is listed with its line and the reason. A rule that is there already is not added again; one whose name is taken gets a number behind it. Exit code 3 where some could not be added or carried over. docs/import-export.md has the table of what is carried.',
  ),
  arguments: [
    {
      name: 'FILE',
      text: say('what to read; - is standard input'),
      completes: 'file',
    },
  ],
  options: [
    {
      name: 'from',
      value: 'FORMAT',
      choices: importFormats,
      text: say('what the file is; else told from its content'),
    },
    { name: 'disabled', text: say('into the file only') },
    {
      name: 'dry-run',
      text: say('show what would be added, do nothing'),
    },
  ],
  examples: [
    {
      command: 'netsh interface portproxy show all | naru import -',
      text: say('what Windows forwards'),
    },
    {
      command: 'naru import /etc/rinetd.conf --dry-run',
      text: say('look first'),
    },
    {
      command: 'iptables-save | naru import - --from iptables --disabled',
      text: say('into the file, to be enabled one by one'),
    },
  ],
  json: verbatim(
    '{format, detected, dryRun, rules: [{name, wanted, rule, line, column, result: "added"|"planned"|"there"|"failed", problem}], losses: [{place, rule, leftOut, what, why}]}',
  ),
  run,
}

interface Outcome {
  readonly name: string
  /** The name in the file; `name` differs where that is taken. */
  readonly wanted: string
  readonly rule: RuleInput
  readonly place: FoundRule['place']
  result: 'added' | 'planned' | 'there' | 'failed'
  problem: NaruErrorJson | null
}

async function run(context: Context): Promise<ExitCode> {
  const { print, json, deps } = context
  const file = context.arg('FILE')
  const dry = context.switched('dry-run')
  const imported = await deps.importFile(file, context.option('from') as ImportFormat | null)
  const shown = file === '-' ? 'stdin' : file
  const { naru, running } = await daemonOrFile(context)
  const existing = await rulesThere(naru)
  const outcomes = outcomesOf(imported, existing, context.switched('disabled'))
  if (!json) printFound(imported, outcomes, shown, context)
  const notes = await takeAll(outcomes, naru, { dryRun: dry })
  if (json)
    print.json({
      format: imported.format,
      detected: imported.detected,
      dryRun: dry,
      rules: outcomes.map(({ place, ...rest }) => ({ ...rest, ...place })),
      losses: imported.losses,
    })
  else {
    for (const note of notes) print.talk(note)
    printOutcomes(outcomes, imported, { dry, file: shown }, context)
  }
  if (!running && !json && outcomes.some(({ result }) => result === 'added'))
    await tellFileAlone(context, naru)
  return exitOf(outcomes, imported)
}

/** The first rules may come before the file. */
async function rulesThere(naru: Naru): Promise<readonly RuleStatus[]> {
  try {
    return await naru.rules.list()
  } catch (error) {
    if (toNaruError(error).code === 'FILE_MISSING') return []
    throw error
  }
}

function outcomesOf({ rules }: Imported, existing: readonly RuleStatus[], disabled: boolean): Outcome[] {
  return namedBeside(rules, existing).map(({ name, wanted, rule, place, isThere }) => ({
    name,
    wanted,
    rule: disabled ? { ...rule, enabled: false } : rule,
    place,
    result: isThere ? 'there' : 'planned',
    problem: null,
  }))
}

/** @returns what is to be read beside what became of each */
async function takeAll(
  outcomes: readonly Outcome[],
  naru: Naru,
  options: ChangeOptions,
): Promise<readonly Text[]> {
  const fresh = outcomes.filter(({ result }) => result !== 'there')
  const { rules, notes } = await naru.rules.addAll(
    fresh.map(({ name, rule }) => ({ name, rule })),
    options,
  )
  for (const [at, { added, problem }] of rules.entries()) {
    const outcome = fresh[at] as Outcome
    outcome.result = !added ? 'failed' : options.dryRun ? 'planned' : 'added'
    outcome.problem = problem
  }
  return notes
}

function printFound(
  imported: Imported,
  outcomes: readonly Outcome[],
  file: string,
  { print }: Context,
): void {
  const { format, detected, losses } = imported
  const how = detected ? say('by its content') : say('as said')
  print.talk(say`${file}: ${format} (${how}), forwards: ${outcomes.length}`)
  const rows = outcomes.map(({ name, wanted, rule, place, result }) => [
    result === 'there' ? '=' : '+',
    name === wanted ? name : `${name} (${wanted})`,
    ...ends(parseRule(wanted, rule)),
    otherKeys(rule),
    `${place.line}`,
  ])
  const columns = [
    { title: '' },
    { title: print.say(say('NAME')) },
    { title: print.say(say('LISTEN')) },
    { title: print.say(say('TARGET')) },
    { title: print.say(say('MORE')) },
    { title: print.say(say('LINE')), align: 'right' as const },
  ]
  if (rows.length > 0) for (const line of table(columns, rows)) print.data(line)
  else if (!losses.some(({ leftOut }) => leftOut)) print.talk(say('nothing is forwarded there'))
  printLosses(losses, file, print)
}

/** Where it arrives, and where it goes. */
function ends({ listen, targets }: Rule): [string, string] {
  const goesTo = targets.map(
    ({ to, name, backup }) =>
      formatTarget(to) + (name === null ? '' : ` (${name})`) + (backup ? ' (backup)' : ''),
  )
  return [formatListen(listen), goesTo.join(', ')]
}

function otherKeys(rule: RuleInput): string {
  return Object.entries(rule)
    .filter(([key]) => !['listen', 'target', 'targets'].includes(key))
    .map(([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

function printOutcomes(
  outcomes: readonly Outcome[],
  { losses }: Imported,
  { dry, file }: { readonly dry: boolean; readonly file: string },
  { print }: Context,
): void {
  for (const { name, place, problem } of outcomes) {
    if (!problem) continue
    print.talk(`${file}:${place.line}:${place.column}: ${print.paintTalk.bold(name)}:`)
    printProblem(problem, print)
  }
  const count = (result: Outcome['result']): number => outcomes.filter((one) => one.result === result).length
  // Switched off, a forward is there until somebody says what the text does not.
  const off = new Set(losses.flatMap(({ leftOut, rule }) => (leftOut && rule !== null ? [rule] : []))).size
  const missed = losses.filter(({ leftOut, rule }) => !leftOut || rule === null).length
  const done: Text = dry ? say`would add ${count('planned')}` : sayOf('how many')`added ${count('added')}`
  const rest: Text[] = [
    ...(count('there') > 0 ? [say`${count('there')} there already`] : []),
    ...(count('failed') > 0 ? [say`${count('failed')} failed`] : []),
    ...(off > 0 ? [say`${off} of them switched off`] : []),
    ...(missed > 0 ? [say`${missed} not carried over`] : []),
  ]
  print.talk([done, ...rest].map((text) => print.say(text)).join(', '))
  if (!dry && count('added') > 0)
    print.talk(
      say(
        'Where it still forwards on this machine it has these ports first: stop that program, or take its rules away.',
      ),
    )
}

/** 0 where all is there, 3 where some is or a forward was left out, 1 where none could be added. */
function exitOf(outcomes: readonly Outcome[], { losses }: Imported): ExitCode {
  const failed = outcomes.filter(({ problem }) => problem !== null)
  if (failed.length === 0) return losses.some(({ leftOut }) => leftOut) ? 3 : 0
  return failed.some(({ result }) => result === 'added') || failed.length < outcomes.length ? 3 : 1
}
