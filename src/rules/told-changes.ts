/** What a change of the rules was, in a line for the log: who reads it later was not there. */
import { listed, say, sayOf, type Text } from '../base/text.ts'
import { formatListen } from '../model/listen.ts'
import type { Rule } from '../model/rule.ts'
import { formatTarget } from '../model/target.ts'
import type { LoadedRule } from './load.ts'

type Rules = ReadonlyMap<string, LoadedRule>

interface Told {
  /** The rule where it is one alone. */
  readonly rule: string | null
  readonly text: Text
  /** Those that are to work now. */
  readonly opened: readonly string[]
}

/** A hand edit or an import may change thousands. */
const mostNamed = 5

/** Null where nothing changed. */
export function toldChanges(before: Rules, after: Rules): Told | null {
  const added = [...after.keys()].filter((name) => !before.has(name))
  const removed = [...before.keys()].filter((name) => !after.has(name))
  const other = [...after].filter(([name, { input }]) => {
    const was = before.get(name)
    return was !== undefined && was.input !== input && JSON.stringify(was.input) !== JSON.stringify(input)
  })
  const switched = (on: boolean): string[] =>
    other.flatMap(([name, { rule }]) =>
      rule.enabled === on && before.get(name)?.rule.enabled !== on ? [name] : [],
    )
  const [enabled, disabled] = [switched(true), switched(false)]
  const wasSwitched = new Set([...enabled, ...disabled])
  const changed = other.flatMap(([name]) => (wasSwitched.has(name) ? [] : [name]))
  const groups = [
    { names: added, word: say('added') },
    { names: changed, word: say('changed') },
    { names: enabled, word: say('switched on') },
    { names: disabled, word: say('switched off') },
    { names: removed, word: sayOf('rules')('removed') },
  ].filter(({ names }) => names.length > 0)
  const opened = [...added, ...changed, ...enabled]
  const [first, ...more] = groups
  if (!first) return null
  const [name = ''] = first.names
  if (more.length === 0 && first.names.length === 1)
    return { rule: name, text: withWhat(first.word, (after.get(name) ?? before.get(name))?.rule), opened }
  const lines = groups.map(({ names, word }) => withNames(word, names))
  return {
    rule: null,
    opened,
    text: listed(lines, '; '),
  }
}

function withWhat(word: Text, rule: Rule | undefined): Text {
  if (!rule) return word
  const what = `${formatListen(rule.listen)} → ${rule.targets.map(({ to }) => formatTarget(to)).join(', ')}`
  return say`${word}: ${what}`
}

function withNames(word: Text, names: readonly string[]): Text {
  const shown = names.slice(0, mostNamed).join(', ')
  const more = names.length - mostNamed
  return more > 0 ? say`${word}: ${shown} and ${more} more` : say`${word}: ${shown}`
}
