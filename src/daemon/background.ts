/**
 * `naru up --background`: a process of its own that goes on, and a first one that ends when that one serves, with its
 * exit code where it comes to nothing. What it needs for that is a channel between both, and nothing of the system.
 */
import { spawn } from 'node:child_process'
import { fstatSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { systemClock } from '../base/clock.ts'
import type { ExitCode } from '../base/codes/entry.ts'

/** Says to the new process who started it. */
const starterVariable = 'NARU_STARTER'
const switchName = '--background'
const serving = 'serving'
/** For the first process to end: a busy machine takes its time. */
const gonePollMs = 5
const goneWithinMs = 5000

/**
 * Starts this very command line again, without `--background`. It goes on writing to a terminal, a file or the journal;
 * a pipe hears it only until it serves, as whoever reads one waits for its end (`naru up --background | tail`, ssh).
 */
export function upInBackground(signal: AbortSignal): Promise<ExitCode> {
  const argv = [...process.execArgv, ...process.argv.slice(1).filter((word) => word !== switchName)]
  const child = spawn(process.execPath, argv, {
    detached: true,
    stdio: ['ignore', isPipe(1) ? 'pipe' : 'inherit', isPipe(2) ? 'pipe' : 'inherit', 'ipc'],
    env: { ...process.env, [starterVariable]: String(process.pid) },
  })
  child.stdout?.pipe(process.stdout)
  child.stderr?.pipe(process.stderr)
  const end = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    // Once all that it wrote has been passed on, too.
    child.once('close', (code) => resolve((code ?? 1) as ExitCode))
    child.once('message', () => {
      signal.removeEventListener('abort', end)
      // What it wrote before is there by now, and is read in this same turn of the event loop.
      setImmediate(() => {
        child.disconnect()
        child.unref()
        letGo(child.stdout)
        letGo(child.stderr)
        resolve(0)
      })
    })
  })
}

function letGo(stream: Readable | null): void {
  stream?.unpipe()
  stream?.destroy()
}

/** A pipe or a socket that is not the journal's (systemd.exec(5), JOURNAL_STREAM). */
function isPipe(descriptor: number): boolean {
  const stat = fstatSync(descriptor)
  if (`${stat.dev}:${stat.ino}` === process.env.JOURNAL_STREAM) return false
  return stat.isFIFO() || stat.isSocket()
}

/** Who started this process in the background, and waits. */
export interface Starter {
  /** This one serves: whoever waits for it may go. Resolves when that one has gone, so that this one's parent is the system. */
  served(): Promise<void>
}

/** @param onGone it went away before this one served: nobody wants it. @returns null in the foreground */
export function starterOf(onGone: () => void): Starter | null {
  const starter = Number(process.env[starterVariable])
  delete process.env[starterVariable]
  if (!process.send || starter !== process.ppid) return null
  process.once('disconnect', onGone)
  // A daemon that cannot start ends, whoever waits for it.
  process.channel?.unref()
  return {
    async served() {
      process.off('disconnect', onGone)
      process.send?.(serving)
      const until = systemClock.now() + goneWithinMs
      while (process.ppid === starter && systemClock.now() < until) await systemClock.sleep(gonePollMs)
      if (process.connected) process.disconnect()
    },
  }
}
