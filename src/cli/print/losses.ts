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
    print.talk(say(`Off, so not in it: ${names}`, `꺼져 있거나 만료되어 넣지 않은 규칙: ${names}`))
  }
  if (missed.length === 0) return
  print.talk(say('Not carried over:', '옮기지 못한 것:'))
  for (const { place, rule, leftOut, what, why } of missed) {
    const where = place && file !== null ? `${file}:${place.line}:${place.column}: ` : ''
    const whose = rule === null ? '' : `${rule}: `
    const sign = leftOut ? red('✗') : yellow('!')
    print.talk(`  ${sign} ${where}${whose}${what}: ${print.say(why)}`)
  }
}
