/**
 * The way from a UDP session to its target: datagrams that the client sent leave one by one or, where they are equal in
 * size, as one; what comes back is gathered with what comes back to others.
 */
import { batchesPerTurn } from './datagrams.ts'
import type { FlowBase } from './flow.ts'
import { lengthOf, mostBytes, runLength, segmentation, type Answered, type Outlet } from './udp-replies.ts'
import type { Datagrams } from './datagrams.ts'
import { epollEdge, epollIn } from '../../../linux/epoll.ts'
import {
  close,
  EAGAIN,
  ECONNREFUSED,
  EIO,
  lastAddress,
  localAddress,
  send,
  setOption,
  type Arena,
  type Descriptor,
} from '../../../linux/libc.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { connectUdp } from './udp-connect.ts'
import { metItself } from './self-connect.ts'
import { Watcher, type Resumable } from './loop.ts'
import { peerIn, portOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'

/** The session, as its upstream knows it. */
export interface UpstreamSession extends Answered, Pick<FlowBase, 'thread' | 'end'> {
  /** Through which answers leave. */
  readonly outlet: Outlet
  /** Each datagram has a header of its own. */
  readonly tellsTarget: boolean
  /** The PROXY header of the next datagram, where it has one. */
  nextHeader(): Buffer | null
  /** The header was sent. */
  told(): void
  /** Datagrams came from the target. */
  hear(way: 'back', count: number, batch: Datagrams, last: number): void
  sent(bytes: number, datagrams: number): void
  /** Takes that back. @param error an errno below zero */
  unsent(bytes: number, datagrams: number, error: number): void
  /** A datagram came back, or none can leave. @param error an errno below zero */
  turnedAway(error: number): void
}

/** The socket that the target knows the client by. */
export class UdpUpstream extends Watcher implements Resumable {
  readonly session: UpstreamSession
  readonly #socket: Descriptor
  /** Of ours, that it sends from. */
  readonly #port: number
  /** How many came at once lately: that many headers are made ready for the next time. */
  #expected = 2

  /** @param client whose it is: a sockaddr */
  constructor(session: UpstreamSession, socket: Descriptor, client: Sockaddr) {
    super()
    this.session = session
    this.#socket = socket
    const { udpDials } = session.thread
    localAddress(socket)
    this.#port = portOf(lastAddress())
    udpDials.leaves(this.#port, udpDials.behind(portOf(client)))
    if (session.thread.loop.watch(this, socket, epollIn | epollEdge) < 0) session.end('engine-error')
  }

  onEvents(): void {
    const { session } = this
    const { thread } = session
    for (let i = 0; i < batchesPerTurn; i++) {
      const room = thread.answers.room(session.outlet)
      const wanted = Math.min(room, this.#expected)
      const count = thread.datagrams.outgoing.receive(this.#socket, thread.answers.used, wanted, false)
      if (count > 0) this.#answer(count)
      if (count < 0 && count !== -EAGAIN && !this.#socket.closed) {
        session.turnedAway(count)
        continue
      }
      if (count < wanted) return
      this.#expected = Math.min(this.#expected * 2, 32)
    }
    thread.loop.again(this)
  }

  resume(): void {
    if (!this.#socket.closed) this.onEvents()
  }

  #answer(count: number): void {
    const { session } = this
    const { answers, datagrams, loop } = session.thread
    session.hear('back', count, datagrams.outgoing, answers.used + count - 1)
    answers.add(session, count)
    // Among few clients each waits for its own, and asks again while the others are answered.
    if (!loop.crowded) answers.flush()
  }

  send(batch: Datagrams, first: number, count: number): void {
    for (let at = first; at < first + count;) {
      const run = runLength(batch, at, first + count)
      if (!this.session.mayPass(lengthOf(batch, at, run))) this.session.lost(run)
      else if (run > 1 || batch.segmentBytes(at) > 0) this.#sendRun(batch, at, run)
      else this.#sendOne(batch, at)
      at += run
    }
  }

  #sendOne(batch: Datagrams, i: number): void {
    this.#sendPart(batch, i, 0, batch.length(i))
  }

  /** The header in front of the payload, in one datagram. */
  #sendHeaded(header: Buffer, arena: Arena, at: number, bytes: number): void {
    const { buffer } = this.session.thread
    const whole = header.length + bytes
    if (whole > mostBytes) return this.session.lost(1)
    this.session.told()
    buffer.bytes.set(header)
    buffer.bytes.set(arena.bytes.subarray(at, at + bytes), header.length)
    this.session.sent(bytes, 1)
    let sent = send(this.#socket, buffer, 0, whole)
    if (this.#wasEarlier(sent)) sent = send(this.#socket, buffer, 0, whole)
    if (sent < 0) this.session.unsent(bytes, 1, sent)
  }

  #sendPart(batch: Datagrams, i: number, from: number, bytes: number): void {
    const header = this.session.nextHeader()
    if (header) return this.#sendHeaded(header, batch.arena, batch.dataAt(i) + from, bytes)
    this.session.sent(bytes, 1)
    let sent = batch.sendOne(this.#socket, i, from, bytes)
    if (this.#wasEarlier(sent)) sent = batch.sendOne(this.#socket, i, from, bytes)
    if (sent < 0) this.session.unsent(bytes, 1, sent)
  }

  /** What is reported is an earlier datagram's end; this one has not been sent yet. */
  #wasEarlier(sent: number): boolean {
    if (sent !== -ECONNREFUSED) return false
    this.session.turnedAway(sent)
    return true
  }

  /** As one where the kernel can, else one by one. */
  #sendRun(batch: Datagrams, first: number, run: number): void {
    const segment = batch.segmentBytes(first) || batch.length(first)
    if (segmentation.on && !this.session.tellsTarget) {
      const bytes = lengthOf(batch, first, run)
      const datagrams = run === 1 ? Math.ceil(bytes / segment) : run
      this.session.sent(bytes, datagrams)
      batch.compose(first, first, run, null)
      batch.segment(first, segment)
      let sent = batch.send(this.#socket, first, 1)
      if (this.#wasEarlier(sent)) sent = batch.send(this.#socket, first, 1)
      if (sent === 1) return
      this.session.sent(-bytes, -datagrams)
      if (sent === -EIO) segmentation.off()
    }
    for (let i = first; i < first + run; i++) this.#sendSegments(batch, i, segment)
  }

  /** What came in together goes out apart. */
  #sendSegments(batch: Datagrams, i: number, segment: number): void {
    for (let from = 0; from < batch.length(i); from += segment) {
      const bytes = Math.min(segment, batch.length(i) - from)
      this.#sendPart(batch, i, from, bytes)
    }
  }

  /** @returns whether the marks of what comes back are told from now on. */
  tellMarks(): boolean {
    return setOption(this.#socket, 'receiveMark', 1) === 0
  }

  own(): Peer | null {
    localAddress(this.#socket)
    return peerIn(lastAddress())
  }

  /** Another address of the same family. @returns 0 or an errno below zero */
  moveTo(address: Sockaddr): number {
    return connectUdp(this.#socket, address) || (metItself(this.#socket, address) ? -ECONNREFUSED : 0)
  }

  /** A datagram that had waited for a name. */
  sendCopy(datagram: Uint8Array): void {
    const { outgoing } = this.session.thread.datagrams
    this.session.thread.answers.flush()
    outgoing.arena.bytes.set(datagram, outgoing.dataAt(0))
    this.#sendPart(outgoing, 0, 0, datagram.length)
  }

  close(): void {
    this.session.thread.udpDials.ended(this.#port)
    this.session.thread.loop.forget(this)
    close(this.#socket)
  }
}
