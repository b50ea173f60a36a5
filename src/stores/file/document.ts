/**
 * The text of naru.yaml and what it says. Reading gives plain data and the place of every value; editing rewrites
 * only the lines of the rule that changed, so that everything else stays byte for byte as its owner wrote it.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  stringify,
  visit,
  type Node,
  type Pair,
  type YAMLError,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { say, type Text } from '../../base/text.ts'
import { yamlDocument, yamlProblem } from '../../base/yaml.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import type { Json } from '../../model/hop.ts'
import type { Snapshot } from '../contract.ts'
import { isMap as isPlainMap, nearest, type KeyPath, type Problem } from '../../model/schema.ts'

/** Ten thousand rules take about 2 MiB. */
export const mostBytes = 16 * 1024 * 1024
/** An alias may repeat a list of addresses; a bomb repeats itself. */
const mostAliases = 100

export interface KeyPlace {
  readonly line: number
  readonly column: number
}

export interface PlacedProblem {
  readonly place: KeyPlace
  readonly path: KeyPath
  readonly text: Text
}

export interface FileDocument {
  readonly text: string
  readonly rules: ReadonlyMap<string, RuleInput>
  readonly samplePort: number | null
  readonly names: readonly string[]
  readonly stun: Snapshot['stun']
  /** Where the value at `path` stands; of a missing one, its nearest parent. Line and column count from 1. */
  placeOf(path: KeyPath): KeyPlace
  /** The text after the edits. */
  withRules(edits: Edits): string
  /** The text with another name in the place of that one, and nothing else changed. */
  renamed(name: string, to: string): string
  /**
   * The document after the edits, of which only the lines of those rules were read: ten thousand rules take seconds to
   * parse. Null where the file is not written plainly enough for that, and all of it must be read.
   */
  edited(edits: Edits): FileDocument | null
}

/** By name, what a rule is to be; null takes it out. */
export type Edits = ReadonlyMap<string, RuleInput | null>

const quietly = { prettyErrors: false, logLevel: 'error' } as const

const topKeys = ['rules', 'sample', 'names', 'stun']

/** @returns the document, or every problem that keeps it from being one. */
export function readDocument(text: string): { document: FileDocument } | { problems: PlacedProblem[] } {
  const lines = new LineCounter()
  const yaml = yamlDocument(text, { ...quietly, lineCounter: lines })
  const place = (offset: number): KeyPlace => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  if (yaml.errors.length > 0)
    return {
      problems: yaml.errors
        .slice(0, 20)
        .map((error) => ({ place: place(error.pos[0]), path: [], text: misprint(error) })),
    }
  const placeOf = (path: KeyPath): KeyPlace => place(offsetOf(yaml, path))
  const data = plainData(yaml)
  const problems = data === undefined ? [tooManyAliases] : structureProblems(data)
  if (problems.length > 0)
    return { problems: problems.map((problem) => ({ ...problem, place: placeOf(problem.path) })) }
  const top = (data ?? {}) as Top
  let known: Spans | null | undefined
  const spans = (): Spans | null => (known === undefined ? (known = spansOf(text, yaml)) : known)
  const document: FileDocument = {
    text,
    rules: new Map(Object.entries(top.rules ?? {})),
    samplePort: top.sample ?? null,
    names: top.names ?? [],
    stun: (top.stun ?? []).map(stunServer),
    placeOf,
    withRules: (edits) => assembled(text, spans(), edits)?.text ?? rewritten(text, edits),
    renamed: (name, to) => renamed(text, yaml, name, to),
    edited: (edits) => edited(document, spans(), edits),
  }
  return { document }
}

/** Where the lines of a rule are: from the comment that sits on it, from its key, to its end. */
interface Block {
  readonly start: number
  readonly keyStart: number
  readonly end: number
  readonly indent: string
}

/** How long its pieces are, so that a change of one rule is none of the others'. */
interface Span {
  /** Between the end of the rule before it and this one's start. */
  readonly gap: number
  readonly comment: number
  readonly lines: number
}

/** In the order of the file. */
interface Spans {
  readonly indent: string
  readonly byName: ReadonlyMap<string, Span>
}

