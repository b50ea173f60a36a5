/**
 * `naru ports --watch`: on a terminal a full screen with what came and what went marked; off one the table, then a line
 * for each change, or with `--json` a line for each look that differs.
 */
import { keepAlive } from '../../base/awake.ts'
import { systemClock } from '../../base/clock.ts'
import { say } from '../../base/text.ts'
import { visible } from '../../base/visible.ts'
import type { MachinePorts, PortsOptions } from '../../model/machine.ts'
import type { Context } from '../verb.ts'
import { fullScreen } from '../full-screen.ts'
import { written } from '../print/marks.ts'
import { portChanges } from './port-changes.ts'
import { PortsScreen } from './screen.ts'
import { portCells, portTable } from './table.ts'

const everyMs = 2000

export type LookAtPorts = (options: PortsOptions) => Promise<MachinePorts>

/** Until Ctrl-C, or `q` on a terminal. */
export async function watchPorts(context: Context, asked: PortsOptions, look: LookAtPorts): Promise<void> {
  const { io, json } = context
  // A wait may rest on timers that keep no process alive.
  const alive = keepAlive()
  try {
    if (!json && io.stdout.isTTY && io.stdin.isTTY) await onScreen(context, asked, look)
    else await asLines(context, asked, look)
  } catch (error) {
    if (!context.interrupt().aborted) throw error
  } finally {
    alive[Symbol.dispose]()
  }
}

async function onScreen(context: Context, asked: PortsOptions, look: LookAtPorts): Promise<void> {
  const { io, print } = context
  const stop = new AbortController()
  const signal = AbortSignal.any([context.interrupt(), stop.signal])
  const screen = new PortsScreen(print, io.now, { sort: asked.sort ?? 'port', all: asked.all ?? false })
  /** Ended by a key that asks otherwise. */
  let again = new AbortController()
  let another = false
  const draw = (): void => {
    const lines = screen.lines({ columns: io.stdout.columns, rows: io.stdout.rows })
    io.stdout.write(`\u001B[H${lines.map((line) => `${written(line)}\u001B[K`).join('\r\n')}\u001B[J`)
  }
  const press = (key: string): void => {
    if (key === 'q' || key === '\u0003' || key === '\u001B') return stop.abort()
    if (screen.press(key)) {
      another = true
      again.abort()
    } else draw()
  }
  using shown = fullScreen(io, { draw, press })
  try {
    while (!signal.aborted) {
      const anew = another
      ;[another, again] = [false, new AbortController()]
      screen.saw(await look({ ...asked, sort: screen.sort, all: screen.all }), anew)
      if (signal.aborted) break
      draw()
      await systemClock.sleep(everyMs, AbortSignal.any([signal, again.signal])).catch(() => {})
    }
  } finally {
    void shown
  }
}

async function asLines(context: Context, asked: PortsOptions, look: LookAtPorts): Promise<void> {
  const { print, json } = context
  const signal = context.interrupt()
  const all = asked.all ?? false
  let before: MachinePorts | null = null
  while (!signal.aborted) {
    const seen: MachinePorts = await look(asked)
    const { came, went } = portChanges(before?.rows ?? [], seen.rows)
    if (json) {
      if (!before || came.length + went.length > 0) print.json(seen, { line: true })
    } else if (before) {
      const time = new Date(context.io.now()).toTimeString().slice(0, 8)
      for (const row of went)
        print.data(`${time} - ${portCells(row, print, all).map(visible).join('  ').trimEnd()}`)
      for (const row of came)
        print.data(`${time} + ${portCells(row, print, all).map(visible).join('  ').trimEnd()}`)
    } else {
      print.data(portTable(seen.rows, print, all).join('\n'))
      if (seen.unseen) print.talk(`${print.paintTalk.yellow('!')} ${print.say(seen.unseen)}`)
      print.talk(say('watching; Ctrl-C ends it'))
    }
    before = seen
    await systemClock.sleep(everyMs, signal).catch(() => {})
  }
}
