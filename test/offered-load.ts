/**
 * Connections that are offered by the clock, whether those before them were answered or not: the bench's own program.
 * It tells apart refused, reset, never answered, and what it could not offer itself.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Offered {
  readonly offered: number
  readonly answered: number
  readonly refused: number
  readonly reset: number
  readonly timedOut: number
  /** The stream ended without an answer. */
  readonly unanswered: number
  /** For want of a descriptor or a port of the load's own. */
  readonly notOffered: number
  readonly offeredForMs: number
}

export class OfferedLoad implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #result: Promise<Offered>
  readonly #ready: Promise<unknown>

  private constructor(argv: readonly string[]) {
    const [command = '', ...args] = argv
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#child.stdin?.on('error', () => {})
    const lines: string[] = []
    const reader = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })
    reader.on('line', (line) => lines.push(line))
    this.#ready = once(reader, 'line')
    this.#result = once(reader, 'close').then(() => JSON.parse(lines[1] ?? 'null') as Offered)
  }

  /** @param through words that take a command to another network. Resolves once the first are offered. */
  static async begin(
    to: { readonly address: string; readonly port: number; readonly request?: string },
    { perSecond, seconds, through = [] }: { perSecond: number; seconds: number; through?: readonly string[] },
  ): Promise<OfferedLoad> {
    const program = join(import.meta.dirname, '../bench/load/offer.mjs')
    const words = [to.address, to.port, perSecond, seconds, to.request ?? 'x'].map(String)
    const load = new OfferedLoad([...through, process.execPath, program, ...words])
    await load.#ready
    return load
  }

  /** Offers no more where `seconds` have not passed yet. Resolves when each has its answer, or its end. */
  stop(): Promise<Offered> {
    this.#child.stdin?.end()
    return this.#result
  }

  /** Those that all have their answer. */
  get result(): Promise<Offered> {
    return this.#result
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    return Promise.resolve()
  }
}
