/** How the page looks to this person: language and theme, kept in this browser. */
import type { Language } from '../../../src/base/text.ts'
import { bringKorean } from '../words/korean.ts'
import { Watched } from './watched.ts'

export type Theme = 'auto' | 'light' | 'dark'

/** What the page speaks: Korean only once its words are here. */
export const language = new Watched<Language>('en')
/** What it is to speak, which comes before that by the time that the words take. */
export const wantedLanguage = new Watched<Language>('en')
export const theme = new Watched<Theme>(firstTheme())

/** Puts both where CSS and screen readers see them, now and after every change. Waits for the language. */
export async function startLook(): Promise<void> {
  const show = (): void => {
    document.documentElement.lang = language.value
    if (theme.value === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
  }
  language.subscribe(show)
  theme.subscribe(show)
  show()
  await speak(firstLanguage())
}

export function chooseLanguage(wanted: Language): void {
  keep('language', wanted)
  void speak(wanted)
}

/** Where the words do not come, the language stays. */
async function speak(wanted: Language): Promise<void> {
  wantedLanguage.set(wanted)
  if (wanted === 'ko') await bringKorean().catch(() => wantedLanguage.set(language.value))
  if (wanted === wantedLanguage.value) language.set(wanted)
}

export function chooseTheme(wanted: Theme): void {
  keep('theme', wanted)
  theme.set(wanted)
}

function firstLanguage(): Language {
  const chosen = kept('language')
  if (chosen === 'ko' || chosen === 'en') return chosen
  return navigator.language.startsWith('ko') ? 'ko' : 'en'
}

function firstTheme(): Theme {
  const chosen = kept('theme')
  return chosen === 'light' || chosen === 'dark' ? chosen : 'auto'
}

/** Storage may be forbidden; then the choice lasts as long as the page. */
function kept(key: string): string | null {
  try {
    return localStorage.getItem(`naru.${key}`)
  } catch {
    return null
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(`naru.${key}`, value)
  } catch {
    // As above.
  }
}
