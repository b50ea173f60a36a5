/** Asks a hypervisor's command-line tool, and says in its name why it did not answer. */
import { isNaruError, NaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Runner, RunResult } from '../../host/contract.ts'
import type { GuestKind } from '../../model/target.ts'
import { answered, answerMs } from './patience.ts'

export interface ToolOptions {
  readonly signal: AbortSignal
  /** @default 3000 */
  readonly ms?: number
  readonly env?: Readonly<Record<string, string>>
}

export type Tool = (argv: readonly [string, ...string[]], options: ToolOptions) => Promise<RunResult>

/** An exit code other than 0 is an answer. @throws NaruError GUEST_NO_TOOL where it is not installed, GUEST_SILENT */
export function toolOf(kind: GuestKind, runner: Runner): Tool {
  return async (argv, { signal, ms = answerMs, env }) => {
    try {
      return await answered(
        (limit) => runner.run(argv, { signal: limit, limitMs: ms, ...(env && { env }) }),
        {
          kind,
          where: argv[0],
          signal,
          ms,
        },
      )
    } catch (error) {
      if (!isNaruError(error, 'COMMAND_MISSING')) throw error
      throw new NaruError('GUEST_NO_TOOL', { kind, why: whyMissing(kind, argv[0]) }, { cause: error })
    }
  }
}

/** Windows has these of its own: elsewhere nothing can be installed. */
const onWindows: Partial<Record<GuestKind, string>> = { wsl: 'WSL', hyperv: 'Hyper-V' }

function whyMissing(kind: GuestKind, program: string): Text {
  const system = process.platform === 'win32' ? undefined : onWindows[kind]
  return system === undefined ? say`${program} is not installed` : say`${system} is only on Windows`
}

/** Its output, or what it complained about. @throws NaruError also GUEST_REFUSED */
export async function mustRun(
  kind: GuestKind,
  tool: Tool,
  argv: readonly [string, ...string[]],
  options: ToolOptions,
): Promise<string> {
  const result = await tool(argv, options)
  if (result.exit === 0) return result.stdout
  throw refused(kind, argv.join(' '), result)
}

export function refused(kind: GuestKind, what: string, { exit, stdout, stderr }: RunResult): NaruError {
  const said = (stderr.trim() || stdout.trim() || `exit ${exit}`).slice(0, 500)
  return new NaruError('GUEST_REFUSED', { kind, what, why: verbatim(said) })
}
