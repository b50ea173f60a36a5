/** What was read of the packet filter is true for as long as nobody changes the filter: until then it is not read anew. */
import { latestOf } from '../../base/latest.ts'
import type { Runner } from '../contract.ts'

export interface ReadOptions {
  readonly runner: Runner
  readonly signal: AbortSignal
  /** `Host.filterGeneration`. @default nobody tells: it is read each time */
  readonly generation?: (() => Promise<string | null>) | undefined
}

/** What packets themselves put into sets, and what times out there, nobody counts. */
const longestMs = 60_000

/**
 * As it is after it was asked for; those who ask at once share one reading.
 * @param tells false where that reading holds something whose changes the filter's generation does not count
 */
export function whileUnchanged<T>(
  what: string,
  read: (runner: Runner) => Promise<T>,
  tells: (value: T) => boolean = () => true,
): (options: ReadOptions) => Promise<T> {
  const reading = latestOf(what, read)
  const kept = new WeakMap<Runner, Kept<T>>()
  return async ({ runner, signal, generation }) => {
    const before = (await generation?.()) ?? null
    const known = kept.get(runner)
    if (before !== null && known?.of === before && performance.now() < known.until) return known.value
    const value = await reading(runner, signal)
    // A change meanwhile may be in it or not.
    if (before !== null && tells(value) && (await generation?.()) === before)
      kept.set(runner, { of: before, until: performance.now() + longestMs, value })
    return value
  }
}

interface Kept<T> {
  readonly of: string
  /** Of `performance.now()`. */
  readonly until: number
  readonly value: T
}
