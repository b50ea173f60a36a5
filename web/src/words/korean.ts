/**
 * The page's Korean, which comes when somebody wants it: its own words, and the rows for what the code says that it
 * brings along. To that code this is `src/base/korean.ts` (vite.config.ts).
 */
import type { Language, Text } from '../../../src/base/text.ts'
import { en, type Words } from './en.ts'

/** Words that are not there yet are English. */
export type Korean = Part<Words>
type Part<T> = T extends (...given: never[]) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Part<T[K]> }
    : T

let words: Words = en
let rows: ReadonlyMap<string, string> = new Map()

/** @throws where it does not come */
export async function bringKorean(): Promise<void> {
  const brought = await import('./ko.ts')
  words = filledUp<Words>(en, brought.ko)
  rows = brought.rows
}

export function koreanWords(): Words {
  return words
}

/** @param key as in `locales/ko`. @returns undefined: no row */
export function koreanOf(key: string): string | undefined {
  return rows.get(key) || undefined
}

/** What the page itself says beside what it was sent. */
export function inBoth(said: (words: Words, language: Language) => string): Text {
  return {
    en: said(en, 'en'),
    get ko() {
      return said(words, 'ko')
    },
  }
}

function filledUp<T extends object>(english: T, korean: Part<T>): T {
  const filled = Object.entries(english).map(([key, value]: [string, unknown]) => {
    const own = (korean as Record<string, unknown>)[key]
    return [key, isGroup(value) && isGroup(own) ? filledUp(value, own) : (own ?? value)]
  })
  return Object.fromEntries(filled) as T
}

function isGroup(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
