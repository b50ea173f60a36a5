/** `naru doctor [NAME|PORT]`: which hop blocks, by evidence, and the fix. The verdict comes first, the rest is folded. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { isNaruError } from '../../base/errors.ts'
import { asRoot } from '../../base/privilege.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import {
  alike,
  consequencesIn,
  triedByText,
  type Diagnosis,
  type DoctorEvent,
} from '../../model/diagnosis.ts'
import type { Finding } from '../../model/finding.ts'
import { splitHostPorts } from '../../model/listen.ts'
import type { DiagnoseRequest } from '../../model/machine-api.ts'
import { internet, withMachine } from '../with-machine.ts'
import { written } from '../print/marks.ts'
import type { Printer } from '../print/printer.ts'
import { usage } from '../parse.ts'
import { clipped } from '../print/width.ts'
import { hopWords } from '../print/words.ts'
import type { Context, Verb } from '../verb.ts'

export const verb: Verb = {
  name: 'doctor',
  summary: say(
    'which hop blocks, by evidence, and the fix',
    '어느 구간이 막혔는지 증거로 찾고 해결 방법을 알려 줌',
  ),
  about: say(
    'Looks at the path hop by hop and changes nothing but with --fix. Without an argument: every rule, then the machine. Nothing is sent to the internet unless --internet says so. Exit code 3 where something blocks.',
    '구간을 차례로 살펴보며, --fix 없이는 아무것도 바꾸지 않습니다. 인자가 없으면 모든 규칙과 이 컴퓨터를 봅니다. --internet 없이는 인터넷으로 아무것도 보내지 않습니다. 막힌 곳이 있으면 종료 코드 3입니다.',
  ),
  arguments: [
    {
      name: 'NAME|PORT',
      text: say('a rule, or a port', '규칙 이름 또는 포트'),
      optional: true,
      completes: 'rule',
    },
  ],
  options: [
    internet,
    {
      name: 'fix',
      text: say('do what is ours to do, after showing it', 'Naru가 할 수 있는 해결을 보여 준 뒤 실행'),
    },
    {
      name: 'from-phone',
      text: say(
        'try it from a phone that is off the Wi-Fi, by a link and a QR code',
        'Wi-Fi를 끈 휴대폰에서 링크나 QR 코드로 시험',
      ),
    },
    {
      name: 'vantage',
      value: 'ADDRESS[:PORT]',
      text: say(
        'try it from another machine that runs `naru vantage`',
        '`naru vantage`를 실행 중인 다른 컴퓨터에서 시험',
      ),
    },
    {
      name: 'key',
      value: 'KEY',
      text: say(
        'that `naru vantage` printed there (or NARU_VANTAGE_KEY)',
        '그 컴퓨터의 `naru vantage`가 출력한 키 (또는 NARU_VANTAGE_KEY)',
      ),
    },
    {
      name: 'ddns',
      value: 'NAME',
      many: true,
      text: say(
        'a name given out for this place: is it still right?',
        '이곳을 가리키는 이름(DDNS)이 맞는지도 확인',
      ),
    },
    {
      name: 'all',
      short: 'a',
      text: say(
        'also what only follows from a cause, and every check',
        '원인에서 비롯된 증상과 모든 검사 결과까지',
      ),
    },
  ],
  examples: [
    { command: 'naru doctor iis', text: say('why can nobody reach it?', '왜 접속이 안 될까?') },
    { command: 'naru doctor iis --from-phone', text: say('proof from outside', '밖에서 확인') },
    { command: 'naru doctor 8888 --json', text: say('for a script', '스크립트용') },
  ],
  json: say(
    'Diagnosis: {verdict, summary, causes, folded, remarks, checks, counts, tookMs}',
    'Diagnosis: {verdict, summary, causes, folded, remarks, checks, counts, tookMs}',
  ),
  run,
}

async function run(context: Context): Promise<ExitCode> {
  await mustKnowRules(context)
  const first = await diagnose(context)
  if (!context.switched('fix')) return show(first, context)
  const { agreed, doFixes, ourFixes } = await import('../doctor-fix.ts')
  const fixes = ourFixes(first)
  if (!context.json) show(first, context)
  if (fixes.length === 0) {
    context.print.talk(say('Nothing of it is ours to do.', 'Naru가 직접 할 수 있는 것은 없습니다.'))
    return context.json ? show(first, context) : exitOf(first)
  }
  if (!(await agreed(fixes, context))) return exitOf(first)
  await doFixes(fixes, context)
  return show(await diagnose(context), context)
}

/** Who may not ask root's Naru would be told that a stranger has the rules' ports. @throws NaruError RUNS_AS_ROOT */
async function mustKnowRules({ deps, file }: Context): Promise<void> {
  await deps.connect({ file }).catch((error: unknown) => {
    if (isNaruError(error, 'RUNS_AS_ROOT')) throw error
  })
}

