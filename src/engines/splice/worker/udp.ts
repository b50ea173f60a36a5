/**
 * UDP: the socket that a listener shares, whose datagrams go to the session of their client. They come and go up to 64
 * at a time; a run of equal size leaves as one (UDP_SEGMENT).
 */
import { addressFromBytes, unmapped } from '../../../base/address.ts'
import { epollEdge, epollIn } from '../../../linux/epoll.ts'
import {
  Descriptor,
  ECONNREFUSED,
  familyInet,
  lastAddress,
  localAddress,
  setOption,
} from '../../../linux/libc.ts'
import { addressOf, peerIn, portOf } from '../../../linux/sockaddr-fields.ts'
import { openConnectedTwin } from '../../../linux/udp-connected-twin.ts'
import type { CloseReason } from '../../../model/connection.ts'
import { mostCrossings } from '../../../relay/own-dials.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { Refusals } from '../../../relay/refusals.ts'
import { Room } from '../../../relay/room.ts'
import type { ListenerData } from '../shared/messages.ts'
import { cell } from '../shared/records.ts'
import { batchesPerTurn, type Datagrams } from './datagrams.ts'
import { Watcher, type Resumable } from './loop.ts'
import type { Listening, RuleOnThread, RuleRevision } from './rule-revision.ts'
import type { Thread } from './thread.ts'
import { OwnDoor } from './udp-door.ts'
import { peerKey, samePeer } from './udp-peers.ts'
import { UdpSession, type SessionHost } from './udp-session.ts'

/** Batches that are still read when a successor takes over; under a flood the rest is its. */
const drainedWhenYielded = 64
const leastExpected = 4

export class UdpListener extends Watcher implements Listening, SessionHost, Resumable {
  readonly thread: Thread
  readonly ruleOnThread: RuleOnThread
  readonly data: ListenerData
  readonly socket: Descriptor
  readonly #sessions = new Map<number, UdpSession>()
  readonly #refusals = new Refusals<number>()
  readonly #wildcard: boolean
  readonly #address: Peer | null
  readonly #room: Room<UdpSession>
  #again = false
  /** As many headers are made ready: twice what came last. */
  #expected = leastExpected
  #listening = true
  /** A successor reads the shared socket; sessions have their own. */
  #yielded = false
  #tellsMarks = false

  constructor(thread: Thread, ruleOnThread: RuleOnThread, data: ListenerData) {
    super()
    this.thread = thread
    this.ruleOnThread = ruleOnThread
    this.data = data
    this.#room = new Room({ most: thread.mostSessions, evict: (session) => session.end('evicted') })
    this.socket = Descriptor.borrow(data.fd)
    localAddress(this.socket)
    this.#address = peerIn(lastAddress())
    this.#wildcard = /^(0\.0\.0\.0|::)$/.test(addressOf(lastAddress()))
    this.resume()
  }

  onEvents(): void {
    this.#drain()
  }

  /** UDP goes on without descriptors: those there are serve, the oldest make room. */
  pause(): void {}

