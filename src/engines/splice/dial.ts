/**
 * Dials a connection's targets in order: all addresses of one by Happy Eyeballs (RFC 8305 §5), within the connect
 * timeout, then the next. Nothing of the client's has been read by then, so each target gets all of it.
 */
import type { CloseReason } from '../../model/connection.ts'
import { attemptDelayMs } from '../../relay/eyeballs.ts'
import type { TargetState } from '../../relay/pick.ts'
import { epollError, epollHangUp, epollOut } from './epoll.ts'
import {
  close,
  closeWithReset,
  connect,
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EMFILE,
  EADDRNOTAVAIL,
  ENFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  ETIMEDOUT,
  openSocket,
  takeError,
  type Descriptor,
} from '../../host/linux/ffi.ts'
import { metItself } from './itself.ts'
import type { Found } from './names.ts'
import { bothMask, readMask, Side, type Joining } from './side.ts'
import { isLoopback, type Sockaddr } from './sockaddr.ts'
import { canDialAs, dialAs } from './transparent.ts'

/** How often a dial that found no descriptor tries again. */
const descriptorRetryMs = 100

interface Attempt {
  readonly side: Side
  readonly address: Sockaddr
}

/** What a dial asks of the connection that it is for. */
export interface Dialling extends Joining {
  readonly client: Side
  /** Who calls. */
  readonly source: string
  /** By which of the rule's ports it came in. */
  readonly port: number
  /** The first attempt that got through. */
  connected(server: Side, state: TargetState, address: Sockaddr): void
}

export class Dial {
  readonly #connection: Dialling
  #order: readonly TargetState[] = []
  /** Index of the target under way. */
  #at = -1
  #addresses: readonly Sockaddr[] = []
  /** Which of them is tried next. */
  #next = 0
  readonly #attempts: Attempt[] = []
  #giveUpAt = 0
  #waitsForDescriptor = false
  #failure: CloseReason = 'no-such-name'

  constructor(connection: Dialling) {
    this.#connection = connection
  }

  start(order: readonly TargetState[]): void {
    this.#order = order
    this.#nextTarget()
  }

  /** One that got through without our having heard of it is reset: nobody has spoken, and nobody ends in peace. */
  cancel(): void {
    if (this.#attempts.length === 0) return
    for (const { side } of this.#attempts.splice(0)) {
      side.release()
      closeWithReset(side.descriptor)
    }
  }

  #nextTarget(): void {
    this.cancel()
    const state = this.#order[++this.#at]
    const { thread, edition, port } = this.#connection
    if (!state) return this.#connection.end(this.#failure)
    this.#giveUpAt = thread.loop.now + edition.timeouts.connectMs
    this.#aim([])
    const { listen } = edition.rule
    const { names } = edition.carriage
    const known = names.known(state.choice.to, port, listen, thread.loop.now)
    if (known !== undefined) return this.#dialAll(known)
    const asked = this.#at
    const found = names.find(state.choice.to, port, listen, thread.loop.now, (later) => {
      if (!this.#connection.ended && !this.#connection.established && this.#at === asked) this.#dialAll(later)
    })
    if (found === undefined) this.#arm(this.#giveUpAt)
    else this.#dialAll(found)
  }

  #aim(addresses: readonly Sockaddr[]): void {
    this.#addresses = addresses
    this.#next = 0
  }

  #dialAll(found: Found): void {
    if (typeof found === 'string') return this.#targetFailed(found)
    const { edition, source } = this.#connection
    this.#aim(edition.keeps ? found.filter((address) => canDialAs(source, address)) : found)
    if (this.#addresses.length === 0) this.#failure = 'target-unreachable'
    this.#attempt()
  }

  /** What this machine lacks is not the target's fault. */
  #targetFailed(reason: CloseReason): void {
    this.#failure = reason
    const state = this.#order[this.#at] as TargetState
    const { edition, thread } = this.#connection
    if (reason !== 'engine-error') edition.failed(state, thread.loop.now)
    edition.again(this.#order, this.#at + 1, this.#connection.source, thread.loop.now)
    this.#nextTarget()
  }

