/**
 * What two Narus say to each other while one takes the other's place: a JSON line each, over a Unix socket in a
 * folder that only their user enters. When it closes, the other one is gone.
 */
import { once } from 'node:events'
import { chmod, readdir, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { systemClock, withLimit } from '../../base/clock.ts'
import { errnoOf } from '../../base/errors.ts'
import type { Offer } from '../../rules/hand-over.ts'

export type Message =
  | { readonly type: 'hello'; readonly pid: number; readonly speaks: number }
  /** Its sockets' descriptors come by the other way, in this order, the page's last. */
  | { readonly type: 'offer'; readonly offer: Offer; readonly page: Page | null }
  | { readonly type: 'no'; readonly why: string }
  /** Everything is open; nothing is accepted yet. */
  | { readonly type: 'ready' }
  /** Nobody else reads datagrams of new clients any more. */
  | { readonly type: 'yours' }
  | { readonly type: 'serving' }
  | { readonly type: 'left'; readonly connections: number }

/** Where the web page and the API listen. */
export interface Page {
  readonly address: string
  readonly port: number
  /** What its links and sessions were made with. */
  readonly key: string
  /** Its own address's, and one at the other address of `localhost`. @default 1 */
  readonly sockets?: number
}

/** Changes with what is said; another number is refused. */
export const speaks = 3
/** A range of thousands of ports has a socket each. */
const longestLine = 64 << 20

export const doorOf = (apiSocket: string): string => `${apiSocket}.place`
/** Each contender has its own, so that none takes away another's. No longer than the door's: a socket's path is short. */
export const intakeOf = (apiSocket: string, pid: number): string =>
  join(dirname(apiSocket), `f${pid.toString(36)}`)

/** What contenders left that were killed. */
export async function sweepIntakes(apiSocket: string): Promise<void> {
  const folder = dirname(apiSocket)
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = /^f([\da-z]{1,7})$/.exec(name)?.[1]
    if (pid !== undefined && !lives(Number.parseInt(pid, 36))) await rm(join(folder, name), { force: true })
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

export class Channel {
  readonly #socket: Socket
  readonly #heard: Message[] = []
  #text = ''
  #tell: () => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text) => this.#hear(String(text)))
    socket.on('error', () => {})
    socket.on('close', () => this.#tell())
  }

  /** @throws Error where nobody is there */
  static async to(path: string): Promise<Channel> {
    const socket = connect({ path })
    await once(socket, 'connect')
    return new Channel(socket)
  }

  /** Its descriptor, while it is open. */
  get fd(): number {
    return (this.#socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1
  }

  say(message: Message): void {
    this.#socket.write(`${JSON.stringify(message)}\n`)
  }

  /** The next message, of that type. @throws Error where it is another, the other side is gone, or `limitMs` pass */
  async next<T extends Message['type']>(
    type: T,
    { limitMs, signal }: { limitMs: number; signal?: AbortSignal },
  ): Promise<Extract<Message, { type: T }>> {
    const limited = withLimit(signal, limitMs)
    while (this.#heard.length === 0) {
      if (this.#socket.destroyed) throw new Error('it ended')
      limited.throwIfAborted()
      await this.#something(limited)
    }
    const message = this.#heard.shift() as Message
    if (message.type === 'no') throw new Error(message.why)
    if (message.type !== type) throw new Error(`it said ${message.type} where ${type} was due`)
    return message as Extract<Message, { type: T }>
  }

  close(): void {
    this.#socket.end()
    systemClock.after(1000, () => this.#socket.destroy())
  }

  #something(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#tell = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  #hear(text: string): void {
    this.#text += text
    if (this.#text.length > longestLine) return void this.#socket.destroy()
    const lines = this.#text.split('\n')
    this.#text = lines.pop() as string
    for (const line of lines) {
      try {
        this.#heard.push(JSON.parse(line) as Message)
      } catch {
        this.#socket.destroy()
      }
    }
    this.#tell()
  }
}

/** Listens for a successor until it is disposed. */
export async function openDoor(
  path: string,
  onChannel: (channel: Channel) => void,
): Promise<AsyncDisposable> {
  await rm(path, { force: true })
  const server = createServer((socket) => onChannel(new Channel(socket)))
  server.listen({ path })
  await once(server, 'listening')
  await chmod(path, 0o600)
  server.unref()
  return {
    [Symbol.asyncDispose]() {
      server.close()
      return Promise.resolve()
    },
  }
}
