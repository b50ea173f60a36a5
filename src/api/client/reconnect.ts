/**
 * Events that survive the loss of the connection and a restart of the daemon: asks again with the last key it saw,
 * waiting a little longer each time, and says when it is cut off. What was missed arrives, or a `gap` does. A
 * connection over which nothing comes any more, as after a sleep, is given up.
 */
import type { Clock } from '../../base/clock.ts'
import { isNaruError, toNaruError, type NaruError } from '../../base/errors.ts'
import type { NaruEvent } from '../../model/naru-api.ts'
import { heartbeatMs } from '../protocol/wire.ts'
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
/** Two signs of life that did not come. */
const silentMs = 2.4 * heartbeatMs

/** Ends with the signal, or by throwing where a token is missing: asking again would not help. */
export async function* steadyEvents(
  client: Pick<NaruClient, 'keyedEvents'>,
  { signal, clock, onState }: SteadyOptions,
): AsyncGenerator<NaruEvent> {
  let lastKey: string | undefined
  let waitMs = firstWaitMs
  while (!signal.aborted) {
    let why: NaruError
    const heard = new Heard(signal, clock)
    try {
      const onOpen = (): void => onState?.({ state: 'live' })
      const resume = lastKey === undefined ? {} : { lastKey }
      const onHeard = (): void => heard.now()
      const asking = { signal: heard.signal, onOpen, onHeard, ...resume }
      for await (const { key, event } of client.keyedEvents(asking)) {
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
    } finally {
      heard[Symbol.dispose]()
    }
    onState?.({ state: 'lost', why })
    await clock.sleep(waitMs, signal).catch(() => {})
    waitMs = Math.min(waitMs * 2, longestWaitMs)
  }
}

/** A signal that fires with another's, or when nothing was heard for too long. */
class Heard implements Disposable {
  readonly #given = new AbortController()
  readonly #signal: AbortSignal
  readonly #clock: Clock
  #timer: Disposable

  constructor(signal: AbortSignal, clock: Clock) {
    this.#signal = signal
    this.#clock = clock
    this.#timer = clock.after(silentMs, this.#giveUp)
    signal.addEventListener('abort', this.#giveUp, { once: true })
  }

  get signal(): AbortSignal {
    return this.#given.signal
  }

  now(): void {
    this.#timer[Symbol.dispose]()
    this.#timer = this.#clock.after(silentMs, this.#giveUp)
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]()
    this.#signal.removeEventListener('abort', this.#giveUp)
  }

  readonly #giveUp = (): void => this.#given.abort()
}
