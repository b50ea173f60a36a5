/**
 * A TCP (or Unix) connection: accept → admit → dial → two directions that run until both have ended. What one side
 * does the other sees: FIN as FIN, RST as RST, a refused dial as RST.
 */
import type { Ticket } from '../../relay/admit.ts'
import type { TargetState } from '../../relay/pick.ts'
import type { CloseReason } from '../../model/connection.ts'
import { CarriedBase } from './carried.ts'
import type { Edition, Listening } from './edition.ts'
import {
  accept,
  close,
  closeWithReset,
  connect,
  Descriptor,
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINPROGRESS,
  EMFILE,
  ENETDOWN,
  ENETUNREACH,
  ENFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  epollError,
  epollExclusive,
  epollHangUp,
  epollIn,
  epollOut,
  EACCES,
  EADDRNOTAVAIL,
  ECONNRESET,
  EINVAL,
  EPERM,
  ETIMEDOUT,
  familyUnix,
  lastAddress,
  openSocket,
  setOption,
  takeError,
} from './ffi.ts'
import { Watcher } from './loop.ts'
import { bothMask, readMask, Side } from './side.ts'
import { addressOf, sockaddrLength, type Sockaddr } from './sockaddr.ts'
import { cell } from './shared.ts'
import type { ListenerData } from './messages.ts'
import type { Thread } from './thread.ts'
import type { Carriage } from './edition.ts'

/** Accepted in one turn before others are served. */
const acceptsPerTurn = 64
/** The next of several addresses is tried after this share of the time that is left, at least so many ms. */
const leastAttemptMs = 250
const descriptorRetryMs = 100

export class TcpListener extends Watcher implements Listening {
  readonly #thread: Thread
  readonly #carriage: Carriage
  readonly #data: ListenerData
  readonly #socket: Descriptor

  constructor(thread: Thread, carriage: Carriage, data: ListenerData) {
    super()
    this.#thread = thread
    this.#carriage = carriage
    this.#data = data
    this.#socket = Descriptor.borrow(data.fd)
    carriage.listeners.add(this)
    if (!thread.paused) this.resume()
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

  stop(): void {
    if (!this.#thread.paused) this.#acceptUpTo(Number.POSITIVE_INFINITY)
    this.pause()
    this.#carriage.listeners.delete(this)
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
      if (this.#thread.isLast(socket)) return this.#thread.outOfDescriptors()
    }
  }

  #take(socket: Descriptor): void {
    const { edition } = this.#carriage
    const peer = lastAddress()
    const client = peer.subarray(0, sockaddrLength(peer))
    const source = addressOf(client)
    const admitted = edition.admission.admit(source, this.#thread.loop.now)
    if (!admitted.ok) {
      this.#carriage.count(admitted.reason)
      this.#thread.happenings.refused(edition.id, this.#data.id, client, admitted.reason, this.#thread.loop.now)
      return closeWithReset(socket)
    }
    new TcpConnection(this.#thread, edition, this.#data, socket, client, source, admitted.ticket).start()
  }
}

function isShortage(error: number): boolean {
  return error === -EMFILE || error === -ENFILE || error === -ENOBUFS || error === -ENOMEM
}

export class TcpConnection extends CarriedBase {
  readonly client: Side
  /** The attempt under way, or the target's side. */
  target_: Side | null = null
  established = false
  readonly #listener: ListenerData
  readonly #source: string
  #order: readonly TargetState[] = []
  #next = 0
  #addresses: readonly Sockaddr[] = []
  #nextAddress = 0
  #giveUpAt = 0
  #waitsFor: 'name' | 'descriptor' | 'target' = 'name'
  /** What the last attempt said; told where none is left. */
  #failure: CloseReason = 'target-unreachable'

  constructor(
    thread: Thread,
    edition: Edition,
    listener: ListenerData,
    socket: Descriptor,
    client: Uint8Array,
    source: string,
    ticket: Ticket,
  ) {
    super(thread, edition, listener.id, client, ticket)
    this.#listener = listener
    this.#source = source
    this.client = new Side(this, true, socket, false)
  }

  /** Most bytes to read at once. */
  get bite(): number {
    return this.edition.bite
  }

  start(): void {
    const { loop } = this.thread
    if (loop.watch(this.client, this.client.descriptor, readMask) < 0) return this.end('engine-error')
    this.#giveUpAt = loop.now + this.edition.rule.timeouts.connectMs
    this.#order = this.edition.targets.order(this.#source, loop.now)
    this.#dialNextTarget()
  }

  #dialNextTarget(): void {
    const state = this.#order[this.#next++]
    if (!state) return this.end(this.#failure)
    const index = this.edition.targets.states.indexOf(state)
    this.settle(state, index, noAddress)
    const { names } = this.edition.carriage
    const { listen } = this.edition.rule
    const ports = listen.kind === 'unix' ? { first: 0, last: 0 } : listen.ports
    const asked = this.#next
    const found = names.find(state.choice.to, this.#listener.port, ports, this.thread.loop.now, (later) => {
      if (!this.ended && !this.established && this.#next === asked) this.#dialAll(later)
    })
    this.#addresses = []
    this.#nextAddress = 0
    this.#waitsFor = 'name'
    if (found === undefined) this.#armDial()
    else this.#dialAll(found)
  }

  #dialAll(found: readonly Sockaddr[] | null): void {
    if (found === null || found.length === 0) {
      this.#failure = 'name-not-found'
      return this.#targetFailed()
    }
    this.#addresses = found
    this.#nextAddress = 0
    this.#dialNextAddress()
  }

  #targetFailed(): void {
    this.target?.failed(this.thread.loop.now)
    this.#dialNextTarget()
  }

  #dialNextAddress(): void {
    const address = this.#addresses[this.#nextAddress]
    if (!address) return this.#targetFailed()
    const socket = openSocket(address[0] as number, 'stream')
    if (typeof socket === 'number') return this.#cannotOpen(socket)
    this.#nextAddress++
    this.#waitsFor = 'target'
    this.settle(this.target, this.#targetIndex, address)
    if (address[0] !== familyUnix) this.#prepare(socket)
    const result = connect(socket, address)
    if (result < 0 && result !== -EINPROGRESS) {
      close(socket)
      return this.#attemptFailed(-result)
    }
    const side = new Side(this, false, socket, true)
    this.target_ = side
    if (this.thread.loop.watch(side, socket, bothMask) < 0) return this.end('engine-error')
    this.#armDial()
  }

  get #targetIndex(): number {
    return this.target ? this.edition.targets.states.indexOf(this.target) : 0
  }

