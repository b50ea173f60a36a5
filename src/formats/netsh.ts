/**
 * Windows' port proxy: read from what `netsh interface portproxy show all` prints in any language, or from the
 * commands that made it; written as those commands. TCP alone, one port a line, no names but those of our remarks.
 * https://learn.microsoft.com/windows-server/networking/technologies/netsh/netsh-interface-portproxy
 */
import { canonicalAddress, familyOf, formatEndpoint } from '../base/address.ts'
import { portCount } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { Rule } from '../model/rule.ts'
import { portNamed } from '../model/services.ts'
import type { ReadableFormat, WritableFormat } from './contract.ts'
import { carriesNothing } from './shared/capabilities.ts'
import { listenText, mostRules, ruleName, type ImportContext } from './shared/import-context.ts'
import { linesOf, type ConfigLine, type Word } from './shared/words.ts'
import type { Writing } from './shared/writing.ts'

/** A port is a line of its own; more are a mistake in a script that somebody must read. */
const mostPorts = 1024

export const netsh: ReadableFormat & WritableFormat = {
  id: 'netsh',
  title: say('Windows: netsh interface portproxy', 'Windows: netsh interface portproxy'),
  carries: {
    ...carriesNothing,
    range: say(`a line a port, up to ${mostPorts}`, `포트마다 한 줄, ${mostPorts}개까지`),
    nameTarget: true,
  },
  looksRight: (text) =>
    // Where there is no forward it prints an empty line.
    text.trim() === '' ||
    /\bint[a-z]{0,6}[ \t]{1,40}portp[a-z]{0,4}\b/i.test(text) ||
    (/ipv[46]\b[^\n]{1,80}ipv[46]\b/i.test(text) &&
      /^[ \t]{0,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{1,40}-{3,40}[ \t]{0,40}\r?$/m.test(text)),
  read,
  write,
}

function read(text: string, reading: ImportContext): void {
  const commands = new Commands(reading)
  let families: readonly string[] = []
  let inTable = false
  let hasTable = false
  for (const line of wholeLines(linesOf(text, reading, { comment: /^(?:#|<#)/, quotes: false }))) {
    const [first] = line.words
    if (!first) {
      if (inTable) [inTable, families] = [false, []]
      continue
    }
    if (/^-{3,}$/.test(first.text)) inTable = hasTable = true
    else if (inTable) readRow(line, families, reading)
    else if (commands.take(line)) continue
    else if (/ipv[46]/i.test(line.text))
      families = [...line.text.matchAll(/ipv[46]/gi)].map(([family]) => family.toLowerCase())
    else if (!hasTable) commands.note(line)
  }
  commands.finish(hasTable)
}

/** `^` of cmd.exe and the backtick of PowerShell go on in the next line. */
function* wholeLines(lines: Iterable<ConfigLine>): Generator<ConfigLine> {
  let before: ConfigLine | null = null
  for (const line of lines) {
    const whole: ConfigLine = before
      ? { ...before, text: `${before.text} ${line.text.trim()}`, words: [...before.words, ...line.words] }
      : line
    const last = whole.words.at(-1)
    if (last && /^[`^]$/.test(last.text) && whole.words.length < mostWords) {
      before = { ...whole, text: whole.text.replace(/[`^]\s*$/, ''), words: whole.words.slice(0, -1) }
      continue
    }
    before = null
    yield whole
  }
  if (before) yield before
}

/** Of one command over several lines. */
const mostWords = 2000

/** What `add` has made so far, until a later `delete` or `reset` undoes it. */
interface Added {
  readonly row: Row
  readonly family: 4 | 6
  readonly name: string | null
  readonly text: string
}

/** Commands of a script or a dump, in their order. */
class Commands {
  readonly #reading: ImportContext
  readonly #added = new Map<string, Added>()
  readonly #others: ConfigLine[] = []
  #name: string | null = null
  /** Within `pushd interface portproxy` commands begin with their verb. */
  #inContext = false
  #count = 0

  constructor(reading: ImportContext) {
    this.#reading = reading
  }

  /** False where the line holds no command of netsh. */
  take(line: ConfigLine): boolean {
    const remark = /^\s{0,40}@?(?:rem|::)(?:\s|$)/i.test(line.text)
    if (remark) {
      const name = /^\s{0,40}(?:rem|::)\s{1,40}naru:(\S{1,60})\s*$/i.exec(line.text)?.[1]
      if (name) this.#name = ruleName(name)
      return true
    }
    const words = line.words.map(bare)
    const at = commandAt(words, 0)
    if (at === null) {
      if (this.#inContext && verbs.test(words[0]?.text ?? '')) this.#run(words, line)
      else if (/^(?:popd|exit|bye|quit)$/i.test(words[0]?.text ?? '')) this.#inContext = false
      else if (words.some(({ text }) => /^netsh(?:\.exe)?$/i.test(text)) || /portproxy/i.test(line.text))
        this.#reading.lose(words[0]?.place ?? start, line.text, noForward)
      else return false
      return true
    }
    for (let from: number | null = at; from !== null;) {
      const next = commandAt(words, from)
      this.#run(words.slice(from, next === null ? undefined : next - 2), line)
      from = next
    }
    return true
  }

  /** Neither a command nor a row: the rest of a script. */
  note(line: ConfigLine): void {
    this.#others.push(line)
  }

  finish(hasTable: boolean): void {
    for (const { row, family, name, text } of this.#added.values())
      add(row, family, name, text, this.#reading)
    const [first] = this.#others
    const count = this.#others.length
    if (!first || hasTable) return
    if (this.#count === 0)
      return this.#reading.wrong(
        first.words[0]?.place ?? start,
        say(
          'there is no command of netsh portproxy, and no table of its',
          'netsh portproxy 명령도, 출력 표도 없습니다',
        ),
      )
    this.#reading.lose(
      first.words[0]?.place ?? start,
      first.text,
      say(
        `no command of netsh (such lines: ${count}); conditions and loops of a script are not followed`,
        `netsh 명령이 아닙니다(이런 줄 ${count}개). 스크립트의 조건과 반복은 따라가지 않습니다`,
      ),
    )
  }

  /** @param words from the verb on; none where the context was entered. */
  #run(words: readonly Word[], line: ConfigLine): void {
    this.#count++
    const [verb, kind, ...rest] = words
    if (!verb) this.#inContext = true
    else if (/^(?:show|dump|help|\?)/i.test(verb.text)) return
    else if (/^reset/i.test(verb.text)) this.#undo(() => true, line)
    else if (!verbs.test(verb.text) || !kind || !/^v[46]tov[46]$/i.test(kind.text))
      this.#reading.leaveOut(verb.place, line.text, notRead)
    else this.#change(verb.text, kind, untilNext(rest), line)
  }

  #change(verb: string, kind: Word, words: readonly Word[], line: ConfigLine): void {
    const unknown = words.find(({ text }) => /[$%!`]/.test(text))
    if (unknown) return this.#reading.leaveOut(unknown.place, line.text, variable)
    const given = argumentsOf(words, /^del/i.test(verb) ? deleteTags : addTags)
    if (!given) return this.#reading.leaveOut(kind.place, line.text, notRead)
    const family = kind.text[1] === '6' ? 6 : 4
    const port = given.get('listenport')
    if (!port) return this.#reading.leaveOut(kind.place, line.text, noPort)
    const protocol = given.get('protocol')
    if (protocol && protocol.text.toLowerCase() !== 'tcp')
      return this.#reading.leaveOut(
        protocol.place,
        line.text,
        say('netsh itself knows TCP alone', 'netsh는 TCP만 지원합니다'),
      )
    const address = given.get('listenaddress') ?? { ...kind, text: '*' }
    const key = `${family} ${address.text.toLowerCase()} ${numberOf(port).text}`
    if (/^del/i.test(verb)) return this.#undo((one) => one === key, line)
    const here: Word = { ...kind, text: kind.text[5] === '6' ? '::1' : '127.0.0.1' }
    const target = given.get('connectaddress') ?? here
    const row = {
      port: numberOf(port),
      address,
      target,
      targetPort: numberOf(given.get('connectport') ?? port),
    }
    const wrong = [row.port, row.targetPort].find(({ text }) => !/^\d{1,5}$/.test(text))
    if (wrong) return this.#reading.leaveOut(wrong.place, line.text, isNoPort(wrong))
    // A second one of the same port takes the place of the first.
    this.#added.delete(key)
    this.#added.set(key, { row, family, name: this.#name, text: line.text })
    if (this.#added.size > mostRules) throw this.#reading.tooMuch(kind.place)
  }

  #undo(which: (key: string) => boolean, { number }: ConfigLine): void {
    for (const [key, { row, text }] of this.#added) {
      if (!which(key)) continue
      this.#added.delete(key)
      this.#reading.leaveOut(
        row.port.place,
        text,
        say(`line ${number} deletes it again`, `${number}번 줄에서 다시 지웁니다`),
      )
    }
  }
}

const start = { line: 1, column: 1 }
const verbs = /^(?:add?|set|del(?:ete)?|reset|show|dump)$/i
const noForward = say('it makes no forward', '포워딩을 만들지 않습니다')
const notRead = say(
  'it is no command that netsh would take: add v4tov4 listenport= connectaddress= connectport=',
  'netsh 명령이 아닙니다. add v4tov4 listenport= connectaddress= connectport= 형식입니다',
)
const variable = say('it has a variable: write the value', '변수가 들어 있습니다. 값을 직접 쓰세요')
const noPort = say('listenport= is missing', 'listenport=가 없습니다')

/** In the order in which they are taken without their names, as `netsh interface portproxy add v4tov4 ?` has it. */
const addTags = ['listenport', 'connectaddress', 'connectport', 'listenaddress', 'protocol']
const deleteTags = ['listenport', 'listenaddress', 'protocol']

/** By name, any beginning of it, or by place; null where a word is neither. */
function argumentsOf(words: readonly Word[], tags: readonly string[]): Map<string, Word> | null {
  const given = new Map<string, Word>()
  for (const word of words) {
    const [, key, value] = /^(\w{1,20})=(.*)$/u.exec(word.text) ?? []
    const tag = key
      ? tags.find((one) => one.startsWith(key.toLowerCase()))
      : tags.find((one) => !given.has(one))
    if (tag === undefined) return null
    const column = word.place.column + (key ? key.length + 1 : 0)
    given.set(tag, { ...word, text: value ?? word.text, place: { ...word.place, column } })
  }
  return given
}

/** A port by its name, as netsh takes it too. */
function numberOf(port: Word): Word {
  const known = /^\d/.test(port.text) ? null : portNamed('tcp', port.text)
  return known === null ? port : { ...port, text: String(known) }
}

function isNoPort({ text }: Word): Text {
  return say(`"${text}" is no port`, `"${text}"{은/는} 포트가 아닙니다`)
}

/** Without the quotes, brackets and separators of a script around it. */
function bare(word: Word): Word {
  const text = word.text.replace(/^["'({@&;]{1,8}/, '').replace(/["')};,]{1,8}$/, '')
  return text === word.text || /\$\(/.test(word.text) ? word : { ...word, text, quoted: true }
}

/** Behind the next `interface portproxy`, both as short as netsh takes them. */
function commandAt(words: readonly Word[], from: number): number | null {
  for (let at = from; at + 1 < words.length; at++)
    if (/^int(?:e(?:r(?:f(?:a(?:ce?)?)?)?)?)?$/i.test(words[at]?.text ?? ''))
      if (/^portp(?:r(?:o(?:xy?)?)?)?$/i.test(words[at + 1]?.text ?? '')) return at + 2
  return null
}

/** Up to what begins another command in the same line. */
function untilNext(words: readonly Word[]): readonly Word[] {
  const end = words.findIndex(({ text }) => /^(?:[&|;>}]|2>|netsh(?:\.exe)?$|$)/i.test(text))
  return end === -1 ? words : words.slice(0, end)
}

function readRow({ words, text }: ConfigLine, families: readonly string[], reading: ImportContext): void {
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

function add(row: Row, family: 4 | 6, name: string | null, what: string, reading: ImportContext): void {
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
    reading.wrong(wrongPort.place, isNoPort(wrongPort))
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
