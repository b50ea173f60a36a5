/** Rules whose busy flows the kernel carries, in a process of their own between a client and a target of the lab. */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket, type BindOptions, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import type { Counters } from '../../src/model/connection.ts'
import { enter } from './enter.ts'
import { hostAddress, targetAddress } from './kernel-lab.ts'
import type { LabHost } from './namespaces.ts'

const script = fileURLToPath(new URL('offload-process.mjs', import.meta.url))
export const families = [4, 6] as const
export type Family = (typeof families)[number]
/** As rules and sockets name them. */
export const places = {
  4: { listen: '0.0.0.0', target: targetAddress, host: hostAddress, ipAndUdp: 28 },
  6: { listen: '[fd01::1]', target: '[fd02::2]', host: 'fd01::1', ipAndUdp: 48 },
} as const
export class Relay {
  readonly #child: ChildProcess
  readonly #lines: Interface

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout! })
  }

  static async start(host: LabHost, engine: 'splice' | 'kernel', rule: object): Promise<Relay> {
    const child = host.start([process.execPath, script, engine, JSON.stringify(rule)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const relay = new Relay(child)
    expect(await relay.#line()).toBe('ready')
    return relay
  }

  async ask(what: 'counters' | 'release'): Promise<Counters> {
    this.#child.stdin?.write(`${what}\n`)
    return JSON.parse(await this.#line()) as Counters
  }

  async #line(): Promise<string> {
    const [line] = (await once(this.#lines, 'line', { signal: AbortSignal.timeout(20_000) })) as [string]
    return line
  }

  /** Resolves when not one of its threads runs any more: each is stopped for itself. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP')
    const threads = `/proc/${this.#child.pid}/task`
    const runs = (thread: string): boolean => !/\) T /.test(readFileSync(`${threads}/${thread}/stat`, 'utf8'))
    await until(5000, () => Promise.resolve(!readdirSync(threads).some(runs)))
  }

  signal(name: 'SIGCONT' | 'SIGKILL'): void {
    this.#child.kill(name)
  }
}

/** One client that talks with an echo: each message has a number, and others of its length. */
export class Talk implements Disposable {
  readonly #socket: Socket
  readonly #port: number
  readonly #address: string
  /** What was said and is not answered yet, and who waits for that. */
  readonly #open: { message: Buffer; heard: () => void }[] = []
  sent = 0
  sentBytes = 0
  answered = 0
  answeredBytes = 0
  wrong = 0

  private constructor(socket: Socket, port: number, address: string) {
    this.#socket = socket
    this.#port = port
    this.#address = address
    socket.on('message', (answer) => this.#hear(answer))
  }

  get port(): number {
    return this.#socket.address().port
  }

  static async begin(
    host: LabHost,
    port: number,
    { family = 4, ...from }: BindOptions & { family?: Family } = {},
  ): Promise<Talk> {
    const socket = createSocket(`udp${family}`)
    {
      using _inside = enter(host)
      socket.bind(from)
      await once(socket, 'listening')
    }
    socket.on('error', () => {})
    return new Talk(socket, port, places[family].host)
  }

  /** Says `count` messages, each once the one before was answered or `patienceMs` went by. @returns how many were. */
  async say(
    count: number,
    patienceMs = 200,
    bytes = (i: number): number => (i * 37) % 1400,
  ): Promise<number> {
    let answered = 0
    for (let i = 0; i < count; i++) {
      const message = randomBytes(bytes(i))
      this.sent++
      this.sentBytes += message.length
      this.#socket.send(message, this.#port, this.#address)
      const inTime = await new Promise<boolean>((resolve) => {
        const limit = setTimeout(() => resolve(false), patienceMs)
        const heard = (): void => {
          clearTimeout(limit)
          resolve(true)
        }
        this.#open.push({ message, heard })
      })
      if (inTime) answered++
    }
    return answered
  }

  /** An answer that comes late is right all the same. */
  #hear(answer: Buffer): void {
    this.answered++
    this.answeredBytes += answer.length
    const at = this.#open.findLastIndex(({ message }) => message.equals(answer))
    if (at === -1) this.wrong++
    else for (const { heard } of this.#open.splice(at, 1)) heard()
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Asks again until it is so, and leaves others a moment to make it so. */
export async function until(limitMs: number, holds: () => Promise<boolean>): Promise<number> {
  const began = performance.now()
  while (!(await holds())) {
    if (performance.now() - began > limitMs) throw new Error(`not so after ${limitMs} ms`)
    await pause(5)
  }
  return performance.now() - began
}

/**
 * What goes to the owner waits for it, as it is stopped: a datagram a second each way, and of the rest none. So many
 * messages, or what a busy machine can say of them while it is still believed that the owner lives.
 */
export async function expectCarried(talk: Talk, messages: number): Promise<void> {
  const began = performance.now()
  const elapsed = (): number => performance.now() - began
  let [said, answered] = [0, 0]
  for (; said < messages && elapsed() < 2000; said++)
    answered += await talk.say(1, 200, () => (said * 37) % 1400)
  expect(said - answered).toBeLessThanOrEqual(2 * (Math.ceil(elapsed() / 1000) + 1))
}
