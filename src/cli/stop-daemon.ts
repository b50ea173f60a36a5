/** To end the daemon, and to wait until it is gone. */
import { keepAlive } from '../base/awake.ts'
import { systemClock } from '../base/clock.ts'
import { isNaruError } from '../base/errors.ts'
import type { Naru } from '../model/naru-api.ts'
import type { CliDeps } from './deps.ts'

export interface Answering {
  readonly daemon: Naru
  readonly pid: number
  readonly itsFile: string | null
}

/** One that was killed just now has a door yet, and nobody behind it. @throws NaruError NOT_RUNNING */
export async function answering(deps: CliDeps, file: string | null): Promise<Answering> {
  const daemon = await deps.connect({ file })
  const { pid, file: itsFile } = await daemon.about()
  return { daemon, pid, itsFile }
}

/** The socket goes last: once nobody answers there, or another one does. False where nobody waits any more. */
export async function gone(daemon: Naru, pid: number, signal: AbortSignal): Promise<boolean> {
  const alive = keepAlive()
  try {
    while (!signal.aborted) {
      try {
        if ((await daemon.about()).pid !== pid) return true
      } catch (error) {
        if (isNaruError(error, 'NOT_RUNNING')) return true
      }
      await systemClock.sleep(100, signal).catch(() => {})
    }
    return false
  } finally {
    alive[Symbol.dispose]()
  }
}
