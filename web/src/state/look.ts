/** How the page looks to this person: language and theme, kept in this browser. */
import type { Language } from '../../../src/base/text.ts'
import { Watched } from './watched.ts'

export type Theme = 'auto' | 'light' | 'dark'

export const language = new Watched<Language>(firstLanguage())
export const theme = new Watched<Theme>(firstTheme())

/** Puts both where CSS and screen readers see them, now and after every change. */
export function startLook(): void {
  const show = (): void => {
    document.documentElement.lang = language.value
    if (theme.value === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
  }
  language.subscribe(show)
  theme.subscribe(show)
  show()
}

export function chooseLanguage(wanted: Language): void {
  keep('language', wanted)
  language.set(wanted)
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
