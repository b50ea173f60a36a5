/** The remembered moments as the columns that a chart wants. */
import type { Flow, TrafficMoment } from '../../../src/model/face.ts'
import { keptMs } from '../state/history.ts'

export interface Columns {
  /** Seconds since the Unix epoch. */
  readonly time: number[]
  readonly toTarget: number[]
  readonly toClient: number[]
  readonly open: number[]
}

const nothing: Flow = [0, 0, 0]

/** Of one rule, or of all together. */
export function columnsOf(moments: readonly TrafficMoment[], rule: string | null): Columns {
  const columns: Columns = { time: [], toTarget: [], toClient: [], open: [] }
  for (const { at, all, rules } of moments) {
    const [toTarget, toClient, open] = rule === null ? all : (rules[rule] ?? nothing)
    columns.time.push(at / 1000)
    columns.toTarget.push(toTarget)
    columns.toClient.push(toClient)
    columns.open.push(open)
  }
  return columns
}

/** The last quarter of an hour, however young the page is. */
export function timeRange(now: number): [number, number] {
  return [(now - keptMs) / 1000, now / 1000]
}
