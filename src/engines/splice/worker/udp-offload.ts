/** What the kernel may carry of a UDP session past us: it is offered once the session is busy, by addresses alone. */
import {
  endpointOnWire,
  type OffloadedPair as CarriedByKernel,
  type Pair,
  type WireEndpoint,
} from '../../../linux/bpf/flows.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { cell } from '../shared/records.ts'
import type { Datagrams } from './datagrams.ts'
import type { FlowBase } from './flow.ts'
import type { Offloadable } from './offloading.ts'

/** Within this time a session must come to `datagramsBeforeOffload` to be offered, ms. */
const busyMs = 1000
/** A session that ends sooner than this in silence stays with us: the kernel is asked what it carries twice a second. */
const leastPatienceMs = 2000

/** The session, as far as it concerns this. */
export interface OffloadedSession extends Pick<FlowBase, 'thread' | 'revision'> {
  /** Each datagram has a header of its own. */
  readonly tellsTarget: boolean
  /** Null where it cannot be told in addresses. */
  ends(): Pair | null
  /** @returns whether the marks of what comes in are told from now on */
  tellMarks(): boolean
  carried(there: CarriedByKernel, back: CarriedByKernel): void
}

export class UdpOffload implements Offloadable {
  readonly #session: OffloadedSession
  /** Datagrams that came to it so far. */
  #came = 0
  #isOffloaded = false
  /** When it came to how many was looked at last, and at how many it will be next. */
  #noticedAt = Number.NEGATIVE_INFINITY
  #noticeAt = 0

  constructor(session: OffloadedSession) {
    this.#session = session
  }

  came(way: 'there' | 'back', count: number, batch: Datagrams, last: number): void {
    this.#came += count
    if (this.#isOffloaded) this.#session.thread.offloading.came(this, way, batch.mark(last))
    else if (this.#came >= this.#noticeAt) this.#notice()
  }

  #notice(): void {
    const { loop, offloading, thresholds } = this.#session.thread
    if (loop.now - this.#noticedAt <= busyMs) offloading.offer(this)
    this.#noticedAt = loop.now
    this.#noticeAt = this.#came + thresholds.datagramsBeforeOffload
  }

  takeBack(): void {
    this.#session.thread.offloading.takeBack(this)
  }

  /** The system let nothing of it leave. */
  refused(): void {
    this.#session.thread.offloading.refused(this)
  }

  /** What the kernel can be told is addresses; it knows no policy on each datagram. */
  pair(): Pair | null {
    const { revision, tellsTarget } = this.#session
    const { bucket, keeps, timeouts } = revision
    if (bucket || keeps || tellsTarget || timeouts.udpMs < leastPatienceMs) return null
    return this.#session.ends()
  }

  tellNumbers(): boolean {
    return this.#session.tellMarks()
  }

  offloaded(by: 1 | -1): void {
    this.#isOffloaded = by === 1
    this.#session.revision.ruleOnThread.cells[cell.offloaded]! += by
  }

  carried(there: CarriedByKernel, back: CarriedByKernel): void {
    if (there.packets + back.packets > 0) this.#session.carried(there, back)
  }
}

/** Null where one of them is not told in bytes. */
export function pairOf(from: Peer | null, to: Peer | null, own: Peer | null, at: Peer | null): Pair | null {
  const [client, listen, upstream, target] = [onWire(from), onWire(to), onWire(own), onWire(at)]
  return client && listen && upstream && target && { protocol: 'udp', client, listen, upstream, target }
}

function onWire(peer: Peer | null): WireEndpoint | null {
  return peer && endpointOnWire(peer.address, peer.port)
}
