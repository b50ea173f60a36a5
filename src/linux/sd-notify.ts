/**
 * What systemd is told: that this process serves, and that it is the service's main process from now on (sd_notify(3)).
 * Its socket takes datagrams, which Node's Unix sockets do not send.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { messageOf, NaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'

/** Does nothing where no service manager listens. */
export async function notifySystemd(log: Log): Promise<void> {
  const path = process.env['NOTIFY_SOCKET']
  if (!path) return
  try {
    const { sendDatagramTo } = await import('./fd-passing.ts')
    sendDatagramTo(path, `MAINPID=${process.pid}\nREADY=1`)
  } catch (error) {
    log.warn({}, `systemd was not told that this is the main process: ${messageOf(error)}`)
  }
}

/** What is asked of a process, and of this one. */
export interface ServicesOfProcesses {
  /** @default process.env */
  readonly env?: NodeJS.ProcessEnv
  /** Text of a file of /proc, empty where it is not there. */
  readonly read?: (path: string) => Promise<string>
}

/**
 * A service whose main process is replaced by one that systemd did not start has none any more: systemd takes it for
 * ended, and neither stops nor restarts what runs on. Whoever started by systemd is told where to notify it.
 * @throws NaruError HELD_BY_SERVICE where that process is a service's, and this one is not
 */
export async function mustNotLeaveService(
  { pid }: { readonly pid: number },
  { env = process.env, read = textOf }: ServicesOfProcesses = {},
): Promise<void> {
  if (env['NOTIFY_SOCKET']) return
  const theirs = (await read(`/proc/${pid}/environ`)).split('\0')
  if (!theirs.some((entry) => entry.startsWith('NOTIFY_SOCKET='))) return
  const lines = (await read(`/proc/${pid}/cgroup`)).split('\n')
  const group = lines.find((line) => line.endsWith('.service'))
  if (group === undefined) return
  const unit = basename(group)
  const command = group.includes('/user@')
    ? `systemctl --user reload ${unit}`
    : `sudo systemctl reload ${unit}`
  throw new NaruError('HELD_BY_SERVICE', { pid, unit, command })
}

const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')