function diagnose(context: Context): Promise<Diagnosis> {
  const about = context.args('NAME|PORT')[0]
  const progress = progressLine(context)
  return withMachine(context, (machine, options) =>
    machine.diagnose({
      ...options,
      mayAskInternet: context.switched('internet'),
      names: context.options('ddns'),
      fromPhone: context.switched('from-phone'),
      ...vantageFrom(context),
      ...(about === undefined ? {} : { about }),
      onEvent: (event) => progress.show(event),
    }),
  ).finally(() => progress.clear())
}

function vantageFrom({ option, io }: Context): Pick<DiagnoseRequest, 'vantage'> {
  const place = option('vantage')
  if (place === null) return {}
  const key = option('key') ?? io.env['NARU_VANTAGE_KEY']
  if (key === undefined)
    throw usage(
      'naru doctor',
      say('--vantage needs the --key that it printed', '--vantage에는 그쪽에서 출력한 --key가 필요합니다'),
    )
  if (!/^(?:[^:]+|\[.+\]):\d+$/.test(place))
    return { vantage: { address: place.replace(/^\[|\]$/g, ''), key } }
  const { host, ports } = splitHostPorts(place, place)
  return { vantage: { address: host ?? place, port: ports.first, key } }
}

function show(diagnosis: Diagnosis, { print, json, switched }: Context): ExitCode {
  if (json) print.json(diagnosis)
  else for (const line of lines(diagnosis, print, switched('all'))) print.data(line)
  return exitOf(diagnosis)
}

const exitOf = ({ causes }: Diagnosis): ExitCode =>
  causes.some(({ severity }) => severity === 'blocks') ? 3 : 0

/** One line on a terminal that says how far it is; nothing off one. */
function progressLine({ io, print, json }: Context): { show(event: DoctorEvent): void; clear(): void } {
  const running = new Map<string, Text>()
  let done = 0
  const line = (text: string): void => {
    if (!json && io.stderr.isTTY)
      io.stderr.write(`\r\u001B[2K${written(clipped(text, io.stderr.columns - 1))}`)
  }
  return {
    show(event) {
      if (event.type === 'link' || event.type === 'outside') {
        line('')
        for (const told of outsideLines(event)) print.talk(told)
        return
      }
      if (event.type === 'started') running.set(`${event.code} ${event.rule}`, event.title)
      else {
        running.delete(`${event.outcome.code} ${event.outcome.rule}`)
        done++
      }
      const [first] = running.values()
      line(`${done}/${done + running.size} ${first ? print.say(first) : ''}`)
    },
    clear: () => line(''),
  }
}

function outsideLines(event: Extract<DoctorEvent, { type: 'link' | 'outside' }>): readonly Text[] {
  if (event.type === 'link')
    return [
      say(
        'Open this on a phone that is off the Wi-Fi (two minutes):',
        'Wi-Fi를 끈 휴대폰에서 2분 안에 여세요:',
      ),
      verbatim(event.url),
      verbatim(event.qr),
    ]
  const { to, port, result, synsSeen } = event
  const by = triedByText(event.by)
  const words = {
    answered: say('it came through', '연결되었습니다'),
    refused: say('it was refused', '거부되었습니다'),
    silent: say('nothing came through', '연결되지 않았습니다'),
  }
  const seen =
    // Who came through needs no count, and over loopback none is taken.
    synsSeen === null || result === 'answered'
      ? say('', '')
      : say(`; packets that reached this machine: ${synsSeen}`, `. 이 컴퓨터에 닿은 패킷 ${synsSeen}개`)
  return [
    say(
      `${by.en} → ${to}:${port}: ${words[result].en}${seen.en}`,
      `${by.ko} → ${to}:${port}: ${words[result].ko}${seen.ko}`,
    ),
  ]
}

