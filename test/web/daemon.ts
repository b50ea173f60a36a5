/**
 * The built daemon on a file, a state folder and a port of its own, as `naru up` starts it: the whole program, web page
 * and all. It can be killed and started again in the same place.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createClient, type NaruClient } from '../../src/api/client/client.ts'
import { socketTransport } from '../../src/api/client/socket.ts'
import { holderOf, instanceIdOf } from '../../src/instance/instance.ts'
import { end } from '../lab/namespaces.ts'
import { freePort } from '../free-port.ts'
import { patience } from './patience.ts'

const main = join(import.meta.dirname, '../../dist/main.js')

export interface DaemonOptions {
  /** Text of its naru.yaml. @default no rules */
  readonly file?: string
  /** Words that take a command to another host. @default this one */
  readonly through?: readonly string[]
}

/** What `naru up --json` says when its rules are open. */
interface Ready {
  readonly loginUrl: string
  readonly readOnlyUrl: string
}

export class Daemon implements AsyncDisposable {
  readonly #folder: string
  readonly #port: number
  readonly #through: readonly string[]
  #child: ChildProcess | null = null
  #ready: Ready | null = null

  private constructor(folder: string, port: number, through: readonly string[]) {
    this.#folder = folder
    this.#port = port
    this.#through = through
  }

  static async start({ file = 'rules: {}\n', through = [] }: DaemonOptions = {}): Promise<Daemon> {
    const folder = await mkdtemp(join(tmpdir(), 'naru-web-'))
    await writeFile(join(folder, 'naru.yaml'), file)
    const daemon = new Daemon(folder, await freePort(), through)
    await daemon.start()
    return daemon
  }

  /** Again in its place, after `kill` or `stop`. @throws where it does not come up */
  async start(): Promise<void> {
    const child = this.command('up', '--config', this.#path, '--api', `127.0.0.1:${this.#port}`, '--json')
    this.#child = child
    this.#ready = await readyOf(child)
  }

  /** A verb on the same machine, as the daemon's own user types it. */
  command(...words: readonly string[]): ChildProcess {
    const [command = '', ...rest] = [...this.#through, process.execPath, main, ...words]
    const { NARU_CONFIG: _config, ...inherited } = process.env
    const env = { ...inherited, NARU_STATE: this.#folder, HOME: this.#folder, LANG: 'C', NO_COLOR: '1' }
    return spawn(command, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get loginUrl(): string {
    return this.#said.loginUrl
  }

  get readOnlyUrl(): string {
    return this.#said.readOnlyUrl
  }

  /** As a program of the owner asks its API. */
  async ask(method: string, path: string, body?: object): Promise<Response> {
    const token = new URL(this.loginUrl).searchParams.get('token')
    return fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', connection: 'close' },
      ...(body && { body: JSON.stringify(body) }),
    })
  }

  /** As its owner's CLI asks, by the local socket: also where its network is another. */
  async client(): Promise<NaruClient> {
    const holder = await holderOf(this.#folder, await instanceIdOf(this.#path))
    if (holder === null) throw new Error('the daemon does not run')
    return createClient(socketTransport({ socketPath: holder.socket, file: this.#path }))
  }

  file(): Promise<string> {
    return readFile(this.#path, 'utf8')
  }

  /** As a person edits the file. */
  async rewrite(change: (text: string) => string): Promise<void> {
    await writeFile(this.#path, change(await this.file()))
  }

  /** The plug is pulled. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** SIGTERM: everything is undone. */
  async stop(): Promise<void> {
    if (this.#child) await end(this.#child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  get #path(): string {
    return join(this.#folder, 'naru.yaml')
  }

  get #said(): Ready {
    if (this.#ready === null) throw new Error('the daemon has not started')
    return this.#ready
  }
}

async function readyOf(child: ChildProcess): Promise<Ready> {
  let complaints = ''
  child.stderr?.on('data', (text: Buffer) => (complaints += text.toString()))
  const late = setTimeout(() => child.kill('SIGKILL'), 2 * patience)
  try {
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream }))
      return JSON.parse(line) as Ready
  } finally {
    clearTimeout(late)
    // Nobody reads on, and a full pipe must not stop it.
    child.stdout?.resume()
  }
  throw new Error(`naru up ended: ${complaints}`)
}
