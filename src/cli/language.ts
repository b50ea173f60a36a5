/** Which language to speak: `--lang`, NARU_LANG, then the locale (POSIX.1-2017 §8.2: LC_ALL, LC_MESSAGES, LANG). */
import type { Language } from '../base/text.ts'
import type { Io } from './io.ts'

export const languages = ['en', 'ko'] as const satisfies readonly Language[]

export function languageOf(asked: string | null, { env, platform }: Pick<Io, 'env' | 'platform'>): Language {
  const set = [asked, env['NARU_LANG'], env['LC_ALL'], env['LC_MESSAGES'], env['LANG']].find(Boolean)
  if (set) return languageIn(set)
  // Windows has no such variable, and programs started from a Mac's dock have none either.
  const ask = platform === 'win32' || platform === 'darwin'
  return ask ? languageIn(Intl.DateTimeFormat().resolvedOptions().locale) : 'en'
}

function languageIn(locale: string): Language {
  return /^ko(?:[-_.@]|$)/i.test(locale) ? 'ko' : 'en'
}
