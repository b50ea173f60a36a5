/**
 * The CLI's story: find the verb, parse its words, do it, and turn what went wrong into a sentence and an exit code.
 * It knows `Naru` and nothing of the machine; ways to get one are handed in.
 */
import type { ExitCode } from '../base/codes/entry.ts'
import { messageOf, NaruError, toNaruError } from '../base/errors.ts'
import { say, verbatim } from '../base/text.ts'
import { loadAll, loadVerb, verbMeantBy, verbNames } from './commands/index.ts'
import type { CliDeps } from './deps.ts'
import type { Io } from './io.ts'
import { languageOf } from './language.ts'
import { nearest } from '../model/schema.ts'
import { commonOptions, globalOptions } from './options.ts'
import { parseWords, unknown, usage } from './parse.ts'
import { printError } from './print/errors.ts'
import { createPrinter, type Printer } from './print/printer.ts'
import { on, type Context, type Verb, type ParsedWords } from './verb.ts'

export type { CliDeps } from './deps.ts'

export async function run(argv: readonly string[], io: Io, deps: CliDeps): Promise<ExitCode> {
  const first = glance(argv)
  let print = printerFor(first, io)
  const done = async (code: ExitCode): Promise<ExitCode> => {
    const lost = await io.outputLost()
    if (lost) throw new NaruError('OUTPUT_LOST', { why: messageOf(lost) }, { cause: lost })
    return code
  }
  try {
    if (argv.length === 0 || argv[0] === 'help' || (first.help && first.verb === null)) {
      if (argv[0] === 'help' && argv[1] !== undefined)
        return await run([...argv.slice(1), '--help'], io, deps)
      const { overview } = await import('./help.ts')
      print.data(overview(await loadAll(), globalOptions, print))
      return await done(argv.length === 0 ? 2 : 0)
    }
    if (first.version || argv[0] === 'version') {
      printVersion(argv.includes('--verbose'), first.json, print, deps)
      return await done(0)
    }
    const { verb, command, rest } = await verbOf(argv)
    const words = parseWords(verb, command, rest, commonOptions(verb))
    print = printerFor(words.options, io)
    // A program reads no help.
    if (!verb.run && first.json && !words.options['help']) throw usage(command, say('a command is missing'))
    if (words.options['help'] || !verb.run) {
      const { helpOf } = await import('./help.ts')
      print.data(helpOf(verb, command, commonOptions(verb), print))
      return await done(words.options['help'] ? 0 : 2)
    }
    using context = contextOf(words, io, deps, print)
    return await done(await verb.run(context))
  } catch (thrown) {
    printError(thrown, print, { json: first.json, debug: Boolean(io.env['NARU_DEBUG']) })
    return toNaruError(thrown).exitCode
  }
}

/** With `--verbose` what a report of a fault should name. */
function printVersion(verbose: boolean, json: boolean, print: Printer, { version, commit }: CliDeps): void {
  const { arch, platform, versions } = process
  const told = {
    version,
    ...(verbose && { commit: commit(), node: versions.node, platform: `${platform} ${arch}` }),
  }
  if (json) print.data(JSON.stringify(told))
  else
    print.data(
      verbose
        ? `naru ${version}\ncommit ${told.commit ?? print.say(noRelease)}\nnode ${versions.node}\n${platform} ${arch}`
        : version,
    )
}

const noRelease = say('unknown: this is no release')

/** What must be known before anything is parsed, so that also a mistake is told in the right way. */
function glance(argv: readonly string[]): {
  json: boolean
  help: boolean
  version: boolean
  verb: string | null
  lang?: readonly string[]
  'no-color'?: readonly string[]
} {
  const end = argv.indexOf('--')
  const words = end === -1 ? argv : argv.slice(0, end)
  const at = words.indexOf('--lang')
  const lang = at >= 0 ? words[at + 1] : words.find((word) => word.startsWith('--lang='))?.slice(7)
  const verb = words.find((word, index) => !word.startsWith('-') && words[index - 1] !== '--lang')
  return {
    json: words.includes('--json'),
    help: words.includes('--help') || words.includes('-h'),
    version: words[0] === '--version' || words[0] === '-V' || words[0] === '-v',
    verb: verb ?? null,
    ...(lang === undefined ? {} : { lang: [lang] }),
    ...(words.includes('--no-color') ? { 'no-color': [on] } : {}),
  }
}

