/**
 * One client's way across: who it says it is, whether it may come in, which target, at which address, the next one
 * where it does not answer, and then the pipe. Until a target is connected nothing of the client's is given away,
 * so every target gets all of it.
 */
import type { Socket } from 'node:net'
import { formatEndpoint, unmapped } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { errnoOf } from '../../base/errors.ts'
import type { CloseReason } from '../../model/connection.ts'
import type { Target } from '../../model/target.ts'
import type { Admitted, Ticket } from '../../relay/admit.ts'
import type { Anteroom } from '../../relay/anteroom.ts'
import { AskedName } from '../../relay/asked-name.ts'
import { isTargetsFault } from '../../relay/blame.ts'
import { Dial, dialReason, type DialReason, type Endpoint } from '../../relay/dial.ts'
import type { Intake } from '../../relay/intake.ts'
import type { Live } from '../../relay/meter.ts'
import type { TargetState } from '../../relay/pick.ts'
import { isGone } from '../../relay/gone.ts'
import { Pipe, reset, type AskOutstanding, type TakeError } from '../../relay/pipe.ts'
import { beginsLikeProxy, type Peer } from '../../relay/proxy/header.ts'
import { readProxyHeader } from '../../relay/proxy/read.ts'
import { writeProxyV1, writeProxyV2 } from '../../relay/proxy/write.ts'
import { plainRoute, portOf, withoutLoops, type ResolveTarget, type TargetRoute } from '../../relay/route.ts'
import { proxyDuty, type Terms } from '../../relay/terms.ts'

export interface CrossingOptions {
  readonly terms: Terms
  readonly live: Live
  readonly clock: Clock
  /** Who called, and which of our addresses; null for a Unix client. */
  readonly source: Peer | null
  readonly destination: Peer | null
  /** How many crossings of ours it has behind it. */
  readonly behind: number
  /** By which of the rule's ports it came; 0 for a Unix socket. */
  readonly port: number
  /** The client's place within the limits; null where its address is still to be told by a PROXY header. */
  readonly ticket: Ticket | null
  readonly anteroom: Anteroom
  readonly resolve: ResolveTarget
  readonly outstanding: AskOutstanding
  readonly takeError: TakeError
  /** The system had no descriptor left. */
  readonly onExhausted: () => void
  /** One side has finished speaking; from now on `lookAtHalfClosed` is to be called now and then. */
  readonly onHalfClosed: () => void
  readonly onClosed: (reason: CloseReason) => void
}

const nothing = Buffer.alloc(0)

export class Crossing {
  readonly #pipe: Pipe
  readonly #options: CrossingOptions
  #source: Peer | null
  #destination: Peer | null
  #ticket: Ticket | null
  #waiting: TargetState[] = []
  #carrier: TargetState | null = null
  /** Stops what is under way before the pipe stands. */
  #cancel: (() => void) | null = null
  #movedSeen = -1
  /** What both peers had acknowledged when some of it still waited. */
  #ackedSeen = 0
  #movedAtMs = 0

  constructor(client: Socket, options: CrossingOptions) {
    const { live, clock, terms } = options
    this.#options = options
    this.#source = options.source
    this.#destination = options.destination
    this.#ticket = options.ticket
    const onClosed = (reason: CloseReason): void => this.#closed(reason)
    const { bucket, maxRead } = terms
    const { takeError, onHalfClosed } = options
    this.#pipe = new Pipe(client, { live, clock, bucket, maxRead, takeError, onHalfClosed, onClosed })
  }

  start(): void {
    const { terms, source } = this.#options
    if (terms.proxies === null) return this.#choose()
    const duty = proxyDuty(terms, source?.address ?? '')
    if (duty === 'required') return this.#readProxyHeader()
    this.#choose()
    this.#refuseProxyHeader()
  }

  abort(reason: CloseReason): void {
    this.#pipe.abort(reason)
  }

  lookAtHalfClosed(): void {
    this.#pipe.lookAtHalfClosed()
  }

