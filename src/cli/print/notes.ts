/** Remarks on rules, a line each: `NAME: what`. One that holds for many rules is told once, with their names. */
import { say, verbatim, type Text } from '../../base/text.ts'
import type { PlanNote } from '../../model/plan.ts'
import type { Printer } from './printer.ts'

/** A few are told each; more of one kind are one line. */
const mostTold = 3
const mostNamed = 5

export function noteLines(notes: readonly PlanNote[], sign: string, print: Printer): string[] {
  return alike(notes)
    .flatMap((same) => (same.length > mostTold ? [ofMany(same)] : same))
    .map((note) => `${sign} ${print.say(note)}`)
}

function ofMany(same: readonly PlanNote[]): Text {
  const names = same.slice(0, mostNamed).map(({ rule }) => rule)
  const [more, what] = [same.length - names.length, same[0]?.what ?? verbatim('')]
  const rest = more > 0 ? say` and ${more} more` : verbatim('')
  const shown = names.join(', ')
  return say`${shown}${rest}: ${what}`
}

/** In the order of their first. */
function alike(notes: readonly PlanNote[]): readonly (readonly PlanNote[])[] {
  const groups = new Map<string, PlanNote[]>()
  for (const [at, note] of notes.entries()) {
    const key = note.what === undefined ? `${at}` : `: ${note.what.en}`
    const group = groups.get(key)
    if (group) group.push(note)
    else groups.set(key, [note])
  }
  return [...groups.values()]
}
