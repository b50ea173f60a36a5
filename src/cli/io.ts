import { isJournal } from '../base/journal-stream.ts'

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

export interface Io {
  /** Data. */
  readonly stdout: Stream
  /** Talk. */
  readonly stderr: Stream
  readonly stdin: Keys
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  /** What started us: node and the script. Absolute paths. */
  readonly self: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** Calls back on Ctrl-C and SIGTERM, in place of ending the process, until disposed. */
  onInterrupt(call: () => void): Disposable
  /** Ends the process at once. */
  exit(code: number): void
  onResize(call: () => void): Disposable
}

export interface Keys {
  readonly isTTY: boolean
  /** Single keys as they are pressed, without echo, until disposed. */
  onKey(call: (key: string) => void): Disposable
  /** One line of an answer; null at the end of input. Only ever called where `isTTY`. */
  line(question: string): Promise<string | null>
}

/** The real one. */
export function processIo(): Io {
  return {
    stdout: streamOf(process.stdout),
    stderr: streamOf(process.stderr),
    stdin: { isTTY: process.stdin.isTTY, onKey, line },
    env: process.env,
    platform: process.platform,
    self: [process.execPath, ...process.argv.slice(1, 2)],
    now: () => Date.now(),
    onInterrupt(call) {
      process.on('SIGINT', call)
      process.on('SIGTERM', call)
      return {
        [Symbol.dispose]() {
          process.off('SIGINT', call)
          process.off('SIGTERM', call)
        },
      }
    },
    exit: (code) => process.exit(code),
    onResize(call) {
      process.stdout.on('resize', call)
      return { [Symbol.dispose]: () => void process.stdout.off('resize', call) }
    },
  }
}

function streamOf(stream: NodeJS.WriteStream & { readonly fd: number }): Stream {
  // Whoever read us may be gone (`naru ls | head -1`): that is no error of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
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
      return stream.rows ?? 24
    },
  }
}

function onKey(call: (key: string) => void): Disposable {
  const { stdin } = process
  const heard = (chunk: Buffer): void => {
    for (const key of keysIn(chunk.toString('utf8'))) call(key)
  }
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
