/** What Naru itself serves is not offered as a target: who published its page would hand out the keys. */
import type { PortRow } from '../../../src/model/machine.ts'

export function isOurs({ process }: Pick<PortRow, 'process'>, pid: number | undefined): boolean {
  return process !== null && process.pid === pid
}
