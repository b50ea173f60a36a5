/**
 * Does something whenever it is hinted at, but at most once in a while: hints that come too soon are answered by one
 * run at the end of that while, and never by two at once. For hints that anybody may send.
 */
import type { Clock } from './clock.ts'

/** @returns the hint. After `signal` it does nothing. What `run` throws is its own affair. */
export function throttled(
  run: () => Promise<void>,
  { everyMs, clock, signal }: { everyMs: number; clock: Clock; signal: AbortSignal },
): () => void {
  let startedAt = -Infinity
  let running = false
  let waiting: Disposable | null = null
  /** Hinted at while it ran longer than the while: what it saw may be older than the hint. */
  let owed = false
  const start = async (): Promise<void> => {
    ;[running, startedAt, waiting] = [true, clock.monotonic(), null]
    await run().catch(() => {})
    running = false
    if (owed) hint()
    owed = false
  }
  const hint = (): void => {
    if (signal.aborted || waiting) return
    const left = startedAt + everyMs - clock.monotonic()
    if (!running && left <= 0) return void start()
    waiting = clock.after(Math.max(left, 20), () => {
      waiting = null
      if (running) owed = true
      else if (!signal.aborted) void start()
    })
  }
  signal.addEventListener('abort', () => waiting?.[Symbol.dispose](), { once: true })
  return hint
}
