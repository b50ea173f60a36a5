/**
 * Dials a target: its addresses by Happy Eyeballs (RFC 8305 §5: the next 250 ms later, or at once when one fails),
 * all within the connect timeout. Nothing has been read from the client for good by then, so another target can
 * still be tried.
 */
import { connect, isIP, type NetConnectOpts, type Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { errnoOf, isNaruError } from '../base/errors.ts'
import type { CloseReason } from '../model/connection.ts'
import { Intake } from './intake.ts'
import { attemptDelayMs } from './eyeballs.ts'
import { ownPortOf } from './handle.ts'
import { OwnStreamDials } from './own-dials.ts'
import { ownLack, type OwnLack } from './own-lack.ts'
import { reset } from './pipe.ts'

export interface DialOptions {
  readonly connectMs: number
  /** How many crossings of ours the client has behind it. @default 0 */
  readonly behind?: number
  readonly keepaliveMs: number
  /** Most bytes to read at once. @default as many as there are */
  readonly maxRead?: number
  readonly clock: Clock
  readonly onSocket: OnDialled
  readonly onFailure: OnDialFailure
}

export type DialReason = Extract<
  CloseReason,
  | 'target-refused'
  | 'target-unreachable'
  | 'target-reset'
  | 'connect-timeout'
  | 'name-not-found'
  | 'loop'
  | 'no-such-name'
  | OwnLack
  | 'engine-error'
>

/** @param intake where its bytes come out; it emits no `data`. */
export type OnDialled = (socket: Socket, intake: Intake) => void

/** @param error the system's last word, where it had one. */
export type OnDialFailure = (reason: DialReason, error: unknown) => void

/** Where a stream can go. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string }

/** A dial under way. It ends once, by `onSocket` or `onFailure`, unless it is cancelled. */
export class Dial {
  readonly #rest: Endpoint[]
  readonly #options: DialOptions
  readonly #attempts = new Set<Socket>()
  readonly #limit: Disposable
  #next: Disposable | null = null
  #lastError: unknown = null

  /** @param endpoints at least one, in the order to try. */
  constructor(endpoints: readonly Endpoint[], options: DialOptions) {
    this.#rest = [...endpoints]
    this.#options = options
    this.#limit = options.clock.after(options.connectMs, () => this.#fail('connect-timeout', null))
    this.#attempt()
  }

  /** One that got through without our having heard of it is reset: nobody has spoken, and nobody ends in peace. */
  cancel(): void {
    this.#limit[Symbol.dispose]()
    this.#next?.[Symbol.dispose]()
    for (const socket of this.#attempts) resetDial(deaf(socket))
    this.#attempts.clear()
  }

  #attempt(): void {
    this.#next?.[Symbol.dispose]()
    const endpoint = this.#rest.shift()
    if (endpoint === undefined) {
      if (this.#attempts.size === 0) this.#fail(dialReason(this.#lastError), this.#lastError)
      return
    }
    const intake = new Intake(this.#options.maxRead)
    const { behind = 0, keepaliveMs } = this.#options
    if ('port' in endpoint) process.nextTick(() => OwnStreamDials.main.begins(endpoint.port, behind))
    const socket = connect(socketOptions(endpoint, intake, keepaliveMs))
    if ('port' in endpoint) process.nextTick(() => noteDial(socket, behind))
    this.#attempts.add(socket)
    socket.once('connect', () => {
      if (metItself(socket)) this.#leaveItself(socket)
      else this.#won(socket, intake)
    })
    socket.once('error', (error) => this.#lost(socket, error))
    if (this.#rest.length > 0) this.#next = this.#options.clock.after(attemptDelayMs, () => this.#attempt())
  }

  #won(socket: Socket, intake: Intake): void {
    this.#attempts.delete(socket)
    this.cancel()
    socket.removeAllListeners('error')
    this.#options.onSocket(socket, intake)
  }

  #leaveItself(socket: Socket): void {
    reset(deaf(socket))
    this.#lost(socket, Object.assign(new Error('nobody listens there'), { code: 'ECONNREFUSED' }))
  }

  #lost(socket: Socket, error: Error): void {
    this.#attempts.delete(socket)
    this.#lastError = error
    this.#attempt()
  }

  #fail(reason: DialReason, error: unknown): void {
    this.cancel()
    this.#options.onFailure(reason, error)
  }
}

/**
 * Where nobody listens on a port of this machine that the system gives out by itself, a dial may be given that very port
 * and then meets itself (RFC 9293 §3.5, simultaneous open).
 */
export function metItself({ localPort, remotePort, localAddress, remoteAddress }: Socket): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress
}

function socketOptions(endpoint: Endpoint, { onread }: Intake, keepaliveMs: number): NetConnectOpts {
  if ('path' in endpoint) return { path: endpoint.path, allowHalfOpen: true, onread }
  return {
    host: endpoint.host,
    port: endpoint.port,
    allowHalfOpen: true,
    onread,
    noDelay: true,
    keepAlive: keepaliveMs > 0,
    keepAliveInitialDelay: keepaliveMs,
    autoSelectFamily: false,
  }
}

export function dialReason(error: unknown): DialReason {
  if (isNaruError(error)) return 'name-not-found'
  const lack = ownLack(errnoOf(error) ?? '', addressIn(error))
  if (lack) return lack
  switch (errnoOf(error)) {
    case 'ECONNREFUSED':
    case 'ENOENT':
    case 'EAGAIN':
      return 'target-refused'
    case 'ECONNRESET':
      return 'target-reset'
    case 'ETIMEDOUT':
      return 'connect-timeout'
    default:
      return 'target-unreachable'
  }
}

/** Node names what it dialled in its errors: an address, or a path. */
function addressIn(error: unknown): string | null {
  const { address } = error as { readonly address?: unknown }
  return typeof address === 'string' && isIP(address) !== 0 ? address : null
}

function deaf(socket: Socket): Socket {
  return socket.removeAllListeners('connect').removeAllListeners('error').on('error', ignore)
}

/** Node dials in the next tick, where this follows it: whoever is reached may be a rule of ours, on another thread. */
function noteDial(socket: Socket, behind: number): void {
  const own = ownPortOf(socket)
  if (own === 0) return OwnStreamDials.main.fails()
  OwnStreamDials.main.leaves(own, behind)
  socket.once('close', () => OwnStreamDials.main.ended(own))
}

/** At once: Node would wait with a reset until the dial has got through. */
function resetDial(socket: Socket): void {
  ;(socket as { connecting: boolean }).connecting = false
  reset(socket)
}

function ignore(): void {}
