/**
 * After a restart everything is put back: every port is renewed, and what the router does not take yet is tried again
 * until it does. One restart is told by several protocols; they are one round, and a hint during it is one more.
 */
import { withLimit, type Clock } from '../base/clock.ts'
import { NaruError, toNaruError } from '../base/errors.ts'
import type { PublishedPort } from './published-port.ts'

/** A router that answers again is not yet one that maps: its parts start one after the other. */
const [againMs, patienceMs, oneLimitMs] = [700, 30_000, 12_000]

export interface RestoreTools {
  readonly clock: Clock
  readonly ports: () => Iterable<PublishedPort>
  /** What could not be put back this time. */
  readonly onFailure: (failure: NaruError) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

/** @returns the hint that everything may be lost. */
export function makeRestore({ clock, ports, onFailure, signal }: RestoreTools): () => void {
  let running = false
  let hinted = false
  const renewed = async (port: PublishedPort): Promise<boolean> => {
    try {
      await port.renew(withLimit(signal, oneLimitMs))
      return true
    } catch (failure) {
      if (!signal.aborted) onFailure(toNaruError(failure))
      return false
    }
  }
  const round = async (): Promise<void> => {
    const end = clock.monotonic() + patienceMs
    let left = [...ports()]
    for (;;) {
      const done = await Promise.all(left.map(renewed))
      left = left.filter((port, at) => !done[at] && !port.released)
      if (left.length === 0 || hinted || signal.aborted || clock.monotonic() > end) return
      await clock.sleep(againMs, signal)
    }
  }
  const run = async (): Promise<void> => {
    running = true
    while (hinted && !signal.aborted) {
      hinted = false
      await round().catch(() => {})
    }
    running = false
  }
  return () => {
    hinted = true
    if (!running) void run()
  }
}
