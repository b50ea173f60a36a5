/**
 * One client's way across: which target, at which address, the next one where it does not answer, and then the
 * pipe. Until a target is connected nothing of the client's is given away, so every target gets all of it.
 */
import type { Socket } from 'node:net'
import { formatEndpoint } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { CloseReason } from '../model/connection.ts'
import type { Target } from '../model/target.ts'
import { Dial, dialReason, type DialReason, type Endpoint } from './dial.ts'
import type { Intake } from './intake.ts'
import type { Live } from './meter.ts'
import type { TargetState } from './pick.ts'
import { Pipe } from './pipe.ts'
import { plainRoute, portOf, withoutLoops, type Resolve, type Route } from './route.ts'
import type { Terms } from './terms.ts'

export interface CrossingOptions {
  readonly terms: Terms
  readonly live: Live
  readonly clock: Clock
  /** The client's; empty for a Unix client. */
  readonly address: string
  /** By which of the rule's ports it came; 0 for a Unix socket. */
  readonly port: number
  readonly resolve: Resolve
  /** The system had no descriptor left. */
  readonly onExhausted: () => void
  readonly onClosed: (reason: CloseReason) => void
}

export class Crossing {
  readonly #pipe: Pipe
  readonly #options: CrossingOptions
  #waiting: TargetState[] = []
  #carrier: TargetState | null = null
  #cancelDial: (() => void) | null = null
  #bytesSeen = -1
  #movedAtMs = 0

  constructor(client: Socket, options: CrossingOptions) {
    const { live, clock, terms } = options
    this.#options = options
    this.#pipe = new Pipe(client, {
      live,
      clock,
      bucket: terms.bucket,
      onClosed: (reason) => this.#closed(reason),
    })
  }

  start(): void {
    const { terms, address, clock } = this.#options
    this.#waiting = [...terms.targets.order(address, clock.monotonic())]
    this.#tryNext('no-such-name')
  }

  abort(reason: CloseReason): void {
    this.#pipe.abort(reason)
  }

  probe(): void {
    this.#pipe.probeHalfClosed()
  }

  /** Asked at least four times within the limit; costs the bytes' own path nothing. */
  isIdle(nowMs: number): boolean {
    const { idleMs } = this.#options.terms.rule.timeouts
    const { bytesToTarget, bytesToClient } = this.#options.live
    if (bytesToTarget + bytesToClient !== this.#bytesSeen) {
      this.#bytesSeen = bytesToTarget + bytesToClient
      this.#movedAtMs = nowMs
    }
    return idleMs > 0 && nowMs - this.#movedAtMs >= idleMs
  }

  /** @param reason why the one before failed: what the client's record says if none is left. */
  #tryNext(reason: DialReason): void {
    if (this.#pipe.closed) return
    const state = this.#waiting.shift()
    if (state === undefined) return this.#pipe.abort(reason)
    const { listen } = this.#options.terms.rule
    const target = state.choice.to
    if (target.kind === 'unix') return this.#dial(state, [{ path: target.path }], this.#connectMs)
    const port = portOf(target, listen, this.#options.port)
    const plain = plainRoute(target, port)
    if (plain) this.#follow(state, plain, this.#connectMs)
    else void this.#lookUp(state, target, port)
  }

  get #connectMs(): number {
    return this.#options.terms.rule.timeouts.connectMs
  }

  /** Finding the address counts towards the connect timeout. */
  async #lookUp(state: TargetState, target: Target, port: number): Promise<void> {
    const { clock, resolve } = this.#options
    const began = clock.monotonic()
    const stop = new AbortController()
    const limit = clock.after(this.#connectMs, () => stop.abort())
    this.#cancelDial = () => stop.abort()
    try {
      const { addresses, ttlMs } = await resolve(target, { signal: stop.signal })
      const leftMs = Math.max(this.#connectMs - (clock.monotonic() - began), 1)
      if (!this.#pipe.closed) this.#follow(state, { addresses, port, ttlMs }, leftMs)
    } catch (error) {
      this.#failed(state, stop.signal.aborted ? 'connect-timeout' : dialReason(error), error)
    } finally {
      limit[Symbol.dispose]()
    }
  }

  #follow(state: TargetState, route: Route, connectMs: number): void {
    const open = withoutLoops(route, this.#options.terms.rule.listen)
    if (open === null)
      return this.#failed(state, route.addresses.length > 0 ? 'loop' : 'name-not-found', null)
    const endpoints = open.addresses.map((host) => ({ host, port: open.port }))
    this.#dial(state, endpoints, connectMs)
  }

  #dial(state: TargetState, endpoints: readonly Endpoint[], connectMs: number): void {
    const { clock, terms } = this.#options
    const dial = new Dial(
      endpoints,
      { connectMs, keepaliveMs: terms.rule.timeouts.keepaliveMs, clock },
      (socket, intake) => this.#connected(state, socket, intake),
      (reason, error) => this.#failed(state, reason, error),
    )
    this.#cancelDial = () => dial.cancel()
  }

  #connected(state: TargetState, socket: Socket, intake: Intake): void {
    this.#cancelDial = null
    state.succeeded()
    state.open++
    this.#carrier = state
    const { remoteAddress, remotePort } = socket
    this.#options.live.target =
      remoteAddress === undefined
        ? state.choice.to.kind === 'unix'
          ? `unix:${state.choice.to.path}`
          : null
        : formatEndpoint(remoteAddress, remotePort ?? 0)
    this.#pipe.connect(socket, intake)
  }

  #failed(state: TargetState, reason: DialReason, error: unknown): void {
    this.#cancelDial = null
    // A client that left while we dialled says nothing about the target.
    if (this.#pipe.closed) return
    // What this machine lacks is not the target's fault.
    if (reason !== 'engine-error') state.failed(this.#options.clock.monotonic())
    else if (errnoOf(error) === 'EMFILE' || errnoOf(error) === 'ENFILE') this.#options.onExhausted()
    this.#tryNext(reason)
  }

  #closed(reason: CloseReason): void {
    this.#cancelDial?.()
    if (this.#carrier) this.#carrier.open--
    this.#options.onClosed(reason)
  }
}
