/** The one line that `naru open` keeps: rewritten in place on a terminal, printed when it says something new off one. */
import type { RuleStatus } from '../model/naru-api.ts'
import { shownState } from '../model/shown-state.ts'
import { say } from '../base/text.ts'
import { visible } from '../base/visible.ts'
import { roomOf, type Stream } from './io.ts'
import type { Printer } from './print/printer.ts'
import { bytes, connections, rate, span } from './print/units.ts'
import { written } from './print/marks.ts'
import { clipped, widthOf } from './print/width.ts'
import { hopStrip, stateWord } from './print/words.ts'

/** Off a terminal, traffic alone draws no more than a line in this time. */
const quietMs = 10_000

export class LiveLine {
  readonly #stream: Stream
  readonly #print: Printer
  readonly #now: () => number
  #shown = false
  #last = { at: -Infinity, state: '', text: '' }

  constructor(stream: Stream, print: Printer, now: () => number) {
    this.#stream = stream
    this.#print = print
    this.#now = now
  }

  show(rule: RuleStatus): void {
    const text = lineOf(rule, this.#print, this.#now(), roomOf(this.#stream) - 1)
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\u001B[2K${written(clipped(text, this.#stream.columns - 1))}`)
      this.#shown = true
      return
    }
    const state = `${shownState(rule)} ${hopStrip(rule, this.#print, this.#print.paintTalk)}`
    const due = state !== this.#last.state || this.#now() - this.#last.at >= quietMs
    if (!due || text === this.#last.text) return
    this.#stream.write(`${written(visible(text))}\n`)
    this.#last = { at: this.#now(), state, text }
  }

  /** Says something above the line. */
  above(talk: () => void): void {
    this.clear()
    talk()
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001B[2K')
    this.#shown = false
  }
}

const left = say('left')

/** @param room columns; what matters less is left out where they are too few */
export function lineOf(rule: RuleStatus, print: Printer, now: number, room = Infinity): string {
  const paints = print.paintTalk
  const { counters } = rule
  const { listen, targets, until } = rule
  const [where, way] = [paints.bold(listen), hopStrip(rule, print, paints)]
  const sum = bytes(counters.bytesToTarget + counters.bytesToClient)
  const parts = (more: number): string =>
    [
      more > 2 ? `${where} → ${targets.join(', ')}` : where,
      shownState(rule) === 'open' ? '' : stateWord(rule, print, paints),
      more > 1 ? way : '',
      print.say(connections(counters.open)),
      `↓ ${rate(rule.rate.toTarget)} ↑ ${rate(rule.rate.toClient)}`,
      more > 3 ? sum : '',
      until === null || more < 1 ? '' : `${span(until - now)} ${print.say(left)}`,
    ]
      .filter(Boolean)
      .join('  ')
  let more = 4
  while (more > 0 && widthOf(parts(more)) > room) more--
  return parts(more)
}
