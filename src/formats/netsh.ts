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
  title: say('Windows: netsh interface portproxy'),
  carries: {
    ...carriesNothing,
    range: say`a line a port, up to ${mostPorts}`,
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
  const lines = linesOf(withoutRemarks(text), reading, { comment: /^#/, quotes: false })
  for (const line of wholeLines(lines)) {
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

/** `<# … #>` of PowerShell as blanks: what stands there is not run, and all other places stay. */
function withoutRemarks(text: string): string {
  let whole = ''
  for (let from = 0; ;) {
    const begin = text.indexOf('<#', from)
    if (begin === -1) return whole + text.slice(from)
    const end = text.indexOf('#>', begin + 2)
    const past = end === -1 ? text.length : end + 2
    whole += text.slice(from, begin) + text.slice(begin, past).replaceAll(/[^\r\n]/g, ' ')
    from = past
  }
}

/** A line of a script with the commands in it, each as its words. */
interface ScriptLine extends ConfigLine {
  readonly commands: readonly (readonly Word[])[]
}

/** `^` of cmd.exe and the backtick of PowerShell go on in the next line. */
function* wholeLines(lines: Iterable<ConfigLine>): Generator<ScriptLine> {
  let before: ScriptLine | null = null
  for (const line of lines) {
    const last = line.words.at(-1)
    const goesOn = last !== undefined && /^[`^]$/.test(last.text)
    const here = commandsOf(goesOn ? { ...line, words: line.words.slice(0, -1) } : line)
    const whole: ScriptLine = before
      ? {
          ...before,
          text: `${before.text} ${line.text.trim()}`,
          words: [...before.words, ...line.words],
          commands: [
            ...before.commands.slice(0, -1),
            [...(before.commands.at(-1) ?? []), ...(here[0] ?? [])],
            ...here.slice(1),
          ],
        }
      : { ...line, commands: here }
    if (goesOn && whole.words.length < mostWords) {
      before = { ...whole, text: whole.text.replace(/[`^]\s*$/, '') }
      continue
    }
    before = null
    yield whole
  }
  if (before) yield before
}

/** Of one command over several lines. */
const mostWords = 2000

/** What ends a command; words, where `=` may stand before a quoted value; what is quoted by itself; what only groups. */
const scriptSigns =
  /(?<end>\d?[<>]|[|&;{})])|(?<word>(?:=(?:"[^"]*"?|'[^']*'?)|[^\s"'(){},;|&<>])+)|(?<quoted>"[^"]*"?|'[^']*'?)/g

/**
 * The commands of one line, without the quotes and brackets around them. What is quoted and holds several words is a
 * command of its own (`iex "netsh …"`), but for what is printed.
 */
function commandsOf({ text, number, words }: ConfigLine): Word[][] {
  const last = words.at(-1)
  if (!last) return [[]]
  const commands: Word[][] = [[]]
  const take = (part: string, offset: number): void => {
    for (const { groups: { end, word, quoted } = {}, index } of part.matchAll(scriptSigns)) {
      const inner = quoted?.replaceAll(/^["']|["']$/g, '')
      const place = { line: number, column: offset + index + 1 }
      if (end !== undefined) commands.push([])
      else if (inner === undefined || !/\s/.test(inner.trim())) {
        const plain = (inner?.trim() ?? word ?? '').replaceAll(/=["']|["']$/g, (sign) =>
          sign.startsWith('=') ? '=' : '',
        )
        if (plain !== '') commands.at(-1)?.push({ text: plain, place, quoted: false })
      } else if (!isPrinting(commands.at(-1) ?? [])) {
        commands.push([])
        take(inner, offset + index + 1)
        commands.push([])
      }
    }
  }
  take(text.slice(0, last.place.column - 1 + last.text.length), 0)
  return commands
}

function isPrinting([first]: readonly Word[]): boolean {
  return /^@?(?:echo\.?|write-\w{1,20}|read-host|title|msg|rem|::)$/i.test(first?.text ?? '')
}

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
  take(line: ScriptLine): boolean {
    const remark = /^\s{0,40}@?(?:rem|::)(?:\s|$)/i.test(line.text)
    if (remark) {
      const name = /^\s{0,40}(?:rem|::)\s{1,40}naru:(\S{1,60})\s*$/i.exec(line.text)?.[1]
      if (name) this.#name = ruleName(name)
      return true
    }
    const run = line.commands.filter((words) => !isPrinting(words))
    const own = run.flatMap((words) => {
      const at = commandAt(words)
      return at === null ? [] : [words.slice(at)]
    })
    const [first] = line.words
    const place = first?.place ?? start
    if (own.length > 0 && line.commands.some(isElsewhere)) this.#reading.leaveOut(place, line.text, elsewhere)
    else if (run.some(isOtherFile)) this.#reading.leaveOut(place, line.text, otherFile)
    else if (own.length > 0) for (const words of own) this.#run(words, line)
    else if (this.#inContext && verbs.test(first?.text ?? '')) this.#run(line.commands[0] ?? [], line)
    else if (/^(?:popd|exit|bye|quit)$/i.test(first?.text ?? '')) this.#inContext = false
    else if (run.some((words) => says(words, /^portproxy$/i) && says(words, /^(?:add|set)$/i)))
      this.#reading.leaveOut(place, line.text, notRead)
    else if (/\bnetsh\b|portproxy/i.test(line.text)) this.#reading.lose(place, line.text, noForward)
    else return false
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
        say('there is no command of netsh portproxy, and no table of its'),
      )
    this.#reading.lose(
      first.words[0]?.place ?? start,
      first.text,
      say`no command of netsh (such lines: ${count}); conditions and loops of a script are not followed`,
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
    else this.#change(verb.text, kind, rest, line)
  }

  #change(verb: string, kind: Word, words: readonly Word[], line: ConfigLine): void {
    const unknown = words.find(({ text }) => /[$%!`]/.test(text.replace(zone, '')))
    if (unknown) return this.#reading.leaveOut(unknown.place, line.text, variable)
    const given = argumentsOf(words, /^del/i.test(verb) ? deleteTags : addTags)
    if (!given) return this.#reading.leaveOut(kind.place, line.text, notRead)
    const family = kind.text[1] === '6' ? 6 : 4
    const port = given.get('listenport')
    if (!port) return this.#reading.leaveOut(kind.place, line.text, noPort)
    const protocol = given.get('protocol')
    if (protocol && protocol.text.toLowerCase() !== 'tcp')
      return this.#reading.leaveOut(protocol.place, line.text, say('netsh itself knows TCP alone'))
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
      this.#reading.leaveOut(row.port.place, text, say`line ${number} deletes it again`)
    }
  }
}

/** `fe80::1%5`: the interface of an address, which is no variable of cmd.exe. */
const zone = /(?<=:[\da-f:]{1,39})%\d{1,9}$/i
const start = { line: 1, column: 1 }
const verbs = /^(?:add?|set|del(?:ete)?|reset|show|dump)$/i
const elsewhere = say('it is done on another machine')
const otherFile = say('it is not followed: import that file too')
const noForward = say('it makes no forward')
const notRead = say(
  'it is no command that netsh would take: add v4tov4 listenport= connectaddress= connectport=',
)
const variable = say('it has a variable: write the value')
const noPort = say('listenport= is missing')

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
  return say`"${text}" is no port`
}

function says(words: readonly Word[], what: RegExp): boolean {
  return words.some(({ text }) => what.test(text))
}

/** Behind `interface portproxy`, both as short as netsh takes them. */
function commandAt(words: readonly Word[]): number | null {
  const at = words.findIndex(
    ({ text }, index) =>
      text.length > 1 && isBeginning(text, 'interface') && isBeginning(words[index + 1]?.text, 'portproxy'),
  )
  return at === -1 ? null : at + 2
}

/** `netsh -r MACHINE …`, `psexec \\MACHINE netsh …`, `Invoke-Command -ComputerName MACHINE { … }`. */
function isElsewhere(words: readonly Word[]): boolean {
  const end = commandAt(words) ?? words.length
  return words
    .slice(0, end)
    .some(
      ({ text }, at) =>
        /^(?:psexec(?:64)?(?:\.exe)?|winrs(?:\.exe)?|ssh|plink|-(?:computername|cn|session|vmname))$/i.test(
          text,
        ) ||
        (/^-r$/i.test(text) && isNetsh(words[at - 1])),
    )
}

/** `netsh -f FILE`, `netsh exec FILE`. */
function isOtherFile(words: readonly Word[]): boolean {
  return words.some(({ text }, at) => /^(?:-f|exec)$/i.test(text) && isNetsh(words[at - 1]))
}

const isNetsh = (word: Word | undefined): boolean => /(?:^|[\\/])netsh(?:\.exe)?$/i.test(word?.text ?? '')

function isBeginning(text: string | undefined, word: string): boolean {
  return text !== undefined && text !== '' && word.startsWith(text.toLowerCase())
}

function readRow({ words, text }: ConfigLine, families: readonly string[], reading: ImportContext): void {
  const [address, port, target, targetPort] = words
  if (!address || !port || !target || !targetPort || words.length > 4) {
    const place = words[0]?.place ?? { line: 1, column: 1 }
    reading.wrong(place, say('a row has four columns: address, port, address, port'))
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
    reading.leaveOut(row.address.place, what, say('it listens on a name; write the address'))
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
  for (const rule of rules) lines.push(...written(rule, writing))
  return `${lines.join('\n')}\n`
}

function written(rule: Rule, writing: Writing): string[] {
  const { listen, targets, name } = rule
  const to = targets[0]?.to
  if (listen.kind !== 'inet' || to?.kind !== 'inet') return []
  const count = portCount(listen.ports)
  if (count > mostPorts) {
    writing.leaveOut(rule, 'range', say`${count} ports would be ${count} lines`)
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
