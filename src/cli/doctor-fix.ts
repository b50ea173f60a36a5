/**
 * `naru doctor --fix`: does the fixes that are ours, after showing them. A fix is an edit of a rule, or its lost hops
 * opened again; whatever else a finding advises stays the person's to do.
 */
import { say, verbatim, type Text } from '../base/text.ts'
import type { Diagnosis } from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'
import { changeFrom, verb as edit } from './commands/edit.ts'
import { globalOptions } from './options.ts'
import { parseWords } from './parse.ts'
import { daemonOrFile, tellFileAlone } from './connect.ts'
import { publishedAsSaid } from './rule-options.ts'
import { on, type Context } from './verb.ts'

export interface OurFix {
  readonly rule: string
  readonly text: Text
  /** The words after `naru edit NAME`; null opens again what the rule has lost. */
  readonly edit: readonly string[] | null
}

/** One fix a cause, the first that is ours; the same for several causes is done once. */
export function ourFixes({ causes }: Diagnosis): readonly OurFix[] {
  const fixes = causes.flatMap((cause) => ourFix(cause) ?? [])
  const keyOf = ({ rule, edit: words }: OurFix): string => `${rule} ${words?.join(' ') ?? 'anew'}`
  return fixes.filter((fix, at) => fixes.findIndex((other) => keyOf(other) === keyOf(fix)) === at)
}

function ourFix({ fixes, rule }: Finding): OurFix | null {
  const fix = fixes.find(({ ours, command }) => ours && command !== undefined)
  if (!fix || rule === null) return null
  const [, verb, name, ...words] = (fix.command ?? '').split(' ')
  if (name !== rule) return null
  return { rule, text: fix.text, edit: verb === 'edit' ? words : null }
}

function fixLine({ rule, text, edit: words }: OurFix): Text {
  const how =
    words === null
      ? say('open again what it lost; connections go on')
      : verbatim(`naru edit ${rule} ${words.join(' ')}`)
  return say`${rule}: ${text} (${how})`
}

/** Asks on a terminal; off one `--fix` is the word. */
export async function agreed(fixes: readonly OurFix[], { io, print }: Context): Promise<boolean> {
  print.talk(say('What is ours to do:'))
  for (const fix of fixes) print.talk(`  ${print.say(fixLine(fix))}`)
  if (!io.stdin.isTTY || !io.stderr.isTTY) return true
  const answer = await io.stdin.line(print.say(say('Do it? [y/N] ')))
  return /^(y|yes|예|네|ㅇ)$/i.test(answer?.trim() ?? '')
}

export async function doFixes(fixes: readonly OurFix[], context: Context): Promise<void> {
  const { naru, running } = await daemonOrFile(context)
  for (const { rule, edit: words } of fixes) {
    if (words !== null) {
      const change = changeFrom(asked(words, rule, context))
      const before = (await naru.rules.get(rule)).rule['publish']
      await naru.rules.edit(rule, publishedAsSaid(change, before))
    } else if (running) {
      await naru.rules.reopen(rule)
    }
  }
  if (!running && !context.json && fixes.some(({ edit: words }) => words !== null))
    await tellFileAlone(context, naru)
}

function asked(words: readonly string[], rule: string, { io }: Context): Parameters<typeof changeFrom>[0] {
  const { options } = parseWords(edit, 'naru edit', [rule, ...words], globalOptions)
  const option = (name: string): string | null => options[name]?.at(-1) ?? null
  return { io, option, options: (name) => options[name] ?? [], switched: (name) => option(name) === on }
}
