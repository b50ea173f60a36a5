/**
 * UDP: each client of each local address is a session with an upstream socket of its own, so its target sees one
 * stable port. Datagrams come and go up to 64 at a time; a run of equal size leaves as one (UDP_SEGMENT).
 */
import { constants } from 'node:os'
import type { Ticket } from '../../../relay/admit.ts'
import { speaksForAll } from '../../../relay/blame.ts'
import { bestFirst, hashOf, type TargetState } from '../../../relay/pick.ts'
import { addressFromBytes, unmapped } from '../../../base/address.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { writeProxyV2 } from '../../../relay/proxy/write.ts'
import { mostCrossings } from '../../../relay/own-dials.ts'
import { Refusals } from '../../../relay/refusals.ts'
import { Room, type Seat } from '../../../relay/room.ts'
import { isOwnFault } from '../../../relay/own-lack.ts'
import { targetsFault } from '../../../relay/undelivered.ts'
import type { CloseReason } from '../../../model/connection.ts'
import { FlowBase } from './flow.ts'
import type { RuleOnThread, RuleRevision, Listening } from './rule-revision.ts'
import { batchesPerTurn, type Datagrams } from './datagrams.ts'
import { epollEdge, epollIn } from '../../../linux/epoll.ts'
import {
  close,
  Descriptor,
  EAFNOSUPPORT,
  ECONNREFUSED,
  EPERM,
  familyInet,
  localAddress,
  lastAddress,
  openSocket,
  setOption,
  type Arena,
} from '../../../linux/libc.ts'
import { connectUdp } from './udp-connect.ts'
import { isShortage, lackIn } from './dial.ts'
import { metItself } from './self-connect.ts'
import { canDialAs, dialAs } from './transparent-dial.ts'
import { openConnectedTwin } from '../../../linux/udp-connected-twin.ts'
import type { CachedAddresses } from './resolve-cache.ts'
import { Watcher, type Resumable } from './loop.ts'
import type { ListenerData } from '../shared/messages.ts'
import type { Offloadable } from './offloading.ts'
import { cell } from '../shared/records.ts'
import { addressOf, peerIn, portOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'
import {
  endpointOnWire,
  type OffloadedPair as CarriedByKernel,
  type WireEndpoint,
  type Pair,
} from '../../../linux/bpf/flows.ts'
import { segmentation, type Outlet } from './udp-replies.ts'
import type { Thread } from './thread.ts'
import { UdpUpstream, type UpstreamSession } from './udp-upstream.ts'

/** Batches that are still read when a successor takes over; under a flood the rest is its. */
const drainedWhenYielded = 64
const leastExpected = 4
/** Datagrams that wait for a name; those that come after are lost. */
const mostQueued = 64
/** How soon a name that could not be asked for is tried again. */
const retryNameMs = 5000
/** A burst of the largest datagrams must survive one turn; the system caps it (`net.core.rmem_max`). */
const socketBufferBytes = 1024 * 1024
/** Within this time a session must come to `datagramsBeforeOffload` to be offered, ms. */
const busyMs = 1000
/** A session that ends sooner than this in silence stays with us: the kernel is asked what it carries twice a second. */
const leastPatienceMs = 2000

export class UdpListener extends Watcher implements Listening, Outlet, Resumable {
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

export class UdpSession extends FlowBase implements UpstreamSession, Offloadable {
  readonly listener: UdpListener
  readonly key: number
  readonly client: Uint8Array
  /** The address of ours that the client wrote to; null where the socket has only one. */
  readonly local: Uint8Array | null
  sameKey: UdpSession | null = null
  seat: Seat<UdpSession> | null = null
  readonly source: string
  /** Datagrams that came to it so far. */
  #came = 0
  #isOffloaded = false
  /** When it came to how many was looked at last, and at how many it will be next. */
  #noticedAt = Number.NEGATIVE_INFINITY
  #noticeAt = 0
  /** Its own way in, once the shared one is a successor's. */
  door: OwnDoor | null = null
  #upstream: UdpUpstream | null = null
  /** Targets that were not tried yet. */
  #targets: TargetState[] = []
  /** Addresses of the target that were not tried yet. */
  #addresses: Sockaddr[] = []
  /** How many there are in all: with one, there is nowhere else to go. */
  #ways = 0
  /** The first of them had its turn. */
  #turned = false
  /** Some of them could be sent to, so it is worth beginning with the first again. */
  #reached = false
  /** The address does not take datagrams: the next one goes elsewhere. */
  #refused = false
  /** The address answers, and its target knows. */
  #isGood = false
  /** Counts targets that were asked for, so that a late answer is known as one. */
  #asked = 0
  #queued: Uint8Array[] = []
  #header: Buffer | null = null
  /** The target knows who calls. */
  #told = false
  #address: Sockaddr = new Uint8Array(0)
  /** When the target's name is to be asked for again. */
  #freshUntil = Number.POSITIVE_INFINITY

  constructor(
    listener: UdpListener,
    revision: RuleRevision,
    key: number,
    client: Uint8Array,
    local: Uint8Array | null,
    source: string,
    ticket: Ticket,
  ) {
    super(listener.thread, revision, listener.data.id, client, ticket)
    this.listener = listener
    this.key = key
    this.client = client
    this.local = local
    this.source = source
  }

  get outlet(): Outlet {
    return this.door ?? this.listener
  }

  is(batch: Datagrams, i: number, withLocal: boolean): boolean {
    const { bytes } = batch.arena
    const at = batch.nameAt(i)
    for (let b = 0; b < this.client.length; b++) if (bytes[at + b] !== this.client[b]) return false
    return !withLocal || !this.local || batch.cameTo(i, this.local)
  }

  start(): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.revision.timeouts.udpMs, loop.now)
    this.#takeTurn()
    this.#aimNext('no-such-name')
  }

  /** All targets, in the order of this moment. */
  #takeTurn(): void {
    this.#targets = [...this.revision.order(this.source, this.thread.loop.now)]
    this.#ways = this.#targets.length
    this.#reached = this.#turned = false
  }

  /** @param reason why the one before failed: what the record says if none can even be sent to. */
  #aimNext(reason: CloseReason): void {
    if (this.#targets.length === 0 && this.#reached) this.#takeTurn()
    if (this.#turned) this.revision.again(this.#targets, 0, this.source, this.thread.loop.now)
    this.#turned = true
    const state = this.#targets.shift()
    if (!state) return this.end(reason)
    const asked = ++this.#asked
    const found = this.#find(state, (later) => {
      if (!this.ended && this.#asked === asked) this.#aim(state, later)
    })
    if (found !== undefined) this.#aim(state, found)
  }

  /** Its target refuses, and an edit took that out of the rule: nothing holds the session to it. */
  get isLeft(): boolean {
    return (
      this.#refused &&
      !this.revision.ruleOnThread.revision.targets.states.includes(this.target as TargetState)
    )
  }

  /** To the next address of the name, or to the next target; after the last of them it begins with the first. */
  #goElsewhere(): void {
    this.#refused = false
    const state = this.target
    if (this.#ways < 2 || !state) return
    this.#leave()
    if (this.#addresses.length > 0) return this.#connectNext(state)
    if (this.#targets.length === 0) this.#takeTurn()
    this.#aimNext('target-refused')
  }

  #leave(): void {
    this.thread.offloading.takeBack(this)
    this.#upstream?.close()
    this.#upstream = null
  }

  #find(state: TargetState, tell: (found: CachedAddresses) => void): CachedAddresses | undefined {
    const { rule, ruleOnThread } = this.revision
    return ruleOnThread.names.find(
      state.choice.to,
      this.listener.data.port,
      rule.listen,
      this.thread.loop.now,
      (later) => {
        // Others wait for the same answer.
        try {
          tell(later)
        } catch (thrown) {
          this.thread.loop.fault(this, thrown)
        }
      },
    )
  }

  #aim(state: TargetState, found: CachedAddresses): void {
    if (typeof found === 'string') {
      this.revision.failed(state, this.thread.loop.now)
      return this.#aimNext(found)
    }
    this.#addresses = bestFirst(found, this.revision.goodOf(state), (one) => addressOf(one))
    this.#ways += found.length - 1
    this.#connectNext(state)
  }

  /** To the first of the target's addresses that can be sent to. */
  #connectNext(state: TargetState): void {
    let reason: CloseReason = 'target-unreachable'
    for (let address = this.#addresses.shift(); address; address = this.#addresses.shift()) {
      const error = this.#connect(address)
      if (this.ended) return
      if (error === 0) return this.#connected(state, address)
      reason = lackIn(-error, address) ?? 'target-unreachable'
    }
    if (reason === 'no-room') return this.end(reason)
    // What this client or this machine does not have is not the target's fault.
    if (!isOwnFault(reason)) this.revision.failed(state, this.thread.loop.now)
    this.#aimNext(reason)
  }

  #connected(state: TargetState, address: Sockaddr): void {
    this.#settle(state, address)
    this.#reached = true
    this.#told = false
    this.thread.records.setState(this.record, 'open')
    for (const datagram of this.#queued.splice(0)) this.#upstream?.sendCopy(datagram)
  }

  #settle(state: TargetState, address: Sockaddr): void {
    this.settle(state, address)
    if (address !== this.#address) this.#isGood = false
    this.#address = address
    this.#freshUntil = this.revision.ruleOnThread.names.freshUntil(state.choice.to)
  }

  /** The name is old: where it has moved, the same socket, with the same port of ours, goes on to the new address. */
  #freshen(): void {
    const state = this.target as TargetState
    this.#freshUntil = Number.POSITIVE_INFINITY
    const found = this.#find(state, (later) => {
      if (!this.ended) this.#move(state, later)
    })
    if (found !== undefined) this.#move(state, found)
  }

  #move(state: TargetState, found: CachedAddresses): void {
    if (typeof found === 'string') {
      this.#freshUntil = this.thread.loop.now + retryNameMs
      return
    }
    const here = found.some((address) => Buffer.compare(address, this.#address) === 0)
    const next = here ? this.#address : found.find(([family]) => family === this.#address[0])
    // A socket has one family; the session starts anew where the name changed it.
    if (!next) return this.end('target-lost')
    if (!here) {
      this.thread.offloading.takeBack(this)
      this.#told = false
      if (this.#upstream && this.#upstream.moveTo(next) < 0) return this.end('target-unreachable')
    }
    this.#settle(state, next)
  }

  /** @returns 0 or an errno below zero */
  #connect(address: Sockaddr): number {
    let socket = this.#socketTo(address)
    if (typeof socket !== 'number' && metItself(socket, address)) {
      // Another one cannot be given that port, as long as this one has it.
      const other = this.#socketTo(address)
      close(socket)
      socket = other
    }
    if (typeof socket === 'number') return socket
    this.#upstream = new UdpUpstream(this, socket, this.client)
    if (this.ended) this.#upstream.close()
    return 0
  }

  /** @returns one that is connected, or an errno below zero */
  #socketTo(address: Sockaddr): Descriptor | number {
    let socket = openSocket(address[0] as number, 'datagram')
    if (typeof socket === 'number' && isShortage(socket) && this.listener.makeRoomFor(this))
      socket = openSocket(address[0] as number, 'datagram')
    if (typeof socket === 'number') return socket
    setOption(socket, 'receiveBuffer', socketBufferBytes)
    if (segmentation.on) setOption(socket, 'groReceive', 1)
    const { keeps } = this.revision
    const asClient = !keeps || (canDialAs(this.source, address) && dialAs(socket, this.source) === 0)
    const error = asClient ? connectUdp(socket, address) : -EAFNOSUPPORT
    if (error < 0) close(socket)
    return error < 0 ? error : socket
  }

  /** Datagrams came from the client, or from the target. */
  hear(way: 'there' | 'back', count: number, batch: Datagrams, last: number): void {
    this.#came += count
    if (way === 'back') this.#heardOf()
    this.touch(way)
    if (this.#isOffloaded) this.thread.offloading.came(this, way, batch.mark(last))
    else if (this.#came >= this.#noticeAt) this.#notice()
  }

  #notice(): void {
    const { loop, offloading, thresholds } = this.thread
    if (loop.now - this.#noticedAt <= busyMs) offloading.offer(this)
    this.#noticedAt = loop.now
    this.#noticeAt = this.#came + thresholds.datagramsBeforeOffload
  }

  /** What the kernel can be told is addresses; it knows no policy on each datagram. */
  pair(): Pair | null {
    const { bucket, keeps, timeouts } = this.revision
    const upstream = this.#upstream?.own()
    if (bucket || keeps || this.tellsTarget || timeouts.udpMs < leastPatienceMs || !upstream) return null
    const [client, listen] = [onWire(peerIn(this.client)), onWire(this.listener.askedBy(this))]
    const [own, target] = [onWire(upstream), onWire(peerIn(this.#address))]
    return client && listen && own && target && { protocol: 'udp', client, listen, upstream: own, target }
  }

  tellNumbers(): boolean {
    return this.listener.tellMarks() && (this.#upstream?.tellMarks() ?? false)
  }

  offloaded(by: 1 | -1): void {
    this.#isOffloaded = by === 1
    this.revision.ruleOnThread.cells[cell.offloaded]! += by
  }

  carried(there: CarriedByKernel, back: CarriedByKernel): void {
    if (there.packets + back.packets === 0) return
    this.sent(there.bytes, there.packets)
    this.answered(back.bytes, back.packets)
    if (this.ended) return
    if (there.packets > 0) this.touch('there')
    if (back.packets > 0) this.touch('back')
    if (back.packets > 0) this.#heardOf()
    if (this.thread.loop.now > this.#freshUntil) this.#freshen()
  }

  /** The target answers. */
  #heardOf(): void {
    this.#refused = false
    if (!this.target) return
    this.revision.succeeded(this.target)
    if (!this.#isGood) this.revision.found(this.target, hashOf(addressOf(this.#address)))
    this.#isGood = true
  }

  toTarget(batch: Datagrams, first: number, count: number): void {
    this.hear('there', count, batch, first + count - 1)
    if (this.#refused) this.#goElsewhere()
    if (!this.ended && this.thread.loop.now > this.#freshUntil) this.#freshen()
    if (this.ended) return this.lost(count)
    if (this.#upstream) return this.#upstream.send(batch, first, count)
    for (let i = first; i < first + count; i++) {
      if (this.#queued.length >= mostQueued) this.lost(1)
      else this.#queued.push(batch.arena.bytes.slice(batch.dataAt(i), batch.dataAt(i) + batch.length(i)))
    }
  }

  touch(way: 'there' | 'back'): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.revision.timeouts.udpMs, loop.now)
    this.listener.heard(this, way === 'there' ? 'client' : 'target')
  }

  /** Counted before they are sent, so that whoever has them sees them counted; `unsent` takes them back. */
  sent(bytes: number, datagrams: number): void {
    const { cells } = this.revision.ruleOnThread
    if (!this.ended) this.thread.records.addToTarget(this.record, bytes)
    cells[cell.toTarget]! += bytes
    cells[cell.datagramsToTarget]! += datagrams
  }

  answered(bytes: number, datagrams: number): void {
    const { cells } = this.revision.ruleOnThread
    if (!this.ended) this.thread.records.addToClient(this.record, bytes)
    cells[cell.toClient]! += bytes
    cells[cell.datagramsToClient]! += datagrams
  }

  unsent(bytes: number, datagrams: number, error: number): void {
    if (error === -EPERM) this.thread.offloading.refused(this)
    this.sent(-bytes, -datagrams)
    this.lost(datagrams)
    this.#blame(error)
  }

  unanswered(bytes: number, datagrams: number, error: number): void {
    if (error === -EPERM) this.thread.offloading.refused(this)
    if (!this.ended) this.answered(-bytes, -datagrams)
    this.lost(datagrams)
  }

  get tellsTarget(): boolean {
    return this.revision.rule.source === 'proxy-v2'
  }

  /** The PROXY header of the next datagram: of every one (specification of April 2026), or of the first. */
  nextHeader(): Buffer | null {
    if (!this.tellsTarget || (this.#told && this.revision.rule.proxyUdp === 'first')) return null
    this.#header ??= writeProxyV2(peerIn(this.client), this.listener.askedBy(this), { transport: 'datagram' })
    return this.#header
  }

  told(): void {
    this.#told = true
  }

  /** A datagram came back (ICMP): the session goes on, as the target may just be starting, or elsewhere. */
  turnedAway(error: number): void {
    this.lost(1)
    this.#blame(error)
  }

  #blame(error: number): void {
    const { target } = this
    if (!target || !targetsFaults.has(-error)) return
    if (this.#isGood) this.revision.found(target, 0)
    this.#isGood = false
    const { rule } = this.revision
    if (this.#addresses.length === 0 && speaksForAll(rule, target.choice.to, this.listener.data.port))
      this.revision.failed(target, this.thread.loop.now)
    this.#refused = true
    // The next datagram is to come here.
    this.thread.offloading.takeBack(this)
  }

  lost(datagrams: number): void {
    this.revision.ruleOnThread.cells[cell.lost]! += datagrams
  }

  /** Over the rule's bandwidth, datagrams are lost, as a slow line would lose them: delay helps no real-time stream. */
  mayPass(bytes: number): boolean {
    const { bucket } = this.revision
    if (!bucket) return true
    const { now } = this.thread.loop
    if (bucket.spend(0, now) > 0) return false
    bucket.spend(bytes, now)
    return true
  }

  onDeadline(): void {
    this.end('idle')
  }

  protected release(): void {
    this.thread.offloading.takeBack(this)
    this.#upstream?.close()
    this.lost(this.#queued.splice(0).length)
    this.door?.close()
    this.listener.removed(this)
  }
}

/** A socket that hears one client alone, on the address that the shared one has: the kernel prefers it. */
class OwnDoor extends Watcher implements Outlet, Resumable {
  readonly #listener: UdpListener
  readonly socket: Descriptor

  constructor(listener: UdpListener, socket: Descriptor) {
    super()
    this.#listener = listener
    this.socket = socket
    listener.thread.descriptors.took(1)
    listener.thread.loop.watch(this, socket, epollIn | epollEdge)
  }

  onEvents(): void {
    for (let i = 0; i < batchesPerTurn && !this.socket.closed; i++)
      if (!this.#listener.takeFrom(this.socket, false)) return
    this.#listener.thread.loop.again(this)
  }

  resume(): void {
    if (!this.socket.closed) this.onEvents()
  }

  close(): void {
    this.#listener.thread.answers.flush()
    this.#listener.thread.descriptors.gave(1)
    this.#listener.thread.loop.forget(this)
    close(this.socket)
  }
}

const targetsFaults: ReadonlySet<number> = new Set(
  [...targetsFault].map((name) => (constants.errno as Readonly<Record<string, number>>)[name] ?? 0),
)

function onWire(peer: Peer | null): WireEndpoint | null {
  return peer && endpointOnWire(peer.address, peer.port)
}

function samePeer(batch: Datagrams, a: number, b: number): boolean {
  const [at, bt] = [batch.nameAt(a), batch.nameAt(b)]
  return sameBytes(batch.arena, at, bt, batch.arena.bytes[at] === familyInet ? 8 : 28)
}

function sameBytes({ bytes }: Arena, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

/** One number for a client; two clients of one number are told apart by their bytes. */
function peerKey({ words }: Arena, at: number): number {
  const head = words[at >> 2] as number
  const word = words[(at >> 2) + 1] as number
  if ((head & 0xff) === familyInet) return word * 65_536 + (head >>> 16)
  let hash = head >>> 16
  for (let i = 2; i < 7; i++)
    hash = Math.imul(hash ^ (words[(at >> 2) + i] as number), 0x9e3779b1) ^ (hash >>> 15)
  return 2 ** 48 + (hash >>> 0)
}
