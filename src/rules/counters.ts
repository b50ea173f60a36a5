/** Sums of what was counted, and rates between two looks. */
import type { CloseReason, Counters } from '../model/connection.ts'

export const noCounters: Counters = {
  open: 0,
  offloaded: 0,
  opened: 0,
  closed: {},
  bytesToTarget: 0,
  bytesToClient: 0,
  datagramsToTarget: 0,
  datagramsToClient: 0,
  datagramsLost: 0,
}

export function addCounters(a: Counters, b: Counters): Counters {
  const closed: Partial<Record<CloseReason, number>> = { ...a.closed }
  for (const [reason, count] of Object.entries(b.closed) as [CloseReason, number][])
    closed[reason] = (closed[reason] ?? 0) + count
  return {
    open: a.open + b.open,
    offloaded: a.offloaded + b.offloaded,
    opened: a.opened + b.opened,
    closed,
    bytesToTarget: a.bytesToTarget + b.bytesToTarget,
    bytesToClient: a.bytesToClient + b.bytesToClient,
    datagramsToTarget: a.datagramsToTarget + b.datagramsToTarget,
    datagramsToClient: a.datagramsToClient + b.datagramsToClient,
    datagramsLost: a.datagramsLost + b.datagramsLost,
  }
}

export interface Rate {
  readonly toTarget: number
  readonly toClient: number
}

/** Bytes a second of each rule, from one look to the next. */
export class Rates {
  readonly #last = new Map<string, { at: number; toTarget: number; toClient: number; rate: Rate }>()

  /** @param at monotonic ms. Looks closer than 500 ms apart answer the last rate. */
  of(name: string, counters: Counters, at: number): Rate {
    const last = this.#last.get(name)
    const seconds = last ? (at - last.at) / 1000 : 0
    if (last && seconds < 0.5) return last.rate
    const per = (now: number, before: number): number => Math.max(0, Math.round((now - before) / seconds))
    const rate = last
      ? {
          toTarget: per(counters.bytesToTarget, last.toTarget),
          toClient: per(counters.bytesToClient, last.toClient),
        }
      : { toTarget: 0, toClient: 0 }
    this.#last.set(name, { at, toTarget: counters.bytesToTarget, toClient: counters.bytesToClient, rate })
    return rate
  }

  forget(name: string): void {
    this.#last.delete(name)
  }
}
