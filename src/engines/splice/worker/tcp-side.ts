/**
 * One end of a TCP connection, and the direction that begins there: what is read here is sent to the other side.
 * Small messages go through one buffer (recv, send); once a read fills it, pages move through a pipe (splice); and where
 * message follows message, the ring receives and sends them. Each direction decides for itself and ends for itself: FIN
 * is passed on when all before it has been.
 */
import type { Resumable } from './loop.ts'
import { Receiver } from './loop.ts'
import { Deadline, type Timed } from './deadlines.ts'
import {
  epollEdge,
  epollError,
  epollHangUp,
  epollIn,
  epollOut,
  epollPriority,
  epollReadHangUp,
} from '../../../linux/epoll.ts'
import {
  EAGAIN,
  ECANCELED,
  EINVAL,
  ENOBUFS,
  familyUnix,
  receive,
  send,
  setOption,
  shutdownWrite,
  splice,
  takeError,
  type Descriptor,
} from '../../../linux/libc.ts'
import type { Whole } from './flow.ts'
import { Coalescing } from './coalesce.ts'
import { PendingBytes } from './pending-bytes.ts'
import type { KernelPipe } from './pipes.ts'
import { ringBufferBytes } from '../../../linux/io-uring.ts'
import { copyBytes } from './thread.ts'

/** A stream that has more than this waits for its next turn, so that it does not starve others. */
const bytesPerTurn = 4 << 20
/** A spliced read below this is a small one; after so many in a row copying is cheaper again. */
const smallSplice = 16_384
const mostSmallSplices = 16
/** Most messages after which a direction is tried in the ring again: twice as many each time that it did not fit. */
const mostMessagesBeforeRing = 4096
/** More messages than there will be; a small integer, so that a side takes no more memory for it. */
const never = 2 ** 30

export const readMask = epollIn | epollReadHangUp | epollPriority | epollEdge
export const bothMask = readMask | epollOut

/** What a side asks of the connection that it is an end of. */
export interface TcpFlow extends Whole {
  /** Most bytes to read at once. */
  readonly maxRead: number
  /** The other side is there. */
  readonly established: boolean
  /** The client's bytes must not pass yet. */
  readonly greets: boolean
  onGreeting(): void
  onEventsWhileDialling(side: TcpSide, mask: number): void
  /** Bytes were read from `side`, and go to the other next. */
  carried(side: TcpSide, bytes: number): void
  /** The other side took some of what had waited for it. */
  taken(): void
  /** @param error an errno */
  broke(side: TcpSide, error: number): void
}

/** The states of one direction that has read its FIN. */
export class TcpSide extends Receiver implements Resumable, Timed {
  readonly connection: TcpFlow
  readonly isClient: boolean
  descriptor: Descriptor
  other!: TcpSide
  /** Epoll said so and no read has found it empty since. */
  readable = false
  /** The peer's FIN is in the queue. */
  finSeen = false
  /** All that the peer will ever say has been read. */
  ended = false
  /** All of that, and FIN, was passed on. */
  done = false
  /** Took less than it was given: wait for epoll to say that it is writable. */
  full = false
  /** Epoll tells when it is writable. */
  watchesOut: boolean
  #failed = false
  #urgent = false
  /** A read may stop before all that there is: at urgent data, and where a Unix peer passed a descriptor along. */
  #stopsShort: boolean
  #bulk = false
  #maySplice = true
  #smallSplices = 0
  #pipe: KernelPipe | null = null
  #held: PendingBytes | null = null
  /** Bytes that were read here and not sent yet: in the pipe or held. */
  #waiting = 0
  #again = false
  /** Whether the ring receives here; then nobody else may read. */
  #ring: 'out' | 'in' | 'leaving' = 'out'
  /** Bytes that the ring sends now; none may overtake them. */
  #sending = 0
  #messages = 0
  #messagesBeforeRing: number
  /** The last bytes wait in the socket for FIN to go in their segment. */
  #finFollows = false
  /** Turns of the loop until FIN is sent by itself. */
  #turnsToEnd = 2
  #pause: Deadline | null = null
  /** While bytes come in in bulk. */
  #coalescing: Coalescing | null = null

