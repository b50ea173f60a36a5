/**
 * Runs commands for every room: an argv array goes in, never a shell line; exit code and both outputs come out.
 * Output is bounded, a command that takes too long is ended, and messages come in English (LC_ALL=C).
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { NaruError, errnoOf } from '../base/errors.ts'
import type { HeldCommand, HoldOptions, RunOptions, Runner, RunResult } from './contract.ts'
import { programOnWindows } from './windows/program.ts'

const defaultLimitMs = 10_000
const mostOutputBytes = 16 * 1024 * 1024
/** How long a command may clean up after SIGTERM. */
const graceMs = 1000

export interface RunnerOptions {
  /** Words before every command: `['ip', 'netns', 'exec', 'lab']`. @default none */
  readonly through?: readonly string[]
}

export function createRunner({ through = [] }: RunnerOptions = {}): Runner {
  return {
    run: (argv, options) => run(argv, [...through, ...argv] as [string, ...string[]], options),
    hold: (argv, options) => hold([...through, ...dyingWithUs(), ...argv] as [string, ...string[]], options),
  }
}

/** `PATH` with the system folders in which packet filters live, also where a user's shell leaves them out. */
export function searchPath(): string {
  const path = process.env.PATH ?? ''
  if (process.platform === 'win32') return path
  const folders = path.split(delimiter).filter(Boolean)
  for (const folder of ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'])
    if (!folders.includes(folder)) folders.push(folder)
  return folders.join(delimiter)
}

function run(asked: readonly string[], argv: [string, ...string[]], options: RunOptions): Promise<RunResult> {
  const { signal, limitMs = defaultLimitMs, input, env } = options
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(aborted(asked, signal))
    const [name, ...args] = argv
    const command =
      process.platform === 'win32' ? programOnWindows(name, { env: process.env, exists: existsSync }) : name
    if (command === null) return reject(new NaruError('COMMAND_MISSING', { command: name }))
    const child = spawn(command, args, {
      env: { ...process.env, PATH: searchPath(), LC_ALL: 'C', ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    })
    const output = new Output(() => stop(tooMuch(asked)))
    let failure: NaruError | null = null
    const stop = (why: NaruError): void => {
      failure ??= why
      endChild(child)
    }
    const limit = systemClock.after(limitMs, () => stop(timedOut(asked, limitMs)))
    const onAbort = (): void => stop(aborted(asked, signal))
    signal.addEventListener('abort', onAbort, { once: true })
    const settle = (): void => {
      limit[Symbol.dispose]()
      signal.removeEventListener('abort', onAbort)
    }
    child.once('error', (error) => {
      settle()
      reject(failure ?? notStarted(asked, error))
    })
    // A grandchild may keep the pipes open, so an ended command is not waited for any longer than its own exit.
    child.once('exit', () => {
      if (!failure) return
      settle()
      child.stdout?.destroy()
      child.stderr?.destroy()
      reject(failure)
    })
    child.once('close', (code, killer) => {
      settle()
      if (failure) return reject(failure)
      resolve({
        exit: code ?? exitOfSignal(killer),
        stdout: output.text('stdout'),
        stderr: output.text('stderr'),
      })
    })
    child.stdout?.on('data', (chunk: Buffer) => output.add('stdout', chunk))
    child.stderr?.on('data', (chunk: Buffer) => output.add('stderr', chunk))
    // A command that ends before it has read everything answers with its exit code, not with EPIPE.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** A child that reads nothing would outlive a kill -9 of ours: PR_SET_PDEATHSIG, which setpriv(1) sets for it. */
function dyingWithUs(): string[] {
  if (process.platform !== 'linux') return []
  const there = searchPath()
    .split(delimiter)
    .some((folder) => existsSync(join(folder, 'setpriv')))
  return there ? ['setpriv', '--pdeathsig', 'TERM'] : []
}

function hold(argv: [string, ...string[]], { onLine, onEnd, reads }: HoldOptions): HeldCommand {
  const [command, ...args] = argv
  const child = spawn(command, args, {
    env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  })
  // What is held keeps no process alive.
  child.unref()
  for (const pipe of child.stdio) (pipe as Socket | null)?.unref()
  let over = false
  const gone = new Promise<void>((resolve) => {
    const ended = (why: string): void => {
      resolve()
      if (!over) onEnd(why)
      over = true
    }
    child.once('error', (error) => ended(error.message))
    child.once('exit', (code, killer) => ended(`exit ${code ?? exitOfSignal(killer)}`))
  })
  for (const output of [child.stdout, child.stderr]) readLines(output, (line) => over || onLine(line))
  child.stdin.on('error', () => {})
  return {
    write: (text) => void (child.stdin.writable && child.stdin.write(text)),
    async end() {
      over = true
      child.stdin.end()
      const timer = systemClock.after(reads ? graceMs : 0, () => endChild(child))
      await gone
      timer[Symbol.dispose]()
    },
  }
}

const longestLine = 64 * 1024

function readLines(output: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = ''
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = (lines.pop() ?? '').slice(0, longestLine)
    for (const line of lines) onLine(line)
  })
}

class Output {
  readonly #chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  #bytes = 0
  readonly #onTooMuch: () => void

  constructor(onTooMuch: () => void) {
    this.#onTooMuch = onTooMuch
  }

  add(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > mostOutputBytes) this.#onTooMuch()
    else this.#chunks[stream].push(chunk)
  }

  text(stream: 'stdout' | 'stderr'): string {
    return decoded(Buffer.concat(this.#chunks[stream]))
  }
}

/** Windows tools write the code page of their console; UTF-8 where it is valid, else Korean's (CP949). */
export function decoded(bytes: Buffer): string {
  if (process.platform !== 'win32') return bytes.toString('utf8')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder('euc-kr').decode(bytes)
  }
}

function endChild(child: ChildProcess): void {
  child.kill('SIGTERM')
  const timer = systemClock.after(graceMs, () => child.kill('SIGKILL'))
  child.once('exit', () => timer[Symbol.dispose]())
}

function exitOfSignal(signal: NodeJS.Signals | null): number {
  return signal ? 128 + (constants.signals[signal] ?? 0) : 1
}

const named = (argv: readonly string[]): string => argv.join(' ').slice(0, 200)

function notStarted(argv: readonly string[], error: Error): NaruError {
  const command = argv[0] ?? ''
  const why = errnoOf(error)
  if (why === 'ENOENT' || (why === 'EACCES' && isNowhere(command)))
    return new NaruError('COMMAND_MISSING', { command }, { cause: error })
  const failed = { command: named(argv), exit: 126, stderr: error.message }
  return new NaruError('COMMAND_FAILED', failed, { cause: error })
}

/** A folder of PATH that one may not look into also ends in EACCES (execvp(3)): then nothing is there all the same. */
function isNowhere(command: string): boolean {
  const folders = command.includes('/') ? [''] : searchPath().split(delimiter)
  return !folders.some((folder) => existsSync(join(folder, command)))
}

function timedOut(argv: readonly string[], ms: number): NaruError {
  return new NaruError('TIMED_OUT', { what: named(argv), ms })
}

function aborted(argv: readonly string[], signal: AbortSignal): NaruError {
  return new NaruError('ABORTED', { what: named(argv) }, { cause: signal.reason })
}

function tooMuch(argv: readonly string[]): NaruError {
  return new NaruError('COMMAND_FAILED', {
    command: named(argv),
    exit: 1,
    stderr: `it wrote more than ${mostOutputBytes} bytes`,
  })
}
