/** The pages for people: what they tell to type is a command, where they lead is something, and both languages tell the same. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { loadAll } from '../src/cli/commands/index.ts'
import { globalOptions } from '../src/cli/options.ts'
import { parseWords } from '../src/cli/parse.ts'
import type { Verb } from '../src/cli/verb.ts'

const root = join(import.meta.dirname, '..')
const pages = [
  ...readdirSync(root),
  ...readdirSync(join(root, 'docs'), { recursive: true }).map((name) => join('docs', String(name))),
]
  .filter((name) => name.endsWith('.md'))
  .toSorted()
const textOf = (page: string): string => readFileSync(join(root, page), 'utf8')

/** Without what stands behind ` #`, and by words: quotes keep spaces, and `…` stands for what the reader knows. */
const words = (line: string): string[] =>
  [...line.replace(/\s#\s.*$|\s#$/, '').matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, bare]) => quoted ?? bare ?? '',
  )

/** The lines of code blocks that begin with our command, or have it behind a pipe. */
function commandsOf(page: string): string[][] {
  const blocks = [...textOf(page).matchAll(/^ *```(?:sh|powershell)\n([^]*?)^ *```$/gm)].map(
    ([, code = '']) => code,
  )
  return blocks
    .flatMap((code) => code.split('\n'))
    .flatMap((line) => line.split(' | '))
    .map((line) => /^\s*(?:sudo )?naru(?:\.cmd)? (.*)$/.exec(line)?.[1])
    .filter((line) => line !== undefined)
    .map(words)
}

/** Null where it would be taken. */
function mistakeIn(given: readonly string[], verbs: readonly Verb[]): string | null {
  if (given[0]?.startsWith('-')) return null
  const verb = verbs.find(({ name }) => name === given[0])
  if (!verb) return `no command ${given[0]}`
  const rest = given.slice(1)
  if (verb.verbs && rest[0] !== undefined && !rest[0].startsWith('-')) return mistakeIn(rest, verb.verbs)
  try {
    parseWords(verb, `naru ${verb.name}`, rest, globalOptions)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

it.each(pages.filter((page) => commandsOf(page).length > 0))(
  '%s tells commands that are there',
  async (page) => {
    const verbs = await loadAll()
    const mistakes = commandsOf(page)
      .map((given) => [given.join(' '), mistakeIn(given, verbs)])
      .filter(([, mistake]) => mistake !== null)
    expect(mistakes).toEqual([])
  },
)

it.each(pages)('%s leads to what is there', (page) => {
  const links = [...textOf(page).matchAll(/\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g)].map(([, to = '']) => to)
  const broken = links
    .filter((to) => !/^[a-z]+:/.test(to))
    .filter((to) => !existsSync(join(root, dirname(page), to)))
  expect(broken).toEqual([])
})

const twins = pages.filter((page) => page.endsWith('.ko.md') && page !== 'docs/cli.ko.md')
it.each(twins)('%s tells the same commands as its English twin', (page) => {
  expect(commandsOf(page)).toEqual(commandsOf(page.replace('.ko.md', '.md')))
})
