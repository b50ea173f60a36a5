/**
 * The text of naru.yaml and what it says. Reading gives plain data and the place of every value; editing rewrites
 * only the lines of the rule that changed, so that everything else stays byte for byte as its owner wrote it.
 */
import { isDeepStrictEqual } from 'node:util'
import { isMap, isScalar, LineCounter, stringify, type Document, type Node, type YAMLError } from 'yaml'
import { say, type Text } from '../../base/text.ts'
import { yamlDocument, yamlProblem } from '../../base/yaml.ts'
import type { RuleInput } from '../../model/naru-api.ts'
import type { KeyPath, Problem } from '../../model/schema.ts'
import type { Snapshot } from '../contract.ts'
import { assembled, spansOf, type Spans } from './assembly.ts'
import { pairOf, rewritten, type Edits } from './rule-text.ts'
import { structureProblems, stunServer, type Top } from './top-keys.ts'

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

const quietly = { prettyErrors: false, logLevel: 'error' } as const

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

const tooManyAliases: Problem = {
  path: [],
  text: say`more than ${mostAliases} aliases are expanded; write the values out`,
}

/** Undefined where aliases would blow it up. */
function plainData(yaml: Document): unknown {
  try {
    return yaml.toJS({ maxAliasCount: mostAliases }) as unknown
  } catch {
    return undefined
  }
}

const misprint = (error: YAMLError): Text =>
  error.code === 'MULTIPLE_DOCS' ? secondDocument : yamlProblem(error)

const secondDocument = say(
  'a second document begins here, which would not be read: put all rules under one `rules:`',
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

function renamed(text: string, yaml: Document, name: string, to: string): string {
  const rules = yaml.get('rules', true)
  const key = isMap(rules) ? pairOf(rules, name)?.key : undefined
  if (!isScalar(key) || !key.range) throw new RangeError(`no rule ${name} to rename`)
  const [start, end] = key.range
  return text.slice(0, start) + stringify(to).trimEnd() + text.slice(end)
}
