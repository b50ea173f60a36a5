/** Answers of UDP targets on their way to clients, and when datagrams of equal size may leave as one (UDP_SEGMENT). */
import { type Datagrams } from './datagrams.ts'
import { ECONNREFUSED, EIO, type Descriptor } from '../../../linux/libc.ts'
import type { Sockaddr } from '../../../linux/sockaddr-fields.ts'

/** What one datagram can carry over IPv4: 65,535 less both headers. A run is not longer either. */
export const mostBytes = 65_507

/** Off for good once the kernel said EIO: a device without checksum offload (udp(7)). */
export const segmentation = {
  on: true,
  off(): void {
    segmentation.on = false
  },
}

/** Through whose socket answers leave. */
export interface Outlet {
  readonly socket: Descriptor
}

/** Whose client is answered. */
export interface Answered {
  readonly client: Sockaddr
  /** The address of ours that it is answered from; null where the socket has only one. */
  readonly local: Uint8Array | null
  readonly ended: boolean
  mayPass(bytes: number): boolean
  lost(datagrams: number): void
  /** Counted before they are sent, so that whoever has them sees them counted. */
  answered(bytes: number, datagrams: number): void
  /** Takes that back. @param error an errno below zero */
  unanswered(bytes: number, datagrams: number, error: number): void
}

interface Answer {
  readonly session: Answered
  readonly bytes: number
  readonly datagrams: number
  readonly slot: number
  readonly slots: number
  /** Size of each datagram where there are several; 0 where there is one. */
  readonly segment: number
}

/** Answers on their way to clients, gathered over all sessions of a listener and sent at once. */
export class UdpReplies {
  readonly #batch: Datagrams
  #outlet: Outlet | null = null
  /** Slots that hold an answer. */
  used = 0
  /** Messages made of them. */
  #messages = 0
  readonly #of: Answer[] = []

  constructor(batch: Datagrams) {
    this.#batch = batch
  }

  /** Free slots for `outlet`; sends what is in the way. */
  room(outlet: Outlet): number {
    if (this.#outlet !== outlet || this.used === this.#batch.count) this.flush()
    this.#outlet = outlet
    return this.#batch.count - this.used
  }

  /** The next `count` slots hold answers to `session`'s client. */
  add(session: Answered, count: number): void {
    const end = this.used + count
    for (let at = this.used; at < end;) {
      const run = segmentation.on ? runLength(this.#batch, at, end) : 1
      this.#compose(session, at, run)
      at += run
    }
    this.used = end
  }

  #compose(session: Answered, slot: number, slots: number): void {
    const batch = this.#batch
    const bytes = lengthOf(batch, slot, slots)
    const together = batch.segmentBytes(slot)
    const segment = together || (slots > 1 ? batch.length(slot) : 0)
    const datagrams = together ? Math.ceil(bytes / together) : slots
    if (!session.mayPass(bytes)) return session.lost(datagrams)
    const at = this.#messages++
    batch.compose(at, slot, slots, session.client)
    if (session.local) batch.from(at, session.local)
    if (segment > 0) batch.segment(at, segment)
    this.#of[at] = { session, bytes, datagrams, slot, slots, segment }
  }

  flush(): void {
    const outlet = this.#outlet
    const messages = this.#messages
    this.#messages = 0
    this.used = 0
    if (!outlet) return
    for (let i = 0; i < messages; i++) this.#account(i)
    for (let at = 0; at < messages;) {
      let sent = this.#batch.send(outlet.socket, at, messages - at)
      // What is reported is an earlier answer's end; this one has not been sent yet.
      if (sent === -ECONNREFUSED) sent = this.#batch.send(outlet.socket, at, messages - at)
      at += Math.max(0, sent)
      if (sent < 0) this.#failed(outlet, at++, sent)
    }
    this.#outlet = null
  }

  #account(i: number): void {
    const { session, bytes, datagrams } = this.#of[i]!
    if (!session.ended) session.answered(bytes, datagrams)
  }

  /** One message could not be sent: in pieces, if it was one of several datagrams. */
  #failed(outlet: Outlet, i: number, error: number): void {
    const { session, bytes, datagrams, slot, slots, segment } = this.#of[i]!
    if (error === -EIO) segmentation.off()
    session.unanswered(bytes, datagrams, error)
    if (segment === 0 || session.ended) return
    session.lost(-datagrams)
    const batch = this.#batch
    for (let at = slot; at < slot + slots; at++) {
      for (let from = 0; from < batch.length(at); from += segment) {
        const bytes = Math.min(segment, batch.length(at) - from)
        batch.composePart(i, at, from, bytes, session.client)
        if (session.local) batch.from(i, session.local)
        session.answered(bytes, 1)
        const sent = batch.send(outlet.socket, i, 1)
        if (sent !== 1) session.unanswered(bytes, 1, sent)
      }
    }
  }
}

/** Slots from `first` on that may leave as one: equal in size, but for the last, which may be shorter; none of zero. */
export function runLength(batch: Datagrams, first: number, end: number): number {
  const size = batch.length(first)
  if (!segmentation.on || size === 0 || batch.segmentBytes(first) > 0) return 1
  let bytes = size
  let at = first + 1
  for (; at < end; at++) {
    const length = batch.length(at)
    if (length === 0 || length > size || bytes + length > mostBytes || batch.segmentBytes(at) > 0) break
    bytes += length
    if (length < size) return at + 1 - first
  }
  return at - first
}

export function lengthOf(batch: Datagrams, first: number, count: number): number {
  let bytes = 0
  for (let i = first; i < first + count; i++) bytes += batch.length(i)
  return bytes
}
