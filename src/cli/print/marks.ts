/**
 * Colours as they stand in a text that is not written yet: one sign each, which nobody outside can name, as where they
 * begin is drawn anew by each process. So every control sign in such a text is somebody else's, and is made visible
 * when it is written.
 */
import { visibleLines } from '../../base/visible.ts'

/** Codes of SGR (ECMA-48, 8.3.117) that we use are below this. */
const codes = 128
/** In a plane of Unicode for private use, 0xF0000–0xFFFFD. */
const first = 0xf_0000 + codes * ((crypto.getRandomValues(new Uint16Array(1))[0] as number) % 500)
const range = `[${String.fromCodePoint(first)}-${String.fromCodePoint(first + codes - 1)}]`

export const anyMark = new RegExp(range, 'gu')
export const mark = (code: number): string => String.fromCodePoint(first + code)
export const isMark = (character: string): boolean => {
  const point = character.codePointAt(0) as number
  return point >= first && point < first + codes
}

/** A text as it goes to a terminal or a file: ours in colour, everything else visible. */
export function written(text: string): string {
  return visibleLines(text).replace(anyMark, (sign) => `\u001B[${(sign.codePointAt(0) as number) - first}m`)
}
