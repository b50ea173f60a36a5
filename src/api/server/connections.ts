/**
 * What clients of the API may cost together, whoever they are: connections that have shown no token give way to newer
 * ones, the requests of one connection are answered one after the other, those of all in turns, and requests that wait
 * and answers that nobody takes are bounded. Each token has its own share of it, and so have those without one.
 */
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Access } from '../protocol/wire.ts'
import { Turns } from './turns.ts'

export interface ConnectionLimits {
  /** Connections that have shown no token; the oldest gives way. @default 128 */
  readonly strangers?: number
  /** Connections that have shown the same token; one that waits for nothing gives way. @default 256 */
  readonly known?: number
  /** Requests of one connection that wait for their turn; one more ends it. @default 64 */
  readonly pipelined?: number
  /** Requests that wait with the same token; past them the connection with most of them ends. @default 4096 */
  readonly waiting?: number
  /** Bytes of all answers that no client has taken yet; past them the oldest answer is cut off. @default 32 MiB */
  readonly unsentBytes?: number
}

/** The connections that came with the same token, or with none. */
interface Party {
  /** The one that asked least lately comes first. */
  readonly sockets: Set<Socket>
  waiting: number
}

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handle: () => Promise<void>
  /** Of `performance.now()`. */
  readonly at: number
}

interface Client {
  party: Party
  /** The one that is being answered comes first. */
  readonly asked: Asked[]
}

const askedAtOf = new WeakMap<IncomingMessage, number>()

/** Since when a request wants to know how things are, of `performance.now()`: after what its connection changed before it. */
export const askedAt = (request: IncomingMessage): number => askedAtOf.get(request) ?? performance.now()

export class Connections {
  readonly #limits: Required<ConnectionLimits>
  readonly #turns: Turns
  readonly #strangers = newParty()
  readonly #known: Readonly<Record<Access, Party>> = { full: newParty(), read: newParty() }
  readonly #clients = new WeakMap<Socket, Client>()
  /** The oldest first. */
  readonly #unsent = new Map<ServerResponse, number>()
  #unsentBytes = 0

  constructor(limits: ConnectionLimits = {}, turns: Turns = new Turns()) {
    this.#limits = {
      strangers: 128,
      known: 256,
      pipelined: 64,
      waiting: 4096,
      unsentBytes: 32 << 20,
      ...limits,
    }
    this.#turns = turns
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#clientOf(socket)
      const [oldest] = this.#strangers.sockets
      if (oldest && this.#strangers.sockets.size > this.#limits.strangers) this.#drop(oldest)
    })
  }

  /** The connection has shown that it may ask. */
  prove(socket: Socket, access: Access): void {
    if (socket.destroyed) return
    const party = this.#known[access]
    this.#join(socket, party)
    if (party.sockets.size > this.#limits.known) this.#drop(this.#leastNeeded(party, socket))
    this.#bound(party)
  }

  /** Has `handle` answer when it is the connection's turn, and the requests before it on it are answered. */
  answer(request: IncomingMessage, response: ServerResponse, handle: () => Promise<void>): void {
    const { socket } = request
    if (socket.destroyed) return
    const client = this.#clientOf(socket)
    if (client.asked.length >= this.#limits.pipelined) return this.#drop(socket)
    client.asked.push({ request, response, handle, at: performance.now() })
    client.party.waiting++
    this.#bound(client.party)
    if (client.asked.length === 1) void this.#serve(socket, client)
  }

  async #serve(socket: Socket, client: Client): Promise<void> {
    let changedAt = 0
    for (let next = client.asked[0]; next; next = client.asked[0]) {
      await this.#turns.take(socket)
      if (socket.destroyed) return
      const { request, response, handle, at } = next
      askedAtOf.set(request, Math.max(at, changedAt))
      const over = once(response, 'close').catch(() => {})
      await handle()
      this.#owe(response)
      await over
      if (request.method !== 'GET' && request.method !== 'HEAD') changedAt = performance.now()
      client.asked.shift()
      if (client.party.sockets.has(socket)) client.party.waiting--
    }
  }

  #clientOf(socket: Socket): Client {
    const known = this.#clients.get(socket)
    if (known) return known
    const client: Client = { party: this.#strangers, asked: [] }
    this.#clients.set(socket, client)
    this.#join(socket, client.party)
    // Node tells the end of the answer that is being written alone, not of those behind it.
    socket.once('close', () => this.#leave(socket))
    return client
  }

  /** Comes last in its party, the same one or another. */
  #join(socket: Socket, party: Party): void {
    const client = this.#clientOf(socket)
    this.#leave(socket)
    client.party = party
    party.sockets.add(socket)
    party.waiting += client.asked.length
  }

  #leave(socket: Socket): void {
    const { party, asked } = this.#clientOf(socket)
    if (party.sockets.delete(socket)) party.waiting -= asked.length
  }

  #drop(socket: Socket): void {
    this.#leave(socket)
    socket.destroy()
  }

  #bound(party: Party): void {
    if (party.waiting > this.#limits.waiting) this.#drop(mostOf(party.sockets, (one) => this.#waitingOn(one)))
  }

  #waitingOn(socket: Socket): number {
    return this.#clientOf(socket).asked.length
  }

  /** The one that has been idle for longest, else one that does not take its answer, else the newest. */
  #leastNeeded({ sockets }: Party, newest: Socket): Socket {
    for (const socket of sockets) if (this.#waitingOn(socket) === 0) return socket
    for (const { socket } of this.#unsent.keys()) if (socket && sockets.has(socket)) return socket
    return newest
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

function newParty(): Party {
  return { sockets: new Set(), waiting: 0 }
}

function mostOf<T>(things: Iterable<T>, count: (thing: T) => number): T {
  return [...things].reduce((most, thing) => (count(thing) > count(most) ? thing : most))
}
