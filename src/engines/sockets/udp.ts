/**
 * A rule's datagrams: each client address and port has a session with a socket of its own towards the target, so
 * that the target sees a stable port and only its answers come back. Sessions end when idle, or make room for newer
 * ones; an error in between (a target that is not there yet) ends nothing.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { formatEndpoint, unmapped } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { CloseReason } from '../../model/connection.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Inheritance, LentSocket, SocketMaker } from '../../model/handover-sockets.ts'
import type { Descriptors } from '../../relay/descriptors.ts'
import type { Meter } from '../../relay/meter.ts'
import { handleOf } from '../../relay/handle.ts'
import { leaveDoor } from './closing-doors.ts'
import { unwrapDatagram } from './proxy-datagram.ts'
import type { Peer } from '../../relay/proxy/header.ts'
import type { ResolveTarget } from '../../relay/route.ts'
import { mostCrossings, OwnDials } from '../../relay/own-dials.ts'
import { Refusals } from '../../relay/refusals.ts'
import { Room } from '../../relay/room.ts'
import { Session } from './session.ts'
import { proxyDuty, type Terms } from '../../relay/terms.ts'
import {
  closeQuietly,
  DatagramDoors,
  datagramOptions,
  type Besides,
  type DatagramDoor,
} from './udp-listen.ts'

export interface DatagramOptions {
  readonly meter: Meter
  readonly clock: Clock
  readonly resolve: ResolveTarget
  readonly descriptors: Descriptors
  readonly owner: (port: number) => Promise<string | null>
  readonly onTrouble: (error: Error) => void
  /** What nobody foresaw: it ended one session at most. */
  readonly onFault: (error: Error) => void
  /** Most sessions where the rule sets no limit. @default 8192, or a quarter of the descriptors */
  readonly mostSessions?: number
  readonly localAddresses?: () => readonly string[]
  /** As `DatagramDoorOptions` has it. */
  readonly besides?: Besides | null
  /** Gives sessions ears of their own. @default none: their doors stay until somebody wants them */
  readonly sockets?: SocketMaker | null
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | undefined
}

/** As many as a full queue of small datagrams may take. */
const turnsWhenYielded = 16

export class DatagramRelay {
  #terms: Terms
  readonly #options: DatagramOptions
  readonly #sessions = new Map<string, Session>()
  readonly #byId = new Map<string, Session>()
  /** Whom each trusted proxy's socket spoke for last (null is itself), as long as that one has a session. */
  readonly #namedBy = new Map<string, { readonly source: Peer | null; readonly key: string }>()
  readonly #room: Room<Session>
  readonly #refusals = new Refusals<string>()
  readonly #registered: Disposable
  #doors: DatagramDoors | null = null
  #retired = false
  #retiring: Promise<void> | null = null
  #sweeping: Disposable
  #sweepMs: number
  /** Descriptors are short: a new session takes the place of the oldest. */
  #tight = false
  /** Set once a successor reads the doors. */
  #sockets: SocketMaker | null = null

