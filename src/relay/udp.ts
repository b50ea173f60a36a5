/**
 * A rule's datagrams: each client address and port has a session with a socket of its own towards the target, so
 * that the target sees a stable port and only its answers come back. Sessions end when idle, or make room for newer
 * ones; an error in between (a target that is not there yet) ends nothing.
 */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { formatEndpoint, unmapped } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { CloseReason } from '../model/connection.ts'
import type { InetListen } from '../model/listen.ts'
import type { Inheritance, LentSocket, SocketMaker } from '../model/passing.ts'
import type { Admitted } from './admit.ts'
import type { Descriptors } from './descriptors.ts'
import type { Meter } from './meter.ts'
import { handleOf } from './handle.ts'
import { unwrapDatagram } from './proxy/datagram.ts'
import type { Peer } from './proxy/header.ts'
import { Recency } from './recency.ts'
import type { Resolve } from './route.ts'
import { Session } from './session.ts'
import { proxyDuty, type Terms } from './terms.ts'
import { DatagramDoors, datagramOptions, type DatagramDoor } from './udp-listen.ts'

export interface DatagramOptions {
  readonly meter: Meter
  readonly clock: Clock
  readonly resolve: Resolve
  readonly descriptors: Descriptors
  readonly owner: (port: number) => Promise<string | null>
  readonly onTrouble: (error: Error) => void
  /** Most sessions where the rule sets no limit. @default 8192, or a quarter of the descriptors */
  readonly mostSessions?: number
  readonly localAddresses?: () => readonly string[]
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | undefined
}

/** One client may have this share of the sessions where the rule sets no limit of its own. */
const shareOfOneSource = 1 / 4
/** As many as a full queue of small datagrams may take. */
const turnsWhenYielded = 16

export class DatagramRelay {
  #terms: Terms
  readonly #options: DatagramOptions
  readonly #sessions = new Map<string, Session>()
  readonly #byId = new Map<string, Session>()
  readonly #bySource = new Map<string, number>()
  /** Whom each trusted proxy's socket spoke for last; null is itself. */
  readonly #namedBy = new Map<string, Peer | null>()
  readonly #recency = new Recency<Session>()
  readonly #most: number
  readonly #registered: Disposable
  #doors: DatagramDoors | null = null
  #retired = false
  #sweeping: Disposable
  #sweepMs: number
  /** Descriptors are short: a new session takes the place of the oldest. */
  #tight = false
  /** Set once a successor reads the doors. */
  #sockets: SocketMaker | null = null

  private constructor(terms: Terms, options: DatagramOptions) {
    this.#terms = terms
    this.#options = options
    this.#most =
      options.mostSessions ?? Math.min(8192, Math.max(16, Math.floor(options.descriptors.limit / 4)))
    this.#registered = options.descriptors.register(this)
    this.#sweepMs = sweepMs(terms)
    this.#sweeping = options.clock.every(this.#sweepMs, () => this.#sweep())
  }

