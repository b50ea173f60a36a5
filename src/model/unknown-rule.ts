/** A name that no rule has, told with the one that was probably meant. */
import { NaruError } from '../base/errors.ts'
import { say, sayOf } from '../base/text.ts'
import { nearest } from './schema.ts'

const mostTold = 20

/** With the name that was probably meant, or with those there are. */
export function unknownRule(name: string, all: readonly string[]): NaruError {
  const shown = name.slice(0, 60)
  const meant = nearest(shown, all)
  const list = all.slice(0, mostTold).join(', ') || '–'
  const more = all.length - mostTold
  const known = meant
    ? sayOf('unknown-rule')`did you mean ${meant}?`
    : more > 0
      ? say`there are: ${list} … and ${more} more`
      : say`there are: ${list}`
  return new NaruError('RULE_UNKNOWN', { name: shown, known })
}