  #prepare(socket: Descriptor): void {
    setOption(socket, 'noDelay', 1)
    const { keepaliveMs } = this.edition.rule.timeouts
    if (keepaliveMs === 0) return
    setOption(socket, 'keepalive', 1)
    setOption(socket, 'keepaliveIdleSeconds', Math.max(1, Math.round(keepaliveMs / 1000)))
  }

  /** The time that is left is shared among the addresses that are left. */
  #armDial(): void {
    const { loop } = this.thread
    const left = Math.max(0, this.#giveUpAt - loop.now)
    const others = this.#addresses.length - this.#nextAddress + this.#order.length - this.#next
    const attemptMs = others > 0 ? Math.max(leastAttemptMs, left / (others + 1)) : left
    loop.deadlines.arm(this.deadline, Math.min(left, attemptMs), loop.now)
  }

  /** No descriptor for the target: the client waits until there is one, or until its time is over. */
  #cannotOpen(error: number): void {
    if (!isShortage(error)) return this.#attemptFailed(-error)
    this.thread.outOfDescriptors()
    const { loop } = this.thread
    if (loop.now >= this.#giveUpAt) return this.end('engine-error')
    this.#waitsFor = 'descriptor'
    loop.deadlines.arm(this.deadline, descriptorRetryMs, loop.now)
  }

  #attemptFailed(error: number): void {
    this.#failure = dialFailure(error)
    this.#dropAttempt()
    if (this.thread.loop.now >= this.#giveUpAt && this.#failure === 'connect-timeout') {
      this.target?.failed(this.thread.loop.now)
      return this.end(this.#failure)
    }
    this.#dialNextAddress()
  }

  #dropAttempt(): void {
    const side = this.target_
    this.target_ = null
    if (!side) return
    side.release()
    close(side.descriptor)
  }

  onEventsWhileDialling(side: Side, mask: number): void {
    if (side.isClient) {
      // A client that only half-closed still waits for its answer.
      if (mask & epollError) this.broke(side)
      return
    }
    if (mask & epollError) return this.#attemptFailed(takeError(side.descriptor) || ECONNREFUSED)
    if (mask & epollHangUp && !(mask & epollIn)) return this.#attemptFailed(ECONNREFUSED)
    if (mask & epollOut) this.#connected(side)
  }

  #connected(target: Side): void {
    const { client } = this
    this.established = true
    client.other = target
    target.other = client
    this.target?.succeeded()
    this.thread.records.setState(this.record, 'open')
    this.#addresses = []
    this.#order = []
    this.touch()
    if (client.readable) client.pump()
    if (!this.ended && target.readable) target.pump()
  }

  /** Bytes from `side` were taken by the other. */
  carried(side: Side, bytes: number): void {
    const { cells } = this.edition.carriage
    if (side.isClient) {
      this.thread.records.addToTarget(this.record, bytes)
      cells[cell.toTarget]! += bytes
    } else {
      this.thread.records.addToClient(this.record, bytes)
      cells[cell.toClient]! += bytes
    }
    if (this.edition.rule.timeouts.idleMs > 0) this.touch()
  }

  /** Something moved: the idle limit begins anew. */
  touch(): void {
    const { deadlines, now } = this.thread.loop
    const { idleMs } = this.edition.rule.timeouts
    if (idleMs > 0) deadlines.arm(this.deadline, idleMs, now)
    else deadlines.drop(this.deadline)
  }

  onDeadline(): void {
    if (this.established) return this.end('idle')
    if (this.#waitsFor === 'target') return this.#attemptFailed(ETIMEDOUT)
    if (this.#waitsFor === 'descriptor') return this.#dialNextAddress()
    if (this.thread.loop.now >= this.#giveUpAt) return this.end('name-not-found')
    this.#failure = 'name-not-found'
    this.#targetFailed()
  }

  /** `side`'s connection is broken; the other side sees the same. */
  broke(side: Side): void {
    this.end(side.isClient ? 'client-reset' : 'target-reset')
  }

  protected release(reason: CloseReason): void {
    const { client, target_: target } = this
    client.release()
    target?.release()
    const clean = reason === 'finished'
    for (const side of [client, target]) {
      if (!side) continue
      if (clean) close(side.descriptor)
      else closeWithReset(side.descriptor)
    }
  }
}

const noAddress = new Uint8Array(2)

function dialFailure(error: number): CloseReason {
  switch (error) {
    case ETIMEDOUT:
      return 'connect-timeout'
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOENT:
      return 'target-refused'
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
    case EINVAL:
      return 'target-unreachable'
    default:
      return 'engine-error'
  }
}
