/**
 * UDP: each client of each local address is a session with an upstream socket of its own, so its target sees one
 * stable port. Datagrams come and go up to 64 at a time; a run of equal size leaves as one (UDP_SEGMENT).
 */
import type { Ticket } from '../../relay/admit.ts'
import type { TargetState } from '../../relay/pick.ts'
import type { CloseReason } from '../../model/connection.ts'
import { CarriedBase } from './carried.ts'
import type { Carriage, Edition, Listening } from './edition.ts'
import {
  close,
  connect,
  Datagrams,
  Descriptor,
  ECONNREFUSED,
  EIO,
  EMFILE,
  ENFILE,
  epollEdge,
  epollIn,
  familyInet,
  localAddress,
  lastAddress,
  openSocket,
  setOption,
  type Arena,
} from './ffi.ts'
import { Watcher, type Resumable } from './loop.ts'
import type { ListenerData } from './messages.ts'
import { cell } from './shared.ts'
import { addressOf, type Sockaddr } from './sockaddr.ts'
import { lengthOf, runLength, segmentation } from './answers.ts'
import type { Thread } from './thread.ts'

const batchesPerTurn = 4
/** Datagrams that wait for a name; those that come after are lost. */
const mostQueued = 16
/** Refused clients are told of once in this time each. */
const refusedEveryMs = 1000
const mostRefusedKnown = 1024

export class UdpListener extends Watcher implements Listening, Resumable {
  readonly thread: Thread
  readonly carriage: Carriage
  readonly data: ListenerData
  readonly socket: Descriptor
  readonly #sessions = new Map<number, UdpSession>()
  readonly #refused = new Map<number, number>()
  readonly #wildcard: boolean
  /** The least lately used session first. */
  #oldest: UdpSession | null = null
  #newest: UdpSession | null = null
  #again = false
  #listening = true

  constructor(thread: Thread, carriage: Carriage, data: ListenerData) {
    super()
    this.thread = thread
    this.carriage = carriage
    this.data = data
    this.socket = Descriptor.borrow(data.fd)
    localAddress(this.socket)
    this.#wildcard = /^(0\.0\.0\.0|::)$/.test(addressOf(lastAddress()))
    carriage.listeners.add(this)
    this.resume()
  }

  onEvents(): void {
    this.#drain()
  }

  /** UDP goes on without descriptors: those there are serve, the oldest make room. */
  pause(): void {}

