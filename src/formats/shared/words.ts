/** Lines and words of a text with their places, bounded: what reads line by line begins here. */
import { say } from '../../base/text.ts'
import type { SourcePlace } from '../../model/import-export.ts'
import type { ImportContext } from './import-context.ts'

const mostWords = 2000

export interface Word {
  readonly text: string
  readonly place: SourcePlace
  /** It stood in quotes, so it is no keyword. */
  readonly quoted: boolean
}

export interface ConfigLine {
  readonly text: string
  readonly number: number
  readonly words: readonly Word[]
}

/** Words between white space; `"…"` and `'…'` hold them together, `\` takes the next sign as it is. */
export function* linesOf(
  text: string,
  reading: ImportContext,
  { comment = /^#/, quotes = true }: { comment?: RegExp; quotes?: boolean } = {},
): Generator<ConfigLine> {
  const lines = text.split(/\r\n|\n|\r/)
  for (const [index, line] of lines.entries()) {
    const words = wordsOf(line, index + 1, reading, comment, quotes)
    yield { text: line, number: index + 1, words }
  }
}

function wordsOf(
  line: string,
  number: number,
  reading: ImportContext,
  comment: RegExp,
  quotes: boolean,
): Word[] {
  const words: Word[] = []
  const pattern = quotes ? /(?:[^\s"'\\]|\\.?|"(?:[^"\\]|\\.)*"?|'[^']*'?)+/gu : /\S+/gu
  for (const { 0: raw, index } of line.matchAll(pattern)) {
    if (comment.test(raw)) break
    const place = { line: number, column: index + 1 }
    if (words.length >= mostWords) {
      reading.wrong(place, say`more than ${mostWords} words in a line`)
      break
    }
    if (quotes && isUnclosed(raw)) reading.wrong(place, say('a quote is not closed'))
    words.push({ text: quotes ? unquoted(raw) : raw, place, quoted: quotes && /^["']/.test(raw) })
  }
  return words
}

function isUnclosed(raw: string): boolean {
  const left = raw.replaceAll(/\\.|"(?:[^"\\]|\\.)*"|'[^']*'/gu, '')
  return /["']/.test(left)
}

function unquoted(raw: string): string {
  return raw.replaceAll(
    /\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/gu,
    (_, escaped?: string, double?: string, single?: string) =>
      escaped ?? single ?? (double ?? '').replaceAll(/\\(.)/gu, '$1'),
  )
}
