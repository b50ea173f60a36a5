/** `naru router`: what the router is, what it forwards, a mapping by hand, and the rows to type where it refuses. */
import { formatEndpoint } from '../../base/address.ts'
import type { ExitCode } from '../../base/codes/entry.ts'
import { parseDuration } from '../../base/duration.ts'
import { parsePort } from '../../base/port.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { parseListen, type InetListen } from '../../model/listen.ts'
import { parseRule } from '../../model/rule-file.ts'
import type { RouterEntry, RouterView } from '../../model/router.ts'
import { stepLines } from '../../model/router-steps.ts'
import { withMachine } from '../with-machine.ts'
import { usage } from '../parse.ts'
import type { Printer } from '../print/printer.ts'
import { table } from '../print/table.ts'
import { span } from '../print/units.ts'
import { findRule } from '../connect.ts'
import type { Context, Verb } from '../verb.ts'

const info: Verb = {
  name: 'info',
  summary: say('model, protocols, external address, uptime, NAT above'),
  json: verbatim('RouterView[]'),
  run: showInfo,
}

const ls: Verb = {
  name: 'ls',
  summary: say('every mapping on the router, ours marked'),
  json: verbatim('RouterEntry[]'),
  async run(context) {
    const { print, json } = context
    const entries = await withMachine(context, (machine, options) => machine.router.list(options))
    if (json) print.json(entries)
    else for (const line of entryLines(entries, print)) print.data(line)
    return 0
  },
}

const external: Text = say('the router’s port: 8888, 51820/udp, 25565/tcp+udp')

const add: Verb = {
  name: 'add',
  summary: say('map a port by hand; nobody renews or undoes it'),
  arguments: [
    { name: 'EXTERNAL', text: external },
    {
      name: 'INTERNAL',
      text: say('PORT of this machine, or ADDRESS:PORT (default: the same port)'),
      optional: true,
    },
  ],
  options: [
    {
      name: 'lease',
      value: 'DURATION',
      text: say('how long (default: as long as the router lets it)'),
    },
    {
      name: 'any-port',
      text: say('take whatever external port the router gives'),
    },
    { name: 'name', short: 'n', value: 'NAME', text: say('shown on the router') },
  ],
  examples: [{ command: 'naru router add 8888 --lease 1h', text: say('for an hour') }],
  json: verbatim('RouterAdded[]: {text, externalAddress, externalPort, notes}'),
  async run(context) {
    const { print, json } = context
    const listen = portOf(context.arg('EXTERNAL'), 'naru router add')
    const [internalAddress, internalPort] = internalFrom(context.args('INTERNAL')[0])
    const lease = context.option('lease')
    const wish = {
      name: context.option('name') ?? `by-hand-${listen.ports.first}`,
      protocols: listen.protocols,
      externalPort: context.switched('any-port') ? ('any' as const) : listen.ports.first,
      preferredPort: listen.ports.first,
      internalPort: internalPort ?? listen.ports.first,
      internalAddress,
      ...(lease === null ? {} : { leaseSeconds: Math.ceil(parseDuration(lease) / 1000) }),
    }
    const added = await withMachine(context, (machine, options) => machine.router.add(wish, options))
    if (json) print.json(added)
    else
      for (const { text, notes } of added) {
        print.data(print.say(text))
        for (const note of notes) print.talk(`${print.paintTalk.yellow('!')} ${print.say(note)}`)
      }
    return 0
  },
}

const rm: Verb = {
  name: 'rm',
  summary: say('take a mapping off the router'),
  arguments: [{ name: 'EXTERNAL', text: external }],
  options: [{ name: 'force', text: say('also someone else’s') }],
  json: verbatim('{removed: true}'),
  async run(context) {
    const { protocols, ports } = portOf(context.arg('EXTERNAL'), 'naru router rm')
    const force = context.switched('force')
    await withMachine(context, async (machine, options) => {
      for (const protocol of protocols)
        await machine.router.remove({ protocol, externalPort: ports.first }, { ...options, force })
    })
    if (context.json) context.print.json({ removed: true })
    else context.print.talk(say('removed'))
    return 0
  },
}

const check: Verb = {
  name: 'check',
  summary: say('is a rule’s port open on the router? If not: what to type there'),
  arguments: [{ name: 'NAME', text: say('name of the rule'), completes: 'rule' }],
  json: verbatim('RouterCheck: {state: open | wrong | unknown, evidence, steps}'),
  run: checkRule,
}

