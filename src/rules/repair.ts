/** Looking and repairing: a hop is lost only when two looks in a row say so, and is repaired by renewing its lease. */
import { withLimit } from '../base/clock.ts'
import { NaruError, toNaruError } from '../base/errors.ts'
import type { Verdict } from '../model/hop.ts'
import type { HopState } from './hop-state.ts'

const lookLimitMs = 4000
const renewLimitMs = 10_000
/** Between a first "lost" and the second look: one dropped packet is no reason to act. */
const secondLookMs = 300

export const repair = {
  async look(held: HopState, signal: AbortSignal): Promise<Verdict> {
    const first = await verdictOf(held, signal)
    if (first.state === 'held' || held.lost || signal.aborted) return first
    await new Promise((resolve) => setTimeout(resolve, secondLookMs).unref())
    return verdictOf(held, signal)
  },

  /** @returns null where it is held again, or why not. */
  async renew(held: HopState, signal: AbortSignal): Promise<NaruError | null> {
    try {
      await held.lease.renew({ signal: withLimit(signal, renewLimitMs) })
      return null
    } catch (error) {
      return signal.aborted ? new NaruError('ABORTED', { what: `renewing ${held.hop}` }) : toNaruError(error)
    }
  },
}

async function verdictOf(held: HopState, signal: AbortSignal): Promise<Verdict> {
  try {
    return await held.lease.verify({ signal: withLimit(signal, lookLimitMs) })
  } catch (error) {
    return { state: 'lost', why: toNaruError(error) }
  }
}
