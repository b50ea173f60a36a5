/**
 * One client's datagrams to one target and back. The socket towards the target is connected, so that only its
 * answers come in and "connection refused" is heard. With one target at one address that ends nothing, as it may just
 * be starting; else the next datagram goes to the next address of its name, then to the next target.
 */
import { createSocket, type Socket } from 'node:dgram'
import { familyOf, formatEndpoint, unmapped } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { errnoOf } from '../../base/errors.ts'
import type { CloseReason } from '../../model/connection.ts'
import { speaksForAll } from '../../relay/blame.ts'
import { dialReason, type DialReason } from '../../relay/dial.ts'
import type { Live, Meter } from '../../relay/meter.ts'
import { OwnDials } from '../../relay/own-dials.ts'
import { isOwnFault, ownLack } from '../../relay/own-lack.ts'
import { bestFirst, hashOf, type TargetState } from '../../relay/pick.ts'
import type { Peer } from '../../relay/proxy/header.ts'
import { writeProxyV2 } from '../../relay/proxy/write.ts'
import { plainRoute, portOf, withoutLoops, type ResolveTarget, type TargetRoute } from '../../relay/route.ts'
import type { Terms } from '../../relay/terms.ts'
import { closeQuietly, datagramOptions, type DatagramDoor } from './udp-listen.ts'
import { largestDatagram, targetsFault } from '../../relay/undelivered.ts'

export interface SessionOptions {
  readonly terms: Terms
  readonly live: Live
  readonly meter: Meter
  readonly clock: Clock
  readonly resolve: ResolveTarget
  readonly door: DatagramDoor
  /** Who called, its address canonical: the peer itself, or whom a trusted proxy names. */
  readonly source: Peer
  /** Where answers go, as the socket named it. */
  readonly from: { readonly address: string; readonly port: number }
  /** How many crossings of ours it has behind it. */
  readonly behind: number
  /** The rule as it is now: the session keeps the terms it began with. */
  readonly current: () => Terms
  readonly onExhausted: () => void
  /** What nobody foresaw; the session has ended. */
  readonly onFault: (error: Error) => void
  /** A datagram of the client or the target. */
  readonly onHeard: (from: 'client' | 'target', nowMs: number) => void
  readonly onEnded: (reason: CloseReason) => void
}

/** What waits for the target's address; later datagrams are lost, as on a full line. */
const mostWaiting = 64
/** What may wait in a socket that the system will not take from; beyond it datagrams are lost. */
const mostQueuedBytes = 4 * 1024 * 1024
/** How soon a name that could not be asked for is tried again. */
const retryNameMs = 5000

/** The socket towards one address of a target. */
interface Upstream {
  readonly socket: Socket
  readonly target: TargetState
  address: string
  port: number
  /** Where the socket is connected to; before that it takes from nobody. */
  peer: Peer | null
  /** False until the socket is connected, and again while it moves. */
  ready: boolean
  /** Of ours, that it sends from; 0 until it is connected. */
  own: number
  /** It has been told that it may send to a broadcast address. */
  broadcasts: boolean
  /** It answers, and its target knows. */
  good: boolean
}

export class Session {
  /** A socket that hears this client alone, once the door is a successor's. */
  apart: Socket | null = null
  readonly #options: SessionOptions
  #upstream: Upstream | null = null
  /** Targets that were not tried yet. */
  #targets: TargetState[] = []
  /** Addresses of the target that were not tried yet. */
  #addresses: string[] = []
  /** How many there are in all: with one, there is nowhere else to go. */
  #ways = 0
  /** The first of them had its turn. */
  #turned = false
  /** Some of them could be sent to, so it is worth beginning with the first again. */
  #reached = false
  #port = 0
  /** The address does not take datagrams: the next one goes elsewhere. */
  #refused = false
  #waiting: Buffer[] = []
  #usedAtMs: number
  /** When the target's name is to be asked for again. */
  #freshUntilMs = Number.POSITIVE_INFINITY
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

  get peer(): Peer {
    return this.#options.from
  }

  get door(): DatagramDoor {
    return this.#options.door
  }

  isIdle(nowMs: number): boolean {
    return nowMs - this.#usedAtMs >= this.#options.terms.rule.timeouts.udpMs
  }

