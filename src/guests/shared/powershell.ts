/**
 * Asks Windows PowerShell for objects, never for text: the output is JSON, so that a localised Windows answers the
 * same. A value goes in single quotes, in which PowerShell expands nothing (about_Quoting_Rules).
 */
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import type { Runner } from '../../host/contract.ts'
import type { Json } from '../../model/hop.ts'
import type { GuestKind } from '../../model/target.ts'
import { answerMs } from './patience.ts'
import { refused, toolOf, type ToolOptions } from './tool.ts'

/** Output is UTF-8 whatever the console's code page (949 on a Korean Windows), and a failing command ends the script. */
const preamble = "[Console]::OutputEncoding = [Text.Encoding]::UTF8; $ErrorActionPreference = 'Stop'; "

/** PowerShell itself takes up to some seconds to start, before whoever it asks can be called silent. */
const startMs = 5000

/** A PowerShell literal. Typographic quotes end a literal as well: they are doubled like the plain one. */
export function quoted(value: string): string {
  return `'${value.replace(/['\u2018\u2019\u201A\u201B]/g, '$&$&')}'`
}

/** @returns the script's output as JSON; null where it wrote nothing. @throws NaruError GUEST_REFUSED, NOT_PERMITTED, GUEST_UNREADABLE … */
export async function powershell(
  kind: GuestKind,
  runner: Runner,
  script: string,
  options: ToolOptions,
): Promise<Json> {
  const argv = ['powershell.exe', '-NoProfile', '-NonInteractive', '-Command', preamble + script] as const
  const result = await toolOf(kind, runner)(argv, { ms: answerMs + startMs, ...options })
  if (result.exit !== 0) {
    // The id of an error is not translated, unlike its message.
    if (/PermissionDenied|UnauthorizedAccess|AccessDenied|0x80070005/i.test(result.stderr))
      throw new NaruError('NOT_PERMITTED', {
        what: say`change ${kind}`,
        command: say('Start-Process powershell -Verb RunAs, and naru in it'),
      })
    throw refused(kind, script.split('|')[0]?.trim().slice(0, 120) as string, result)
  }
  const text = result.stdout.replace(/^\uFEFF/, '').trim()
  try {
    return text === '' ? null : (JSON.parse(text) as Json)
  } catch (error) {
    throw new NaruError(
      'GUEST_UNREADABLE',
      { kind, where: 'powershell.exe', why: 'that is no JSON' },
      { cause: error },
    )
  }
}

/** ConvertTo-Json makes a list of one an object, and a list of none nothing. */
export function listOf(json: Json): readonly Json[] {
  if (json === null) return []
  return Array.isArray(json) ? (json as readonly Json[]) : [json]
}
