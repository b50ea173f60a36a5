/** The remembered moments as the columns that a chart wants. */
import type { TrafficFlow, TrafficMoment } from '../../../src/model/naru-api.ts'

export interface Columns {
  /** Seconds since the Unix epoch. */
  readonly time: number[]
  /** Null where it is not known. */
  readonly toTarget: (number | null)[]
  readonly toClient: (number | null)[]
  readonly open: (number | null)[]
}

/** Of one rule, or of all together. @param missing what a rule that is not told of stands for: nothing flowed, or not known */
export function columnsOf(
  moments: readonly TrafficMoment[],
  rule: string | null,
  missing: 0 | null,
): Columns {
  const nothing = [missing, missing, missing] as const
  const columns: Columns = { time: [], toTarget: [], toClient: [], open: [] }
  for (const { at, all, rules } of moments) {
    const flow: TrafficFlow | typeof nothing = rule === null ? all : (rules[rule] ?? nothing)
    const [toTarget, toClient, open] = flow
    columns.time.push(at / 1000)
    columns.toTarget.push(toTarget)
    columns.toClient.push(toClient)
    columns.open.push(open)
  }
  return columns
}
