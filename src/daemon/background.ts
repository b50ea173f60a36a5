/**
 * `naru up --background`: a process of its own that goes on, and a first one that ends when that one serves, with its
 * exit code where it comes to nothing. What it needs for that is a channel between both, and nothing of the system.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import type { ExitCode } from '../base/codes/entry.ts'
import { isJournal } from '../base/journal-stream.ts'
import { programWords } from '../base/own-files.ts'

/** Says to the new process who started it. */
const starterVariable = 'NARU_STARTER'
const switchName = '--background'
/** For the first process to end: a busy machine takes its time. */
const gonePollMs = 5
const goneWithinMs = 5000

/** What the new process says when it serves: bytes that it has written by then. */
interface Serving {
  readonly stdout: number
  readonly stderr: number
}

/**
 * Starts this very command line again, without `--background`. It goes on writing to a file or the journal; a terminal
 * hears it only until it serves, as its user does something else there, and so does a pipe, as whoever reads one waits
 * for its end (`naru up --background | tail`, ssh).
 */
export function upInBackground(signal: AbortSignal): Promise<ExitCode> {
  const [program = '', ...first] = programWords(process)
  const words = process.argv.slice(2).filter((word) => word !== switchName)
  const child = spawn(program, [...first, ...words], {
    detached: true,
    stdio: ['ignore', isPipe(1) ? 'pipe' : 'inherit', isPipe(2) ? 'pipe' : 'inherit', 'ipc'],
    env: { ...process.env, [starterVariable]: String(process.pid) },
  })
  const stdout = new Passage(child.stdout, process.stdout)
  const stderr = new Passage(child.stderr, process.stderr)
  const end = (): void => void child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  return new Promise((resolve, reject) => {
    const go = (): void => {
      if (child.connected) child.disconnect()
      child.unref()
      stdout.end()
      stderr.end()
      resolve(0)
    }
    child.once('error', reject)
    // Once all that it wrote has been passed on, too.
    child.once('close', (code) => resolve((code ?? 1) as ExitCode))
    child.once('message', (serving: Serving) => {
      signal.removeEventListener('abort', end)
      signal.addEventListener('abort', go)
      void Promise.all([stdout.passed(serving.stdout), stderr.passed(serving.stderr)]).then(go, go)
    })
  })
}

/** Passes on what the new process writes. */
class Passage {
  readonly #from: Readable | null
  #bytes = 0

  /** @param from null where the new process writes there itself. */
  constructor(from: Readable | null, to: Writable) {
    this.#from = from
    from?.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length
      // Whoever read us may be gone; that is no reason not to serve.
      if (to.writable) to.write(chunk)
    })
  }

  async passed(bytes: number): Promise<void> {
    const from = this.#from
    if (!from) return
    while (this.#bytes < bytes && !from.closed) await once(from, 'data')
    // Its log's lines are not among those bytes; what has come of them is read in this same turn of the event loop.
    await setImmediate()
  }

  end(): void {
    this.#from?.destroy()
  }
}

/** A pipe or a socket that is not the journal's. */
function isPipe(descriptor: number): boolean {
  if (isJournal(descriptor, process.env)) return false
  const stat = fstatSync(descriptor)
  return stat.isFIFO() || stat.isSocket()
}

/** Who started this process in the background, and waits. */
export interface Starter {
  /** This one serves: whoever waits for it may go. Resolves when that one has gone, so that this one's parent is the system. */
  served(): Promise<void>
  /** It has gone: a terminal is its user's again. */
  readonly hasGone: boolean
}

/** @param onGone it went away before this one served: nobody wants it. @returns null in the foreground */
export function starterOf(onGone: () => void): Starter | null {
  const starter = Number(process.env[starterVariable])
  delete process.env[starterVariable]
  if (!process.send || starter !== process.ppid) return null
  process.once('disconnect', onGone)
  // A daemon that cannot start ends, whoever waits for it.
  process.channel?.unref()
  let gone = false
  return {
    get hasGone() {
      return gone
    },
    async served() {
      process.off('disconnect', onGone)
      const { stdout, stderr } = process
      const written = ({ bytesWritten = 0 }: { bytesWritten?: number }): number => bytesWritten
      process.send?.({ stdout: written(stdout), stderr: written(stderr) } satisfies Serving)
      const until = systemClock.now() + goneWithinMs
      while (process.ppid === starter && systemClock.now() < until) await systemClock.sleep(gonePollMs)
      if (process.connected) process.disconnect()
      gone = true
    },
  }
}