export const verb: Verb = {
  name: 'router',
  summary: say('what the router is and what it forwards; a mapping by hand'),
  verbs: [info, ls, add, rm, check],
  examples: [
    { command: 'naru router', text: say('the same as naru router info') },
    { command: 'naru router ls', text: say('every mapping') },
    { command: 'naru router check iis', text: say('after typing the row by hand') },
  ],
  ...(info.json ? { json: info.json } : {}),
  run: showInfo,
}

async function showInfo(context: Context): Promise<ExitCode> {
  const { print, json } = context
  const routers = await withMachine(context, (machine, options) => machine.router.info(options))
  if (json) print.json(routers)
  else for (const line of infoLines(routers, print)) print.data(line)
  return 0
}

function infoLines(routers: readonly RouterView[], print: Printer): string[] {
  return routers.flatMap(
    ({ address, family, protocols, model, maker, page, externalAddress, uptimeSeconds, aboveText }) => {
      const name = [maker, model].filter(Boolean).join(' ')
      const rows: [Text, string | null][] = [
        [say('external address'), externalAddress ?? (family === 4 ? '-' : null)],
        [say('NAT above'), print.say(aboveText)],
        [say('up for'), uptimeSeconds === null ? null : span(uptimeSeconds * 1000)],
        [say('its page'), page],
      ]
      return [
        [
          print.paint.bold(name || address),
          protocols.join(', '),
          ...(name ? [print.paint.dim(address)] : []),
        ].join('  '),
        ...rows.flatMap(([title, value]) => (value === null ? [] : [`  ${print.say(title)}: ${value}`])),
      ]
    },
  )
}

function entryLines(entries: readonly RouterEntry[], print: Printer): string[] {
  if (entries.length === 0) return [print.say(say('No mappings.'))]
  const several = new Set(entries.map(({ router }) => router)).size > 1
  const titles = [
    ...(several ? [say('ROUTER')] : []),
    say('EXTERNAL'),
    say('INTERNAL'),
    say('LEFT'),
    say('RULE'),
    say('DESCRIPTION'),
  ]
  const rows = entries.map((one) => [
    ...(several ? [one.router] : []),
    `${one.externalPort}/${one.protocol}`,
    `${formatEndpoint(one.internalAddress, one.internalPort)}${one.here ? ` ${print.say(say('(here)'))}` : ''}`,
    one.leaseSecondsLeft === null ? '∞' : span(one.leaseSecondsLeft * 1000),
    one.rule === null ? '' : print.paint.green(one.rule),
    one.description + (one.enabled ? '' : ` ${print.say(say('(off)'))}`),
  ])
  return table(
    titles.map((title) => ({ title: print.say(title) })),
    rows,
  )
}

function internalFrom(text: string | undefined): [string | null, number | null] {
  if (text === undefined) return [null, null]
  const at = text.lastIndexOf(':')
  if (at === -1) return [null, parsePort(text)]
  return [text.slice(0, at).replace(/^\[|\]$/g, ''), parsePort(text.slice(at + 1))]
}

function portOf(text: string, command: string): InetListen {
  const listen = parseListen(text)
  if (listen.kind === 'unix' || listen.address !== null || listen.ports.first !== listen.ports.last)
    throw usage(command, say('give one port: 8888 or 53/udp'))
  return listen
}

async function checkRule(context: Context): Promise<ExitCode> {
  const { print, json } = context
  const name = context.arg('NAME')
  const { status } = await findRule(context, name)
  const { listen, publish, allow } = parseRule(name, status.rule)
  if (listen.kind === 'unix') throw usage('naru router check', say('a Unix socket has no place on a router'))
  const { protocols, ports } = listen
  const wish = { name, protocols, ports, externalPort: publish.externalPort, allow }
  const answer = await withMachine(context, (machine, options) => machine.router.check(wish, options))
  if (json) print.json(answer)
  else {
    const { green, red, yellow } = print.paint
    const words = {
      open: green(print.say(say('open'))),
      wrong: red(print.say(say('not open'))),
      unknown: yellow(print.say(say('unknown'))),
    }
    print.data(`${name}: ${words[answer.state]}`)
    for (const one of answer.evidence) print.data(`  ${print.say(one)}`)
    for (const step of answer.steps ? stepLines(answer.steps) : []) print.data(print.say(step))
  }
  return answer.state === 'open' ? 0 : 3
}