  /** @throws NaruError LISTEN_… with no port left open */
  static async open(listen: InetListen, terms: Terms, options: DatagramOptions): Promise<DatagramRelay> {
    const relay = new DatagramRelay(terms, options)
    try {
      relay.#doors = await DatagramDoors.open(listen, {
        clock: options.clock,
        onDatagram: (datagram, from, door) => relay.#arrived(datagram, from, door),
        onGone: (door) => relay.#doorGone(door),
        onError: options.onTrouble,
        owner: options.owner,
        inherit: options.inherit,
        ...(options.localAddresses && { localAddresses: options.localAddresses }),
      })
      return relay
    } catch (error) {
      relay.close()
      throw error
    }
  }

  get listening(): readonly string[] {
    return this.#doors?.listening ?? []
  }

  get accepting(): boolean {
    return this.#doors?.open ?? false
  }

  /** For new sessions; those there are keep theirs. */
  set terms(terms: Terms) {
    this.#terms = terms
    if (sweepMs(terms) >= this.#sweepMs) return
    this.#sweepMs = sweepMs(terms)
    this.#sweeping[Symbol.dispose]()
    this.#sweeping = this.#options.clock.every(this.#sweepMs, () => this.#sweep())
  }

  /**
   * Takes no new sessions. Those there are go on to their end, and the doors stay open for them: a datagram of a
   * client without a session is then dropped.
   */
  retire(): void {
    this.#retired = true
    if (this.#sessions.size === 0) this.close()
  }

  lend(): readonly LentSocket[] {
    return this.#doors?.lend() ?? []
  }

  /** A successor reads the doors: those with a session are heard by a socket of their own from now on. */
  async yield(sockets: SocketMaker): Promise<void> {
    this.#sockets = sockets
    for (const session of this.#sessions.values()) this.#hearApart(session)
    // What came before that is in the queue still: each turn of the loop reads 32 datagrams of it.
    for (let turn = 0; turn < turnsWhenYielded; turn++) await new Promise(setImmediate)
    this.#doors?.stopReading()
  }

  /** There is no successor after all. */
  takeBack(): void {
    this.#sockets = null
    this.#doors?.startReading()
  }

  /** Without such a socket its datagrams reach the successor, which begins anew. */
  #hearApart(session: Session): void {
    const { door, peer } = session
    const shared = handleOf(door.socket)
    const fd = shared === null ? null : (this.#sockets?.beside(shared.fd, peer) ?? null)
    if (fd === null) return
    const own = createSocket(datagramOptions(door.address)).on('error', () => {})
    own.on('message', (datagram, from) => this.#arrived(datagram, from, door))
    own.bind({ fd })
    session.apart = own
  }

  /** Ends everything. Twice is harmless. */
  close(reason: CloseReason = 'shutdown'): void {
    for (const session of this.#sessions.values()) session.end(reason)
    this.#doors?.close()
    this.#sweeping[Symbol.dispose]()
    this.#registered[Symbol.dispose]()
  }

  /** False where no such session is open. */
  cut(id: string, reason: CloseReason): boolean {
    const session = this.#byId.get(id)
    session?.end(reason)
    return session !== undefined
  }

  get held(): number {
    return this.#sessions.size
  }

  pause(): void {
    this.#tight = true
  }

  resume(): void {
    this.#tight = false
  }

  #arrived(datagram: Buffer, from: RemoteInfo, door: DatagramDoor): void {
    const peerKey = `${door.port} ${door.address} ${from.address} ${from.port}`
    if (this.#terms.proxies === null) return this.#pass(peerKey, null, datagram, from, door)
    const told = unwrapDatagram(datagram, proxyDuty(this.#terms, unmapped(from.address)))
    if (told.state === 'plain') return this.#pass(peerKey, null, datagram, from, door)
    // A proxy that says it in the first datagram only goes on with who was said last.
    const source = told.state === 'told' ? told.source : this.#namedBy.get(peerKey)
    if (told.state === 'bad' || source === undefined) {
      return this.#options.meter.refuse(formatEndpoint(unmapped(from.address), from.port), 'proxy-header')
    }
    const payload = told.state === 'told' ? told.payload : datagram
    this.#namedBy.set(peerKey, source)
    this.#pass(source ? `${peerKey} ${source.address} ${source.port}` : peerKey, source, payload, from, door)
  }

  #pass(key: string, named: Peer | null, datagram: Buffer, from: RemoteInfo, door: DatagramDoor): void {
    const session = this.#sessions.get(key) ?? this.#begin(key, named, from, door)
    if (session === null) return
    this.#recency.used(session)
    session.toTarget(datagram)
  }

  #begin(key: string, named: Peer | null, from: RemoteInfo, door: DatagramDoor): Session | null {
    if (this.#retired) return null
    const { meter, clock, resolve, descriptors } = this.#options
    const terms = this.#terms
    const source = named ?? { address: unmapped(from.address), port: from.port }
    const client = formatEndpoint(source.address, source.port)
    const admitted = this.#admit(source.address, terms)
    if (!admitted.ok) {
      meter.refuse(client, admitted.reason)
      return null
    }
    const live = meter.begin({ protocol: 'udp', client, listen: door.label })
    descriptors.took(1)
    const session = new Session({
      terms,
      live,
      meter,
      clock,
      resolve,
      door,
      source,
      from: { address: from.address, port: from.port },
      onExhausted: () => descriptors.exhausted(),
      onEnded: (reason) => {
        admitted.ticket.release()
        this.#forget(key, session)
        meter.end(live, reason)
      },
    })
    this.#sessions.set(key, session)
    this.#byId.set(live.id, session)
    this.#bySource.set(source.address, (this.#bySource.get(source.address) ?? 0) + 1)
    this.#recency.add(session)
    if (this.#sockets) this.#hearApart(session)
    session.start()
    return session
  }

  /** A full house is no reason to turn anyone away: the session that was silent longest goes. */
  #admit(address: string, terms: Terms): Admitted {
    const ofSource = (session: Session): boolean => session.source === address
    if (terms.admission.allows(address)) {
      if (this.#sessions.size >= this.#most || (this.#tight && this.#sessions.size > 0))
        this.#evict(() => true)
      const most = Math.max(1, Math.floor(this.#most * shareOfOneSource))
      if ((this.#bySource.get(address) ?? 0) >= most) this.#evict(ofSource)
    }
    const nowMs = this.#options.clock.monotonic()
    const first = terms.admission.admit(address, nowMs)
    if (first.ok || first.reason === 'denied' || first.reason === 'limit-rate') return first
    if (!this.#evict(first.reason === 'limit-source' ? ofSource : () => true)) return first
    return terms.admission.admit(address, nowMs)
  }

  #evict(test: (session: Session) => boolean): boolean {
    const oldest = this.#recency.findOldest(test)
    oldest?.end('evicted')
    return oldest !== null
  }

  #forget(key: string, session: Session): void {
    this.#sessions.delete(key)
    this.#byId.delete(session.id)
    this.#recency.remove(session)
    const { door, peer } = session
    this.#namedBy.delete(`${door.port} ${door.address} ${peer.address} ${peer.port}`)
    this.#options.descriptors.gave(1)
    const left = (this.#bySource.get(session.source) ?? 1) - 1
    if (left > 0) this.#bySource.set(session.source, left)
    else this.#bySource.delete(session.source)
    if (this.#retired && this.#sessions.size === 0) this.close()
  }

  /** Sessions may differ in their limit, so all are asked; a round over 8192 takes under a millisecond. */
  #sweep(): void {
    const nowMs = this.#options.clock.monotonic()
    for (const session of this.#sessions.values()) if (session.isIdle(nowMs)) session.end('idle')
  }

  #doorGone(door: DatagramDoor): void {
    for (const session of this.#sessions.values()) if (session.door === door) session.end('client-lost')
  }
}

function sweepMs({ rule }: Terms): number {
  return Math.min(Math.max(rule.timeouts.udpMs / 10, 10), 5000)
}
