/** Hands the command line to the CLI, and the CLI the ways to a `Naru`. */
import { systemClock } from './base/clock.ts'
import { awake } from './base/awake.ts'
import { processIo } from './cli/io.ts'
import { run } from './cli/run.ts'
import { cliDeps } from './daemon/index.ts'

/** For what ends with the process anyway, such as threads. */
const lastWordsMs = 1000

/** @param words what was typed after the program's name */
export async function commandLine(words: readonly string[]): Promise<void> {
  process.exitCode = await awake(() => run(words, processIo(), cliDeps))
  // Whoever was asked to end may be told again while Node takes its loop down, and would end by that signal: at once, then.
  if (process.listenerCount('SIGTERM') > 0) process.exit()
  // All is said and done: what hangs in the background, such as a command that does not end, keeps nobody waiting.
  systemClock.after(lastWordsMs, () => process.exit())
}
