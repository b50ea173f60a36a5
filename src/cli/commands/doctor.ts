/** `naru doctor [NAME|PORT]`: which hop blocks, by evidence, and the fix. The verdict comes first, the rest is folded. */
import type { ExitCode } from '../../base/codes/entry.ts'
import { isNaruError } from '../../base/errors.ts'
import { asRoot } from '../../base/privilege.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import {
  alike,
  consequencesIn,
  outsiderText,
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
  summary: say('which hop blocks, by evidence, and the fix'),
  about: say(
    'Looks at the path hop by hop and changes nothing but with --fix. Without an argument: every rule, then the machine. Nothing is sent to the internet unless --internet says so. Exit code 3 where something blocks.',
  ),
  arguments: [
    {
      name: 'NAME|PORT',
      text: say('a rule, or a port'),
      optional: true,
      completes: 'rule',
    },
  ],
  options: [
    internet,
    {
      name: 'fix',
      text: say('do what is ours to do, after showing it'),
    },
    {
      name: 'from-phone',
      text: say('try it from a phone that is off the Wi-Fi, by a link and a QR code'),
    },
    {
      name: 'vantage',
      value: 'ADDRESS[:PORT]',
      text: say('try it from another machine that runs `naru vantage`'),
    },
    {
      name: 'key',
      value: 'KEY',
      text: say('that `naru vantage` printed there (or NARU_VANTAGE_KEY)'),
    },
    {
      name: 'ddns',
      value: 'NAME',
      many: true,
      text: say('a name given out for this place: is it still right?'),
    },
    {
      name: 'all',
      short: 'a',
      text: say('also what only follows from a cause, and every check'),
    },
  ],
  examples: [
    { command: 'naru doctor iis', text: say('why can nobody reach it?') },
    { command: 'naru doctor iis --from-phone', text: say('proof from outside') },
    { command: 'naru doctor 8888 --json', text: say('for a script') },
  ],
  json: verbatim('Diagnosis: {verdict, summary, causes, folded, remarks, checks, counts, tookMs}'),
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
    context.print.talk(say('Nothing of it is ours to do.'))
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
  if (key === undefined) throw usage('naru doctor', say('--vantage needs the --key that it printed'))
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
      say('Open this on a phone that is off the Wi-Fi (two minutes):'),
      verbatim(event.url),
      verbatim(event.qr),
    ]
  const { to, port, result, synsSeen } = event
  const by = outsiderText(event.who)
  const words = {
    answered: say('it came through'),
    refused: say('it was refused'),
    silent: say('nothing came through'),
  }
  const seen =
    // Who came through needs no count, and over loopback none is taken.
    synsSeen === null || result === 'answered'
      ? verbatim('')
      : say`; packets that reached this machine: ${synsSeen}`
  return [say`${by} → ${to}:${port}: ${words[result]}${seen}`]
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
      found.push(dim(`  ${print.say(say`and ${under.length} that follow from it (--all)`)}`))
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
        say`${passed} passed, ${wrong} found something, ${late} could not look; ${(tookMs / 1000).toFixed(1)} s`,
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
    const line = say`could not check ${told}: ${why}`
    const rights =
      code === 'NOT_PERMITTED' ? [`      ${print.paint.cyan(asRoot(process.argv.slice(2)))}`] : []
    return ['', `${print.paint.yellow('!')} ${print.say(line)}`, ...rights]
  })
}

const tookTooLong = say('it took too long')

/** A check is called by what it can find; beside ✓ that would say the opposite. */
const ruledOut = (title: Text): Text => say`ruled out: ${title}`

/** Rules that have the same fault, by name. */
const mostNamed = 5

const places: Readonly<Record<Finding['hop'], Text>> = {
  ...hopWords,
  machine: say('machine'),
  outside: say('outside'),
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
      `  ${print.say(say('fix'))}: ${print.say(text)}`,
      ...(command === undefined ? [] : [`      ${cyan(command)}`]),
    ]),
  ]
}

function whoseIs(group: readonly [Finding, ...Finding[]]): Text {
  const names = group.flatMap(({ rule }) => rule ?? [])
  if (group.length === 1) return verbatim(names[0] === undefined ? '' : `${names[0]}: `)
  const some = names.slice(0, mostNamed).join(', ')
  const more = names.length > mostNamed ? ', …' : ''
  return say`${group.length} rules (${some}${more}): `
}
