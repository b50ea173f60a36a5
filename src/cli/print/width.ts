/**
 * How many columns a text takes on a terminal (Unicode UAX #11): Hangul, Han, Kana and emoji take two, marks none.
 * Colours are marks that take none. A plain table of ranges: an exact library took 80 ms to load, a third of what `naru open` may take in all.
 */
import { visible } from '../../base/visible.ts'
import { anyMark, isMark, mark } from './marks.ts'

const wide = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
] as const

export function plainOf(text: string): string {
  return text.replace(anyMark, '')
}

export function widthOf(text: string): number {
  // oxlint-disable-next-line no-control-regex -- what most texts are made of
  if (/^[\u0020-\u007E]*$/.test(text)) return text.length
  let columns = 0
  for (const character of plainOf(text)) columns += columnsOf(character)
  return columns
}

function columnsOf(character: string): number {
  const point = character.codePointAt(0) as number
  if (point < 0x20 || (point >= 0x7f && point < 0xa0) || /^(?:\p{M}|\p{Cf})$/u.test(character)) return 0
  return wide.some(([first, last]) => point >= first && point <= last) ? 2 : 1
}

export function padded(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, columns - widthOf(text)))
  return side === 'left' ? text + space : space + text
}

/** Cut to `columns`, the last of them `…` where anything was cut; colours stay whole and are closed. */
export function clipped(line: string, columns: number): string {
  const text = visible(line)
  if (widthOf(text) <= columns) return text
  let kept = ''
  let left = columns - 1
  let coloured = false
  for (const part of text) {
    coloured ||= isMark(part)
    const width = isMark(part) ? 0 : columnsOf(part)
    if (width > left) break
    left -= width
    kept += part
  }
  return coloured ? `${kept}…${mark(0)}` : `${kept}…`
}

/**
 * A line at most so wide, broken between words; what follows stands below the first word, past the sign before it. A
 * command in backticks is never broken: pasted, its first half would run. That, or a word alone, may be wider.
 */
export function wrapped(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line
  const start = lead.exec(line)?.[0] ?? ''
  const indent = ' '.repeat(widthOf(start))
  const lines: string[] = []
  let now = start
  let isFresh = true
  for (const word of unbroken(line.slice(start.length))) {
    const next = isFresh ? now + word : `${now} ${word}`
    if (isFresh || widthOf(next) <= columns) now = next
    else {
      lines.push(now)
      now = indent + word
    }
    isFresh = false
  }
  return [...lines, now].join('\n')
}

/** Indent, and a sign in whatever colour. */
const lead = new RegExp(`^ *(?:${anyMark.source}?[✓✗!·→]${anyMark.source}? )?`, 'u')

/** Its words; what stands between backticks is one. */
function unbroken(text: string): readonly string[] {
  const words: string[] = []
  let isOpen = false
  for (const word of text.split(' ')) {
    if (isOpen) words.push(`${words.pop() ?? ''} ${word}`)
    else words.push(word)
    if (word.split('`').length % 2 === 0) isOpen = !isOpen
  }
  return words
}