/** The plain way to write it is a block map without anchors. */
function spansOf(text: string, yaml: Document): Spans | null {
  const rules = yaml.get('rules', true)
  if (!isMap(rules) || rules.flow || rules.items.length === 0 || hasAnchors(yaml)) return null
  const byName = new Map<string, Span>()
  let [before, indent] = [0, '']
  for (const pair of rules.items) {
    const block = linesOfPair(text, pair)
    const { start, keyStart, end } = block
    byName.set(keyText(pair.key), { gap: start - before, comment: keyStart - start, lines: end - keyStart })
    before = end
    indent = block.indent
  }
  return { indent, byName }
}

interface Assembled {
  readonly text: string
  readonly spans: Spans
  /** Lines that are not as they were, by the rule that they say. */
  readonly written: ReadonlyMap<string, string>
}

/** The text with other lines for those rules; null where it is not plain, or no rule would be left. */
function assembled(text: string, spans: Spans | null, edits: Edits): Assembled | null {
  if (spans === null) return null
  const assembly = new Assembly(text, spans.indent)
  for (const [name, span] of spans.byName) assembly.take(name, span, edits.get(name))
  for (const [name, rule] of edits) if (rule !== null && !spans.byName.has(name)) assembly.append(name, rule)
  return assembly.byName.size > 0 ? assembly.end() : null
}

/** A text of rules while its pieces are put together, in its order. */
class Assembly {
  readonly byName = new Map<string, Span>()
  readonly #text: string
  readonly #indent: string
  readonly #written = new Map<string, string>()
  readonly #pieces: string[] = []
  /** How far the text was come to, and how much of it is in what is made. */
  #at = 0
  #copied = 0
  /** What stood before a rule that goes stands before the next. */
  #gap = 0

  constructor(text: string, indent: string) {
    this.#text = text
    this.#indent = indent
  }

  /** The next of the rules that are there; `undefined` leaves it as it is. */
  take(name: string, { gap, comment, lines }: Span, rule: RuleInput | null | undefined): void {
    const start = this.#at + gap
    const keyStart = start + comment
    this.#at = keyStart + lines
    if (rule === null) {
      this.#copyTo(start)
      this.#gap += gap
    } else if (rule === undefined) this.#place(name, { gap, comment, lines })
    else {
      this.#copyTo(keyStart)
      this.#write(name, rule, { gap, comment, was: this.#text.slice(keyStart, this.#at) })
    }
  }

  /** Behind all that are there. */
  append(name: string, rule: RuleInput): void {
    this.#copyTo(this.#at)
    if (!this.#pieces.findLast((piece) => piece !== '')?.endsWith('\n')) this.#endLine()
    this.#write(name, rule, { gap: 0, comment: 0, was: null })
  }

  /** A last line without its end gets one, which is its rule's. */
  #endLine(): void {
    this.#pieces.push('\n')
    const [name, last] = [...this.byName].at(-1) ?? []
    if (name !== undefined && last) this.byName.set(name, { ...last, lines: last.lines + 1 })
  }