  /** @param family of its address */
  constructor(
    connection: TcpFlow,
    isClient: boolean,
    descriptor: Descriptor,
    watchesOut: boolean,
    family: number,
  ) {
    super()
    this.#stopsShort = family === familyUnix
    this.connection = connection
    this.isClient = isClient
    this.descriptor = descriptor
    this.watchesOut = watchesOut
    this.#messagesBeforeRing = Math.min(connection.thread.thresholds.messagesBeforeRing, never)
  }

  onEvents(mask: number): void {
    if (this.#ring !== 'out') return this.#onEventsInRing(mask)
    if (mask & ~epollOut) this.readable = true
    if (mask & (epollReadHangUp | epollHangUp)) this.finSeen = true
    if (mask & epollError) this.#failed = true
    if (mask & epollPriority && !this.#urgent) this.#expectUrgent()
    const { connection } = this
    if (!connection.established) return connection.onEventsWhileDialling(this, mask)
    if (connection.greets && this.isClient && !this.#failed) return connection.onGreeting()
    if (mask & epollOut && this.full) {
      this.full = false
      this.other.pump()
      if (connection.ended) return
    }
    if (mask & ~epollOut) this.pump()
    if (this.#failed && !connection.ended) connection.broke(this, takeError(this.descriptor))
  }

  /** A read stops at urgent data, so a short one no longer means that there is no more (tcp(7), SO_OOBINLINE). */
  #expectUrgent(): void {
    this.#urgent = this.#stopsShort = true
    this.#maySplice = false
    this.#endBulk()
    setOption(this.descriptor, 'urgentInline', 1)
  }

  /** Moves what there is to the other side, until there is no more, or it takes no more, or others want their turn. */
  pump(): void {
    if (this.#sending > 0) return
    let left = bytesPerTurn
    for (;;) {
      if (this.#waiting > 0 && !this.#flush()) return
      if (this.ended) return this.#passEnd()
      if (!this.readable || this.other.full || this.#pause?.set) return this.#putPipeBack()
      if (left <= 0) return this.#later()
      const moved = this.#bulk ? this.#spliceOnce() : this.#copyOnce()
      if (moved < 0) return
      left -= moved
    }
  }

  resume(): void {
    this.#again = false
    if (this.connection.ended) return
    if (!this.done) this.pump()
    else if (--this.#turnsToEnd > 0) this.#later()
    else shutdownWrite(this.other.descriptor)
  }

  /** The rule's own limit holds what is said here back now. */
  get paced(): boolean {
    return this.#pause !== null && this.#pause.set
  }

  /** The pause that the rule's bandwidth asked for is over. */
  onDeadline(): void {
    this.pump()
  }

  #later(): void {
    if (this.#again) return
    this.#again = true
    this.connection.thread.loop.again(this)
  }

  /** @returns bytes read, or −1 where the connection has ended. */
  #copyOnce(): number {
    const { buffer } = this.connection.thread
    const wanted = Math.min(copyBytes, this.connection.maxRead)
    const count = receive(this.descriptor, buffer, 0, wanted)
    if (count <= 0) return this.#nothingRead(count)
    if (count < wanted && !this.#stopsShort) {
      // All that was there has been read (epoll(7), question 9); and where FIN was there too, it is next.
      // After a reset the error is next, though epoll says that the peer hung up as well.
      this.readable = this.#failed
      if (this.finSeen && !this.#failed) this.ended = true
    } else if (count === copyBytes && this.#maySplice) this.#bulk = true
    // Counted before it is sent, so that whoever has it sees it counted.
    this.connection.carried(this, count)
    const sent = send(this.other.descriptor, buffer, 0, count, this.ended ? 'more' : null)
    this.#finFollows = this.ended && sent === count
    if (sent < 0 && sent !== -EAGAIN) return this.#otherBroke(-sent)
    this.#spend(count)
    if (sent < count) {
      this.#hold(buffer.bytes.subarray(Math.max(0, sent), count), 'last')
      this.#otherIsFull()
    } else if (count >= ringBufferBytes) this.#messages = 0
    else this.#countMessage()
    return count
  }

  // ── in the ring ───────────────────────────────────────────────────────────────────────────────────────────────

  #countMessage(): void {
    const { loop, thresholds } = this.connection.thread
    if (loop.happened < thresholds.eventsBeforeRing) return
    if (++this.#messages >= this.#messagesBeforeRing && !this.readable) this.#enterRing()
  }

  #enterRing(): void {
    this.#messages = 0
    const { connection } = this
    if (
      this.ended ||
      this.finSeen ||
      this.#urgent ||
      this.#failed ||
      this.#pipe ||
      connection.revision.bucket
    )
      return
    const { loop } = connection.thread
    this.watchesOut = this.full
    this.#ring = 'in'
    if (!loop.receive(this, this.descriptor, this.#mask)) {
      this.#ring = 'out'
      this.#messagesBeforeRing = never
      return
    }
    // The ring is not told of urgent data; so it is to stay where it was said.
    setOption(this.descriptor, 'urgentInline', 1)
  }

  /** What has come in by then is received first; then epoll tells as before. */
  #leaveRing(): void {
    if (this.#ring !== 'in') return
    this.#ring = 'leaving'
    this.#messagesBeforeRing = Math.min(this.#messagesBeforeRing * 2, mostMessagesBeforeRing)
    this.connection.thread.loop.stopReceiving(this)
  }

  #onEventsInRing(mask: number): void {
    if (!(mask & epollOut) || !this.full) return
    this.full = false
    this.other.pump()
  }

  onReceived(result: number, buffer: number, more: boolean): void {
    if (result > 0) this.#pass(buffer, result)
    else if (result === 0) this.ended = true
    else if (result !== -ECANCELED && result !== -ENOBUFS) return this.connection.broke(this, -result)
    if (!more && !this.connection.ended) this.#receivedLast()
  }

  /** Sends what a buffer holds, in its turn. */
  #pass(buffer: number, count: number): void {
    const { connection } = this
    const { loop } = connection.thread
    connection.carried(this, count)
    this.#spend(count)
    if (this.#sending === 0 && this.#waiting === 0 && !this.other.full) {
      this.#sending = count
      loop.send(this, this.other.descriptor, buffer, count)
    } else {
      this.#hold(loop.received(buffer, 0, count), 'last')
      loop.giveBack(buffer)
      this.#leaveRing()
    }
    if (count === ringBufferBytes || this.#pause?.set) this.#leaveRing()
  }

  onSent(result: number, buffer: number): void {
    const { loop } = this.connection.thread
    const count = this.#sending
    this.#sending = 0
    if (result < count && (result >= 0 || result === -EAGAIN)) {
      this.#hold(loop.received(buffer, Math.max(0, result), count), 'first')
      this.#otherIsFull()
      this.#leaveRing()
    }
    loop.giveBack(buffer)
    if (result < 0 && result !== -EAGAIN) this.#otherBroke(-result)
    else if (this.#ring !== 'in' || this.#waiting > 0 || this.ended) this.pump()
  }

  /** The stream has ended, the ring was left, or it had no buffer for a moment. */
  #receivedLast(): void {
    const { loop } = this.connection.thread
    if (this.#ring === 'in' && !this.ended && loop.receive(this, this.descriptor, this.#mask)) return
    this.#ring = 'out'
    if (this.ended) this.finSeen = true
    this.#rewatch()
    this.pump()
  }

  // ── in bulk ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing is left. Where more comes in fast it gathers; otherwise epoll tells of it at once. */
  #gather(coalescing: Coalescing): void {
    const { revision, thread } = this.connection
    const before = coalescing.gathers
    const pays = coalescing.pays(thread.loop.now)
    if (pays && !revision.bucket) coalescing.gather()
    else coalescing.stop()
    if (coalescing.gathers !== before) this.#rewatch()
  }

  #onGathered(): void {
    if (this.connection.ended) return
    this.readable = true
    this.pump()
  }

  #endBulk(): void {
    this.#bulk = false
    const coalescing = this.#coalescing
    if (!coalescing) return
    this.#coalescing = null
    if (!coalescing.gathers) return
    coalescing.stop()
    this.#rewatch()
  }

  #rewatch(): void {
    this.connection.thread.loop.rewatch(this, this.descriptor, this.#mask)
  }

  /** What epoll is to tell of. */
  get #mask(): number {
    const out = this.watchesOut ? epollOut : 0
    if (this.#ring !== 'out') return out | epollEdge
    return this.#coalescing?.gathers ? out | epollReadHangUp | epollEdge : out | readMask
  }

  // ── what waits, and the end ───────────────────────────────────────────────────────────────────────────────────

  /** @returns bytes read, or −1 where the connection has ended. */
  #spliceOnce(): number {
    const { gathering, loop, pipes } = this.connection.thread
    const pipe = (this.#pipe ??= pipes.take(loop.now))
    if (!pipe) {
      this.#endBulk()
      return this.#copyOnce()
    }
    const count = splice(this.descriptor, pipe.ends.write, Math.min(pipe.maxRead, this.connection.maxRead))
    if (count <= 0) return this.#nothingRead(count)
    this.#waiting = count
    this.connection.carried(this, count)
    this.#coalescing ??= new Coalescing(gathering, () => this.#onGathered(), loop.now)
    this.#coalescing.add(count)
    this.#smallSplices = count < smallSplice ? this.#smallSplices + 1 : 0
    if (this.#smallSplices > mostSmallSplices) {
      this.#smallSplices = 0
      this.#endBulk()
    }
    this.#spend(count)
    return count
  }

  /** @param result 0 at the end of the stream, or an errno below zero. */
  #nothingRead(result: number): number {
    if (result === -EAGAIN) {
      this.readable = false
      if (this.#coalescing) this.#gather(this.#coalescing)
    } else if (result === 0) this.ended = true
    else if (this.#bulk && result === -EINVAL) {
      // A socket that cannot be spliced can still be read.
      this.#endBulk()
      this.#maySplice = false
      this.#putPipeBack()
    } else {
      this.connection.broke(this, -result)
      return -1
    }
    return 0
  }

  #otherBroke(error: number): number {
    this.connection.broke(this.other, error)
    return -1
  }

  #hold(bytes: Uint8Array, place: 'first' | 'last'): void {
    this.#held ??= new PendingBytes(this.connection.thread)
    if (place === 'first') this.#held.addFirst(bytes)
    else this.#held.add(bytes)
    this.#waiting += bytes.length
  }

  #otherIsFull(): void {
    const { other } = this
    other.full = true
    if (other.watchesOut) return
    other.watchesOut = true
    other.#rewatch()
  }

  /** Sends what waits. @returns false where some still does, or the connection has ended. */
  #flush(): boolean {
    while (this.#waiting > 0) {
      if (this.other.full) return false
      const sent = this.#held
        ? this.#held.send(this.other.descriptor)
        : splice((this.#pipe as KernelPipe).ends.read, this.other.descriptor, this.#waiting)
      if (sent === -EAGAIN || sent === 0) {
        this.#otherIsFull()
        return false
      }
      if (sent < 0) return this.#otherBroke(-sent) > 0
      this.#waiting -= sent
      this.connection.taken()
    }
    this.#held = null
    return true
  }

  #putPipeBack(): void {
    if (this.#pipe && !this.#held && this.#waiting > 0) return
    if (this.#pipe) this.connection.thread.pipes.giveBack(this.#pipe, 0)
    this.#pipe = null
  }

  /**
   * FIN is passed on once: with the last bytes, or else after a look at what has come in, as the other side often ends
   * as well and closing then says it all in one call. The connection is over when both ways are.
   */
  #passEnd(): void {
    if (this.done) return
    this.done = true
    this.#putPipeBack()
    if (this.other.done) return this.connection.end('finished')
    this.connection.thread.records.setState(this.connection.record, 'half-closed')
    if (this.#finFollows) shutdownWrite(this.other.descriptor)
    else this.#later()
  }

  #spend(bytes: number): void {
    const { bucket } = this.connection.revision
    if (!bucket) return
    const { loop } = this.connection.thread
    const waitMs = bucket.spend(bytes, loop.now)
    if (waitMs > 0) loop.deadlines.arm((this.#pause ??= new Deadline(this)), Math.max(1, waitMs), loop.now)
  }

  /** Gives everything back but the descriptor. */
  release(): void {
    const { loop, pipes } = this.connection.thread
    if (this.#ring === 'in') loop.stopReceiving(this)
    loop.forget(this)
    if (this.#pause) loop.deadlines.drop(this.#pause)
    if (this.#pipe) pipes.giveBack(this.#pipe, this.#held ? 0 : this.#waiting)
    this.#pipe = null
    this.#held?.drop()
    this.#held = null
  }
}
