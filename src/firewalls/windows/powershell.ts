/**
 * Windows Defender Firewall through its PowerShell module, one script a question. Answers are JSON with names of .NET
 * enumerations, which no language of Windows translates; nothing localised is ever parsed.
 */
import { NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { FirewallOptions } from '../contract.ts'

/** Reading every rule of a desktop takes a few seconds, and PowerShell its time to start. */
const limitMs = 30_000

/** Errors come back as data: `{ error: { category, id, message } }`. */
export async function powershell(
  body: string,
  what: string,
  { host, signal }: FirewallOptions,
): Promise<unknown> {
  const script = [
    '[Console]::OutputEncoding = [System.Text.Encoding]::UTF8',
    "$ErrorActionPreference = 'Stop'",
    `try { ${body} } catch { ${reportError} }`,
  ].join('; ')
  const argv = [
    'powershell',
    '-NoProfile',
    '-NonInteractive',
    '-ExecutionPolicy',
    'Bypass',
    '-Command',
    script,
  ] as const
  const { exit, stdout, stderr } = await host.runner.run(argv, { signal, limitMs })
  const answer = readJson(stdout, what, exit, stderr)
  const { error } = asRecord(answer)
  if (error !== undefined) throw failure(asRecord(error), what)
  return answer
}

const reportError =
  '@{ error = @{ category = "$($_.CategoryInfo.Category)"; id = $_.FullyQualifiedErrorId; message = $_.Exception.Message } } | ConvertTo-Json -Compress'

function readJson(stdout: string, what: string, exit: number, stderr: string): unknown {
  const text = stdout.replace(/^\uFEFF/, '').trim()
  if (text === '' && exit === 0) return null
  try {
    return JSON.parse(text)
  } catch {
    const said = firstLine(stderr) || firstLine(text) || `exit ${exit}`
    throw new NaruError('FIREWALL_UNCLEAR', { command: what, why: verbatim(said) })
  }
}

const firstLine = (text: string): string => text.trim().split('\n', 1)[0]?.slice(0, 200) ?? ''

/** Win32 error 5, "Access is denied", has this category in every language. */
function failure({ category, id, message }: Record<string, unknown>, what: string): NaruError {
  if (category === 'PermissionDenied' || /System Error 5\b/.test(String(id)))
    return new NaruError('NOT_PERMITTED', {
      what: say('change Windows Defender Firewall'),
      command: `powershell -Command "Start-Process powershell -Verb RunAs -ArgumentList '-NoExit','-Command',${doubled(what)}"`,
    })
  return new NaruError('COMMAND_FAILED', { command: what, exit: 1, stderr: `${text(message)} (${text(id)})` })
}

/** A command inside single quotes inside double quotes. */
const doubled = (command: string): string => `'${command.replaceAll("'", "''").replaceAll('"', '\\"')}'`

export const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''

export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

/** `ConvertTo-Json` writes a list of one as the one. */
export function asList(value: unknown): readonly Record<string, unknown>[] {
  return (Array.isArray(value) ? value : value === null || value === undefined ? [] : [value]).map(asRecord)
}