  end(): Assembled {
    const text = this.#pieces.join('') + this.#text.slice(this.#copied)
    return { text, spans: { indent: this.#indent, byName: this.byName }, written: this.#written }
  }

  /** What is between there and the end of the rule that was come to is left out. */
  #copyTo(offset: number): void {
    this.#pieces.push(this.#text.slice(this.#copied, offset))
    this.#copied = this.#at
  }

  #write(
    name: string,
    rule: RuleInput,
    { gap, comment, was }: { gap: number; comment: number; was: string | null },
  ): void {
    const lines = ruleText(name, rule, this.#indent, was)
    this.#pieces.push(lines)
    this.#written.set(name, lines)
    this.#place(name, { gap, comment, lines: lines.length })
  }

  #place(name: string, span: Span): void {
    this.byName.set(name, this.#gap === 0 ? span : { ...span, gap: span.gap + this.#gap })
    this.#gap = 0
  }
}

type Content = Omit<FileDocument, 'placeOf' | 'withRules' | 'renamed' | 'edited'>

function edited(before: Content, spans: Spans | null, edits: Edits): FileDocument | null {
  const after = assembled(before.text, spans, edits)
  const read = after && rulesIn(after.written, edits)
  if (!after || !read) return null
  const rules = new Map(before.rules)
  for (const [name, rule] of edits) {
    if (rule === null) rules.delete(name)
    else rules.set(name, read.get(name) ?? rule)
  }
  return partlyRead({ ...contentOf(before), text: after.text, rules }, after.spans)
}

function contentOf({ text, rules, samplePort, names, stun }: Content): Content {
  return { text, rules, samplePort, names, stun }
}

/** The rules as the file will be read to have them; null where their lines would say something else. */
function rulesIn(written: ReadonlyMap<string, string>, edits: Edits): ReadonlyMap<string, RuleInput> | null {
  if (written.size === 0) return new Map()
  const read = yamlDocument(`rules:\n${[...written.values()].join('')}`, quietly)
  if (read.errors.length > 0) return null
  const { rules = {} } = (plainData(read) ?? {}) as { rules?: Record<string, RuleInput> }
  const found = new Map(Object.entries(rules))
  const isWhatWasMeant =
    found.size === written.size &&
    [...found].every(([name, rule]) => written.has(name) && isDeepStrictEqual(rule, edits.get(name)))
  return isWhatWasMeant ? found : null
}

/** A document of which only the changed lines were read. The rest is read when somebody asks for more of it. */
function partlyRead(content: Content, spans: Spans): FileDocument {
  let whole: FileDocument | null = null
  const all = (): FileDocument => {
    if (whole) return whole
    const read = readDocument(content.text)
    if ('problems' in read) throw new RangeError('what was written cannot be read')
    return (whole = read.document)
  }
  return {
    ...content,
    placeOf: (path) => all().placeOf(path),
    withRules: (edits) => all().withRules(edits),
    renamed: (name, to) => all().renamed(name, to),
    edited: (edits) => edited(content, spans, edits),
  }
}

interface Top {
  readonly rules?: Readonly<Record<string, RuleInput>> | null
  readonly sample?: number | null
  readonly names?: readonly string[] | null
  readonly stun?: readonly string[] | null
}

const stunPort = 3478
/** A host name or address, and for STUN a port: `stun.example.org:3478`, `[2001:db8::1]:3478`. */
const hostPattern = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const serverPattern = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?::(\d{1,5}))?$/

function stunServer(text: string): Snapshot['stun'][number] {
  const [, six, host = '', port] = serverPattern.exec(text) ?? []
  return { host: six ?? host, port: port === undefined ? stunPort : Number(port) }
}

const tooManyAliases: Problem = {
  path: [],
  text: say(
    `more than ${mostAliases} aliases are expanded; write the values out`,
    `별칭(*)이 ${mostAliases}번 넘게 펼쳐집니다. 값을 직접 쓰세요`,
  ),
}

/** Undefined where aliases would blow it up. */
function plainData(yaml: Document): unknown {
  try {
    return yaml.toJS({ maxAliasCount: mostAliases }) as unknown
  } catch {
    return undefined
  }
}

function structureProblems(data: unknown): Problem[] {
  if (data === null) return []
  if (!isPlainMap(data))
    return [
      {
        path: [],
        text: say('the file is a map with the key rules', '파일은 rules 키를 가진 맵이어야 합니다'),
      },
    ]
  const problems: Problem[] = []
  for (const key of Object.keys(data)) {
    if (topKeys.includes(key)) continue
    const guess = nearest(key, topKeys)
    problems.push({
      path: [key],
      text: say(
        `unknown key ${key}; ${guess ? `did you mean ${guess}?` : `allowed are: ${topKeys.join(', ')}`}`,
        `알 수 없는 키 ${key}입니다. ${guess ? `${guess}인가요?` : `쓸 수 있는 키: ${topKeys.join(', ')}`}`,
      ),
    })
  }
  if (data.rules !== undefined && data.rules !== null && !isPlainMap(data.rules)) {
    problems.push({
      path: ['rules'],
      text: say('rules is a map: a name, and below it the rule', 'rules는 이름 아래에 규칙을 쓰는 맵입니다'),
    })
  }
  const { sample } = data
  if (
    sample !== undefined &&
    sample !== null &&
    !(Number.isInteger(sample) && Number(sample) >= 1 && Number(sample) <= 65_535)
  ) {
    problems.push({
      path: ['sample'],
      text: say('sample is a port from 1 to 65535', 'sample은 1부터 65535까지의 포트입니다'),
    })
  }
  problems.push(
    ...listProblems('names', data.names, isHostName, [
      'a host name, such as home.example.org',
      'home.example.org 같은 호스트 이름',
    ]),
    ...listProblems('stun', data.stun, isStunServer, [
      'HOST or HOST:PORT, such as stun.example.org:3478',
      'stun.example.org:3478 같은 호스트[:포트]',
    ]),
  )
  return problems
}

