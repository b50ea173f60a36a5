/** `naru import FILE`: forwards of another program, added as rules. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { toNaruError, type NaruErrorJson } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
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
  summary: say('add the forwards of another program', '다른 프로그램의 포워딩을 가져와 추가합니다'),
  about: say(
    'Reads netsh portproxy, rinetd, nginx stream, HAProxy, iptables-save, Docker Compose and ASUS. What cannot be carried over is listed with its line and the reason. A rule that is there already is not added again; one whose name is taken gets a number behind it. Exit code 3 where some could not be added or carried over. docs/import-export.md has the table of what is carried.',
    'netsh portproxy, rinetd, nginx stream, HAProxy, iptables-save, Docker Compose, ASUS를 읽습니다. 옮길 수 없는 것은 줄 번호와 이유를 함께 보여 줍니다. 이미 있는 규칙은 다시 추가하지 않고, 이름이 겹치면 뒤에 번호를 붙입니다. 일부를 추가하거나 옮기지 못하면 종료 코드 3입니다. 무엇이 옮겨지는지는 docs/import-export.md의 표를 보세요.',
  ),
  arguments: [
    {
      name: 'FILE',
      text: say('what to read; - is standard input', '읽을 파일. -는 표준 입력'),
      completes: 'file',
    },
  ],
  options: [
    {
      name: 'from',
      value: 'FORMAT',
      choices: importFormats,
      text: say('what the file is; else told from its content', '파일 형식. 없으면 내용으로 판단'),
    },
    { name: 'disabled', text: say('into the file only', '파일에만 추가하고 열지 않음') },
    {
      name: 'dry-run',
      text: say('show what would be added, do nothing', '추가될 내용만 보여 주고 실행하지 않음'),
    },
  ],
  examples: [
    {
      command: 'netsh interface portproxy show all | naru import -',
      text: say('what Windows forwards', 'Windows의 포트 프록시'),
    },
    {
      command: 'naru import /etc/rinetd.conf --dry-run',
      text: say('look first', '먼저 확인'),
    },
    {
      command: 'iptables-save | naru import - --from iptables --disabled',
      text: say('into the file, to be enabled one by one', '파일에만 넣고 하나씩 켜기'),
    },
  ],
  json: say(
    '{format, detected, dryRun, rules: [{name, wanted, rule, line, column, result: "added"|"planned"|"there"|"failed", problem}], losses: [{place, rule, leftOut, what, why}]}',
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
  const how = detected ? say('by its content', '내용으로 판단') : say('as said', '지정됨')
  print.talk(
    say(
      `${file}: ${format} (${how.en}), forwards: ${outcomes.length}`,
      `${file}: ${format} (${how.ko}), 포워딩 ${outcomes.length}개`,
    ),
  )
  const rows = outcomes.map(({ name, wanted, rule, place, result }) => [
    result === 'there' ? '=' : '+',
    name === wanted ? name : `${name} (${wanted})`,
    ...ends(parseRule(wanted, rule)),
    otherKeys(rule),
    `${place.line}`,
  ])
  const columns = [
    { title: '' },
    { title: print.say(say('NAME', '이름')) },
    { title: print.say(say('LISTEN', '수신')) },
    { title: print.say(say('TARGET', '대상')) },
    { title: print.say(say('MORE', '기타')) },
    { title: print.say(say('LINE', '줄')), align: 'right' as const },
  ]
  if (rows.length > 0) for (const line of table(columns, rows)) print.data(line)
  else if (!losses.some(({ leftOut }) => leftOut))
    print.talk(say('nothing is forwarded there', '포워딩하는 것이 없습니다'))
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
  const done: Text = dry
    ? say(`would add ${count('planned')}`, `추가될 규칙 ${count('planned')}개`)
    : say(`added ${count('added')}`, `${count('added')}개를 추가했습니다`)
  const rest: Text[] = [
    ...(count('there') > 0 ? [say(`${count('there')} there already`, `이미 있음 ${count('there')}개`)] : []),
    ...(count('failed') > 0 ? [say(`${count('failed')} failed`, `실패 ${count('failed')}개`)] : []),
    ...(off > 0 ? [say(`${off} of them switched off`, `그중 꺼 둔 규칙 ${off}개`)] : []),
    ...(missed > 0 ? [say(`${missed} not carried over`, `옮기지 못한 것 ${missed}개`)] : []),
  ]
  print.talk([done, ...rest].map((text) => print.say(text)).join(', '))
  if (!dry && count('added') > 0)
    print.talk(
      say(
        'Where it still forwards on this machine it has these ports first: stop that program, or take its rules away.',
        '아직 이 컴퓨터에서 포워딩하고 있으면 포트를 먼저 가져갑니다. 그 프로그램을 멈추거나 그 규칙을 지우세요.',
      ),
    )
}

/** 0 where all is there, 3 where some is or a forward was left out, 1 where none could be added. */
function exitOf(outcomes: readonly Outcome[], { losses }: Imported): ExitCode {
  const failed = outcomes.filter(({ problem }) => problem !== null)
  if (failed.length === 0) return losses.some(({ leftOut }) => leftOut) ? 3 : 0
  return failed.some(({ result }) => result === 'added') || failed.length < outcomes.length ? 3 : 1
}