  /**
   * Why it is to end, if it is: asked at least four times within the idle limit, and within keepalive's. Costs the
   * bytes' own path nothing; the system is asked only where nothing has moved here.
   */
  verdict(nowMs: number): Extract<CloseReason, 'idle' | 'client-lost' | 'target-lost'> | null {
    const { idleMs, keepaliveMs } = this.#options.terms.rule.timeouts
    const { moved, paced } = this.#pipe
    if (paced || moved !== this.#movedSeen) {
      this.#movedSeen = moved
      this.#movedAtMs = nowMs
      return null
    }
    const [client, target] = this.#pipe.outstanding(this.#options.outstanding)
    if (isGone(client, keepaliveMs)) return 'client-lost'
    if (isGone(target, keepaliveMs)) return 'target-lost'
    const acked = (client?.ackedBytes ?? 0) + (target?.ackedBytes ?? 0)
    if ((client || target) && acked !== this.#ackedSeen) this.#movedAtMs = nowMs
    this.#ackedSeen = acked
    return idleMs > 0 && nowMs - this.#movedAtMs >= idleMs ? 'idle' : null
  }

  /** A trusted proxy must say who calls before anything else; whom it names is who is admitted. */
  #readProxyHeader(): void {
    this.#limitWait(() => this.#pipe.abort('proxy-header'))
    this.#pipe.watchEarly((early, ended) => {
      const read = readProxyHeader(early)
      if (read.state === 'bad' || (read.state === 'more' && ended)) return this.#pipe.abort('proxy-header')
      if (read.state === 'more') return
      this.#endWait()
      this.#pipe.unwatch(read.length)
      const { source, destination } = read.header
      if (source) this.#call(source, destination)
      this.#enter()
    })
  }

  #call(source: Peer, destination: Peer | null): void {
    this.#source = { address: unmapped(source.address), port: source.port }
    this.#destination = destination && { address: unmapped(destination.address), port: destination.port }
    this.#options.live.client = formatEndpoint(this.#source.address, source.port)
  }

  /** Whom a trusted proxy named is who is admitted; it may have a moment to wait for its place. */
  #enter(): void {
    const { terms, clock, anteroom } = this.#options
    const address = this.#source?.address ?? ''
    const ask = (): Admitted => terms.admission.admit(address, clock.monotonic())
    const done = (admitted: Admitted): void => {
      if (!admitted.ok) return this.#pipe.abort(admitted.reason)
      this.#ticket = admitted.ticket
      this.#choose()
    }
    const admitted = ask()
    const waits =
      !admitted.ok && anteroom.wait(address, admitted.reason, () => (this.#pipe.closed ? null : ask()), done)
    if (!waits) done(admitted)
  }

  /**
   * From anyone else a header is refused. Only what the client says is held until its first bytes show that they are
   * none: the target may speak first.
   */
  #refuseProxyHeader(): void {
    if (this.#options.terms.targets.byName) return
    this.#pipe.watchEarly((early, ended) => {
      const like = beginsLikeProxy(early)
      if (like === 'yes') this.#pipe.abort('proxy-header')
      else if (like === 'no' || ended) this.#pipe.unwatch()
    })
  }

  #choose(): void {
    const { terms, clock } = this.#options
    if (terms.targets.byName) return this.#readName()
    this.#waiting = [...terms.targets.order(this.#source?.address ?? '', clock.monotonic())]
    this.#tryNext('no-such-name')
  }

  /**
   * The name decides among the targets. What is no TLS and no HTTP, names nobody or says nothing in time, as where the
   * server speaks first, gets those without a name.
   */
  #readName(): void {
    const { terms, source } = this.#options
    const mayProxy = proxyDuty(terms, source?.address ?? '') !== 'refused'
    const asked = new AskedName()
    this.#limitWait(() => this.#chooseBy(null, nothing))
    this.#pipe.watchEarly((early, ended) => {
      const like = mayProxy ? 'no' : beginsLikeProxy(early)
      if (like === 'yes') return this.#pipe.abort('proxy-header')
      if (like === 'maybe' && !ended) return
      const answer = asked.look(early)
      if (answer.state === 'refused') this.#pipe.refuse('no-such-name', answer.refusal)
      else if (answer.state === 'asked') this.#chooseBy(answer.name, answer.refusal)
      else if (ended) this.#chooseBy(null, nothing)
    })
  }

  /** @param refusal what a client understands whose name nobody serves. */
  #chooseBy(name: string | null, refusal: Buffer): void {
    const { terms, clock } = this.#options
    this.#endWait()
    this.#waiting = [...terms.targets.order(this.#source?.address ?? '', clock.monotonic(), name)]
    if (this.#waiting.length === 0) return this.#pipe.refuse('no-such-name', refusal)
    this.#pipe.unwatch()
    this.#tryNext('no-such-name')
  }

  #limitWait(onLate: () => void): void {
    const { clock, terms } = this.#options
    const timer = clock.after(terms.rule.timeouts.helloMs, onLate)
    this.#cancel = () => timer[Symbol.dispose]()
  }

  #endWait(): void {
    this.#cancel?.()
    this.#cancel = null
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
    this.#cancel = () => stop.abort()
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

  #follow(state: TargetState, route: TargetRoute, connectMs: number): void {
    const open = withoutLoops(route, this.#options.terms.rule.listen)
    if (open === null)
      return this.#failed(state, route.addresses.length > 0 ? 'loop' : 'name-not-found', null)
    const endpoints = open.addresses.map((host) => ({ host, port: open.port }))
    this.#dial(state, endpoints, connectMs)
  }

  #dial(state: TargetState, endpoints: readonly Endpoint[], connectMs: number): void {
    const { behind, clock, terms } = this.#options
    const dial = new Dial(endpoints, {
      connectMs,
      keepaliveMs: terms.rule.timeouts.keepaliveMs,
      maxRead: terms.maxRead,
      clock,
      behind,
      onSocket: (socket, intake) => this.#connected(state, socket, intake),
      onFailure: (reason, error) => this.#failed(state, reason, error),
    })
    this.#cancel = () => dial.cancel()
  }

  #connected(state: TargetState, socket: Socket, intake: Intake): void {
    this.#cancel = null
    state.succeeded()
    // The client may have gone in this very turn of the loop, and its end is told only after it (`close`).
    if (this.#pipe.closed) return reset(socket.on('error', () => {}))
    state.open++
    this.#carrier = state
    const { to } = state.choice
    const { remoteAddress, remotePort } = socket
    this.#options.live.target =
      to.kind === 'unix' ? `unix:${to.path}` : formatEndpoint(remoteAddress ?? '', remotePort ?? 0)
    this.#pipe.connect(socket, intake, this.#preface())
  }

  /** What tells the target who calls; no part of what the client said. */
  #preface(): Buffer | null {
    const { source } = this.#options.terms.rule
    if (source === 'proxy-v1') return writeProxyV1(this.#source, this.#destination)
    if (source === 'proxy-v2') return writeProxyV2(this.#source, this.#destination, { transport: 'stream' })
    return null
  }

  #failed(state: TargetState, reason: DialReason, error: unknown): void {
    this.#cancel = null
    // A client that left while we dialled says nothing about the target.
    if (this.#pipe.closed) return
    const { clock, port, terms } = this.#options
    const nowMs = clock.monotonic()
    if (isTargetsFault(terms.rule, state.choice.to, port, reason)) state.failed(nowMs)
    if (errnoOf(error) === 'EMFILE' || errnoOf(error) === 'ENFILE') this.#options.onExhausted()
    terms.targets.again(this.#waiting, 0, this.#source?.address ?? '', nowMs)
    this.#tryNext(reason)
  }

  #closed(reason: CloseReason): void {
    this.#cancel?.()
    this.#ticket?.release()
    if (this.#carrier) this.#carrier.open--
    this.#options.onClosed(reason)
  }
}
