/** `naru firewall`: which one decides here, what it lets in, what of it is ours, and whether a port would get in. */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { formatPortRange, type Protocol } from '../../base/port.ts'
import { asRoot } from '../../base/privilege.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { FirewallAnswer } from '../../model/firewall.ts'
import { parseListen } from '../../model/listen.ts'
import type { FirewallReport } from '../../model/machine-api.ts'
import { withMachine } from '../with-machine.ts'
import { usage } from '../parse.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'
import type { Context, Verb } from '../verb.ts'

const ls: Verb = {
  name: 'ls',
  summary: say('what is open, what of it is ours'),
  json: verbatim('{status: {member, active, defaultInput, open} | null, why}'),
  run: list,
}

const explain: Verb = {
  name: 'explain',
  summary: say('would a packet get in, and by which rule?'),
  arguments: [{ name: 'PORT', text: verbatim('8888, 53/udp') }],
  options: [
    {
      name: 'from',
      value: 'ADDRESS',
      text: say('coming from here (default: anywhere)'),
    },
  ],
  examples: [
    {
      command: 'naru firewall explain 8888 --from 192.168.1.7',
      text: say('exit code 1 where it is blocked'),
    },
  ],
  json: say(
    '{verdict: allowed | blocked | unknown, by, why, partly?, sentOn?: {to, by}}; partly, where it is blocked, is a rule that lets some sources in.',
  ),
  async run(context) {
    const { print, json } = context
    const question = { ...portFrom(context.arg('PORT')), from: context.option('from') }
    const answer = await withMachine(context, (machine, options) => machine.admits(question, options)).catch(
      asTyped,
    )
    if (json) print.json(answer)
    else for (const line of answerLines(answer, print)) print.data(line)
    return answer.verdict === 'blocked' ? 1 : 0
  },
}

export const verb: Verb = {
  name: 'firewall',
  summary: say('which firewall decides here, what is open, would a port get in'),
  verbs: [ls, explain],
  examples: [
    { command: 'naru firewall', text: say('the same as naru firewall ls') },
    ...(explain.examples ?? []),
  ],
  ...(ls.json ? { json: ls.json } : {}),
  run: list,
}

async function list(context: Context): Promise<0> {
  const { print, json } = context
  const answer = await withMachine(context, (machine, options) => machine.firewall(options)).catch(asTyped)
  if (json) print.json(answer)
  else for (const line of lines(answer, print)) print.data(line)
  return 0
}

/** Who may not read the packet filter is told the very command that may, and not the tool that it asks. */
function asTyped(error: unknown): never {
  if (!isNaruError(error, 'NOT_PERMITTED')) throw error
  const what = error.params['what'] as Text
  throw new NaruError('NOT_PERMITTED', { what, command: asRoot(process.argv.slice(2)) }, { cause: error })
}

function portFrom(text: string): { protocol: Protocol; port: number } {
  const listen = parseListen(text)
  if (listen.kind === 'unix' || listen.ports.first !== listen.ports.last || listen.protocols.length > 1)
    throw usage('naru firewall explain', say('give one port: 8888 or 53/udp'))
  return { protocol: listen.protocols[0] ?? 'tcp', port: listen.ports.first }
}

const policies: Readonly<Record<'allow' | 'block' | 'unknown', Text>> = {
  allow: say('lets in what no rule blocks'),
  block: say('blocks what no rule lets in'),
  unknown: say('its default is unknown'),
}

function lines({ status, why }: FirewallReport, print: Printer): string[] {
  const t = (text: Text): string => print.say(text)
  if (!status) return [t(why)]
  const { member, active, defaultInput, open } = status
  const state = active ? print.paint.green(t(say('active'))) : print.paint.yellow(t(say('not active')))
  const titles = [say('PORT'), say('FROM'), say('OURS'), say('RULE')]
  const rows = open.map(({ protocol, ports, from, ours, text }) => [
    `${ports ? formatPortRange(ports) : t(say('any'))}/${protocol}`,
    from ?? t(say('anywhere')),
    ours ?? '',
    text,
  ])
  return [
    `${print.paint.bold(member)}: ${state}, ${t(policies[defaultInput])}`,
    print.paint.dim(t(why)),
    ...(rows.length > 0
      ? [
          '',
          ...table(
            titles.map((title) => ({ title: t(title) })),
            rows,
          ),
        ]
      : []),
  ]
}

const inPart = say('the sources of this rule get in, all others are blocked; --from ADDRESS asks for one')

function answerLines({ verdict, by, partly, why }: FirewallAnswer, print: Printer): string[] {
  const { green, red, yellow, dim } = print.paint
  if (partly !== undefined)
    return [
      `${yellow(print.say(say('allowed in part')))}: ${print.say(inPart)}`,
      dim(`  ${print.say(say('lets in'))}: ${partly}`),
      dim(`  ${print.say(say('the rest'))}: ${by}`),
    ]
  const words = {
    allowed: green(print.say(say('allowed'))),
    blocked: red(print.say(say('blocked'))),
    unknown: yellow(print.say(say('unknown'))),
  }
  return [`${words[verdict]}: ${print.say(why)}`, ...(by === '' ? [] : [dim(`  ${by}`)])]
}
