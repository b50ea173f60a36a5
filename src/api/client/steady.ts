/**
 * Events that survive the loss of the connection and a restart of the daemon: asks again with the last key it saw,
 * waiting a little longer each time, and says when it is cut off. What was missed arrives, or a `gap` does.
 */
import type { Clock } from '../../base/clock.ts'
import { isNaruError, toNaruError, type NaruError } from '../../base/errors.ts'
import type { NaruEvent } from '../../model/face.ts'
import type { NaruClient } from './client.ts'

export interface SteadyOptions {
  readonly signal: AbortSignal
  readonly clock: Clock
  /**
   * `live` when the stream stands, `lost` with why each time it is cut off or cannot be had.
   * State read after `live` misses nothing.
   */
  readonly onState?: (state: { state: 'live' } | { state: 'lost'; why: NaruError }) => void
}

const firstWaitMs = 250
const longestWaitMs = 5000

/** Ends with the signal, or by throwing where a token is missing: asking again would not help. */
export async function* steadyEvents(
  client: Pick<NaruClient, 'keyedEvents'>,
  { signal, clock, onState }: SteadyOptions,
): AsyncGenerator<NaruEvent> {
  let lastKey: string | undefined
  let waitMs = firstWaitMs
  while (!signal.aborted) {
    let why: NaruError
    try {
      const onOpen = (): void => onState?.({ state: 'live' })
      const resume = lastKey === undefined ? {} : { lastKey }
      for await (const { key, event } of client.keyedEvents({ signal, onOpen, ...resume })) {
        lastKey = key === '' ? lastKey : key
        waitMs = firstWaitMs
        yield event
      }
      if (signal.aborted) return
      why = toNaruError(new Error('the stream ended'))
    } catch (error) {
      if (signal.aborted) return
      if (isNaruError(error, 'API_NO_TOKEN', 'NOT_PERMITTED')) throw error
      why = toNaruError(error)
    }
    onState?.({ state: 'lost', why })
    await clock.sleep(waitMs, signal).catch(() => {})
    waitMs = Math.min(waitMs * 2, longestWaitMs)
  }
}