const isHostName = (value: string): boolean => hostPattern.test(value)

function isStunServer(value: string): boolean {
  const match = serverPattern.exec(value)
  const port = Number(match?.[3] ?? stunPort)
  return match !== null && port >= 1 && port <= 65_535
}

function listProblems(
  key: string,
  value: unknown,
  isRight: (value: string) => boolean,
  [en, ko]: readonly [string, string],
): Problem[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value))
    return [{ path: [key], text: say(`${key} is a list of: ${en}`, `${key}{은/는} ${ko}의 목록입니다`) }]
  return value.flatMap((one: unknown, at) =>
    typeof one === 'string' && isRight(one)
      ? []
      : [{ path: [key, at], text: say(`each of ${key} is ${en}`, `${key}의 각 항목은 ${ko}입니다`) }],
  )
}

const misprint = (error: YAMLError): Text =>
  error.code === 'MULTIPLE_DOCS' ? secondDocument : yamlProblem(error)

const secondDocument = say(
  'a second document begins here, which would not be read: put all rules under one `rules:`',
  '여기서 두 번째 문서가 시작되며 읽히지 않습니다. 모든 규칙을 하나의 `rules:` 아래에 두세요',
)

function offsetOf(yaml: Document, path: KeyPath): number {
  let node: unknown = yaml.contents
  let offset = 0
  for (const step of path) {
    const pair = isMap(node) ? pairOf(node, String(step)) : undefined
    const key = pair?.key as Node | undefined
    node = pair ? pair.value : ((node as { items?: unknown[] } | null)?.items?.[Number(step)] ?? null)
    const range = (node as Node | null)?.range ?? key?.range
    if (!range) break
    // A map's place is its key: what is missing in it is missing there.
    offset = isMap(node) && key?.range ? key.range[0] : range[0]
  }
  return offset
}

function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((item) => keyText(item.key) === key)
}

const keyText = (key: unknown): string => String(isScalar(key) ? key.value : key)

function renamed(text: string, yaml: Document, name: string, to: string): string {
  const rules = yaml.get('rules', true)
  const key = isMap(rules) ? pairOf(rules, name)?.key : undefined
  if (!isScalar(key) || !key.range) throw new RangeError(`no rule ${name} to rename`)
  const [start, end] = key.range
  return text.slice(0, start) + stringify(to).trimEnd() + text.slice(end)
}

function linesOfPair(text: string, pair: Pair): Block {
  const keyStart = lineStart(text, ((pair.key as Node).range as [number, number, number])[0])
  const indent = /^[ \t]*/.exec(text.slice(keyStart))?.[0] ?? ''
  const last =
    (pair.value as Node | null)?.range?.[1] ?? ((pair.key as Node).range as [number, number, number])[1]
  return { start: commentStart(text, keyStart, indent), keyStart, end: lineEnd(text, last), indent }
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1
}

/** After the newline of the last line that says something before `offset`. */
function lineEnd(text: string, offset: number): number {
  const said = text.slice(0, offset).trimEnd().length
  const newline = text.indexOf('\n', said)
  return newline === -1 ? text.length : newline + 1
}

/** Comment lines of the same indentation right above, without a blank line between. */
function commentStart(text: string, keyStart: number, indent: string): number {
  let start = keyStart
  while (start > 0) {
    const above = lineStart(text, start - 1)
    if (!text.slice(above, start).startsWith(`${indent}#`)) break
    start = above
  }
  return start
}

/** One rule as lines. Where there was one, its own comments and key order are kept. */
function ruleText(name: string, rule: RuleInput, indent: string, was: string | null): string {
  const document = was === null ? new Document({}) : parseDocument(dedented(was, indent))
  const before = was === null ? {} : ((document.toJS() as Record<string, RuleInput>)[name] ?? {})
  const map = document.contents as YAMLMap
  if (was === null || !isMap(map.get(name, true))) document.setIn([name], document.createNode(rule))
  else applyDifferences(document, [name], before, rule)
  const key = pairOf(map, name)?.key
  if (isScalar(key)) key.commentBefore = was === null ? undefined : key.commentBefore
  return indented(
    flowLeaves(document, 3).toString({ lineWidth: 0, flowCollectionPadding: true, indent: 2 }),
    indent,
  )
}

