/** `naru top`: the connections as they flow, full screen. Off a terminal: once, as a table. */
import { keepAlive } from '../../base/awake.ts'
import { systemClock } from '../../base/clock.ts'
import type { ExitCode } from '../../base/codes/entry.ts'
import { isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Connection } from '../../model/connection.ts'
import type { Naru, RuleStatus } from '../../model/naru-api.ts'
import { written } from '../print/marks.ts'
import { fullScreen } from '../full-screen.ts'
import { Screen, type Row } from '../top/screen.ts'
import { speeds } from '../top/speeds.ts'
import type { Context, Verb } from '../verb.ts'

/** Looked at this often. */
const everyMs = 1000
/** More than this many connections no person looks through. */
const most = 10_000

export const verb: Verb = {
  name: 'top',
  summary: say('the connections as they flow, full screen'),
  about: say(
    '↓ flows in to the target, ↑ out to the client. Keys: ↑ ↓ PgUp PgDn move, s sorts by the next column, r reverses, c cuts the connection, q quits. Off a terminal it prints one table.',
  ),
  arguments: [{ name: 'NAME', text: say('of this rule only'), optional: true, completes: 'rule' }],
  examples: [{ command: 'naru top iis', text: say('one rule’s connections') }],
  json: say('{rules: RuleStatus[], connections: Connection[]}, once'),
  async run(context) {
    const { deps, file, io, print, json } = context
    const naru = await deps.connect({ file })
    const rule = context.args('NAME')[0]
    if (rule !== undefined) await naru.rules.get(rule)
    if (!json && io.stdout.isTTY && io.stdin.isTTY) return live(naru, rule, context)
    const { rules, connections } = await look(naru, rule)
    if (json) print.json({ rules, connections })
    else
      for (const line of new Screen(print, io.now).lines(rules, rowsOf(connections), null)) print.data(line)
    return 0
  },
}

interface Look {
  readonly rules: readonly RuleStatus[]
  readonly connections: readonly Connection[]
}

async function look(naru: Naru, rule: string | undefined): Promise<Look> {
  const rules = await naru.rules.list()
  const connections = await naru.connections({ limit: most, ...(rule === undefined ? {} : { rule }) })
  return {
    rules: rule === undefined ? rules : rules.filter(({ name }) => name === rule),
    connections: connections.filter(({ state }) => state !== 'closed'),
  }
}

const rowsOf = (connections: readonly Connection[]): Row[] =>
  connections.map((connection) => ({ connection, toTarget: 0, toClient: 0 }))

async function live(naru: Naru, rule: string | undefined, context: Context): Promise<ExitCode> {
  const { io, print } = context
  const stop = new AbortController()
  const signal = AbortSignal.any([context.interrupt(), stop.signal])
  const screen = new Screen(print, io.now)
  const measure = speeds(io.now)
  let seen: { rules: readonly RuleStatus[]; rows: readonly Row[] } = { rules: [], rows: [] }
  const draw = (): void => {
    const { columns, rows } = io.stdout
    const lines = screen.lines(seen.rules, seen.rows, { columns, rows })
    io.stdout.write(`\u001B[H${lines.map((line) => `${written(line)}\u001B[K`).join('\r\n')}\u001B[J`)
  }
  const press = (key: string): void => {
    if (key === 'q' || key === '\u0003' || key === '\u001B') stop.abort()
    const victim = screen.press(key)
    if (victim !== null) void naru.cut(victim).catch(() => {})
    if (!signal.aborted) draw()
  }
  using shown = fullScreen(io, { draw, press })
  const alive = keepAlive()
  try {
    while (!signal.aborted) {
      const { rules, connections } = await look(naru, rule)
      seen = { rules, rows: measure(connections) }
      draw()
      await systemClock.sleep(everyMs, signal).catch(() => {})
    }
  } catch (error) {
    if (!isNaruError(error, 'NOT_RUNNING')) throw error
    stop.abort()
    setImmediate(() => print.talk(say('Naru stopped.')))
  } finally {
    alive[Symbol.dispose]()
    void shown
  }
  return 0
}
