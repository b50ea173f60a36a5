/** `naru open LISTEN TARGET`: forward now, in the foreground; Ctrl-C closes everything it opened. */
import { keepAlive } from '../../base/awake.ts'
import { systemClock } from '../../base/clock.ts'
import { isNaruError, type ExitCode } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Naru, RuleInput, RuleStatus } from '../../model/naru-api.ts'
import { shownState } from '../../model/shown-state.ts'
import { LiveLine } from '../live.ts'
import { verboseOption } from '../options.ts'
import { engineReason } from '../print/rules.ts'
import { addressLines, byHandLines, give, giveOptions } from '../print/addresses.ts'
import { printError } from '../print/errors.ts'
import { stateWord, mark, hopWords, inPathOrder } from '../print/words.ts'
import { bytes, connections, span } from '../print/units.ts'
import { tellShutOut } from '../shut-out.ts'
import { publishedAsSaid, ruleFrom, ruleOptions, targetsFrom } from '../rule-options.ts'
import type { Context, Verb } from '../verb.ts'

/** Everything is undone within this time, or what is left is undone at the next start. */
const undoLimitMs = 5000

export const verb: Verb = {
  name: 'open',
  summary: say('forward now, in the foreground; Ctrl-C closes everything'),
  about: say(
    'Without a file and without a daemon. LISTEN is [ADDRESS:]PORT[-PORT][/tcp|/udp|/tcp+udp] or unix:PATH. TARGET is PORT, HOST:PORT[-PORT], unix:PATH, or a guest such as docker:NAME:PORT or vmware:NAME:PORT. Several targets share the connections; one may end in ,weight=N ,backup or ,name=HOST.',
  ),
  arguments: [
    { name: 'LISTEN', text: say('where traffic arrives') },
    { name: 'TARGET', text: say('where it goes'), many: true },
  ],
  options: [
    { name: 'name', short: 'n', value: 'NAME', text: say('name of the rule') },
    ...ruleOptions,
    ...giveOptions,
    verboseOption,
    {
      name: 'keep-partial',
      text: say('keep the hops that opened where another fails (exit code 3)'),
    },
    { name: 'dry-run', text: say('show the plan, do nothing') },
  ],
  examples: [
    {
      command: 'naru open 8888 192.168.79.128:80',
      text: say('this machine’s 8888 to a web server'),
    },
    {
      command: 'naru open 8888 vmware:win10:80 --publish --for 2h',
      text: say('a VM’s web server, to the internet, for two hours'),
    },
    {
      command: 'naru open 51820/udp 10.0.0.2:51820 --allow 203.0.113.0/24',
      text: say('UDP, for one network alone'),
    },
    {
      command: 'naru open 8000-8100 10.0.0.2:9000-9100',
      text: say('a range of ports'),
    },
  ],
  json: say(
    'One object a line: {"type":"opened","rule":RuleStatus}, then {"type":"rule",…} when a state changes, at the end {"type":"closed","rule":RuleStatus}.',
  ),
  run: open,
}

async function open(context: Context): Promise<ExitCode> {
  const { io, deps, print, json } = context
  const said: RuleInput = {
    listen: context.arg('LISTEN'),
    ...targetsFrom(context.args('TARGET'), 'naru open'),
    ...ruleFrom(context, 'naru open', io.now()),
  }
  const rule = publishedAsSaid(said, false)
  const name = context.option('name') ?? nameFor(context.arg('LISTEN'))
  if (context.switched('dry-run')) return planOnly(context, name, rule)

  const signal = context.interrupt()
  // What the kernel or a router holds keeps no process alive, and the clock does not either: Ctrl-C ends it, nothing else.
  using _alive = keepAlive()
  const live = new LiveLine(io.stderr, print, io.now)
  const opening = deps.openHere({
    name,
    rule,
    keepPartial: context.switched('keep-partial'),
    signal,
    onProgress: (status) => {
      if (io.stderr.isTTY && !json) live.show(status)
    },
    onLeftOver: (text) => print.talk(text),
  })
  const naru = await opening
    .finally(() => live.clear())
    .catch((error: unknown) => {
      // Called off while it opened, and nothing is left of it.
      if (signal.aborted && isNaruError(error, 'ABORTED') && error.left.length === 0) return null
      throw error
    })
  if (naru === null) {
    print.talk(say('closed before it was open; nothing is left open'))
    return 0
  }
  let last: RuleStatus
  let undone = false
  try {
    last = await naru.rules.get(name)
    live.clear()
    if (json) print.json({ type: 'opened', rule: last }, { line: true })
    else {
      sayOpened(last, context)
      await tellShutOut(last, withFirewall, context)
    }
    await give(last, context)
    last = await watch(naru, last, live, context, signal)
  } finally {
    live.clear()
    undone = await closeInTime(naru, context)
  }
  if (json) print.json({ type: 'closed', rule: last }, { line: true })
  else if (undone) sayClosed(last, context)
  if (!undone) return 1
  return last.hops.some(({ state }) => state === 'broken') ? 3 : 0
}