  #attempt(): void {
    const address = this.#addresses[this.#next++]
    if (!address) {
      if (this.#attempts.length === 0) this.#targetFailed(this.#failure)
      else this.#arm(this.#giveUpAt)
      return
    }
    const socket = openSocket(address[0] as number, 'stream')
    if (typeof socket === 'number') return this.#cannotOpen(socket)
    const { edition, source } = this.#connection
    let result = (edition.keeps ? dialAs(socket, source) : 0) || connect(socket, address)
    // On this machine the handshake is over before connect returns, and asking again says how it went (connect(2)).
    if (result === -EINPROGRESS && isLoopback(address)) result = connect(socket, address)
    if (result === 0 && metItself(socket, address)) {
      closeWithReset(socket)
      this.#failure = 'target-refused'
      return this.#attempt()
    }
    if (result === 0) return this.#connected(socket, address)
    if (result === -EINPROGRESS || result === -EALREADY) return this.#watch(socket, address)
    close(socket)
    this.#failure = dialFailure(-result)
    this.#attempt()
  }

  #connected(socket: Descriptor, address: Sockaddr): void {
    const { thread } = this.#connection
    const side = new Side(this.#connection, false, socket, false)
    this.cancel()
    if (thread.loop.watch(side, socket, readMask) < 0) {
      closeWithReset(socket)
      return this.#connection.end('engine-error')
    }
    // A client that has something to say has mostly said it by now.
    this.#connection.client.readable = true
    this.#connection.connected(side, this.#order[this.#at] as TargetState, address)
  }

  #watch(socket: Descriptor, address: Sockaddr): void {
    const { thread } = this.#connection
    const side = new Side(this.#connection, false, socket, true)
    this.#attempts.push({ side, address })
    if (thread.loop.watch(side, socket, bothMask) < 0) return this.#connection.end('engine-error')
    const more = this.#next < this.#addresses.length
    this.#arm(more ? Math.min(thread.loop.now + attemptDelayMs, this.#giveUpAt) : this.#giveUpAt)
  }

  /** No descriptor for the target: the client waits until there is one, or until its time is over. */
  #cannotOpen(error: number): void {
    const { thread } = this.#connection
    this.#failure = dialFailure(-error)
    if (!isShortage(error) || thread.loop.now >= this.#giveUpAt) return this.#attempt()
    thread.outOfDescriptors()
    this.#next--
    this.#waitsForDescriptor = true
    this.#arm(Math.min(thread.loop.now + descriptorRetryMs, this.#giveUpAt))
  }

  #arm(at: number): void {
    const { thread, deadline } = this.#connection
    thread.loop.deadlines.arm(deadline, Math.max(1, at - thread.loop.now), thread.loop.now)
  }

  onDeadline(): void {
    const { now } = this.#connection.thread.loop
    if (this.#waitsForDescriptor) {
      this.#waitsForDescriptor = false
      return this.#attempt()
    }
    if (now >= this.#giveUpAt) return this.#targetFailed('connect-timeout')
    this.#attempt()
  }

  onEvents(side: Side, mask: number): void {
    if (mask & epollError) return this.#attemptFailed(side, takeError(side.descriptor) || ECONNREFUSED)
    if (!(mask & epollOut)) return mask & epollHangUp ? this.#attemptFailed(side, ECONNREFUSED) : undefined
    if (metItself(side.descriptor, this.#addressOf(side))) return this.#attemptFailed(side, ECONNREFUSED)
    const state = this.#order[this.#at] as TargetState
    const won = this.#attempts.findIndex((attempt) => attempt.side === side)
    const [attempt] = this.#attempts.splice(won, 1)
    this.cancel()
    this.#connection.connected(side, state, (attempt as Attempt).address)
  }

  #addressOf(side: Side): Sockaddr {
    return (this.#attempts.find((attempt) => attempt.side === side) as Attempt).address
  }

  #attemptFailed(side: Side, error: number): void {
    this.#failure = dialFailure(error)
    const lost = this.#attempts.findIndex((attempt) => attempt.side === side)
    this.#attempts.splice(lost, 1)
    side.release()
    closeWithReset(side.descriptor)
    this.#attempt()
  }
}

/** @param error below zero */
export function isShortage(error: number): boolean {
  return error === -EMFILE || error === -ENFILE || error === -ENOBUFS || error === -ENOMEM
}

function dialFailure(error: number): CloseReason {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case EAGAIN:
      return 'target-refused'
    case ECONNRESET:
      return 'target-reset'
    case ETIMEDOUT:
      return 'connect-timeout'
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return 'engine-error'
    default:
      return 'target-unreachable'
  }
}
