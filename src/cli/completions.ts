/** What may come next on a command line, from the verbs' definitions. */
import { verbatim, type Language, type Text } from '../base/text.ts'
import { commonOptions, globalOptions } from './options.ts'
import type { Completes, VerbOption, Verb } from './verb.ts'

export interface Completion {
  readonly word: string
  readonly text: string
}

export interface Completions {
  readonly words: readonly Completion[]
  /** The shell completes files itself. */
  readonly files: boolean
}

/** @param words what was typed after `naru`; the last one, maybe empty, is completed. */
export async function completions(
  words: readonly string[],
  verbs: readonly Verb[],
  language: Language,
  ruleNames: () => Promise<readonly string[]>,
): Promise<Completions> {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const offer = (list: readonly { word: string; text: Text }[]): Completions => ({
    words: list
      .filter(({ word }) => word.startsWith(typed))
      .map(({ word, text }) => ({ word, text: text[language] })),
    files: false,
  })
  const complete = async (what: Completes | undefined, prefix = ''): Promise<Completions> => {
    if (what === 'file') return { words: [], files: true }
    const list = what === 'rule' ? await ruleNames() : (what ?? [])
    return offer(list.map((word) => ({ word: prefix + word, text: verbatim('') })))
  }

  const { verb, loose } = walk(before, verbs)
  const options = [...(verb?.options ?? []), ...(verb ? commonOptions(verb) : globalOptions)]
  const [, inlineName] = /^--([\w-]+)=/.exec(typed) ?? []
  if (inlineName !== undefined) return complete(valuesOf(named(options, inlineName)), `--${inlineName}=`)
  const pending = pendingOption(before.at(-1), options)
  if (pending && pending.bare === undefined) return complete(valuesOf(pending))
  if (typed.startsWith('-')) return offer(options.map(({ name, text }) => ({ word: `--${name}`, text })))
  if (!verb) return offer(shown(verbs))
  if (verb.verbs && loose === 0 && shown(verb.verbs).some(({ word }) => word.startsWith(typed)))
    return offer(shown(verb.verbs))
  const args = verb.arguments ?? []
  const argument = args[loose] ?? (args.at(-1)?.many ? args.at(-1) : undefined)
  return complete(argument?.completes)
}

const shown = (verbs: readonly Verb[]): { word: string; text: Text }[] =>
  verbs.filter(({ hidden }) => !hidden).map(({ name, summary }) => ({ word: name, text: summary }))

/** The verb that the words before lead to, and how many of its arguments are given. */
function walk(words: readonly string[], verbs: readonly Verb[]): { verb: Verb | null; loose: number } {
  let verb: Verb | null = null
  let among: readonly Verb[] | undefined = verbs
  let loose = 0
  for (const [at, word] of words.entries()) {
    const options: readonly VerbOption[] = [...(verb?.options ?? []), ...globalOptions]
    if (
      word.startsWith('-') ||
      (pendingOption(words[at - 1], options)?.bare === undefined && pendingOption(words[at - 1], options))
    )
      continue
    const next: Verb | undefined = among?.find(({ name }) => name === word)
    if (next && loose === 0) [verb, among] = [next, next.verbs]
    else loose++
  }
  return { verb, loose }
}

const named = (options: readonly VerbOption[], name: string): VerbOption | undefined =>
  options.find((option) => option.name === name)

/** The option that still waits for its value. */
function pendingOption(word: string | undefined, options: readonly VerbOption[]): VerbOption | undefined {
  const [, name, short] = /^(?:--([\w-]+)|-(\w))$/.exec(word ?? '') ?? []
  const option = options.find((one) =>
    name ? one.name === name : short !== undefined && one.short === short,
  )
  return option?.value === undefined ? undefined : option
}

function valuesOf(option: VerbOption | undefined): Completes | undefined {
  return option?.completes ?? option?.choices
}