function nameFor(listen: string): string {
  return `open-${listen.replace(/[^\w.-]+/g, '-').replace(/^-|-$/g, '')}`.slice(0, 40)
}

async function planOnly(context: Context, name: string, rule: RuleInput): Promise<ExitCode> {
  const { printPlan } = await import('../print/plan.ts')
  const plan = await context.deps.planHere({ name, rule })
  printPlan(plan, context)
  return 0
}

/** Looks once a second (twice on a terminal) until Ctrl-C, or until the rule is over. */
async function watch(
  naru: Naru,
  opened: RuleStatus,
  live: LiveLine,
  context: Context,
  signal: AbortSignal,
): Promise<RuleStatus> {
  const { io, print, json } = context
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  const logging = followLog(naru, live, context, both)
  let last = opened
  while (!signal.aborted) {
    const now = await naru.rules.get(opened.name).catch(() => null)
    if (now === null || now.state === 'expired') break
    if (json) {
      if (stateKey(now) !== stateKey(last)) print.json({ type: 'rule', rule: now }, { line: true })
    } else live.show(now)
    last = now
    await systemClock.sleep(io.stderr.isTTY ? 500 : 1000, signal).catch(() => {})
  }
  last = await naru.rules.get(opened.name).catch(() => last)
  over.abort()
  await logging
  return last
}

const stateKey = (rule: RuleStatus): string =>
  [shownState(rule), ...rule.hops.map(({ hop, state }) => `${hop}=${state}`)].join(' ')

async function followLog(naru: Naru, live: LiveLine, context: Context, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of naru.events({ signal }))
      if (event.type === 'log' && !context.json) live.above(() => context.print.talk(event.text))
  } catch {
    // The line goes on without its log.
  }
}

function sayOpened(rule: RuleStatus, { print, switched }: Context): void {
  const { bold, dim } = print.paint
  for (const line of addressLines(rule, print)) print.prose(line)
  print.prose(`${stateWord(rule, print, print.paint)}  ${bold(rule.listen)} → ${rule.targets.join(', ')}`)
  for (const hop of inPathOrder(rule)) {
    if (hop.state === 'off') continue
    print.prose(`  ${mark(hop.state, print.paint)} ${print.say(hopWords[hop.hop])}: ${print.say(hop.text)}`)
    for (const note of hop.notes) print.prose(`      ${print.say(note)}`)
    if (hop.hop === 'router') for (const line of byHandLines(rule, print)) print.prose(line)
  }
  if (rule.engine)
    print.prose(dim(`  ${rule.engine.id}: ${engineReason(rule.engine, print, switched('verbose'))}`))
  print.talk(say('Ctrl-C closes everything.'))
}

const withFirewall = say('with --firewall Naru opens it')

function sayClosed({ counters }: RuleStatus, { print }: Context): void {
  const total = bytes(counters.bytesToTarget + counters.bytesToClient)
  print.talk(say`closed: ${connections(counters.opened)}, ${total}; nothing is left open`)
}

/**
 * Waits for the undoing, not for connections. A step that hangs is left to the journal and the next start.
 * @returns whether all is undone; what is not has been told
 */
async function closeInTime(naru: AsyncDisposable, { print, json }: Context): Promise<boolean> {
  const late = new AbortController()
  const limit = systemClock.sleep(undoLimitMs, late.signal).then(
    () => 'late' as const,
    () => 'done' as const,
  )
  const undone = naru[Symbol.asyncDispose]().then(
    () => 'done' as const,
    (error: unknown) => error,
  )
  try {
    const end = await Promise.race([undone, limit])
    if (end === 'done') return true
    if (end !== 'late') {
      printError(end, print, { json, debug: false })
      return false
    }
    print.talk(
      say`not everything could be undone within ${span(undoLimitMs)}; the next start of Naru finishes it`,
    )
    return false
  } finally {
    late.abort()
  }
}
