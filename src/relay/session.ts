/**
 * One client's datagrams to one target and back. The socket towards the target is connected, so that only its
 * answers come in and "connection refused" is heard; hearing it ends nothing, as the target may just be starting.
 */
import { createSocket, type Socket } from 'node:dgram'
import { familyOf, formatEndpoint, unmapped } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'
import type { CloseReason } from '../model/connection.ts'
import { dialReason, type DialReason } from './dial.ts'
import type { Live, Meter } from './meter.ts'
import type { TargetState } from './pick.ts'
import type { Linked } from './recency.ts'
import type { Peer } from './proxy/header.ts'
import { writeProxyV2 } from './proxy/write.ts'
import { plainRoute, portOf, withoutLoops, type Resolve, type Route } from './route.ts'
import type { Terms } from './terms.ts'
import { datagramOptions, type DatagramDoor } from './udp-listen.ts'

export interface SessionOptions {
  readonly terms: Terms
  readonly live: Live
  readonly meter: Meter
  readonly clock: Clock
  readonly resolve: Resolve
  readonly door: DatagramDoor
  /** Who called, its address canonical: the peer itself, or whom a trusted proxy names. */
  readonly source: Peer
  /** Where answers go, as the socket named it. */
  readonly from: { readonly address: string; readonly port: number }
  readonly onExhausted: () => void
  readonly onEnded: (reason: CloseReason) => void
}

/** What waits for the target's address; later datagrams are lost, as on a full line. */
const mostWaiting = 64
/** RFC 768 over IPv4: 65,535 less both headers. */
const largestDatagram = 65_507
/** What may wait in a socket that the system will not take from; beyond it datagrams are lost. */
const mostQueuedBytes = 4 * 1024 * 1024

export class Session implements Linked<Session> {
  newer: Session | null = null
  older: Session | null = null
  /** A socket that hears this client alone, once the door is a successor's. */
  apart: Socket | null = null
  readonly #options: SessionOptions
  #upstream: Socket | null = null
  /** False until the socket is connected, and again while it moves. */
  #ready = false
  #state: TargetState | null = null
  #waiting: Buffer[] = []
  #usedAtMs: number
  /** When the target's name is to be asked for again. */
  #freshUntilMs = Number.POSITIVE_INFINITY
  #address = ''
  #written: Buffer | null = null
  /** The target knows who calls. */
  #told = false
  readonly #stop = new AbortController()
  #ended = false

  constructor(options: SessionOptions) {
    this.#options = options
    this.#usedAtMs = options.clock.monotonic()
  }

  get id(): string {
    return this.#options.live.id
  }

  get source(): string {
    return this.#options.source.address
  }

  get peer(): Peer {
    return this.#options.from
  }

  get door(): DatagramDoor {
    return this.#options.door
  }

  isIdle(nowMs: number): boolean {
    return nowMs - this.#usedAtMs >= this.#options.terms.rule.timeouts.udpMs
  }

  /** Finds the first target that has an address; which of them answers, no datagram tells beforehand. */
  start(): void {
    const { terms, source, clock } = this.#options
    const waiting = [...terms.targets.order(source.address, clock.monotonic())]
    this.#tryNext(waiting, 'no-such-name')
  }