function lines(diagnosis: Diagnosis, print: Printer, all: boolean): string[] {
  const { bold, dim, green, red } = print.paint
  const { verdict, summary, causes, folded, remarks, checks, counts, tookMs } = diagnosis
  const found = [
    bold(
      verdict?.severity === 'blocks'
        ? red(print.say(summary))
        : verdict
          ? print.say(summary)
          : green(print.say(summary)),
    ),
  ]
  const follow = consequencesIn(folded)
  for (const group of all ? causes.map((cause) => [cause] as const) : alike(causes)) {
    found.push('', ...findingLines(group, print))
    const under = group.flatMap(follow)
    if (under.length > 0 && !all)
      found.push(
        dim(
          `  ${print.say(say(`and ${under.length} that follow from it (--all)`, `이로 인한 증상 ${under.length}개 (--all)`))}`,
        ),
      )
    if (all) for (const one of under) found.push(...findingLines([one], print).map((line) => `    ${line}`))
  }
  for (const group of alike(remarks)) found.push('', ...findingLines(group, print))
  if (all) {
    const signs = { passed: green('✓'), found: red('✗'), 'timed-out': '…', failed: '!' }
    found.push(
      '',
      ...checks.map(
        (one) =>
          `${signs[one.state]} ${one.code}${one.rule ? ` (${one.rule})` : ''}: ${print.say(one.state === 'passed' ? ruledOut(one.title) : one.title)} ${dim(`${one.tookMs} ms`)}${one.problem ? ` ${print.say(one.problem.message)}` : ''}`,
      ),
    )
  }
  found.push(...unmadeLines(checks, print))
  const { passed, found: wrong, unmade: late } = counts
  found.push(
    '',
    dim(
      print.say(
        say(
          `${passed} passed, ${wrong} found something, ${late} could not look; ${(tookMs / 1000).toFixed(1)} s`,
          `통과 ${passed}개, 발견 ${wrong}개, 확인 불가 ${late}개, ${(tookMs / 1000).toFixed(1)}초`,
        ),
      ),
    ),
  )
  return found
}

/** Which checks could not be made, and why; those for the same reason together. */
function unmadeLines(checks: Diagnosis['checks'], print: Printer): string[] {
  const byReason = new Map<string, { codes: Set<string>; why: Text; code: string }>()
  for (const { code, state, problem } of checks) {
    if (state !== 'timed-out' && state !== 'failed') continue
    const why = problem?.message ?? tookTooLong
    const same = byReason.get(why.en) ?? { codes: new Set(), why, code: problem?.code ?? '' }
    byReason.set(why.en, same)
    same.codes.add(code)
  }
  return [...byReason.values()].flatMap(({ codes, why, code }) => {
    const told = [...codes].join(', ')
    const line = say(`could not check ${told}: ${why.en}`, `확인하지 못함: ${told} (${why.ko})`)
    const rights =
      code === 'NOT_PERMITTED' ? [`      ${print.paint.cyan(asRoot(process.argv.slice(2)))}`] : []
    return ['', `${print.paint.yellow('!')} ${print.say(line)}`, ...rights]
  })
}

const tookTooLong = say('it took too long', '시간이 너무 오래 걸림')

/** A check is called by what it can find; beside ✓ that would say the opposite. */
const ruledOut = ({ en, ko }: Text): Text => say(`ruled out: ${en}`, `해당 없음: ${ko}`)

/** Rules that have the same fault, by name. */
const mostNamed = 5

const places: Readonly<Record<Finding['hop'], Text>> = {
  ...hopWords,
  machine: say('machine', '이 컴퓨터'),
  outside: say('outside', '외부'),
}

/** One finding, or the same at several rules: of those the first tells evidence and fix. */
function findingLines(group: readonly [Finding, ...Finding[]], print: Printer): string[] {
  const [{ code, severity, hop, title, evidence, fixes }] = group
  const { red, yellow, dim, cyan } = print.paint
  const sign = severity === 'blocks' ? red('✗') : severity === 'warns' ? yellow('!') : dim('i')
  const whose = print.say(whoseIs(group))
  return [
    `${sign} ${whose}${print.say(places[hop])}: ${print.say(title)} ${dim(`[${code}]`)}`,
    ...evidence.map((one) => `    ${print.say(one)}`),
    ...fixes.flatMap(({ text, command }) => [
      `  ${print.say(say('fix', '해결'))}: ${print.say(text)}`,
      ...(command === undefined ? [] : [`      ${cyan(command)}`]),
    ]),
  ]
}

function whoseIs(group: readonly [Finding, ...Finding[]]): Text {
  const names = group.flatMap(({ rule }) => rule ?? [])
  if (group.length === 1) return verbatim(names[0] === undefined ? '' : `${names[0]}: `)
  const some = names.slice(0, mostNamed).join(', ')
  const more = names.length > mostNamed ? ', …' : ''
  return say(`${group.length} rules (${some}${more}): `, `규칙 ${group.length}개(${some}${more}): `)
}
