/** A system's own command as a service needs it: done, or an error that tells why and how. */
import { NaruError } from '../../base/errors.ts'
import type { RunResult } from '../../host/contract.ts'
import type { ServiceOptions } from '../contract.ts'

/** Naru undoes everything within 5 s; systemd waits 15 s before it kills. */
const limitMs = 30_000

export async function ask(
  argv: readonly [string, ...string[]],
  { runner, signal }: ServiceOptions,
): Promise<RunResult> {
  return runner.run(argv, { signal, limitMs })
}

/** @throws NaruError COMMAND_FAILED where the exit code is another than 0 */
export async function must(
  argv: readonly [string, ...string[]],
  options: ServiceOptions,
): Promise<RunResult> {
  const result = await ask(argv, options)
  if (result.exit === 0) return result
  const stderr = (result.stderr.trim() || result.stdout.trim()).slice(0, 2_000)
  throw new NaruError('COMMAND_FAILED', { command: argv.join(' '), exit: result.exit, stderr })
}
