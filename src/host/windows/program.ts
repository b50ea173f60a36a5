/**
 * Where a program of Windows lies. Asked for by its bare name, libuv and Windows look in the current folder first, where
 * anything may lie; so it is looked for here: in the system's folders, then in those of `PATH`, and nowhere else.
 */
import { win32 } from 'node:path'

export interface LookedIn {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly exists: (path: string) => boolean
}

const ofSystem = ['', 'WindowsPowerShell\\v1.0', 'Wbem', 'OpenSSH']

/** @returns the whole path; null where there is none. A path stays as it is. */
export function programOnWindows(command: string, { env, exists }: LookedIn): string | null {
  if (/[\\/]/.test(command)) return command
  const system = win32.join(env['SystemRoot'] ?? 'C:\\Windows', 'System32')
  const path = Object.entries(env).find(([name]) => name.toUpperCase() === 'PATH')?.[1] ?? ''
  const folders = [
    ...ofSystem.map((name) => win32.join(system, name)),
    // `.` and its like would be the current folder again.
    ...path.split(';').filter((folder) => win32.isAbsolute(folder)),
  ]
  const names = /\.(?:exe|com)$/i.test(command) ? [command] : [`${command}.exe`, `${command}.com`]
  const candidates = folders.flatMap((folder) => names.map((name) => win32.join(folder, name)))
  return candidates.find(exists) ?? null
}
