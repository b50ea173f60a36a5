/** Where in the page one is: the part after `#`, such as `#/rules/iis/edit`. */
import { Watched } from './watched.ts'

export const place = new Watched<readonly string[]>(read())

window.addEventListener('hashchange', () => place.set(read()))

function read(): readonly string[] {
  const [path = ''] = location.hash.replace(/^#\/?/, '').split('?')
  const words = path.split('/').filter(Boolean).map(decoded)
  return words.length === 0 ? ['rules'] : words
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word)
  } catch {
    return word
  }
}

/** `?target=…` after the path: what another page proposes for a new rule. */
export function proposals(): URLSearchParams {
  return new URLSearchParams(location.hash.split('?')[1] ?? '')
}

export function linkTo(words: readonly string[], fields: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(fields).toString()
  return `#/${words.map(encodeURIComponent).join('/')}${query === '' ? '' : `?${query}`}`
}

export function goTo(...words: string[]): void {
  location.hash = linkTo(words)
}
