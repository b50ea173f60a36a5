/**
 * A machine with guests on which `naru up` runs, and a client outside of it that knows nothing of them. The test itself
 * acts from within the machine.
 */
import { execFile, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { RuleInput, RuleStatus } from '../../src/index.ts'
import { enter } from './enter.ts'
import { end, Lab } from './namespaces.ts'

const main = join(import.meta.dirname, '../../dist/main.js')
const run = promisify(execFile)

export class GuestLab implements AsyncDisposable {
  readonly #lab = new Lab()
  readonly machine = this.#lab.host('machine')
  readonly client = this.#lab.host('client')
  readonly #folder = mkdtempSync(join(tmpdir(), 'naru-guest-lab-'))
  readonly #inside: Disposable
  #env: NodeJS.ProcessEnv = {}
  #naru: ChildProcess | null = null

  constructor() {
    this.#lab.cable(
      { host: this.client, interface: 'eth0', addresses: ['192.0.2.2/24', '2001:db8:2::2/64'] },
      { host: this.machine, interface: 'eth0', addresses: ['192.0.2.1/24', '2001:db8:2::1/64'] },
    )
    this.#inside = enter(this.machine)
  }

  /** Runs `naru up` on the rules. @param env where its guests are, such as DOCKER_HOST */
  async up(rules: Readonly<Record<string, RuleInput>>, env: NodeJS.ProcessEnv = {}): Promise<void> {
    const state = join(this.#folder, 'state')
    mkdirSync(state, { mode: 0o700 })
    this.#env = {
      PATH: process.env.PATH,
      HOME: this.#folder,
      NARU_STATE: state,
      LANG: 'C',
      NO_COLOR: '1',
      ...env,
    }
    const config = join(this.#folder, 'naru.yaml')
    writeFileSync(config, JSON.stringify({ rules }))
    const child = this.machine.start([process.execPath, main, 'up', '--config', config], { env: this.#env })
    this.#naru = child
    let said = ''
    const keep = (text: Buffer): void => void (said += text.toString())
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const limit = performance.now() + 30_000
    while (!said.includes('undoes everything')) {
      if (child.exitCode !== null || performance.now() > limit) throw new Error(`naru up: ${said}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** What a verb of Naru prints on the machine. */
  async naru(...args: readonly string[]): Promise<string> {
    const argv = ['netns', 'exec', this.machine.namespace, process.execPath, main, ...args]
    const done = await run('ip', argv, { env: this.#env, timeout: 20_000 }).catch(
      (error: unknown) => error as { stdout: string },
    )
    return done.stdout
  }

  async status(): Promise<ReadonlyMap<string, RuleStatus>> {
    const { rules } = JSON.parse(await this.naru('ls', '--json')) as { rules: RuleStatus[] }
    return new Map(rules.map((rule) => [rule.name, rule]))
  }

  /** The page that the client gets at that port of the machine; empty where it gets none. */
  async page(port: number, host = '192.0.2.1'): Promise<string> {
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/`
    try {
      const { stdout } = await run('ip', ['netns', 'exec', this.client.namespace, 'curl', '-gsm', '3', url])
      return stdout.trim()
    } catch {
      return ''
    }
  }

  /** What the client gets at each of the ports. */
  async pages(...ports: readonly number[]): Promise<Record<number, string>> {
    const got = ports.map(async (port) => [port, await this.page(port)] as const)
    return Object.fromEntries(await Promise.all(got))
  }

  /** Resolves when the client gets that page. @throws with what it got last, after `ms` */
  async until(port: number, page: string, ms = 15_000): Promise<void> {
    const began = performance.now()
    for (;;) {
      const got = await this.page(port)
      if (got === page) return
      if (performance.now() - began > ms) throw new Error(`port ${port} gave "${got}", not "${page}"`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** SIGTERM. @returns its exit code */
  async down(): Promise<number | null> {
    const naru = this.#naru
    this.#naru = null
    if (!naru) return null
    await end(naru)
    return naru.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.down()
    } finally {
      this.#inside[Symbol.dispose]()
      await this.#lab[Symbol.asyncDispose]()
      rmSync(this.#folder, { recursive: true, force: true })
    }
  }
}
