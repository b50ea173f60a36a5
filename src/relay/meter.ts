/**
 * Counts what a rule carries and keeps a record of each connection. Engines add bytes to the record they were
 * given; the first close reason counts; sums only grow.
 */
import type { CloseReason, Connection, Counters } from '../model/connection.ts'

/** A connection's own record. Bytes and state are written by who carries it. */
export type Live = { -readonly [K in keyof Connection]: Connection[K] }

/** What an engine tells of connections. */
export type MeterEvent =
  | { readonly type: 'opened' | 'closed'; readonly connection: Connection }
  | { readonly type: 'refused'; readonly rule: string; readonly client: string; readonly reason: CloseReason }

export interface MeterOptions {
  readonly rule: string
  readonly engine: string
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  readonly onEvent: (event: MeterEvent) => void
  /** Unique within this run; several threads need a prefix each. @default counting in base 36 */
  readonly nextId?: () => string
}

export interface NewConnection {
  readonly protocol: Connection['protocol']
  readonly client: string
  readonly listen: string
}

export class Meter {
  /** Added to by who carries UDP. */
  datagramsToTarget = 0
  datagramsToClient = 0
  datagramsLost = 0
  readonly #live = new Map<string, Live>()
  readonly #closed: Partial<Record<CloseReason, number>> = {}
  #opened = 0
  #bytesToTarget = 0
  #bytesToClient = 0
  readonly #options: MeterOptions

  constructor(options: MeterOptions) {
    this.#options = options
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#live.size
  }

  /** The admitted client's record, in the state `dialling`. */
  begin({ protocol, client, listen }: NewConnection): Live {
    const { rule, engine, now, nextId = countingIds } = this.#options
    const live: Live = {
      id: nextId(),
      rule,
      engine,
      protocol,
      client,
      listen,
      target: null,
      openedAt: now(),
      bytesToTarget: 0,
      bytesToClient: 0,
      state: 'dialling',
      closedAt: null,
      closeReason: null,
    }
    this.#opened++
    this.#live.set(live.id, live)
    this.#options.onEvent({ type: 'opened', connection: { ...live } })
    return live
  }

  /** Ends a record; later reasons for the same one are not heard. */
  end(live: Live, reason: CloseReason): void {
    if (!this.#live.delete(live.id)) return
    live.state = 'closed'
    live.closedAt = this.#options.now()
    live.closeReason = reason
    this.#bytesToTarget += live.bytesToTarget
    this.#bytesToClient += live.bytesToClient
    this.#count(reason)
    this.#options.onEvent({ type: 'closed', connection: { ...live } })
  }

  /** A client was turned away before it had a record. */
  refuse(client: string, reason: CloseReason): void {
    this.#count(reason)
    this.#options.onEvent({ type: 'refused', rule: this.#options.rule, client, reason })
  }

  connections(): readonly Connection[] {
    return Array.from(this.#live.values(), (live) => ({ ...live }))
  }

  counters(): Counters {
    let bytesToTarget = this.#bytesToTarget
    let bytesToClient = this.#bytesToClient
    for (const live of this.#live.values()) {
      bytesToTarget += live.bytesToTarget
      bytesToClient += live.bytesToClient
    }
    return {
      open: this.#live.size,
      offloaded: 0,
      opened: this.#opened,
      closed: { ...this.#closed },
      bytesToTarget,
      bytesToClient,
      datagramsToTarget: this.datagramsToTarget,
      datagramsToClient: this.datagramsToClient,
      datagramsLost: this.datagramsLost,
    }
  }

  #count(reason: CloseReason): void {
    this.#closed[reason] = (this.#closed[reason] ?? 0) + 1
  }
}

let ids = 0
function countingIds(): string {
  return (ids++).toString(36)
}
