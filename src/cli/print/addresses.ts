/** The addresses of a rule for people: what to give to others, farthest first, and the row to type on a router's page. */
import { say, type Text } from '../../base/text.ts'
import type { RuleAddress, RuleStatus } from '../../model/naru-api.ts'
import { qrText } from '../../model/qr.ts'
import { stepLines } from '../../model/router-steps.ts'
import type { Context, VerbOption } from '../verb.ts'
import type { Printer } from './printer.ts'

const scopeWords: Readonly<Record<RuleAddress['scope'], Text>> = {
  internet: say('for everybody on the internet'),
  lan: say('for this network'),
  machine: say('for this machine'),
}

/** The one that most can use; null where there is none. */
export function addressToGive({ addresses }: Pick<RuleStatus, 'addresses'>): string | null {
  return addresses.at(-1)?.text ?? null
}

/** Farthest first, the address before its words so that a double click takes it. */
export function addressLines({ addresses }: RuleStatus, print: Printer): string[] {
  const width = Math.max(...addresses.map(({ text }) => text.length))
  return addresses
    .toReversed()
    .map(
      ({ scope, text }) =>
        `${print.paint.cyan(text)}${' '.repeat(width - text.length)}  ${print.paint.dim(print.say(scopeWords[scope]))}`,
    )
}

/** What a person can do where no router opens the port, and the command that looks whether it is done. */
export function byHandLines({ name, byHand }: RuleStatus, print: Printer): string[] {
  if (byHand === null) return []
  const intro = say('until then, this row on the router’s page opens it:')
  const check = say`then see whether it works: naru router check ${name}`
  return [
    `  ${print.say(intro)}`,
    ...stepLines(byHand).map((line) => `    ${print.say(line)}`),
    `  ${print.say(check)}`,
  ]
}

export const giveOptions: readonly VerbOption[] = [
  { name: 'qr', text: say('the address as a QR code, for a phone') },
  { name: 'copy', text: say('the address into the clipboard') },
]

/** `--qr` and `--copy`, where they were said. */
export async function give(rule: RuleStatus, { print, deps, io, switched, json }: Context): Promise<void> {
  const address = addressToGive(rule)
  if (!switched('qr') && !switched('copy')) return
  if (address === null) return print.talk(nothingToGive)
  if (switched('qr') && !json) for (const line of qrText(address).split('\n')) print.data(line)
  if (!switched('copy')) return
  if (await deps.copy(address)) return print.talk(say`copied: ${address}`)
  if (!io.stderr.isTTY) return print.talk(noClipboard)
  // OSC 52, xterm's ctlseqs "Manipulate Selection Data": terminals that know it take it, also over SSH.
  io.stderr.write(`\u001B]52;c;${Buffer.from(address).toString('base64')}\u0007`)
  print.talk(say`given to the terminal's clipboard: ${address}`)
}

const nothingToGive = say('there is no address to give yet')
const noClipboard = say('there is no clipboard here')
