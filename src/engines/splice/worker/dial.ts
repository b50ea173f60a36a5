/**
 * Dials a connection's targets in order: all addresses of one by Happy Eyeballs (RFC 8305 §5), within the connect
 * timeout, then the next. Nothing of the client's has been read by then, so each target gets all of it.
 */
import { getSystemErrorName } from 'node:util'
import type { CloseReason } from '../../../model/connection.ts'
import { attemptDelayMs } from '../../../relay/eyeballs.ts'
import { isTargetsFault } from '../../../relay/blame.ts'
import { ownLack, type OwnLack } from '../../../relay/own-lack.ts'
import type { TargetState } from '../../../relay/pick.ts'
import { epollError, epollHangUp, epollOut } from '../../../linux/epoll.ts'
import {
  closeWithReset,
  connect,
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EINPROGRESS,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  ETIMEDOUT,
  familyUnix,
  lastAddress,
  openSocket,
  takeError,
  type Descriptor,
} from '../../../linux/libc.ts'
import { metItself } from './self-connect.ts'
import type { CachedAddresses } from './resolve-cache.ts'
import { bothMask, readMask, TcpSide, type TcpFlow } from './tcp-side.ts'
import { addressOf, isLoopback, portOf, type Sockaddr } from '../../../linux/sockaddr-fields.ts'
import { canDialAs, dialAs } from './transparent-dial.ts'

/** How often a dial that found no descriptor tries again. */
const descriptorRetryMs = 100
/** In place of a port: the dial has met itself. */
const itself = -1

interface Attempt {
  readonly side: TcpSide
  readonly address: Sockaddr
  /** Of ours, that it leaves from. */
  readonly own: number
}

/** What a dial asks of the connection that it is for. */
export interface Dialling extends TcpFlow {
  readonly client: TcpSide
  /** Who calls. */
  readonly source: string
  /** By which of the rule's ports it came in. */
  readonly port: number
  /** How many crossings of ours it has behind it. */
  readonly behind: number
  /** The first attempt that got through. @param own the port of ours that it leaves from */
  connected(server: TcpSide, state: TargetState, address: Sockaddr, own: number): void
}

export class TargetDial {
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
  /** An address of the target cannot be dialled as this client: another family, or an address that only its own network knows. */
  #clientCannot = false

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
    for (const attempt of this.#attempts.splice(0)) this.#drop(attempt)
  }