  resume(): void {
    this.#again = false
    if (!this.#listening || this.#yielded) return
    if (this.slot === -1) this.thread.loop.watch(this, this.socket, epollIn | epollEdge)
    else this.#drain()
  }

  /** Sessions live on: where the shared socket closes, each by its own, and one that can have none ends. */
  stop(_queued: 'take' | 'leave', apart: boolean): void {
    this.#listening = false
    if (apart) {
      if (!this.#yielded) this.yield()
      for (const { session } of this.#room.seats()) if (!session.door) session.end('drained')
      // The main thread closes the shared socket next.
      this.thread.answers.flush()
    }
    if (this.#room.size === 0) this.#leave()
  }

  yield(): void {
    this.#yielded = true
    for (const seat of this.#room.seats()) if (!seat.session.door) this.#giveDoor(seat.session)
    for (let i = 0; i < drainedWhenYielded && this.takeFrom(this.socket, this.#hearsMany); i++);
    this.thread.loop.unwatch(this, this.socket)
  }

  takeBack(): void {
    this.#yielded = false
    this.resume()
  }

  /** @returns whether the marks of what comes in are told from now on. */
  tellMarks(): boolean {
    if (!this.#listening) return this.#tellsMarks
    this.#tellsMarks ||= setOption(this.socket, 'receiveMark', 1) === 0
    return this.#tellsMarks
  }

  /** Without one its datagrams reach the successor, which begins anew. */
  #giveDoor(session: UdpSession): void {
    const socket = openConnectedTwin(this.socket, session.client, session.local)
    if (typeof socket === 'number') return
    if (this.#tellsMarks) setOption(socket, 'receiveMark', 1)
    session.door = new OwnDoor(this, socket)
  }

  #leave(): void {
    this.thread.loop.unwatch(this, this.socket)
    this.ruleOnThread.listeners.delete(this)
  }

  #drain(): void {
    for (let i = 0; i < batchesPerTurn; i++) if (!this.takeFrom(this.socket, this.#hearsMany)) return
    if (!this.#again) this.thread.loop.again(this)
    this.#again = true
  }

  /** Of a broadcast each socket has a copy: one of them hears it. */
  get #hearsMany(): boolean {
    return this.data.part === 0
  }

  /** One batch. @param hearsMany takes what was sent to many. @returns whether there may be more. */
  takeFrom(socket: Descriptor, hearsMany: boolean): boolean {
    const { incoming } = this.thread.datagrams
    const wanted = this.#expected
    const count = incoming.receive(socket, 0, wanted, true)
    if (count > 0) this.#forward(incoming, count, hearsMany)
    this.#expected = Math.min(incoming.count, Math.max(leastExpected, count * 2))
    // A connected socket tells of an answer that nobody took before it gives what came in.
    return count >= wanted || count === -ECONNREFUSED
  }

  /** Datagrams of one session that follow one another go together. */
  #forward(batch: Datagrams, count: number, hearsMany: boolean): void {
    for (let first = 0; first < count;) {
      let end = first + 1
      while (end < count && samePeer(batch, first, end) && this.#sameLocal(batch, first, end)) end++
      if (hearsMany || !batch.isForMany(first)) this.#pass(batch, first, end - first)
      first = end
    }
  }

  /** A fault in one session ends that one. */
  #pass(batch: Datagrams, first: number, count: number): void {
    let session: UdpSession | null = null
    try {
      session = this.#sessionOf(batch, first)
      if (session) session.toTarget(batch, first, count)
      else this.ruleOnThread.cells[cell.lost]! += count
    } catch (thrown) {
      this.thread.loop.fault(session ?? this, thrown)
    }
  }

  #sameLocal(batch: Datagrams, a: number, b: number): boolean {
    return !this.#wildcard || batch.sameDestination(a, b)
  }

  #sessionOf(batch: Datagrams, i: number): UdpSession | null {
    const key = peerKey(batch.arena, batch.nameAt(i))
    for (let session = this.#sessions.get(key) ?? null; session; session = session.sameKey) {
      if (!session.is(batch, i, this.#wildcard)) continue
      if (!session.isLeft) return session
      session.end('target-refused')
      break
    }
    return this.#listening ? this.#open(batch, i, key) : null
  }

  #open(batch: Datagrams, i: number, key: number): UdpSession | null {
    const { revision } = this.ruleOnThread
    const at = batch.nameAt(i)
    const six = batch.arena.bytes[at] !== familyInet
    const client = batch.arena.bytes.slice(at, at + (six ? 28 : 16))
    const source = addressOf(client)
    const { now } = this.thread.loop
    if (this.thread.udpDials.behind(portOf(client)) >= mostCrossings) {
      this.#refuse(revision, client, key, 'loop')
      return null
    }
    const admitted = this.#room.admit(revision.admission, source, now, this.ruleOnThread.paused)
    if (!admitted.ok) {
      this.#refuse(revision, client, key, admitted.reason)
      return null
    }
    const local = this.#wildcard ? batch.localAddress(i) : null
    const session = new UdpSession(this, revision, key, client, local, source, admitted.ticket)
    session.seat = this.#room.take(session, source, now)
    session.sameKey = this.#sessions.get(key) ?? null
    this.#sessions.set(key, session)
    this.thread.descriptors.took(1)
    if (this.#yielded) this.#giveDoor(session)
    session.start()
    return session.ended ? null : session
  }

  #refuse(revision: RuleRevision, client: Uint8Array, key: number, reason: CloseReason): void {
    const { now } = this.thread.loop
    if (!this.#refusals.tell(key, now)) return
    this.ruleOnThread.count(reason)
    this.thread.eventBatch.refused(revision.id, this.data.id, client, reason, now)
  }

  /** Descriptors are short: another session makes room. @returns false where there is none. */
  makeRoomFor(session: UdpSession): boolean {
    return this.#room.makeRoom(this.thread.loop.now, session)
  }

  /** Which address of ours the session's client wrote to. */
  askedBy({ local }: UdpSession): Peer | null {
    const own = this.#address
    return own && local ? { address: unmapped(addressFromBytes(local)), port: own.port } : own
  }

  heard({ seat }: UdpSession, from: 'client' | 'target'): void {
    if (seat) this.#room.heard(seat, from, this.thread.loop.now)
  }

  removed(session: UdpSession): void {
    if (session.seat) this.#room.leave(session.seat)
    this.thread.descriptors.gave(1)
    const first = this.#sessions.get(session.key)
    if (first === session) {
      if (session.sameKey) this.#sessions.set(session.key, session.sameKey)
      else this.#sessions.delete(session.key)
    } else {
      for (let at = first; at; at = at.sameKey ?? undefined)
        if (at.sameKey === session) at.sameKey = session.sameKey
    }
    if (!this.#listening && this.#room.size === 0) this.#leave()
  }
}