  /** Its target refuses, and an edit took that out of the rule: nothing holds the session to it. */
  get isLeft(): boolean {
    if (!this.#refused || this.#upstream === null) return false
    return !this.#options.current().targets.states.includes(this.#upstream.target)
  }

  /** Finds the first target that has an address; which of them answers, no datagram tells beforehand. */
  start(): void {
    this.#takeTurn()
    this.#tryNext('no-such-name')
  }

  /** Ends the session where this throws: one session's fault is not the process's. */
  toTarget(datagram: Buffer): void {
    try {
      this.#toTarget(datagram)
    } catch (error) {
      this.#fault(error)
    }
  }

  #toTarget(datagram: Buffer): void {
    const { meter, clock, onHeard } = this.#options
    this.#usedAtMs = clock.monotonic()
    if (this.#ended) return
    onHeard('client', this.#usedAtMs)
    if (this.#refused) this.#goElsewhere()
    if (this.#ended) return
    const upstream = this.#upstream
    if (upstream === null || !upstream.ready) {
      if (this.#waiting.length < mostWaiting) this.#waiting.push(datagram)
      else meter.datagramsLost++
      return
    }
    if (this.#usedAtMs > this.#freshUntilMs) void this.#freshen(upstream)
    this.#send(upstream, datagram)
  }

  #send(upstream: Upstream, datagram: Buffer): void {
    const { live, meter } = this.#options
    if (!this.#mayPass(datagram.length)) return
    const header = this.#header()
    const bytes = (header?.length ?? 0) + datagram.length
    if (bytes > largestDatagram(familyOf(upstream.address)) || isFull(upstream.socket)) {
      meter.datagramsLost++
      return
    }
    if (header) this.#told = true
    live.bytesToTarget += datagram.length
    meter.datagramsToTarget++
    const sent = (error: Error | null): void => {
      if (error) this.#unsent(upstream, datagram.length, error)
    }
    if (header) upstream.socket.send([header, datagram], sent)
    else upstream.socket.send(datagram, sent)
  }

  /** The PROXY header of the next datagram: of every one (specification of April 2026), or of the first. */
  #header(): Buffer | null {
    const { terms, source, door } = this.#options
    const { source: mode, proxyUdp } = terms.rule
    if (mode !== 'proxy-v2' || (this.#told && proxyUdp === 'first')) return null
    const destination = { address: unmapped(door.address.split('%')[0] as string), port: door.port }
    this.#written ??= writeProxyV2(source, destination, { transport: 'datagram' })
    return this.#written
  }

  /** Twice is harmless. */
  end(reason: CloseReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#stop.abort()
    this.#leave()
    this.#options.meter.datagramsLost += this.#waiting.splice(0).length
    if (this.apart) closeQuietly(this.apart)
    this.#options.onEnded(reason)
  }

  #fault(error: unknown): void {
    if (this.#ended) return
    this.end('engine-error')
    this.#options.onFault(error as Error)
  }

  #toClient(upstream: Upstream, datagram: Buffer): void {
    if (this.#ended || upstream !== this.#upstream) return
    const { live, meter, door, from, clock, onHeard } = this.#options
    this.#usedAtMs = clock.monotonic()
    this.#refused = false
    if (upstream.target.failures > 0) upstream.target.succeeded()
    if (!upstream.good) this.#isGood(upstream)
    onHeard('target', this.#usedAtMs)
    if (!this.#mayPass(datagram.length)) return
    const out = this.apart ?? door.socket
    // Port 0 says that nobody waits for an answer (RFC 768).
    if (from.port === 0 || isFull(out)) {
      meter.datagramsLost++
      return
    }
    live.bytesToClient += datagram.length
    meter.datagramsToClient++
    const sent = (error: Error | null): void => {
      if (error) this.#unanswered(datagram.length)
    }
    if (this.apart) this.apart.send(datagram, sent)
    else door.socket.send(datagram, from.port, from.address, sent)
  }

  #isGood(upstream: Upstream): void {
    upstream.good = true
    upstream.target.good = hashOf(upstream.address)
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

  /** All targets, in the order of this moment. */
  #takeTurn(): void {
    const { terms, source, clock } = this.#options
    this.#targets = [...terms.targets.order(source.address, clock.monotonic())]
    this.#ways = this.#targets.length
    this.#reached = this.#turned = false
  }

  /** To the next address of the name, or to the next target; after the last of them it begins with the first. */
  #goElsewhere(): void {
    this.#refused = false
    if (this.#ways < 2 || this.#upstream === null) return
    const { target } = this.#upstream
    this.#leave()
    const address = this.#addresses.shift()
    if (address !== undefined) return void this.#aim(target, address)
    if (this.#targets.length === 0) this.#takeTurn()
    this.#tryNext('target-refused')
  }

  #leave(): void {
    const upstream = this.#upstream
    this.#upstream = null
    if (upstream === null) return
    upstream.target.open--
    if (upstream.own > 0) OwnDials.udp.ended(upstream.own)
    closeQuietly(upstream.socket)
  }

  /** @param reason why the one before failed: what the record says if none can even be sent to. */
  #tryNext(reason: DialReason): void {
    const { terms, source, clock } = this.#options
    if (this.#targets.length === 0 && this.#reached) this.#takeTurn()
    if (this.#turned) terms.targets.again(this.#targets, 0, source.address, clock.monotonic())
    this.#turned = true
    const state = this.#targets.shift()
    if (state === undefined) return this.end(reason)
    this.#route(state)
      .then((route) => {
        if (!this.#ended) this.#follow(state, route)
      })
      .catch((error: unknown) => {
        if (this.#ended) return
        const reason = dialReason(error)
        if (!isOwnFault(reason)) state.failed(clock.monotonic())
        this.#tryNext(reason)
      })
      .catch((error: unknown) => this.#fault(error))
  }

  async #route({ choice }: TargetState): Promise<TargetRoute> {
    const { terms, door, resolve } = this.#options
    if (choice.to.kind === 'unix') return { addresses: [], port: 0, ttlMs: 0 }
    const port = portOf(choice.to, terms.rule.listen, door.port)
    const plain = plainRoute(choice.to, port)
    return plain ?? { port, ...(await resolve(choice.to, { signal: this.#stop.signal })) }
  }

  #follow(state: TargetState, route: TargetRoute): void {
    const open = withoutLoops(route, this.#options.terms.rule.listen)
    const addresses = open === null ? [] : bestFirst(open.addresses, state.good, (one) => one)
    const [address] = addresses
    if (address === undefined) return this.#tryNext(open === null ? 'loop' : 'name-not-found')
    this.#addresses = addresses.slice(1)
    this.#ways += this.#addresses.length
    this.#port = route.port
    this.#freshUntilMs = this.#options.clock.monotonic() + route.ttlMs
    this.#aim(state, address)
  }

  #aim(target: TargetState, address: string): Upstream {
    const socket = createSocket(datagramOptions(address))
    const upstream: Upstream = {
      socket,
      target,
      address,
      port: this.#port,
      peer: null,
      ready: false,
      own: 0,
      broadcasts: false,
      good: false,
    }
    this.#upstream = upstream
    target.open++
    this.#options.live.target = formatEndpoint(address, upstream.port)
    socket.on('message', (datagram, from) => {
      try {
        // Until it was connected anybody could write to it, and a name that moved leaves another's answers behind.
        if (isFrom(from, upstream.peer)) this.#toClient(upstream, datagram)
      } catch (error) {
        this.#fault(error)
      }
    })
    socket.on('error', (error) => this.#failed(upstream, error))
    this.#connect(upstream)
    return upstream
  }

  #connect(upstream: Upstream): void {
    upstream.ready = this.#told = false
    upstream.peer = null
    try {
      // Where it fails, Node hands over the error (lib/dgram.js, doConnect), of which its types say nothing.
      upstream.socket.connect(upstream.port, upstream.address, (error?: Error) => {
        if (error) this.#notConnected(upstream, error)
        else this.#connected(upstream)
      })
    } catch (error) {
      this.#notConnected(upstream, error as Error)
    }
  }

  #connected(upstream: Upstream): void {
    if (this.#ended || upstream !== this.#upstream) return
    const { address, port } = upstream.socket.address()
    upstream.peer = upstream.socket.remoteAddress()
    if (isFrom({ address, port }, upstream.peer)) return this.#leaveItself(upstream)
    upstream.ready = this.#reached = true
    if (upstream.own > 0) OwnDials.udp.ended(upstream.own)
    upstream.own = upstream.socket.address().port
    OwnDials.udp.leaves(upstream.own, this.#options.behind)
    this.#options.live.state = 'open'
    const waiting = this.#waiting
    this.#waiting = []
    for (const datagram of waiting) this.toTarget(datagram)
  }

  /**
   * Where nobody listens on a port of this machine that the system gives out by itself, the socket may have been given
   * that very port. Another one cannot be, as long as this one has it.
   */
  #leaveItself({ target, address, socket }: Upstream): void {
    target.open--
    const { socket: other } = this.#aim(target, address)
    for (const event of ['connect', 'close']) other.once(event, () => closeQuietly(socket))
  }

  /** A broadcast address takes leave of the system to send there (SO_BROADCAST, socket(7)): EACCES without. */
  #notConnected(upstream: Upstream, error: Error): void {
    if (this.#ended || upstream !== this.#upstream) return
    if (errnoOf(error) === 'EACCES' && !upstream.broadcasts) {
      upstream.broadcasts = true
      try {
        upstream.socket.setBroadcast(true)
        return this.#connect(upstream)
      } catch {
        // Then it cannot be reached.
      }
    }
    this.#failed(upstream, error)
  }

  /** The name has moved: the same socket, with the same port of ours, goes on to the new address. */
  async #freshen(upstream: Upstream): Promise<void> {
    this.#freshUntilMs = Number.POSITIVE_INFINITY
    const route = await this.#route(upstream.target).catch(() => null)
    if (this.#ended || upstream !== this.#upstream) return
    try {
      this.#move(upstream, route)
    } catch (error) {
      this.#fault(error)
    }
  }

  #move(upstream: Upstream, route: TargetRoute | null): void {
    const { clock, live } = this.#options
    this.#freshUntilMs = clock.monotonic() + (route?.ttlMs ?? retryNameMs)
    if (route === null || route.addresses.includes(upstream.address)) return
    const address = route.addresses.find((one) => familyOf(one) === familyOf(upstream.address))
    // A socket has one family; the session starts anew where the name changed it.
    if (address === undefined) return this.end('target-lost')
    upstream.address = address
    upstream.good = false
    live.target = formatEndpoint(address, upstream.port)
    if (upstream.ready) upstream.socket.disconnect()
    this.#connect(upstream)
  }

  /** @param error of the socket itself: of an earlier datagram, or of connecting. */
  #failed(upstream: Upstream, error: Error): void {
    if (this.#ended || upstream !== this.#upstream) return
    const errno = errnoOf(error) ?? ''
    const lack = ownLack(errno, upstream.address)
    if (errno === 'EMFILE' || errno === 'ENFILE') {
      this.#options.onExhausted()
      return this.end('no-room')
    }
    if (lack === null && targetsFault.has(errno)) this.#turnedAway(upstream)
    if (upstream.ready) {
      this.#options.meter.datagramsLost++
      return
    }
    // Nothing was sent there: what waits goes to the next, and to nobody once all were tried.
    this.#refused = false
    const address = this.#addresses.shift()
    this.#leave()
    if (address !== undefined) this.#aim(upstream.target, address)
    else this.#tryNext(lack ?? 'target-unreachable')
  }

  #turnedAway(upstream: Upstream): void {
    const { target } = upstream
    if (upstream.good) target.good = 0
    upstream.good = false
    const { clock, door, terms } = this.#options
    if (this.#addresses.length === 0 && speaksForAll(terms.rule, target.choice.to, door.port))
      target.failed(clock.monotonic())
    this.#refused = true
  }

  #unsent(upstream: Upstream, bytes: number, error: Error): void {
    const { live, meter } = this.#options
    if (this.#ended) return
    live.bytesToTarget -= bytes
    meter.datagramsToTarget--
    if (upstream === this.#upstream) this.#failed(upstream, error)
    else meter.datagramsLost++
  }

  #unanswered(bytes: number): void {
    const { live, meter } = this.#options
    meter.datagramsLost++
    if (this.#ended) return
    live.bytesToClient -= bytes
    meter.datagramsToClient--
  }
}

function isFrom(from: Peer, peer: Peer | null): boolean {
  return peer !== null && from.port === peer.port && from.address === peer.address
}

function isFull(socket: Socket): boolean {
  return socket.getSendQueueSize() > mostQueuedBytes
}