  private constructor(terms: Terms, options: DatagramOptions) {
    this.#terms = terms
    this.#options = options
    const most =
      options.mostSessions ?? Math.min(8192, Math.max(16, Math.floor(options.descriptors.limit / 4)))
    this.#room = new Room({ most, evict: (session) => session.end('evicted') })
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
        besides: options.besides ?? null,
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
   * Takes no new sessions, and frees its ports. Those there are go on to their end with sockets of their own. Where the
   * system has none to give, the doors stay until somebody in this process wants them: that ends their sessions.
   */
  retire(): Promise<void> {
    this.#retiring ??= this.#retire()
    return this.#retiring
  }

  async #retire(): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    this.#sockets ??= this.#options.sockets ?? null
    if (this.#sockets && this.#sessions.size > 0) {
      for (const session of this.#sessions.values()) if (!session.apart) this.#hearApart(session)
      await this.#readRest()
      for (const session of this.#sessions.values()) if (!session.apart) session.end('drained')
    }
    if (this.#sessions.size === 0) this.close()
    else if (this.#sockets) this.#doors?.close()
    else this.#leaveDoors()
  }

  /** A successor has its sockets. Sessions go on to their end, and answers still leave by the doors. */
  leave(): void {
    this.#retired = true
    if (this.#sessions.size === 0) this.close()
  }

  readonly #left: Disposable[] = []

  #leaveDoors(): void {
    for (const port of this.#doors?.ports ?? []) this.#left.push(leaveDoor(port, () => this.close('drained')))
  }

  lend(): readonly LentSocket[] {
    return this.#doors?.lend() ?? []
  }

  /** A successor reads the doors: those with a session are heard by a socket of their own from now on. */
  async yield(sockets: SocketMaker): Promise<void> {
    this.#sockets = sockets
    for (const session of this.#sessions.values()) this.#hearApart(session)
    await this.#readRest()
    this.#doors?.stopReading()
  }

  /** What came before that is in the queue still: each turn of the loop reads 32 datagrams of it. */
  async #readRest(): Promise<void> {
    for (let turn = 0; turn < turnsWhenYielded; turn++) await new Promise(setImmediate)
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
    if (!hearsOnly(own, fd, peer)) return closeQuietly(own)
    this.#sockets?.unshare(fd)
    this.#options.descriptors.took(1)
    session.apart = own
  }

  /** Ends everything. Twice is harmless. */
  close(reason: CloseReason = 'shutdown'): void {
    for (const session of this.#sessions.values()) session.end(reason)
    this.#doors?.close()
    for (const door of this.#left.splice(0)) door[Symbol.dispose]()
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

  /** One datagram's fault is not the rule's. */
  #arrived(datagram: Buffer, from: RemoteInfo, door: DatagramDoor): void {
    try {
      this.#take(datagram, from, door)
    } catch (error) {
      this.#options.meter.datagramsLost++
      this.#options.onFault(error as Error)
    }
  }

  #take(datagram: Buffer, from: RemoteInfo, door: DatagramDoor): void {
    const peerKey = keyOf(door, from)
    if (this.#terms.proxies === null) return void this.#pass(peerKey, null, datagram, from, door)
    const told = unwrapDatagram(datagram, proxyDuty(this.#terms, unmapped(from.address)))
    if (told.state === 'plain') return void this.#pass(peerKey, null, datagram, from, door)
    // A proxy that says it in the first datagram only goes on with who was said last.
    const source = told.state === 'told' ? told.source : this.#namedBy.get(peerKey)?.source
    if (told.state === 'bad' || source === undefined) {
      return this.#refuse(peerKey, { address: unmapped(from.address), port: from.port }, 'proxy-header')
    }
    const payload = told.state === 'told' ? told.payload : datagram
    const key = source ? `${peerKey} ${source.address} ${source.port}` : peerKey
    if (this.#pass(key, source, payload, from, door)) this.#namedBy.set(peerKey, { source, key })
  }

  /** @returns false where the client is let in by nobody. */
  #pass(key: string, named: Peer | null, datagram: Buffer, from: RemoteInfo, door: DatagramDoor): boolean {
    let session = this.#sessions.get(key) ?? null
    if (session?.isLeft) {
      session.end('target-refused')
      session = null
    }
    session ??= this.#begin(key, named, from, door)
    if (session === null) return false
    session.toTarget(datagram)
    return this.#sessions.has(key)
  }

  #begin(key: string, named: Peer | null, from: RemoteInfo, door: DatagramDoor): Session | null {
    if (this.#retired) return null
    const { meter, clock, resolve, descriptors } = this.#options
    const terms = this.#terms
    const behind = OwnDials.udp.behind(from.port)
    const source = named ?? { address: unmapped(from.address), port: from.port }
    if (behind >= mostCrossings) {
      this.#refuse(key, source, 'loop')
      return null
    }
    const nowMs = clock.monotonic()
    const admitted = this.#room.admit(terms.admission, source.address, nowMs, this.#tight)
    if (!admitted.ok) {
      this.#refuse(key, source, admitted.reason)
      return null
    }
    this.#doors?.came(door)
    const live = meter.begin({
      protocol: 'udp',
      client: formatEndpoint(source.address, source.port),
      listen: door.label,
    })
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
      behind,
      current: () => this.#terms,
      onExhausted: () => descriptors.exhausted(),
      onFault: this.#options.onFault,
      onHeard: (side, atMs) => this.#room.heard(seat, side, atMs),
      onEnded: (reason) => {
        admitted.ticket.release()
        this.#room.leave(seat)
        this.#forget(key, session)
        meter.end(live, reason)
      },
    })
    const seat = this.#room.take(session, source.address, nowMs)
    this.#sessions.set(key, session)
    this.#byId.set(live.id, session)
    if (this.#sockets) this.#hearApart(session)
    session.start()
    return session
  }

  #refuse(key: string, { address, port }: Peer, reason: CloseReason): void {
    const { meter, clock } = this.#options
    meter.datagramsLost++
    if (this.#refusals.tell(`${key} ${reason}`, clock.monotonic()))
      meter.refuse(formatEndpoint(address, port), reason)
  }

  #forget(key: string, session: Session): void {
    this.#sessions.delete(key)
    this.#byId.delete(session.id)
    const peerKey = keyOf(session.door, session.peer)
    if (this.#namedBy.get(peerKey)?.key === key) this.#namedBy.delete(peerKey)
    this.#options.descriptors.gave(session.apart ? 2 : 1)
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

function keyOf(door: DatagramDoor, { address, port }: Peer): string {
  return `${door.port} ${door.address} ${address} ${port}`
}

/** Node is to know that the socket is connected, or it could not send by it; it has to do it itself. */
function hearsOnly(own: Socket, fd: number, { address, port }: Peer): boolean {
  try {
    own.bind({ fd })
    if (handleOf(own)?.disconnect?.() !== 0) return false
    own.connect(port, address)
    return true
  } catch {
    return false
  }
}

function sweepMs({ rule }: Terms): number {
  return Math.min(Math.max(rule.timeouts.udpMs / 10, 10), 5000)
}
