/** Hands the command line to the CLI, and the CLI the ways to a `Naru`. */
import { processIo } from './cli/io.ts'
import { run } from './cli/run.ts'
import { cliDeps } from './daemon/index.ts'

/** For what ends with the process anyway, such as threads. */
const lastWordsMs = 1000

process.exitCode = await run(process.argv.slice(2), processIo(), cliDeps)
// All is said and done: what hangs in the background, such as a command that does not end, keeps nobody waiting.
setTimeout(() => process.exit(), lastWordsMs).unref()
