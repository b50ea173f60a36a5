/** Hands the command line to the CLI, and the CLI the ways to a `Naru`. */
import { processIo } from './cli/io.ts'
import { run } from './cli/run.ts'
import { cliDeps } from './daemon/index.ts'

process.exitCode = await run(process.argv.slice(2), processIo(), cliDeps)
