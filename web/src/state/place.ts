/**
 * Where in the page one is: the part after `#`, such as `#/rules/iis/edit`, and behind a `?` what of that page is
 * wanted, such as `#/rules?state=trouble&sort=port`. All of it is in the address: back, reload and a bookmark keep it.
 */
import { Watched } from './watched.ts'

export const place = new Watched<readonly string[]>(wordsOf(location.hash))
export const fields = new Watched<URLSearchParams>(fieldsOf(location.hash))

/** Of the list of rules as it was last looked at: the way back leads there. */
let lastList = place.value[0] === 'rules' && place.value.length === 1 ? location.hash : '#/rules'

window.addEventListener('hashchange', () => follow(location.hash))

function follow(hash: string): void {
  const words = wordsOf(hash)
  const query = fieldsOf(hash)
  if (words.length === 1 && words[0] === 'rules') lastList = hash
  if (query.toString() !== fields.value.toString()) fields.set(query)
  if (words.join('\n') !== place.value.join('\n')) place.set(words)
}

function wordsOf(hash: string): readonly string[] {
  const [path = ''] = hash.replace(/^#\/?/, '').split('?')
  const words = path.split('/').filter(Boolean).map(decoded)
  return words.length === 0 ? ['rules'] : words
}

function fieldsOf(hash: string): URLSearchParams {
  return new URLSearchParams(hash.split('?')[1] ?? '')
}

function decoded(word: string): string {
  try {
    return decodeURIComponent(word)
  } catch {
    return word
  }
}

/** Wants something else of this page; empty takes a field out. `typed`: back does not undo a letter. */
export function setFields(
  change: Readonly<Record<string, string>>,
  { typed = false }: { readonly typed?: boolean } = {},
): void {
  const next = Object.fromEntries(
    Object.entries({ ...Object.fromEntries(fields.value), ...change }).filter(([, value]) => value !== ''),
  )
  const hash = linkTo(place.value, next)
  if (typed) history.replaceState(null, '', hash)
  else location.hash = hash
  // The browser tells of it only later: until then a box would show what it was, and the next wish forget this one.
  follow(hash)
}

export function linkTo(words: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  const text = new URLSearchParams(query).toString()
  return `#/${words.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`
}

export function linkToList(): string {
  return lastList
}

export function goTo(...words: string[]): void {
  location.hash = linkTo(words)
}

export function goToList(): void {
  location.hash = lastList
}
