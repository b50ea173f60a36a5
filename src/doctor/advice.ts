/** A way out that names a command is told only where that command can be typed and does something. */
import { say, sayOf } from '../base/text.ts'
import type { Finding, Fix } from '../model/finding.ts'

/** Of a port that no rule has, no rule can be edited. */
export function typeable(finding: Finding, known: ReadonlySet<string>): Finding {
  const { rule, fixes } = finding
  if (rule === null || known.has(rule)) return finding
  const others = fixes.filter(({ command }) => !isOfRule(rule, command))
  return { ...finding, fixes: others }
}

/** What a `naru open` holds is changed where that was typed, and there alone. */
export function openAnew(finding: Finding): Finding {
  const { rule, fixes } = finding
  if (rule === null) return finding
  const doable = fixes.flatMap((fix) => (isOfRule(rule, fix.command) ? changedAnew(fix) : fix))
  return { ...finding, fixes: doable.length > 0 ? doable : [triedAgain] }
}

/** Nothing where the command is no edit, such as to enable it; what only looks finds that rule, too. */
function changedAnew(fix: Fix): Fix | [] {
  const { text, command = '', instead = false } = fix
  if (command.startsWith('naru router check ')) return fix
  const words = /^naru edit \S+ (?:--listen |--target )?(.+)$/.exec(command)?.[1]
  if (words === undefined) return []
  // An option is added; a port or a target takes the place of what was typed.
  return {
    instead,
    text: say`${text}: end that naru open with Ctrl-C, and start it again ${words.startsWith('-') ? sayOf('option')`with ${words}` : say`with ${words}`}`,
  }
}

const triedAgain: Fix = {
  text: say('that naru open tries again by itself; to try at once, end it with Ctrl-C and start it again'),
}

const isOfRule = (rule: string, command = ''): boolean =>
  command.startsWith('naru ') && command.split(' ').includes(rule)

/** As people read it: a way that stands behind another one begins with "or". */
export function told(finding: Finding): Finding {
  const fixes = finding.fixes.map(({ instead, ...fix }, at) =>
    instead && at > 0 ? { ...fix, text: say`or ${fix.text}` } : fix,
  )
  return { ...finding, fixes }
}
