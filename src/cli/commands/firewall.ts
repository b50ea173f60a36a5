/** `naru firewall`: which one decides here, what it lets in, what of it is ours, and whether a port would get in. */
import { formatPortRange, type Protocol } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
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
  summary: say('what is open, what of it is ours', '열려 있는 것과 그중 Naru가 연 것'),
  json: say(
    '{status: {member, active, defaultInput, open} | null, why}',
    '{status: {member, active, defaultInput, open} | null, why}',
  ),
  run: list,
}

const explain: Verb = {
  name: 'explain',
  summary: say('would a packet get in, and by which rule?', '패킷이 들어올 수 있는지, 어느 규칙 때문인지'),
  arguments: [{ name: 'PORT', text: say('8888, 53/udp', '8888, 53/udp') }],
  options: [
    {
      name: 'from',
      value: 'ADDRESS',
      text: say('coming from here (default: anywhere)', '이 주소에서 올 때 (기본: 어디서나)'),
    },
  ],
  examples: [
    {
      command: 'naru firewall explain 8888 --from 192.168.1.7',
      text: say('exit code 1 where it is blocked', '막혀 있으면 종료 코드 1'),
    },
  ],
  json: say(
    '{verdict: allowed | blocked | unknown, by, why, partly?, sentOn?: {to, by}}; partly, where it is blocked, is a rule that lets some sources in.',
    '{verdict: allowed | blocked | unknown, by, why, partly?, sentOn?: {to, by}}. partly는 막혀 있을 때 일부 출발지를 허용하는 규칙.',
  ),
  async run(context) {
    const { print, json } = context
    const question = { ...portFrom(context.arg('PORT')), from: context.option('from') }
    const answer = await withMachine(context, (machine, options) => machine.admits(question, options))
    if (json) print.json(answer)
    else for (const line of answerLines(answer, print)) print.data(line)
    return answer.verdict === 'blocked' ? 1 : 0
  },
}

export const verb: Verb = {
  name: 'firewall',
  summary: say(
    'which firewall decides here, what is open, would a port get in',
    '어떤 방화벽이 켜져 있고 무엇이 열려 있는지, 포트가 통과하는지',
  ),
  verbs: [ls, explain],
  examples: [
    { command: 'naru firewall', text: say('the same as naru firewall ls', 'naru firewall ls와 같음') },
    ...(explain.examples ?? []),
  ],
  ...(ls.json ? { json: ls.json } : {}),
  run: list,
}

async function list(context: Context): Promise<0> {
  const { print, json } = context
  const answer = await withMachine(context, (machine, options) => machine.firewall(options))
  if (json) print.json(answer)
  else for (const line of lines(answer, print)) print.data(line)
  return 0
}

function portFrom(text: string): { protocol: Protocol; port: number } {
  const listen = parseListen(text)
  if (listen.kind === 'unix' || listen.ports.first !== listen.ports.last || listen.protocols.length > 1)
    throw usage(
      'naru firewall explain',
      say('give one port: 8888 or 53/udp', '8888이나 53/udp처럼 포트 하나를 쓰세요'),
    )
  return { protocol: listen.protocols[0] ?? 'tcp', port: listen.ports.first }
}

const policies: Readonly<Record<'allow' | 'block' | 'unknown', Text>> = {
  allow: say('lets in what no rule blocks', '규칙에 없으면 허용'),
  block: say('blocks what no rule lets in', '규칙에 없으면 차단'),
  unknown: say('its default is unknown', '기본 정책을 알 수 없음'),
}

function lines({ status, why }: FirewallReport, print: Printer): string[] {
  const t = (text: Text): string => print.say(text)
  if (!status) return [t(why)]
  const { member, active, defaultInput, open } = status
  const state = active
    ? print.paint.green(t(say('active', '켜짐')))
    : print.paint.yellow(t(say('not active', '꺼짐')))
  const titles = [say('PORT', '포트'), say('FROM', '출발지'), say('OURS', 'Naru 규칙'), say('RULE', '규칙')]
  const rows = open.map(({ protocol, ports, from, ours, text }) => [
    `${ports ? formatPortRange(ports) : t(say('any', '전체'))}/${protocol}`,
    from ?? t(say('anywhere', '어디서나')),
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

const inPart = say(
  'the sources of this rule get in, all others are blocked; --from ADDRESS asks for one',
  '이 규칙의 출발지만 들어오고 나머지는 차단됩니다. --from 주소로 하나를 확인할 수 있습니다',
)

function answerLines({ verdict, by, partly, why }: FirewallAnswer, print: Printer): string[] {
  const { green, red, yellow, dim } = print.paint
  if (partly !== undefined)
    return [
      `${yellow(print.say(say('allowed in part', '일부만 허용')))}: ${print.say(inPart)}`,
      dim(`  ${print.say(say('lets in', '허용'))}: ${partly}`),
      dim(`  ${print.say(say('the rest', '나머지'))}: ${by}`),
    ]
  const words = {
    allowed: green(print.say(say('allowed', '허용'))),
    blocked: red(print.say(say('blocked', '차단'))),
    unknown: yellow(print.say(say('unknown', '알 수 없음'))),
  }
  return [`${words[verdict]}: ${print.say(why)}`, ...(by === '' ? [] : [dim(`  ${by}`)])]
}
