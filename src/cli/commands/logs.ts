/** `naru logs`: what happened: hops, connections, refusals. */
import { systemClock } from '../../base/clock.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { closeReasons } from '../../model/connection.ts'
import type { NaruEvent } from '../../model/naru-api.ts'
import { shownState, type ShownState } from '../../model/shown-state.ts'
import type { Printer } from '../print/printer.ts'
import { bytes, span, time } from '../print/units.ts'
import { hopWords, stateWords } from '../print/words.ts'
import type { Verb } from '../verb.ts'

/** What is kept has come when nothing more does for this long: it is sent in one go. */
const quietMs = 300

export const verb: Verb = {
  name: 'logs',
  summary: say('what happened: hops, connections, refusals'),
  arguments: [{ name: 'NAME', text: say('of this rule only'), optional: true, completes: 'rule' }],
  options: [{ name: 'follow', short: 'f', text: say('and what happens from now on') }],
  examples: [{ command: 'naru logs iis -f', text: say('follow one rule') }],
  json: say('One event a line, as the API sends it'),
  async run(context) {
    const { deps, file, print, json } = context
    const name = context.arg('NAME')
    const daemon = await deps.connect({ file })
    if (name !== undefined) await daemon.rules.get(name)
    const quiet = new AbortController()
    const signal = AbortSignal.any([context.interrupt(), quiet.signal])
    let timer: Disposable | null = null
    const wait = (): void => {
      timer?.[Symbol.dispose]()
      if (!context.switched('follow')) timer = systemClock.after(quietMs, () => quiet.abort())
    }
    wait()
    const told = new Map<string, ShownState>()
    const twice = new Twice()
    for await (const event of daemon.events({ signal, since: 0 })) {
      wait()
      if (event.type === 'traffic' || (name !== undefined && ruleOf(event) !== name)) continue
      if (json) print.json(event, { line: true })
      else {
        // Told again with every hop and every look.
        if (event.type === 'rule') {
          const state = shownState(event.rule)
          if (told.get(event.rule.name) === state) continue
          told.set(event.rule.name, state)
        }
        if (twice.isTold(event)) continue
        const line = lineOf(event, print)
        if (line !== null) print.data(line)
      }
    }
    return 0
  },
}

/** What breaks at a hop comes as the hop's state and as a word of the log, either of them first. */
class Twice {
  readonly #last = new Map<string | null, { type: NaruEvent['type']; words: string }>()

  isTold(event: NaruEvent): boolean {
    if (event.type !== 'hop' && event.type !== 'log') return false
    const { type, rule } = event
    const words = event.type === 'hop' ? event.status.text.en : event.text.en
    const last = this.#last.get(rule)
    this.#last.set(rule, { type, words })
    return last !== undefined && last.words === words && last.type !== type
  }
}

function ruleOf(event: NaruEvent): string | null {
  if (event.type === 'rule') return event.rule.name
  if (event.type === 'rule-removed') return event.name
  if (event.type === 'opened' || event.type === 'closed') return event.connection.rule
  return 'rule' in event && typeof event.rule === 'string' ? event.rule : null
}

export function lineOf(event: NaruEvent, print: Printer): string | null {
  const what = textOf(event)
  if (what === null) return null
  const { dim, red, yellow, bold } = print.paint
  const rule = ruleOf(event)
  const level = levelOf(event)
  const paint = level === 'error' ? red : level === 'warn' ? yellow : (text: string) => text
  return `${dim(time(event.at))}  ${rule === null ? '' : `${bold(rule)}  `}${paint(print.say(what))}`
}

function levelOf(event: NaruEvent): 'info' | 'warn' | 'error' {
  if (event.type === 'log') return event.level
  if (event.type === 'hop') return event.status.state === 'broken' ? 'error' : 'info'
  return event.type === 'refused' || (event.type === 'file' && event.problem) ? 'warn' : 'info'
}

function textOf(event: NaruEvent): Text | null {
  switch (event.type) {
    case 'log':
      return event.text
    case 'rule': {
      const state = stateWords[shownState(event.rule)]
      return say`state: ${state}`
    }
    // Told by the log, which tells a rule that was renamed from one that is gone.
    case 'rule-removed':
      return null
    case 'hop': {
      // What is about to be done is told once it is.
      if (event.status.state === 'opening') return null
      const hop = hopWords[event.status.hop]
      return say`${hop}: ${event.status.text}`
    }
    case 'opened':
      // It is told before it is dialled; where it went is told when it closes.
      return verbatim(`+ ${event.connection.client} → ${event.connection.target ?? event.connection.listen}`)
    case 'closed': {
      const { client, bytesToTarget, bytesToClient, openedAt, closeReason, closedAt } = event.connection
      const reason = closeReasons[closeReason ?? 'finished']
      const sums = `↓ ${bytes(bytesToTarget)} ↑ ${bytes(bytesToClient)} ${span((closedAt ?? event.at) - openedAt)}`
      return say`- ${client}  ${sums}  ${reason}`
    }
    case 'refused': {
      const reason = Object.hasOwn(closeReasons, event.reason)
        ? closeReasons[event.reason as keyof typeof closeReasons]
        : verbatim(event.reason)
      return say`× ${event.client}  ${reason}`
    }
    case 'file':
      return event.problem ? event.problem.message : say('the file is valid')
    default:
      return null
  }
}
