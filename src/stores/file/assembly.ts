/** The text of the file put together anew after edits: only the lines of the rules that changed are other ones. */
import { isMap, visit, type Document, type Node, type Pair } from 'yaml'
import type { RuleInput } from '../../model/naru-api.ts'
import { keyText, ruleText, type Edits } from './rule-text.ts'

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
export interface Spans {
  readonly indent: string
  readonly byName: ReadonlyMap<string, Span>
}

/** The plain way to write it is a block map without anchors. */
export function spansOf(text: string, yaml: Document): Spans | null {
  const rules = yaml.get('rules', true)
  if (!isMap(rules) || rules.flow || rules.items.length === 0) return null
  // Each node is looked at only where some may be an alias: the first change to a file waits for this.
  if (text.includes('*') && hasAnchors(yaml)) return null
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
export function assembled(text: string, spans: Spans | null, edits: Edits): Assembled | null {
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

function hasAnchors(yaml: Document): boolean {
  let found = false
  visit(yaml, { Alias: () => ((found = true), visit.BREAK) })
  return found
}
