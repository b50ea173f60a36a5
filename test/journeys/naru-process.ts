/**
 * The built `naru` as a person runs it, on a host of the lab: started, watched through its `--json` lines, interrupted,
 * or killed where it stands.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { HopStatus, RuleStatus } from '../../src/model/naru-api.ts'

const main = join(import.meta.dirname, '../../dist/main.js')

export interface NaruPlace {
  /** Words that take a command to its host. */
  readonly through: readonly string[]
  /** Folder of its journals. */
  readonly state: string
}

export class NaruProcess {
  readonly #child: ChildProcess
  readonly #heard = new Set<() => void>()
  #rule: RuleStatus | null = null
  #complaints = ''
  #ended = false

  constructor({ through, state }: NaruPlace, args: readonly string[]) {
    const [command, ...rest] = [...through, process.execPath, main, ...args, '--json']
    const env = { ...process.env, NARU_STATE: state, HOME: state, LANG: 'C', NO_COLOR: '1' }
    this.#child = spawn(command, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.#hear(line),
    )
    this.#child.stderr?.on('data', (text: Buffer) => (this.#complaints += text.toString()))
    this.#child.once('exit', () => {
      this.#ended = true
      this.#tell()
    })
  }

  /** Resolves when `naru open` says that everything is open. @throws where it ends before */
  async opened(): Promise<void> {
    await this.until('everything open', () => this.#rule !== null, 30_000)
  }

  get complaints(): string {
    return this.#complaints
  }

  hop(name: HopStatus['hop']): HopStatus | undefined {
    return this.#rule?.hops.find(({ hop }) => hop === name)
  }

  get works(): boolean {
    return this.#rule?.state === 'open'
  }

  get hops(): string {
    return (this.#rule?.hops ?? []).map(({ hop, member, state }) => `${hop}=${member}:${state}`).join(' ')
  }

  /** Waits for what the lines tell. @returns milliseconds. @throws where `ms` pass or it ends */
  async until(what: string, isSo: () => boolean, ms: number): Promise<number> {
    const began = performance.now()
    while (!isSo()) {
      const left = ms - (performance.now() - began)
      if (this.#ended || left <= 0)
        throw new Error(
          `naru ${this.#ended ? 'ended' : 'waited in vain'}: ${what}; ${this.hops}\n${this.#complaints}`,
        )
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 250))
        this.#heard.add(() => (clearTimeout(timer), resolve()))
      })
    }
    return performance.now() - began
  }

  /** Ctrl-C. @returns its exit code. */
  interrupt(): Promise<number | null> {
    return this.#signal('SIGINT')
  }

  /** However it takes: for the end of a test that may have failed. */
  async end(): Promise<void> {
    const late = setTimeout(() => void this.kill(), 10_000)
    await this.interrupt()
    clearTimeout(late)
  }

  /** The plug is pulled: no chance to undo anything. */
  async kill(): Promise<void> {
    await this.#signal('SIGKILL')
  }

  async #signal(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#ended) return this.#child.exitCode
    const gone = once(this.#child, 'exit')
    this.#child.kill(signal)
    await gone
    return this.#child.exitCode
  }

  #hear(line: string): void {
    const { rule } = JSON.parse(line) as { rule?: RuleStatus }
    if (rule) this.#rule = rule
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#heard) listener()
    this.#heard.clear()
  }
}
