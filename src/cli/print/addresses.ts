/** The addresses of a rule for people: what to give to others, farthest first, and the row to type on a router's page. */
import { say, type Text } from '../../base/text.ts'
import type { RuleAddress, RuleStatus } from '../../model/naru-api.ts'
import { qrText } from '../../model/qr.ts'
import { stepLines } from '../../model/router-steps.ts'
import type { Context, VerbOption } from '../verb.ts'
import type { Printer } from './printer.ts'

const scopeWords: Readonly<Record<RuleAddress['scope'], Text>> = {
  internet: say('for everybody on the internet', '인터넷의 누구나'),
  lan: say('for this network', '같은 네트워크에서'),
  machine: say('for this machine', '이 컴퓨터에서'),
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
  const intro = say(
    'until then, this row on the router’s page opens it:',
    '그 전에는 공유기 페이지에 이 항목을 넣으면 열립니다:',
  )
  const check = say(
    `then see whether it works: naru router check ${name}`,
    `넣은 다음 확인하려면: naru router check ${name}`,
  )
  return [
    `  ${print.say(intro)}`,
    ...stepLines(byHand).map((line) => `    ${print.say(line)}`),
    `  ${print.say(check)}`,
  ]
}

export const giveOptions: readonly VerbOption[] = [
  { name: 'qr', text: say('the address as a QR code, for a phone', '주소를 휴대폰용 QR 코드로 보여 줌') },
  { name: 'copy', text: say('the address into the clipboard', '주소를 클립보드에 복사') },
]

/** `--qr` and `--copy`, where they were said. */
export async function give(rule: RuleStatus, { print, deps, io, switched, json }: Context): Promise<void> {
  const address = addressToGive(rule)
  if (!switched('qr') && !switched('copy')) return
  if (address === null) return print.talk(nothingToGive)
  if (switched('qr') && !json) for (const line of qrText(address).split('\n')) print.data(line)
  if (!switched('copy')) return
  if (await deps.copy(address)) return print.talk(say(`copied: ${address}`, `복사함: ${address}`))
  if (!io.stderr.isTTY) return print.talk(noClipboard)
  // OSC 52, xterm's ctlseqs "Manipulate Selection Data": terminals that know it take it, also over SSH.
  io.stderr.write(`\u001B]52;c;${Buffer.from(address).toString('base64')}\u0007`)
  print.talk(say(`given to the terminal's clipboard: ${address}`, `터미널 클립보드로 보냄: ${address}`))
}

const nothingToGive = say('there is no address to give yet', '아직 알려 줄 주소가 없습니다')
const noClipboard = say('there is no clipboard here', '여기에는 클립보드가 없습니다')
