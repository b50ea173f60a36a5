/**
 * A TCP (or Unix) connection: accept → admit → dial → two directions that run until both have ended. What one side
 * does the other sees: FIN as FIN, RST as RST, a refused dial as RST.
 */
import type { Admitted, RefuseReason, Ticket } from '../../../relay/admit.ts'
import { peerIn, portOf, sockaddrOf, addressOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'
import { Preamble, type PreambleFlow } from './preamble.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { writeProxyV1, writeProxyV2 } from '../../../relay/proxy/write.ts'
import { mostCrossings } from '../../../relay/own-dials.ts'
import { isGone } from '../../../relay/gone.ts'
import { proxyDuty } from '../../../relay/terms.ts'
import type { TargetState } from '../../../relay/pick.ts'
import type { CloseReason } from '../../../model/connection.ts'
import { FlowBase } from './flow.ts'
import { descriptorsEach, type RuleOnThread, type RuleRevision, type Listening } from './rule-revision.ts'
import { TargetDial, isShortage, type Dialling } from './dial.ts'
import { epollError, epollExclusive, epollIn } from '../../../linux/epoll.ts'
import {
  accept,
  close,
  closeWithReset,
  Descriptor,
  EAGAIN,
  ETIMEDOUT,
  lastAddress,
  localAddress,
  outstanding,
  send,
  setKeepalive,
  setOption,
  takeError,
} from '../../../linux/libc.ts'
import { Watcher } from './loop.ts'
import { readMask, TcpSide } from './tcp-side.ts'
import { cell } from '../shared/records.ts'
import type { ListenerData } from '../shared/messages.ts'
import type { Thread } from './thread.ts'

/** Accepted in one turn before others are served. */
const acceptsPerTurn = 64
/** Keepalive is set on a target's socket once its connection has lived so long: four calls that most are spared. */
const keepaliveAfterMs = 5000
/** How often within the idle limit one looks whether something moved in the kernel's own buffers. */
const looksWithinIdle = 4

export class TcpListener extends Watcher implements Listening {
  readonly #thread: Thread
  readonly #ruleOnThread: RuleOnThread
  readonly #data: ListenerData
  readonly #socket: Descriptor
  #stopped = false

  constructor(thread: Thread, ruleOnThread: RuleOnThread, data: ListenerData) {
    super()
    this.#thread = thread
    this.#ruleOnThread = ruleOnThread
    this.#data = data
    this.#socket = Descriptor.borrow(data.fd)
    if (!ruleOnThread.paused) this.resume()
  }

  onEvents(): void {
    this.#acceptUpTo(acceptsPerTurn)
  }

  pause(): void {
    this.#thread.loop.unwatch(this, this.#socket)
  }

  resume(): void {
    if (this.slot === -1) this.#thread.loop.watch(this, this.#socket, epollIn | epollExclusive)
  }

  stop(queued: 'take' | 'leave'): void {
    if (queued === 'take' && !this.#ruleOnThread.paused) this.#acceptUpTo(Number.POSITIVE_INFINITY)
    this.pause()
    this.#stopped = true
    this.#ruleOnThread.listeners.delete(this)
  }

  #acceptUpTo(most: number): void {
    for (let i = 0; i < most; i++) {
      const socket = accept(this.#socket)
      if (typeof socket === 'number') {
        if (socket === -EAGAIN) return
        if (isShortage(socket)) return this.#thread.outOfDescriptors()
        continue // ECONNABORTED, EPROTO, EPERM: that client is gone; the next one may be there.
      }
      this.#take(socket)
      if (this.#ruleOnThread.paused) return
    }
  }

  #take(socket: Descriptor): void {
    const { revision } = this.#ruleOnThread
    const client = lastAddress()
    const source = addressOf(client)
    if (this.#thread.tcpDials.behind(portOf(client), this.#data.port) >= mostCrossings)
      return this.#refuse(socket, client, 'loop')
    const duty = revision.proxies === null ? 'ignored' : proxyDuty(revision, source)
    // Behind a trusted proxy it is the address in its header that is admitted.
    const admitted = duty === 'required' ? null : revision.admission.admit(source, this.#thread.loop.now)
    if (admitted?.ok === false) return this.#noPlace(socket, client.slice(), source, duty, admitted.reason)
    this.#carry(revision, socket, client, source, admitted?.ticket ?? null, duty)
  }

  /** It may have a moment to wait for one. @param client a copy */
  #noPlace(
    socket: Descriptor,
    client: Uint8Array,
    source: string,
    duty: ReturnType<typeof proxyDuty>,
    reason: RefuseReason,
  ): void {
    const { revision, anteroom } = this.#ruleOnThread
    const waits = anteroom.wait(
      source,
      reason,
      () =>
        this.#stopped
          ? { ok: false, reason: 'denied' }
          : revision.admission.admit(source, this.#thread.loop.now),
      (admitted) => {
        if (admitted.ok) this.#carry(revision, socket, client, source, admitted.ticket, duty)
        else this.#refuse(socket, client, this.#stopped ? reason : admitted.reason)
      },
    )
    if (!waits) this.#refuse(socket, client, reason)
  }

  #carry(
    revision: RuleRevision,
    socket: Descriptor,
    client: Uint8Array,
    source: string,
    ticket: Ticket | null,
    duty: ReturnType<typeof proxyDuty>,
  ): void {
    this.#thread.descriptors.given(Descriptor.number(socket))
    this.#thread.descriptors.took(descriptorsEach)
    new TcpConnection(this.#thread, revision, this.#data, socket, client, source, ticket).start(duty)
  }

  #refuse(socket: Descriptor, client: Uint8Array, reason: CloseReason): void {
    const { loop, eventBatch } = this.#thread
    this.#ruleOnThread.count(reason)
    eventBatch.refused(this.#ruleOnThread.revision.id, this.#data.id, client, reason, loop.now)
    closeWithReset(socket)
  }
}

export class TcpConnection extends FlowBase implements Dialling, PreambleFlow {
  readonly client: TcpSide
  established = false
  readonly #listener: ListenerData
  /** Who calls; behind a trusted proxy whom it names. */
  source: string
  readonly behind: number
  /** Until the target is there: whoever only waits need not keep it. */
  #dial: TargetDial | null
  #server: TcpSide | null = null
  /** It is still to be set on the target's socket. */
  #keepaliveDue = false
  /** How often in a row nothing had moved. */
  #quietLooks = 0
  /** What both peers had acknowledged when some of it still waited. */
  #acked = 0
  /** The port that it dialled from; 0 is none. */
  #own = 0
  /** Counted up to two. */
  #messagesToTarget = 0
  #greeting: Preamble | null = null
  /** Who called and whom, where a trusted proxy said so. */
  #told: { readonly source: Peer; readonly destination: Peer | null } | null = null

  constructor(
    thread: Thread,
    revision: RuleRevision,
    listener: ListenerData,
    socket: Descriptor,
    client: Uint8Array,
    source: string,
    ticket: Ticket | null,
  ) {
    super(thread, revision, listener.id, client, ticket)
    this.#listener = listener
    this.source = source
    this.behind = thread.tcpDials.behind(portOf(client), listener.port)
    this.client = new TcpSide(this, true, socket, false, client[0] as number)
    this.#dial = new TargetDial(this)
  }

  get maxRead(): number {
    return this.revision.maxRead
  }

  get port(): number {
    return this.#listener.port
  }

  start(duty: 'required' | 'refused' | 'ignored'): void {
    const { loop } = this.thread
    if (loop.watch(this.client, this.client.descriptor, readMask) < 0) return this.end('engine-error')
    if (duty === 'ignored' && !this.revision.targets.byName) return void this.dial(null)
    this.#greeting = new Preamble(this, duty)
    this.#greeting.begin()
  }

  dial(name: string | null): boolean {
    const order = this.revision.order(this.source, this.thread.loop.now, name)
    if (order.length > 0) this.#dial?.start(order)
    return order.length > 0
  }

  calledBy(source: Peer, destination: Peer | null): void {
    this.#told = { source, destination }
    this.source = source.address
    this.thread.records.setClient(this.record, sockaddrOf(source.address, source.port))
  }

  admitLate(then: () => void): void {
    const ask = (): Admitted => this.revision.admission.admit(this.source, this.thread.loop.now)
    const done = (admitted: Admitted): void => {
      if (!admitted.ok) return this.end(admitted.reason)
      this.ticket = admitted.ticket
      then()
    }
    const admitted = ask()
    const { anteroom } = this.revision.ruleOnThread
    const waits =
      !admitted.ok && anteroom.wait(this.source, admitted.reason, () => (this.ended ? null : ask()), done)
    if (!waits) done(admitted)
  }

  get greets(): boolean {
    return this.#greeting !== null && this.#greeting.holds
  }

  onGreeting(): void {
    this.#greeting?.look()
  }

  onEventsWhileDialling(side: TcpSide, mask: number): void {
    if (!side.isClient) this.#dial?.onEvents(side, mask)
    // A client that only half-closed still waits for its answer.
    else if (mask & epollError) this.broke(side, takeError(side.descriptor))
    else if (this.greets) this.onGreeting()
  }

  /** Tells the target who calls; no part of what the client said. A new socket takes it whole. */
  #sendPreface(server: TcpSide): void {
    const { source } = this.revision.rule
    if (source !== 'proxy-v1' && source !== 'proxy-v2') return
    const caller = this.#told ? this.#told.source : this.#peer()
    const called = this.#told ? this.#told.destination : this.#ownEnd()
    const header =
      source === 'proxy-v1'
        ? writeProxyV1(caller, called)
        : writeProxyV2(caller, called, { transport: 'stream' })
    this.thread.buffer.bytes.set(header)
    send(server.descriptor, this.thread.buffer, 0, header.length)
    this.#sendsToTarget()
  }

  /** Null for a Unix client. */
  #peer(): Peer | null {
    return peerIn(this.thread.records.client(this.record))
  }

  #ownEnd(): Peer | null {
    localAddress(this.client.descriptor)
    return peerIn(lastAddress())
  }

  connected(server: TcpSide, state: TargetState, address: Sockaddr, own: number): void {
    const { client } = this
    this.#server = server
    this.#own = own
    this.#dial = null
    this.established = true
    client.other = server
    server.other = client
    this.revision.succeeded(state)
    this.settle(state, address)
    this.thread.records.setState(this.record, 'open')
    this.thread.loop.deadlines.drop(this.deadline)
    this.#keepAlive(server)
    this.#sendPreface(server)
    if (client.readable && !this.greets) client.pump()
    if (!this.ended && server.readable) server.pump()
  }

  carried(side: TcpSide, bytes: number): void {
    const { cells } = this.revision.ruleOnThread
    if (side.isClient) {
      if (this.#messagesToTarget < 2) this.#sendsToTarget()
      this.thread.records.addToTarget(this.record, bytes)
      cells[cell.toTarget]! += bytes
    } else {
      this.thread.records.addToClient(this.record, bytes)
      cells[cell.toClient]! += bytes
    }
    this.taken()
  }

  taken(): void {
    if (this.revision.timeouts.idleMs > 0) this.touch()
  }

  /** The client's socket has it from the listener's. Nothing holds a first message back, and many have no second. */
  #sendsToTarget(): void {
    if (++this.#messagesToTarget === 2 && this.#server) setOption(this.#server.descriptor, 'noDelay', 1)
  }

  /** Something moved: the idle limit begins anew. */
  touch(): void {
    this.#quietLooks = 0
    this.#lookIn(this.revision.timeouts.idleMs / looksWithinIdle)
  }

  #lookIn(ms: number): void {
    const { deadlines, now } = this.thread.loop
    deadlines.arm(this.deadline, ms, now)
  }

  /** The client's socket has it from the listener's. For the target's, short connections never need it. */
  #keepAlive(server: TcpSide): void {
    const { idleMs, keepaliveMs } = this.revision.timeouts
    const later = idleMs === 0 && keepaliveMs >= 2 * keepaliveAfterMs
    if (keepaliveMs > 0 && !later) setKeepalive(server.descriptor, keepaliveMs)
    if (idleMs > 0) this.touch()
    else if (keepaliveMs > 0) this.#lookIn(later ? keepaliveAfterMs : keepaliveMs / 2)
    this.#keepaliveDue = later
  }

  onDeadline(): void {
    if (this.#greeting?.waits) this.#greeting.onDeadline()
    else if (!this.established) this.#dial?.onDeadline()
    else this.#look()
  }

  /** Nothing has moved here for a while: is somebody gone, or has it been too long? */
  #look(): void {
    const { idleMs, keepaliveMs } = this.revision.timeouts
    if (this.#keepaliveDue && this.#server) setKeepalive(this.#server.descriptor, keepaliveMs)
    this.#keepaliveDue = false
    const client = outstanding(this.client.descriptor)
    const server = this.#server && outstanding(this.#server.descriptor)
    if (isGone(client, keepaliveMs)) return this.end('client-lost')
    if (isGone(server, keepaliveMs)) return this.end('target-lost')
    if (idleMs === 0) return this.#lookIn(keepaliveMs / 2)
    if (this.client.paced || this.#server?.paced) return this.touch()
    const acked = (client?.ackedBytes ?? 0) + (server?.ackedBytes ?? 0)
    const moved = (client !== null || server !== null) && acked !== this.#acked
    this.#acked = acked
    if (moved) return this.touch()
    if (++this.#quietLooks >= looksWithinIdle) return this.end('idle')
    this.#lookIn(idleMs / looksWithinIdle)
  }

  /** `side`'s connection is broken; the other side sees the same. */
  broke(side: TcpSide, error: number): void {
    const who = side.isClient ? 'client' : 'target'
    this.end(error === ETIMEDOUT ? `${who}-lost` : `${who}-reset`)
  }

  /** Also where a refused client has been told why. */
  #endsCleanly(reason: CloseReason): boolean {
    return (
      reason === 'finished' || (reason === 'no-such-name' && this.#greeting !== null && this.client.finSeen)
    )
  }

  protected release(reason: CloseReason): void {
    this.#dial?.cancel()
    this.client.release()
    this.#server?.release()
    if (this.#own > 0) this.thread.tcpDials.ended(this.#own)
    const hangUp = this.#endsCleanly(reason) ? close : closeWithReset
    hangUp(this.client.descriptor)
    if (this.#server) hangUp(this.#server.descriptor)
    this.thread.descriptors.gave(descriptorsEach)
  }
}