  #drop({ side, own }: Attempt): void {
    if (own > 0) this.#connection.thread.tcpDials.ended(own)
    side.release()
    closeWithReset(side.descriptor)
  }

  #nextTarget(): void {
    this.cancel()
    const state = this.#order[++this.#at]
    const { thread, revision, port } = this.#connection
    if (!state) return this.#connection.end(this.#failure)
    this.#giveUpAt = thread.loop.now + revision.timeouts.connectMs
    this.#aim([])
    this.#clientCannot = false
    const { listen } = revision.rule
    const { names } = revision.ruleOnThread
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

  #dialAll(found: CachedAddresses): void {
    if (typeof found === 'string') return this.#targetFailed(found)
    const { revision, source } = this.#connection
    this.#aim(revision.keeps ? found.filter((address) => canDialAs(source, address)) : found)
    if (this.#addresses.length === 0) this.#failure = 'target-unreachable'
    if (this.#addresses.length < found.length) this.#clientCannot = true
    this.#attempt()
  }

  #targetFailed(reason: CloseReason): void {
    this.#failure = reason
    const state = this.#order[this.#at] as TargetState
    const { revision, port, thread } = this.#connection
    if (!this.#clientCannot && isTargetsFault(revision.rule, state.choice.to, port, reason))
      revision.failed(state, thread.loop.now)
    revision.again(this.#order, this.#at + 1, this.#connection.source, thread.loop.now)
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
    if (typeof socket === 'number') return this.#cannotOpen(socket, address)
    const { behind, revision, source, thread } = this.#connection
    thread.tcpDials.begins(portOf(address), behind)
    let result = revision.keeps ? dialAs(socket, source) : 0
    if (result < 0) this.#clientCannot = true
    else result = connect(socket, address)
    const through = result === 0 || result === -EINPROGRESS
    const own = through ? this.#leavesFrom(socket, address) : 0
    if (own <= 0) thread.tcpDials.fails()
    if (own === itself) result = -ECONNREFUSED
    // On this machine the handshake is over before connect returns, and asking again says how it went (connect(2)).
    else if (result === -EINPROGRESS && isLoopback(address)) result = connect(socket, address)
    if (result === 0) return this.#connected(socket, address, own)
    const side = new TcpSide(this.#connection, false, socket, true, address[0] as number)
    if (result === -EINPROGRESS || result === -EALREADY) return this.#watch({ side, address, own })
    this.#drop({ side, address, own })
    this.#failure = dialFailure(-result, address)
    this.#attempt()
  }

  /** Noted at once: whoever it reaches may be a rule of ours on another thread. @returns 0 where it has no port. */
  #leavesFrom(socket: Descriptor, address: Sockaddr): number {
    if (address[0] === familyUnix) return 0
    if (metItself(socket, address)) return itself
    const own = portOf(lastAddress())
    const { thread, behind } = this.#connection
    thread.tcpDials.leaves(own, behind)
    return own
  }

  #connected(socket: Descriptor, address: Sockaddr, own: number): void {
    const { thread } = this.#connection
    const side = new TcpSide(this.#connection, false, socket, false, address[0] as number)
    this.cancel()
    if (thread.loop.watch(side, socket, readMask) < 0) {
      this.#drop({ side, address, own })
      return this.#connection.end('engine-error')
    }
    // A client that has something to say has mostly said it by now.
    this.#connection.client.readable = true
    this.#connection.connected(side, this.#order[this.#at] as TargetState, address, own)
  }

  #watch(attempt: Attempt): void {
    const { loop } = this.#connection.thread
    this.#attempts.push(attempt)
    if (loop.watch(attempt.side, attempt.side.descriptor, bothMask) < 0)
      return this.#connection.end('engine-error')
    const more = this.#next < this.#addresses.length
    this.#arm(more ? Math.min(loop.now + attemptDelayMs, this.#giveUpAt) : this.#giveUpAt)
  }

  /** No descriptor for the target: the client waits until there is one, or until its time is over. */
  #cannotOpen(error: number, address: Sockaddr): void {
    const { thread } = this.#connection
    this.#failure = dialFailure(-error, address)
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

  onEvents(side: TcpSide, mask: number): void {
    if (mask & epollError) return this.#attemptFailed(side, takeError(side.descriptor) || ECONNREFUSED)
    if (!(mask & epollOut)) return mask & epollHangUp ? this.#attemptFailed(side, ECONNREFUSED) : undefined
    const state = this.#order[this.#at] as TargetState
    const { address, own } = this.#take(side)
    this.cancel()
    this.#connection.connected(side, state, address, own)
  }

  #take(side: TcpSide): Attempt {
    const at = this.#attempts.findIndex((attempt) => attempt.side === side)
    return this.#attempts.splice(at, 1)[0] as Attempt
  }

  #attemptFailed(side: TcpSide, error: number): void {
    const attempt = this.#take(side)
    this.#failure = dialFailure(error, attempt.address)
    this.#drop(attempt)
    this.#attempt()
  }
}

/** @param error below zero */
export function isShortage(error: number): boolean {
  return error === -EMFILE || error === -ENFILE || error === -ENOBUFS || error === -ENOMEM
}

/** @param error above zero @returns null where it speaks of the target */
export function lackIn(error: number, to: Sockaddr): OwnLack | null {
  return ownLack(getSystemErrorName(-error), to[0] === familyUnix ? null : addressOf(to))
}

/** @param error above zero */
function dialFailure(error: number, to: Sockaddr): CloseReason {
  const lack = lackIn(error, to)
  if (lack) return lack
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case EAGAIN:
      return 'target-refused'
    case ECONNRESET:
      return 'target-reset'
    case ETIMEDOUT:
      return 'connect-timeout'
    default:
      return 'target-unreachable'
  }
}
