/** What could not be carried over, a line each: where, what, why. Always to stderr. */
import { say } from '../../base/text.ts'
import type { Loss } from '../../model/exchange.ts'
import type { Printer } from './printer.ts'

export function printLosses(losses: readonly Loss[], file: string | null, print: Printer): void {
  const { red, yellow } = print.paintTalk
  if (losses.length === 0) return
  print.talk(say('Not carried over:', '옮기지 못한 것:'))
  for (const { place, rule, leftOut, what, why } of losses) {
    const where = place && file !== null ? `${file}:${place.line}:${place.column}: ` : ''
    const whose = rule === null ? '' : `${rule}: `
    const sign = leftOut ? red('✗') : yellow('!')
    print.talk(`  ${sign} ${where}${whose}${what}: ${print.say(why)}`)
  }
}
