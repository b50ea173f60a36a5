/**
 * What clients of the API may cost together, whoever they are: connections that have shown no token give way to newer
 * ones, the requests of one connection are answered one after the other, and answers that nobody takes are bounded.
 */
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface ConnectionLimits {
  /** Connections that have shown no token; the oldest gives way. @default 128 */
  readonly strangers?: number
  /** Connections that have; the one that has been idle for longest gives way. @default 384 */
  readonly known?: number
  /** Requests of one connection that wait for their turn; one more ends it. @default 64 */
  readonly pipelined?: number
  /** Bytes of all answers that no client has taken yet; past them the oldest answer is cut off. @default 32 MiB */
  readonly unsentBytes?: number
}

interface Turns {
  waiting: number
  last: Promise<unknown>
}

export class Connections {
  readonly #limits: Required<ConnectionLimits>
  readonly #strangers = new Set<Socket>()
  /** The one that asked least lately comes first. */
  readonly #known = new Set<Socket>()
  readonly #turns = new WeakMap<Socket, Turns>()
  /** The oldest first. */
  readonly #unsent = new Map<ServerResponse, number>()
  #unsentBytes = 0

  constructor(limits: ConnectionLimits = {}) {
    this.#limits = { strangers: 128, known: 384, pipelined: 64, unsentBytes: 32 << 20, ...limits }
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#strangers.add(socket)
      socket.once('close', () => {
        this.#strangers.delete(socket)
        this.#known.delete(socket)
      })
      const [oldest] = this.#strangers
      if (this.#strangers.size > this.#limits.strangers) oldest?.destroy()
    })
  }

  /** The connection has shown that it may ask. */
  prove(socket: Socket): void {
    if (socket.destroyed) return
    this.#strangers.delete(socket)
    this.#known.delete(socket)
    this.#known.add(socket)
    if (this.#known.size <= this.#limits.known) return
    const idle = [...this.#known].find((one) => (this.#turns.get(one)?.waiting ?? 0) === 0)
    ;(idle ?? socket).destroy()
  }

  /** Has `handle` answer once the requests before it on the same connection are answered. */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    handle: () => Promise<void>,
  ): Promise<void> {
    const { socket } = request
    const turns = this.#turns.get(socket) ?? { waiting: 0, last: Promise.resolve() }
    this.#turns.set(socket, turns)
    if (turns.waiting >= this.#limits.pipelined) return void socket.destroy()
    turns.waiting++
    const before = turns.last
    const over = once(response, 'close').catch(() => {})
    turns.last = over
    await before
    void over.then(() => turns.waiting--)
    if (socket.destroyed) return
    await handle()
    this.#owe(response)
  }

  /** Counts what of a whole answer is still here. */
  #owe(response: ServerResponse): void {
    const { socket } = response
    if (!socket || response.writableFinished || socket.writableLength === 0) return
    const bytes = socket.writableLength
    this.#unsent.set(response, bytes)
    this.#unsentBytes += bytes
    response.once('close', () => this.#settle(response))
    for (const oldest of this.#unsent.keys()) {
      if (this.#unsentBytes <= this.#limits.unsentBytes || oldest === response) return
      // Its end is heard of later; until then it must not be counted, or one more would be cut for it.
      this.#settle(oldest)
      oldest.destroy()
    }
  }

  #settle(response: ServerResponse): void {
    this.#unsentBytes -= this.#unsent.get(response) ?? 0
    this.#unsent.delete(response)
  }
}
