/**
 * Windows' port proxy: read from what `netsh interface portproxy show all` prints in any language, or from the
 * commands that made it; written as those commands. TCP alone, one port a line, no names but those of our remarks.
 * https://learn.microsoft.com/windows-server/networking/technologies/netsh/netsh-interface-portproxy
 */
import { canonicalAddress, familyOf, formatEndpoint } from '../base/address.ts'
import { portCount } from '../base/port.ts'
import { say } from '../base/text.ts'
import type { Rule } from '../model/rule.ts'
import type { ReadableFormat, WritableFormat } from './contract.ts'
import { carriesNothing } from './contract/aspects.ts'
import { listenText, ruleName, type Reading } from './contract/reading.ts'
import { linesOf, type Line, type Word } from './contract/words.ts'
import type { Writing } from './contract/writing.ts'

/** A port is a line of its own; more are a mistake in a script that somebody must read. */
const mostPorts = 1024

const addCommand =
  /^(?:netsh[ \t]{1,40})?interface[ \t]{1,40}portproxy[ \t]{1,40}(?:add|set)[ \t]{1,40}v[46]tov[46][ \t]/im

export const netsh: ReadableFormat & WritableFormat = {
  id: 'netsh',
  title: say('Windows: netsh interface portproxy', 'Windows: netsh interface portproxy'),
  carries: {
    ...carriesNothing,
    range: say(`a line a port, up to ${mostPorts}`, `포트마다 한 줄, ${mostPorts}개까지`),
    nameTarget: true,
  },
  looksRight: (text) =>
    addCommand.test(text) ||
    (/ipv[46]\b[^\n]{1,80}ipv[46]\b/i.test(text) &&
      /^[ \t]{0,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{0,40}\r?$/m.test(text)),
  read,
  write,
}

function read(text: string, reading: Reading): void {
  let families: readonly string[] = []
  let inTable = false
  let name: string | null = null
  for (const line of linesOf(text, reading, { comment: /^#/, quotes: false })) {
    const [first] = line.words
    if (!first) {
      if (inTable) [inTable, families] = [false, []]
      continue
    }
    const remark = /^\s*(?:rem|::)\s+naru:(\S+)\s*$/i.exec(line.text)
    if (remark) name = ruleName(remark[1] as string)
    else if (addCommand.test(`${line.text} `)) readCommand(line, name, reading)
    else if (/^-{3,}$/.test(first.text)) inTable = true
    else if (inTable) readRow(line, families, reading)
    else if (/ipv[46]/i.test(line.text))
      families = [...line.text.matchAll(/ipv[46]/gi)].map(([family]) => family.toLowerCase())
  }
}

function readRow({ words, text }: Line, families: readonly string[], reading: Reading): void {
  const [address, port, target, targetPort] = words
  if (!address || !port || !target || !targetPort || words.length > 4) {
    const place = words[0]?.place ?? { line: 1, column: 1 }
    reading.wrong(
      place,
      say(
        'a row has four columns: address, port, address, port',
        '한 줄은 주소, 포트, 주소, 포트의 네 칸이어야 합니다',
      ),
    )
    return
  }
  add({ address, port, target, targetPort }, families[0] === 'ipv6' ? 6 : 4, null, text, reading)
}

interface Row {
  readonly address: Word
  readonly port: Word
  readonly target: Word
  readonly targetPort: Word
}

function readCommand({ words, text }: Line, name: string | null, reading: Reading): void {
  const kind = words.find(({ text: word }) => /^v[46]tov[46]$/i.test(word)) as Word
  const given = new Map<string, Word>()
  for (const word of words) {
    const [, key, value] = /^(\w+)=(.*)$/u.exec(word.text) ?? []
    if (!key) continue
    const column = word.place.column + key.length + 1
    given.set(key.toLowerCase(), { ...word, text: value ?? '', place: { ...word.place, column } })
  }
  const family = kind.text[1] === '6' ? 6 : 4
  const port = given.get('listenport')
  if (!port) {
    reading.wrong(kind.place, say('listenport= is missing', 'listenport=가 없습니다'))
    return
  }
  const protocol = given.get('protocol')
  if (protocol && protocol.text !== 'tcp') {
    reading.leaveOut(protocol.place, text, say('netsh itself knows TCP alone', 'netsh는 TCP만 지원합니다'))
    return
  }
  const here: Word = { ...kind, text: family === 6 ? '::1' : '127.0.0.1' }
  add(
    {
      port,
      address: given.get('listenaddress') ?? { ...kind, text: '*' },
      target: given.get('connectaddress') ?? here,
      targetPort: given.get('connectport') ?? port,
    },
    family,
    name,
    text,
    reading,
  )
}

function add(row: Row, family: 4 | 6, name: string | null, what: string, reading: Reading): void {
  const any = family === 6 ? '::' : '0.0.0.0'
  const address = row.address.text === '*' ? any : canonicalAddress(row.address.text)
  if (address === null) {
    reading.leaveOut(
      row.address.place,
      what,
      say('it listens on a name; write the address', '이름으로 수신합니다. 주소로 쓰세요'),
    )
    return
  }
  const wrongPort = [row.port, row.targetPort].find(({ text }) => !/^\d{1,5}$/.test(text))
  if (wrongPort) {
    reading.wrong(
      wrongPort.place,
      say(`"${wrongPort.text}" is no port`, `"${wrongPort.text}"은(는) 포트가 아닙니다`),
    )
    return
  }
  const rule = {
    listen: listenText(address, row.port.text),
    target: formatEndpoint(row.target.text, row.targetPort.text),
  }
  reading.add(row.address.place, name, rule, { what })
}

function write(rules: readonly Rule[], writing: Writing): string {
  const lines = [
    'rem Forwards of Naru for netsh. Run as administrator; each port also needs a rule in the firewall.',
  ]
  for (const rule of rules) lines.push(...commandsOf(rule, writing))
  return `${lines.join('\n')}\n`
}

function commandsOf(rule: Rule, writing: Writing): string[] {
  const { listen, targets, name } = rule
  const to = targets[0]?.to
  if (listen.kind !== 'inet' || to?.kind !== 'inet') return []
  const count = portCount(listen.ports)
  if (count > mostPorts) {
    writing.leaveOut(
      rule,
      'range',
      say(`${count} ports would be ${count} lines`, `포트 ${count}개는 ${count}줄이 됩니다`),
    )
    return []
  }
  const single = portCount(to.ports) === 1
  const addresses = listen.address === null ? ['0.0.0.0', '::'] : [listen.address]
  const target = canonicalAddress(to.host) === null ? 4 : familyOf(to.host)
  const commands = addresses.flatMap((address) =>
    Array.from(
      { length: count },
      (_, index) =>
        `netsh interface portproxy add v${familyOf(address)}tov${target} listenaddress=${address} listenport=${listen.ports.first + index} connectaddress=${to.host} connectport=${to.ports.first + (single ? 0 : index)}`,
    ),
  )
  return [`rem naru:${name}`, ...commands]
}
