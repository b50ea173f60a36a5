import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'
import { isatty } from 'node:tty'
import { errnoOf } from '../base/errors.ts'
import { isJournal } from '../base/journal-stream.ts'
import { programWords } from '../base/own-files.ts'

/** The world as a verb sees it: two streams, a terminal or none, the environment, Ctrl-C. Tests hand in their own. */
export interface Stream {
  write(text: string): unknown
  readonly isTTY: boolean
  /** Others may read it, and it is kept. */
  readonly isJournal: boolean
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number
  readonly rows: number
}

/** What a line may take: a file or a pipe has no edge. */
export function roomOf({ isTTY, columns }: Stream): number {
  return isTTY ? columns : Infinity
}

export interface Io {
  /** Data. */
  readonly stdout: Stream
  /** Talk. */
  readonly stderr: Stream
  readonly stdin: Keys
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  /** What started us: node and the script, or one file. Absolute paths. */
  readonly self: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** Calls back on Ctrl-C, SIGTERM and SIGHUP, in place of ending the process, until disposed. */
  onInterrupt(call: (by: Interrupt) => void): Disposable
  /** Resolves once all data is out, or is lost: with why, where it is missed. Whoever reads no more misses nothing. */
  outputLost(): Promise<Error | null>
  /** Ends the process at once. */
  exit(code: number): void
  onResize(call: () => void): Disposable
  /** Stops as Ctrl-Z does where a terminal takes it, and calls back once the shell lets us go on (`fg`). Not on Windows. */
  suspend(goesOn: () => void): void
}

/** `hang-up` is SIGHUP while the terminal is there, or where there never was one; `terminal-closed` is that it went away. */
export type Interrupt = 'asked' | 'hang-up' | 'terminal-closed'

export interface Keys {
  readonly isTTY: boolean
  /** Single keys as they are pressed, without echo, until disposed. */
  onKey(call: (key: string) => void): Disposable
  /** One line of an answer; null at the end of input. Only ever called where `isTTY`. */
  line(question: string): Promise<string | null>
}

/** The real one. */
export function processIo(): Io {
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor))
  const output = lossOf(process.stdout)
  lossOf(process.stderr)
  process.once('exit', () => leaveClosed(terminals))
  return {
    outputLost: output,
    stdout: streamOf(process.stdout),
    stderr: streamOf(process.stderr),
    stdin: { isTTY: process.stdin.isTTY, onKey, line },
    env: process.env,
    platform: process.platform,
    self: programWords({ execPath: process.execPath, execArgv: [], argv: process.argv }),
    now: () => Date.now(),
    onInterrupt(call) {
      const asked = (): void => call('asked')
      const hungUp = (): void => {
        const closed = terminals.length > 0 && !terminals.some((descriptor) => isatty(descriptor))
        call(closed ? 'terminal-closed' : 'hang-up')
      }
      process.on('SIGINT', asked).on('SIGTERM', asked).on('SIGHUP', hungUp)
      return {
        [Symbol.dispose]: () => void process.off('SIGINT', asked).off('SIGTERM', asked).off('SIGHUP', hungUp),
      }
    },
    exit: (code) => process.exit(code),
    onResize(call) {
      process.stdout.on('resize', call)
      return { [Symbol.dispose]: () => void process.stdout.off('resize', call) }
    },
    suspend,
  }
}

/** The whole job is stopped, as by the terminal: who started us (`npm start`, a pipe) stops with us. */
function suspend(goesOn: () => void): void {
  if (process.platform === 'win32') return goesOn()
  const { stdin } = process
  if (stdin.isTTY) stdin.setRawMode(false)
  process.once('SIGCONT', () => {
    if (stdin.isTTY) stdin.setRawMode(true)
    goesOn()
  })
  process.kill(0, 'SIGTSTP')
}

function streamOf(stream: NodeJS.WriteStream & { readonly fd: number }): Stream {
  return {
    write: (text) => stream.write(text),
    get isTTY() {
      return stream.isTTY
    },
    get isJournal() {
      return isJournal(stream.fd, process.env)
    },
    get columns() {
      return stream.columns || 80
    },
    get rows() {
      return stream.rows || 24
    },
  }
}

/**
 * Whoever read us may be gone (`naru ls | head -1`), and so may the terminal: nobody misses what is written then. A disk
 * without room is another matter. No stream that is lost ends a process that has things to undo.
 */
function lossOf(stream: NodeJS.WriteStream): () => Promise<Error | null> {
  const { isTTY } = stream
  let lost: Error | null = null
  stream.on('error', (error) => {
    if (!isTTY && errnoOf(error) !== 'EPIPE') lost ??= error
  })
  return async () => {
    while (stream.writableLength > 0 && !stream.destroyed)
      await new Promise((resolve) => stream.once('drain', resolve).once('close', resolve))
    // An error of the last write is told in the next turn.
    await new Promise(setImmediate)
    return lost
  }
}

/** At its end Node sets terminals back as they were, and aborts where one has gone away; of another file it keeps off. */
function leaveClosed(terminals: readonly number[]): void {
  for (const descriptor of terminals) {
    if (isatty(descriptor)) continue
    closeSync(descriptor)
    // The lowest that is free: the one just closed.
    openSync(devNull, 'r+')
  }
}

function onKey(call: (key: string) => void): Disposable {
  const { stdin } = process
  const heard = (chunk: Buffer): void => {
    for (const key of keysIn(chunk.toString('utf8'))) call(key)
  }
  // A terminal that went away is told by SIGHUP.
  stdin.on('error', () => {})
  stdin.setRawMode(true)
  stdin.on('data', heard)
  stdin.resume()
  return {
    [Symbol.dispose]() {
      stdin.off('data', heard)
      stdin.setRawMode(false)
      stdin.pause()
    },
  }
}

/** Splits what a terminal sends at once into keys: an escape sequence is one. */
export function keysIn(text: string): string[] {
  // oxlint-disable-next-line no-control-regex -- an escape sequence begins with one
  return text.match(/\u001B\[[\d;]*[A-Za-z~]|\u001BO[A-Z]|[^]/gu) ?? []
}

async function line(question: string): Promise<string | null> {
  const { createInterface } = await import('node:readline/promises')
  const reader = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new Promise<null>((resolve) => reader.once('close', () => resolve(null)))
  try {
    return await Promise.race([reader.question(question), closed])
  } finally {
    reader.close()
  }
}