  resume(): void {
    this.#again = false
    if (!this.#listening) return
    if (this.slot === -1) this.thread.loop.watch(this, this.socket, epollIn | epollEdge)
    else this.#drain()
  }

  /** Sessions live on: their clients' datagrams still have to reach them. */
  stop(): void {
    this.#listening = false
    if (!this.#oldest) this.#leave()
  }

  #leave(): void {
    this.thread.loop.unwatch(this, this.socket)
    this.carriage.listeners.delete(this)
  }

  #drain(): void {
    const { incoming } = this.thread.datagrams
    for (let i = 0; i < batchesPerTurn; i++) {
      const count = incoming.receive(this.socket, 0, incoming.count, true)
      if (count > 0) this.#forward(incoming, count)
      if (count < incoming.count) return
    }
    if (!this.#again) this.thread.loop.again(this)
    this.#again = true
  }

  /** Datagrams of one session that follow one another go together. */
  #forward(batch: Datagrams, count: number): void {
    for (let first = 0; first < count; ) {
      let end = first + 1
      while (end < count && samePeer(batch, first, end) && this.#sameLocal(batch, first, end)) end++
      const session = this.#sessionOf(batch, first)
      if (session) session.toTarget(batch, first, end - first)
      else this.carriage.cells[cell.lost]! += end - first
      first = end
    }
  }

  #sameLocal(batch: Datagrams, a: number, b: number): boolean {
    if (!this.#wildcard) return true
    return sameBytes(batch.arena, batch.destinationAt(a), batch.destinationAt(b), this.#localBytes(batch, a))
  }

  #localBytes(batch: Datagrams, i: number): number {
    return batch.arena.bytes[batch.nameAt(i)] === familyInet ? 4 : 16
  }

  #sessionOf(batch: Datagrams, i: number): UdpSession | null {
    const key = peerKey(batch.arena, batch.nameAt(i))
    for (let session = this.#sessions.get(key) ?? null; session; session = session.sameKey)
      if (session.is(batch, i, this.#wildcard)) return session
    return this.#listening ? this.#open(batch, i, key) : null
  }

  #open(batch: Datagrams, i: number, key: number): UdpSession | null {
    const { edition } = this.carriage
    const at = batch.nameAt(i)
    const six = batch.arena.bytes[at] !== familyInet
    const client = batch.arena.bytes.slice(at, at + (six ? 28 : 16))
    const source = addressOf(client)
    const admitted = edition.admission.admit(source, this.thread.loop.now)
    if (!admitted.ok) {
      this.#refuse(edition, client, key, admitted.reason)
      return null
    }
    const localAt = this.#wildcard ? batch.destinationAt(i) : 0
    const local = localAt > 0 ? batch.arena.bytes.slice(localAt, localAt + (six ? 16 : 4)) : null
    const session = new UdpSession(this, edition, key, client, local, source, admitted.ticket)
    session.sameKey = this.#sessions.get(key) ?? null
    this.#sessions.set(key, session)
    this.#append(session)
    session.start()
    return session.ended ? null : session
  }

  #refuse(edition: Edition, client: Uint8Array, key: number, reason: CloseReason): void {
    const { now } = this.thread.loop
    if (now < (this.#refused.get(key) ?? 0)) return
    if (this.#refused.size >= mostRefusedKnown) this.#refused.clear()
    this.#refused.set(key, now + refusedEveryMs)
    this.carriage.count(reason)
    this.thread.happenings.refused(edition.id, this.data.id, client, reason, now)
  }

  /** Ends the session that was silent for longest. @returns false where there is none. */
  evictOldest(but: UdpSession): boolean {
    const oldest = this.#oldest === but ? but.newer : this.#oldest
    oldest?.end('evicted')
    return oldest !== null
  }

  touch(session: UdpSession): void {
    if (this.#newest === session) return
    this.#unlink(session)
    this.#append(session)
  }

  #append(session: UdpSession): void {
    session.older = this.#newest
    session.newer = null
    if (this.#newest) this.#newest.newer = session
    else this.#oldest = session
    this.#newest = session
  }

  #unlink(session: UdpSession): void {
    if (session.older) session.older.newer = session.newer
    else this.#oldest = session.newer
    if (session.newer) session.newer.older = session.older
    else this.#newest = session.older
  }

  removed(session: UdpSession): void {
    this.#unlink(session)
    const first = this.#sessions.get(session.key)
    if (first === session) {
      if (session.sameKey) this.#sessions.set(session.key, session.sameKey)
      else this.#sessions.delete(session.key)
    } else {
      for (let at = first; at; at = at.sameKey ?? undefined)
        if (at.sameKey === session) at.sameKey = session.sameKey
    }
    if (!this.#listening && !this.#oldest) this.#leave()
  }
}

export class UdpSession extends CarriedBase {
  readonly listener: UdpListener
  readonly key: number
  readonly client: Uint8Array
  /** The address of ours that the client wrote to; null where the socket has only one. */
  readonly local: Uint8Array | null
  sameKey: UdpSession | null = null
  older: UdpSession | null = null
  newer: UdpSession | null = null
  readonly #source: string
  #upstream: Upstream | null = null
  #order: readonly TargetState[] = []
  #next = 0
  #queued: Uint8Array[] = []

  constructor(
    listener: UdpListener,
    edition: Edition,
    key: number,
    client: Uint8Array,
    local: Uint8Array | null,
    source: string,
    ticket: Ticket,
  ) {
    super(listener.thread, edition, listener.data.id, client, ticket)
    this.listener = listener
    this.key = key
    this.client = client
    this.local = local
    this.#source = source
  }

  is(batch: Datagrams, i: number, withLocal: boolean): boolean {
    const { bytes } = batch.arena
    const at = batch.nameAt(i)
    for (let b = 0; b < this.client.length; b++) if (bytes[at + b] !== this.client[b]) return false
    if (!withLocal || !this.local) return true
    const localAt = batch.destinationAt(i)
    for (let b = 0; b < this.local.length; b++) if (bytes[localAt + b] !== this.local[b]) return false
    return true
  }

  start(): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.edition.rule.timeouts.udpMs, loop.now)
    this.#order = this.edition.targets.order(this.#source, loop.now)
    this.#aimNext()
  }

  #aimNext(): void {
    const state = this.#order[this.#next++]
    if (!state) return this.end('name-not-found')
    const { listen } = this.edition.rule
    const ports = listen.kind === 'unix' ? { first: 0, last: 0 } : listen.ports
    const asked = this.#next
    const found = this.edition.carriage.names.find(
      state.choice.to,
      this.listener.data.port,
      ports,
      this.thread.loop.now,
      (later) => {
        if (!this.ended && this.#next === asked) this.#aim(state, later)
      },
    )
    if (found !== undefined) this.#aim(state, found)
  }

  #aim(state: TargetState, found: readonly Sockaddr[] | null): void {
    const address = found?.find((candidate) => this.#connect(candidate))
    if (this.ended) return
    if (!address) {
      state.failed(this.thread.loop.now)
      return this.#aimNext()
    }
    state.succeeded()
    this.settle(state, this.edition.targets.states.indexOf(state), address)
    this.thread.records.setState(this.record, 'open')
    for (const datagram of this.#queued.splice(0)) this.#upstream?.sendCopy(datagram)
  }

  #connect(address: Sockaddr): boolean {
    let socket = openSocket(address[0] as number, 'datagram')
    if ((socket === -EMFILE || socket === -ENFILE) && this.listener.evictOldest(this))
      socket = openSocket(address[0] as number, 'datagram')
    if (typeof socket === 'number') return false
    if (segmentation.on) setOption(socket, 'groReceive', 1)
    if (connect(socket, address) < 0) {
      close(socket)
      return false
    }
    this.#upstream = new Upstream(this, socket)
    return true
  }

  toTarget(batch: Datagrams, first: number, count: number): void {
    this.touch()
    if (this.#upstream) return this.#upstream.send(batch, first, count)
    for (let i = first; i < first + count; i++) {
      if (this.#queued.length >= mostQueued) this.lost(1)
      else this.#queued.push(batch.arena.bytes.slice(batch.dataAt(i), batch.dataAt(i) + batch.length(i)))
    }
  }

  touch(): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.edition.rule.timeouts.udpMs, loop.now)
    this.listener.touch(this)
  }

  sent(bytes: number, datagrams: number): void {
    const { cells } = this.edition.carriage
    this.thread.records.addToTarget(this.record, bytes)
    cells[cell.toTarget]! += bytes
    cells[cell.datagramsToTarget]! += datagrams
    this.#spend(bytes)
  }

  answered(bytes: number, datagrams: number): void {
    const { cells } = this.edition.carriage
    this.thread.records.addToClient(this.record, bytes)
    cells[cell.toClient]! += bytes
    cells[cell.datagramsToClient]! += datagrams
    this.#spend(bytes)
  }

  lost(datagrams: number): void {
    this.edition.carriage.cells[cell.lost]! += datagrams
  }

  #overUntil = 0

  #spend(bytes: number): void {
    const { bucket } = this.edition
    if (bucket) this.#overUntil = this.thread.loop.now + bucket.spend(bytes, this.thread.loop.now)
  }

  /** Over the rule's bandwidth: a datagram that comes now is lost, as in any full queue. */
  get over(): boolean {
    return this.#overUntil > this.thread.loop.now
  }

  onDeadline(): void {
    this.end('idle')
  }

  protected release(): void {
    this.#upstream?.close()
    this.listener.removed(this)
  }
}

/** The socket that the target knows the client by. */
class Upstream extends Watcher {
  readonly #session: UdpSession
  readonly #socket: Descriptor
  /** How many came at once lately: that many headers are made ready for the next time. */
  #expected = 2

  constructor(session: UdpSession, socket: Descriptor) {
    super()
    this.#session = session
    this.#socket = socket
    if (session.thread.loop.watch(this, socket, epollIn | epollEdge) < 0) session.end('engine-error')
  }

  onEvents(): void {
    const { thread } = this.#session
    for (let i = 0; i < batchesPerTurn; i++) {
      const room = thread.answers.room(this.#session.listener)
      const wanted = Math.min(room, this.#expected)
      const count = thread.datagrams.outgoing.receive(this.#socket, thread.answers.used, wanted, false)
      if (count > 0) this.#answer(count)
      // A refused datagram came back: the session goes on, the target may come back too.
      if (count === -ECONNREFUSED) continue
      if (count < wanted) return
      this.#expected = Math.min(this.#expected * 2, 32)
    }
    thread.loop.again({ resume: () => this.#socket.closed || this.onEvents() })
  }

  #answer(count: number): void {
    const session = this.#session
    session.touch()
    session.thread.answers.add(session, count)
  }

  send(batch: Datagrams, first: number, count: number): void {
    if (this.#session.over) return this.#session.lost(count)
    for (let at = first; at < first + count; ) {
      const run = runLength(batch, at, first + count)
      if (run > 1 || batch.segmentBytes(at) > 0) this.#sendRun(batch, at, run)
      else this.#sendOne(batch, at)
      at += run
    }
  }

  #sendOne(batch: Datagrams, i: number): void {
    const bytes = batch.length(i)
    let sent = batch.sendOne(this.#socket, i, 0, bytes)
    // What is reported is an earlier datagram's end; this one has not been sent yet.
    if (sent === -ECONNREFUSED) sent = batch.sendOne(this.#socket, i, 0, bytes)
    if (sent < 0) this.#session.lost(1)
    else this.#session.sent(bytes, 1)
  }

  /** As one where the kernel can, else one by one. */
  #sendRun(batch: Datagrams, first: number, run: number): void {
    const segment = batch.segmentBytes(first) || batch.length(first)
    if (segmentation.on) {
      const bytes = lengthOf(batch, first, run)
      batch.compose(first, first, run, null)
      batch.segment(first, segment)
      let sent = batch.send(this.#socket, first, 1)
      if (sent === -ECONNREFUSED) sent = batch.send(this.#socket, first, 1)
      if (sent === 1) return this.#session.sent(bytes, run === 1 ? Math.ceil(bytes / segment) : run)
      if (sent === -EIO) segmentation.off()
    }
    for (let i = first; i < first + run; i++) this.#sendSegments(batch, i, segment)
  }

  /** What came in together goes out apart. */
  #sendSegments(batch: Datagrams, i: number, segment: number): void {
    for (let from = 0; from < batch.length(i); from += segment) {
      const bytes = Math.min(segment, batch.length(i) - from)
      let sent = batch.sendOne(this.#socket, i, from, bytes)
      if (sent === -ECONNREFUSED) sent = batch.sendOne(this.#socket, i, from, bytes)
      if (sent < 0) this.#session.lost(1)
      else this.#session.sent(bytes, 1)
    }
  }

  /** A datagram that had waited for a name. */
  sendCopy(datagram: Uint8Array): void {
    const { outgoing } = this.#session.thread.datagrams
    this.#session.thread.answers.flush()
    outgoing.arena.bytes.set(datagram, outgoing.dataAt(0))
    const sent = outgoing.sendOne(this.#socket, 0, 0, datagram.length)
    if (sent < 0) this.#session.lost(1)
    else this.#session.sent(datagram.length, 1)
  }

  close(): void {
    this.#session.thread.loop.forget(this)
    close(this.#socket)
  }
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
  for (let i = 2; i < 7; i++) hash = Math.imul(hash ^ (words[(at >> 2) + i] as number), 0x9e3779b1) ^ (hash >>> 15)
  return 2 ** 48 + (hash >>> 0)
}