  toTarget(datagram: Buffer): void {
    const { live, meter, clock } = this.#options
    this.#usedAtMs = clock.monotonic()
    const upstream = this.#upstream
    if (upstream === null || !this.#ready) {
      if (this.#waiting.length < mostWaiting) this.#waiting.push(datagram)
      else meter.datagramsLost++
      return
    }
    if (!this.#mayPass(datagram.length)) return
    if (this.#usedAtMs > this.#freshUntilMs) void this.#freshen()
    if (upstream.getSendQueueSize() > mostQueuedBytes) {
      meter.datagramsLost++
      return
    }
    const header = this.#header()
    if (header && header.length + datagram.length > largestDatagram) {
      meter.datagramsLost++
      return
    }
    live.bytesToTarget += datagram.length
    meter.datagramsToTarget++
    if (header) upstream.send([header, datagram], this.#sent)
    else upstream.send(datagram, this.#sent)
  }

  /** The PROXY header of the next datagram: of every one (specification of April 2026), or of the first. */
  #header(): Buffer | null {
    const { terms, source, door } = this.#options
    const { source: mode, proxyUdp } = terms.rule
    if (mode !== 'proxy-v2' || (this.#told && proxyUdp === 'first')) return null
    this.#told = true
    const destination = { address: unmapped(door.address.split('%')[0] as string), port: door.port }
    this.#written ??= writeProxyV2(source, destination, { transport: 'datagram' })
    return this.#written
  }

  /** Twice is harmless. */
  end(reason: CloseReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#stop.abort()
    this.#upstream?.close()
    this.apart?.close()
    if (this.#state) this.#state.open--
    this.#options.onEnded(reason)
  }

  #toClient(datagram: Buffer): void {
    const { live, meter, door, from, clock } = this.#options
    this.#usedAtMs = clock.monotonic()
    if (this.#state?.failures) this.#state.succeeded()
    if (!this.#mayPass(datagram.length)) return
    if (door.socket.getSendQueueSize() > mostQueuedBytes) {
      meter.datagramsLost++
      return
    }
    live.bytesToClient += datagram.length
    meter.datagramsToClient++
    door.socket.send(datagram, from.port, from.address, this.#answered)
  }

  /** Datagrams over the rate are lost, as a slow line would lose them: delay helps no real-time stream. */
  #mayPass(bytes: number): boolean {
    const { terms, clock, meter } = this.#options
    if (terms.bucket === null) return true
    const nowMs = clock.monotonic()
    if (terms.bucket.spend(0, nowMs) > 0) {
      meter.datagramsLost++
      return false
    }
    terms.bucket.spend(bytes, nowMs)
    return true
  }

  #tryNext(waiting: TargetState[], reason: DialReason): void {
    const state = waiting.shift()
    if (state === undefined) return this.end(reason)
    this.#route(state)
      .then((route) => {
        if (!this.#ended) this.#follow(state, route, waiting)
      })
      .catch((error: unknown) => {
        if (this.#ended) return
        state.failed(this.#options.clock.monotonic())
        this.#tryNext(waiting, dialReason(error))
      })
  }

  async #route({ choice }: TargetState): Promise<Route> {
    const { terms, door, resolve } = this.#options
    if (choice.to.kind === 'unix') return { addresses: [], port: 0, ttlMs: 0 }
    const port = portOf(choice.to, terms.rule.listen, door.port)
    const plain = plainRoute(choice.to, port)
    return plain ?? { port, ...(await resolve(choice.to, { signal: this.#stop.signal })) }
  }

  #follow(state: TargetState, route: Route, waiting: TargetState[]): void {
    const open = withoutLoops(route, this.#options.terms.rule.listen)
    const [address] = open?.addresses ?? []
    if (address === undefined) return this.#tryNext(waiting, open === null ? 'loop' : 'name-not-found')
    this.#state = state
    state.open++
    this.#remember(address, route)
    const upstream = createSocket(datagramOptions(address))
    this.#upstream = upstream
    upstream.on('message', (datagram) => this.#toClient(datagram))
    upstream.on('error', (error) => this.#failed(error))
    upstream.connect(route.port, address, () => this.#connected())
  }

  #remember(address: string, { port, ttlMs }: Route): void {
    const { live, clock } = this.#options
    this.#address = address
    this.#freshUntilMs = clock.monotonic() + ttlMs
    live.target = formatEndpoint(address, port)
  }

  #connected(): void {
    if (this.#ended) return
    this.#ready = true
    this.#options.live.state = 'open'
    const waiting = this.#waiting
    this.#waiting = []
    for (const datagram of waiting) this.toTarget(datagram)
  }

  /** The name has moved: the same socket, with the same port of ours, goes on to the new address. */
  async #freshen(): Promise<void> {
    const state = this.#state as TargetState
    this.#freshUntilMs = Number.POSITIVE_INFINITY
    const route = await this.#route(state).catch(() => null)
    const upstream = this.#upstream
    if (this.#ended || upstream === null) return
    if (route === null || route.addresses.includes(this.#address)) {
      this.#freshUntilMs = this.#options.clock.monotonic() + (route?.ttlMs ?? 5000)
      return
    }
    const address = route.addresses.find((one) => familyOf(one) === familyOf(this.#address))
    // A socket has one family; the session starts anew where the name changed it.
    if (address === undefined) return this.end('target-lost')
    this.#remember(address, route)
    this.#ready = false
    upstream.disconnect()
    upstream.connect(route.port, address, () => this.#connected())
  }

  #failed(error: Error): void {
    if (this.#ended) return
    const { meter, onExhausted, clock } = this.#options
    const errno = errnoOf(error)
    if (errno === 'EMFILE' || errno === 'ENFILE') {
      onExhausted()
      return this.end('engine-error')
    }
    meter.datagramsLost++
    this.#state?.failed(clock.monotonic())
    if (!this.#ready) this.end('target-unreachable')
  }

  readonly #sent = (error: Error | null): void => {
    if (error) this.#failed(error)
  }

  readonly #answered = (error: Error | null): void => {
    if (error) this.#options.meter.datagramsLost++
  }
}
