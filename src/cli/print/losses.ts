/** What could not be carried over, a line each: where, what, why. Always to stderr. */
import { say } from '../../base/text.ts'
import type { Loss } from '../../model/import-export.ts'
import type { Printer } from './printer.ts'

export function printLosses(losses: readonly Loss[], file: string | null, print: Printer): void {
  const { red, yellow } = print.paintTalk
  const missed = losses.filter(({ off }) => !off)
  const off = losses.flatMap((loss) => (loss.off && loss.rule !== null ? [loss.rule] : []))
  if (off.length > 0) {
    const names = off.join(', ')
    print.talk(say`Off, so not in it: ${names}`)
  }
  if (missed.length === 0) return
  print.talk(say('Not carried over:'))
  for (const [first, ...same] of alike(missed)) {
    const { place, rule, leftOut, what, why } = first
    const where = place && file !== null ? `${file}:${place.line}:${place.column}: ` : ''
    const whose = rule === null ? '' : `${rule}: `
    const sign = leftOut ? red('✗') : yellow('!')
    print.talk(`  ${sign} ${where}${whose}${what}: ${print.say(why)}`)
    if (same.length === 0) continue
    const lines = lineRanges(same.flatMap((one) => one.place?.line ?? []))
    const at = lines === '' ? same.flatMap((one) => one.rule ?? []).join(', ') : lines
    print.talk(say`      the same ${same.length} times more: ${lines === '' ? at : say`lines ${at}`}`)
  }
  if (new Set(missed.map(({ leftOut }) => leftOut)).size > 1)
    print.talk(say('  (✗ a forward that is left out or switched off, ! a difference or remark)'))
}

/** A few are told each; more for one reason are one. */
const mostTold = 3

/** In the order of their first; each group has one reason. */
function alike(losses: readonly Loss[]): readonly (readonly [Loss, ...Loss[]])[] {
  const groups = new Map<string, [Loss, ...Loss[]]>()
  for (const loss of losses) {
    const key = `${loss.leftOut} ${loss.rule === null} ${loss.why.en}`
    const group = groups.get(key)
    if (group) group.push(loss)
    else groups.set(key, [loss])
  }
  return [...groups.values()].flatMap((group): readonly (readonly [Loss, ...Loss[]])[] =>
    group.length > mostTold ? [group] : group.map((one) => [one] as const),
  )
}

/** `4-9, 12` of 4, 5, 6, 7, 8, 9 and 12. */
function lineRanges(lines: readonly number[]): string {
  const rows: { first: number; last: number }[] = []
  for (const line of [...new Set(lines)].toSorted((a, b) => a - b)) {
    const row = rows.at(-1)
    if (row && row.last + 1 === line) row.last = line
    else rows.push({ first: line, last: line })
  }
  return rows.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')
}