function printerFor(
  options: { readonly lang?: readonly string[]; readonly 'no-color'?: readonly string[] },
  io: Io,
): Printer {
  return createPrinter(io, languageOf(options.lang?.[0] ?? null, io), { colour: !options['no-color'] })
}

async function verbOf(
  argv: readonly string[],
): Promise<{ verb: Verb; command: string; rest: readonly string[] }> {
  const at = firstWord(argv)
  const name = argv[at]
  if (name === undefined) {
    parseWords({ name: '', summary: verbatim('') }, 'naru', argv, globalOptions)
    throw usage('naru', say('a command is missing'))
  }
  let verb = await loadVerb(name)
  if (!verb) throw usage('naru', unknown(say('command'), name, verbMeantBy(name) ?? nearest(name, verbNames)))
  let command = `naru ${name}`
  let rest = [...argv.slice(0, at), ...argv.slice(at + 1)]
  while (verb.verbs) {
    const next = firstWord(rest)
    const word = rest[next]
    const inner: Verb | undefined = verb.verbs.find((one) => one.name === word)
    if (!inner) {
      if (word === undefined || next > 0 || verb.arguments) break
      throw usage(
        command,
        unknown(
          say('command'),
          `${command} ${word}`,
          nearest(
            word,
            verb.verbs.map((one) => one.name),
          ),
        ),
      )
    }
    verb = inner
    command += ` ${inner.name}`
    rest = rest.toSpliced(next, 1)
  }
  return { verb, command, rest }
}

/** Options that every command has may stand before its name. */
function firstWord(words: readonly string[]): number {
  return words.findIndex((word, index) => !word.startsWith('-') && !takesValue(words[index - 1]))
}

function takesValue(word: string | undefined): boolean {
  return globalOptions.some(
    ({ name, short, value }) => value !== undefined && (word === `--${name}` || word === `-${short}`),
  )
}

function contextOf(words: ParsedWords, io: Io, deps: CliDeps, print: Printer): Context & Disposable {
  const option = (name: string): string | null => words.options[name]?.at(-1) ?? null
  let held: (Disposable & { signal: AbortSignal }) | null = null
  return {
    io,
    deps,
    print,
    verbs: loadAll,
    language: print.language,
    json: option('json') === on,
    file: option('config'),
    arg: (name) => words.args[name]?.[0] as string,
    args: (name) => words.args[name] ?? [],
    option,
    options: (name) => words.options[name] ?? [],
    switched: (name) => option(name) === on,
    interrupt({ reloads = false } = {}) {
      held ??= holdInterrupts(io, print, reloads)
      return held.signal
    },
    [Symbol.dispose]: () => held?.[Symbol.dispose](),
  }
}

/**
 * Wrappers tell a stop twice: npm and `timeout` pass a signal on to a process that the terminal or the kernel has told
 * already. What comes this soon is the same wish.
 */
const sameWishMs = 1000

/** The first Ctrl-C asks to close everything, a later one does not wait for it. */
function holdInterrupts(io: Io, print: Printer, reloads: boolean): Disposable & { signal: AbortSignal } {
  const stop = new AbortController()
  let askedAt = 0
  const held = io.onInterrupt((by) => {
    if (by === 'hang-up' && reloads) return
    if (!stop.signal.aborted) {
      askedAt = io.now()
      stop.abort()
    }
    // A shell passes on the hang-up that the kernel has sent already.
    else if (by === 'asked' && Math.abs(io.now() - askedAt) > sameWishMs) {
      print.talk(notWaited)
      io.exit(1)
    }
  })
  return {
    signal: stop.signal,
    // Who was asked to end does so next: told again until then, it still ends with its own exit code.
    [Symbol.dispose]: () => stop.signal.aborted || held[Symbol.dispose](),
  }
}

const notWaited = say('Ended at once. Whatever was not undone yet is undone by the next start of Naru.')
