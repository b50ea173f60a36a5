/** One reading of the machine for all who ask at about the same time. */
import type { Clock } from '../../base/clock.ts'

/** How long one reading of the machine serves everybody who asks at the same time. */
const freshMs = 1000

/** An answer as of the last second, or one that was asked for no earlier than `since` (monotonic ms). */
export type Lately<T> = (since?: number) => Promise<T>

/** One answer for all who ask within `freshMs`; a failure is not kept. */
export function fresh<T>(clock: Clock, read: () => Promise<T>): Lately<T> {
  let kept: { at: number; answer: Promise<T> } | null = null
  return (since = clock.monotonic() - freshMs) => {
    if (!kept || kept.at < since) {
      const answer = read()
      kept = { at: clock.monotonic(), answer }
      answer.catch(() => (kept = null))
    }
    return kept.answer
  }
}
