/** The log as it is read: the newest first, and what is said again and again in one line. Pure. */
import type { Text } from '../../../src/base/text.ts'
import { closeReasons, type CloseReason } from '../../../src/model/connection.ts'
import type { Happening } from '../../../src/model/naru-api.ts'
import { inBoth } from '../words/korean.ts'
import { keyOf } from './happenings.ts'
import { verbatim } from '../../../src/base/text.ts'

export type Level = 'info' | 'warn' | 'error' | 'refused'

export interface LogLine {
  readonly key: string
  /** When it was said first; milliseconds since the Unix epoch. */
  readonly at: number
  readonly level: Level
  readonly rule: string | null
  readonly text: Text
  /** How often it was said in a row, and when last. */
  readonly times: number
  readonly lastAt: number
}

/** @param happened oldest first, without what is not wanted: what stands between two keeps them apart */
export function gathered(happened: readonly Happening[]): readonly LogLine[] {
  const lines: LogLine[] = []
  for (const one of happened) {
    const line = lineOf(one)
    const last = lines.at(-1)
    if (last && isSame(last, line))
      lines[lines.length - 1] = { ...last, times: last.times + 1, lastAt: line.at }
    else lines.push(line)
  }
  return lines.toReversed()
}

const isSame = (a: LogLine, b: LogLine): boolean =>
  a.level === b.level && a.rule === b.rule && a.text.en === b.text.en

export function lineOf(one: Happening): LogLine {
  const line = { key: keyOf(one), at: one.at, times: 1, lastAt: one.at }
  if (one.type === 'log') return { ...line, level: one.level, rule: one.rule, text: one.text }
  if (one.type === 'refused') {
    const { rule, reason } = one
    // One who tries again comes from another port each time.
    const client = one.client.replace(/^(\[[^\]]*\]|[^:]*):\d+$/, '$1')
    const why = closeReasons[reason as CloseReason] ?? verbatim(reason)
    const text = inBoth(({ log }, language) => log.refused(client, why[language]))
    return { ...line, level: 'refused', rule, text }
  }
  if (one.type === 'hop') {
    const { hop, text } = one.status
    const opened = inBoth((words, language) => `${words.hop[hop]}: ${text[language]}`)
    return { ...line, level: 'info', rule: one.rule, text: opened }
  }
  const text = one.problem?.message ?? inBoth(({ log }) => log.fileGood)
  return { ...line, level: one.problem ? 'error' : 'info', rule: null, text }
}
