/**
 * What systemd is told: that this process serves, and that it is the service's main process from now on (sd_notify(3)).
 * Its socket takes datagrams, which Node's Unix sockets do not send.
 */
import { messageOf } from '../base/errors.ts'
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
