/** Remarks on rules, a line each: `NAME: what`. One that holds for many rules is told once, with their names. */
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Printer } from './printer.ts'

/** A few are told each; more of one kind are one line. */
const mostTold = 3
const mostNamed = 5

export function noteLines(notes: readonly Text[], sign: string, print: Printer): string[] {
  return alike(notes)
    .flatMap((same) => (same.length > mostTold ? [ofMany(same)] : same.map(({ note }) => note)))
    .map((note) => `${sign} ${print.say(note)}`)
}

interface Remark {
  readonly note: Text
  /** Null where it is on no rule. */
  readonly rule: string | null
  readonly what: Text
}

function ofMany(same: readonly Remark[]): Text {
  const names = same.slice(0, mostNamed).map(({ rule }) => rule)
  const [more, what] = [same.length - names.length, same[0]?.what ?? verbatim('')]
  const rest = more > 0 ? say` and ${more} more` : verbatim('')
  const shown = names.join(', ')
  return say`${shown}${rest}: ${what}`
}

/** In the order of their first. */
function alike(notes: readonly Text[]): readonly (readonly Remark[])[] {
  const groups = new Map<string, Remark[]>()
  for (const [at, note] of notes.entries()) {
    const remark = remarkOf(note)
    const key = remark.rule === null ? `${at}` : `: ${remark.what.en}`
    const group = groups.get(key)
    if (group) group.push(remark)
    else groups.set(key, [remark])
  }
  return [...groups.values()]
}

/** What a name of a rule may be: model/name. */
const ruleFirst = /^([A-Za-z0-9][\w.-]{0,39}): /

function remarkOf(note: Text): Remark {
  const rule = ruleFirst.exec(note.en)?.[1] ?? null
  if (rule === null || !note.ko.startsWith(`${rule}: `)) return { note, rule: null, what: note }
  const start = rule.length + 2
  return { note, rule, what: { en: note.en.slice(start), ko: note.ko.slice(start) } }
}
