/** nginx's configuration as a tree of statements, bounded in depth and number; a remark `# naru:NAME` is one too. */
import { say } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { ImportContext } from '../shared/import-context.ts'

const mostDepth = 16
const mostStatements = 100_000
const mostWords = 2000

export interface Statement {
  readonly name: string
  readonly args: readonly string[]
  readonly place: SourcePlace
  /** Null where it ends with `;`. */
  readonly block: readonly Statement[] | null
}

/** The remark in which a rule's name is kept. */
export const remark = '# naru'

interface Token {
  readonly text: string
  readonly place: SourcePlace
  readonly kind: 'word' | '{' | '}' | ';' | 'remark'
}

/** @param before lines of the whole input that stand before this text */
export function treeOf(text: string, reading: ImportContext, before = 0): Statement[] {
  const tokens = tokensOf(text, reading, before)
  const [top] = stacked()
  let words: Token[] = []
  let count = 0
  const open: { statements: Statement[]; place: SourcePlace }[] = [
    { statements: top, place: { line: before + 1, column: 1 } },
  ]
  const add = (block: Statement[] | null, at: SourcePlace): void => {
    const [first, ...rest] = words
    words = []
    if (!first) return reading.wrong(at, say('a statement is missing'))
    const into = open.at(-1)?.statements ?? top
    into.push({ name: first.text, args: rest.map((word) => word.text), place: first.place, block })
  }
  for (const token of tokens) {
    if (++count > mostStatements) {
      reading.wrong(token.place, say('too many statements'))
      return []
    }
    if (token.kind === 'remark')
      open.at(-1)?.statements.push({ name: remark, args: [token.text], place: token.place, block: null })
    else if (token.kind === 'word') {
      words.push(token)
      if (words.length > mostWords) {
        reading.wrong(token.place, say('too many words in a statement'))
        return []
      }
    } else if (token.kind === ';') add(null, token.place)
    else if (token.kind === '{') {
      const [block] = stacked()
      add(block, token.place)
      open.push({ statements: block, place: token.place })
      if (open.length > mostDepth) {
        reading.wrong(token.place, say('blocks stand too deep in each other'))
        return []
      }
    } else {
      if (words.length > 0) reading.wrong(token.place, say('a ";" is missing before "}"'))
      words = []
      if (open.length === 1) reading.wrong(token.place, say('a "}" too many'))
      else open.pop()
    }
  }
  const unclosed = open.length > 1 ? open.at(-1)?.place : words[0]?.place
  if (unclosed) reading.wrong(unclosed, say('it is not closed'))
  return top
}

function stacked(): [Statement[]] {
  return [[]]
}

function tokensOf(text: string, reading: ImportContext, before: number): Token[] {
  const tokens: Token[] = []
  const lines = text.split(/\r\n|\n|\r/)
  for (const [index, line] of lines.entries()) {
    const pattern =
      /#[^]*|[{};]|(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\$\{\w+\}|\\.|[^\s{};"'\\])+|["'][^]*/gu
    for (const { 0: raw, index: at } of line.matchAll(pattern)) {
      const place = { line: before + index + 1, column: at + 1 }
      if (raw.startsWith('#')) {
        const name = /^# naru:(\S{1,40})\s*$/.exec(raw)?.[1]
        if (name) tokens.push({ kind: 'remark', text: name, place })
      } else if (raw === '{' || raw === '}' || raw === ';') tokens.push({ kind: raw, text: raw, place })
      else if (/^["'](?:[^"'\\]|\\.)*$/.test(raw) && !/^(["']).*\1$/.test(raw)) {
        reading.wrong(place, say('a quote is not closed in this line'))
        return tokens
      } else tokens.push({ kind: 'word', text: unquoted(raw), place })
    }
  }
  return tokens
}

function unquoted(raw: string): string {
  return /^(["']).*\1$/s.test(raw) ? raw.slice(1, -1).replaceAll(/\\(.)/g, '$1') : raw
}
