/**
 * `naru up --background`: a process of its own that goes on, and a first one that ends when that one serves, with its
 * exit code where it comes to nothing. What it needs for that is a channel between both, and nothing of the system.
 */
import { spawn } from 'node:child_process'
import { systemClock } from '../base/clock.ts'
import type { ExitCode } from '../base/codes/entry.ts'

/** Says to the new process who started it. */
const starterVariable = 'NARU_STARTER'
const switchName = '--background'
const serving = 'serving'
/** For the first process to end: a busy machine takes its time. */
const gonePollMs = 5
const goneWithinMs = 5000

/** Starts this very command line again, without `--background`. */
export function upInBackground(signal: AbortSignal): Promise<ExitCode> {
  const argv = [...process.execArgv, ...process.argv.slice(1).filter((word) => word !== switchName)]
  const child = spawn(process.execPath, argv, {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [starterVariable]: String(process.pid) },
  })
  const end = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve((code ?? 1) as ExitCode))
    child.once('message', () => {
      signal.removeEventListener('abort', end)
      child.disconnect()
      child.unref()
      resolve(0)
    })
  })
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