function applyDifferences(
  document: Document,
  path: readonly (string | number)[],
  was: RuleInput,
  rule: RuleInput,
): void {
  for (const key of Object.keys(was)) if (!(key in rule)) document.deleteIn([...path, key])
  for (const [key, value] of Object.entries(rule)) {
    const old = was[key]
    if (JSON.stringify(old) === JSON.stringify(value)) continue
    const node = document.getIn([...path, key], true)
    if (isPlainMap(value) && isPlainMap(old) && isMap(node))
      applyDifferences(document, [...path, key], old, value)
    else if (Array.isArray(value) && Array.isArray(old) && isSeq(node))
      applyToList(document, [...path, key], node, { was: old, is: value })
    else if (isScalar(node) && (typeof value !== 'object' || value === null)) node.value = value
    else document.setIn([...path, key], document.createNode(value))
  }
}

/** Items that stay keep what is written beside and above them; another in the place of one takes it over. */
function applyToList(
  document: Document,
  path: readonly (string | number)[],
  list: YAMLSeq,
  { was, is }: { readonly was: readonly Json[]; readonly is: readonly Json[] },
): void {
  const before = list.items as Node[]
  const left = new Set(was.keys())
  const take = (isIt: (at: number) => boolean): number | undefined => {
    const at = [...left].find(isIt)
    if (at !== undefined) left.delete(at)
    return at
  }
  const equal = is.map((item) => take((at) => JSON.stringify(was[at]) === JSON.stringify(item)))
  const same = is.map((item, at) => equal[at] ?? take((old) => isSameItem(was[old], item)))
  list.items = is.map((item, at) => {
    const from = same[at] ?? take((old) => old === at)
    const node = before[from ?? -1]
    if (from === undefined || !node) return document.createNode(item)
    if (equal[at] !== undefined) return node
    const old = was[from]
    if (isPlainMap(item) && isPlainMap(old) && isMap(node)) {
      applyDifferences(document, [...path, from], old, item)
      return node
    }
    const { comment, commentBefore } = node
    return Object.assign(document.createNode(item) as Node, { comment, commentBefore })
  })
}

/** A target is told by where it goes, whether that is all that is written or not. */
function isSameItem(was: Json | undefined, is: Json): boolean {
  const told = (item: Json | undefined): Json | undefined => (isPlainMap(item) ? item.to : item)
  return told(was) !== undefined && told(was) === told(is)
}

/** Small maps and lists that we make, deeper than the rule itself, stand on one line, as in `publish: { firewall: auto }`. */
function flowLeaves(document: Document, ruleDepth: number): Document {
  visit(document, {
    Collection(_, node, path) {
      const made = node.range === undefined || node.range === null
      const leaf = node.items.every((item) => !isCollection((item as Pair).value ?? item))
      if (made && leaf && path.length > ruleDepth) node.flow = true
    },
  })
  return document
}

function isCollection(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'items' in value
}

function dedented(text: string, indent: string): string {
  return text.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
}

function indented(text: string, indent: string): string {
  return text.replaceAll(/^(?=.)/gm, indent)
}

function hasAnchors(yaml: Document): boolean {
  let found = false
  visit(yaml, { Alias: () => ((found = true), visit.BREAK) })
  return found
}

/** The whole file through the library: comments and order are kept, spacing may not be. */
function rewritten(text: string, edits: Edits): string {
  const yaml = parseDocument(text, { uniqueKeys: false })
  if (!isMap(yaml.contents)) yaml.contents = yaml.createNode({ rules: {} }) as never
  if (!isMap(yaml.get('rules', true))) yaml.set('rules', yaml.createNode({}))
  const rules = yaml.get('rules', true) as YAMLMap
  const there = new Set(rules.items.map(({ key }) => keyText(key)))
  for (const [name, rule] of edits) {
    if (rule === null) rules.delete(name)
    else {
      rules.flow = false
      const node = yaml.createNode(rule)
      // Looking a key up takes the library as long as there are keys.
      if (there.has(name)) rules.set(name, node)
      else rules.items.push(yaml.createPair(name, node) as never)
    }
  }
  return flowLeaves(yaml, 5).toString({ lineWidth: 0, flowCollectionPadding: true })
}
