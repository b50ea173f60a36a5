/** Looking and repairing: a hop is lost only when two looks in a row say so, and is repaired by renewing its lease. */
import { withLimit, type Clock, systemClock } from '../base/clock.ts'
import { isNaruError, NaruError, toNaruError } from '../base/errors.ts'
import type { Verdict } from '../model/hop.ts'
import type { HopState } from './hop-state.ts'
import type { RuleHops } from './rule-hops.ts'

const lookLimitMs = 4000
const renewLimitMs = 10_000
/** Between a first "lost" and the second look: one dropped packet is no reason to act. */
const secondLookMs = 300

export interface RepairOptions {
  readonly clock: Clock
  readonly hops: RuleHops
  /** The rule's name now. */
  readonly name: () => string
  /** The rule ended: nothing is repaired any more. */
  readonly isOver: () => boolean
  /** After the rule's changes before it, and before those after it. */
  readonly inTurn: <T>(run: () => Promise<T>) => Promise<T>
  readonly onChange: () => void
}

export class Repair {
  readonly #options: RepairOptions

  constructor(options: RepairOptions) {
    this.#options = options
  }

  /** Reads back what is held at a hop, and renews it where it is lost. */
  async look(held: HopState, signal: AbortSignal): Promise<void> {
    const { hops, clock, name, inTurn, onChange } = this.#options
    const verdict = await twice(held, signal)
    if (hops.held.get(held.hop) !== held || signal.aborted) return
    held.checkedAt = clock.now()
    if (verdict.state === 'held') {
      held.notes = verdict.notes
      held.lost = null
    } else {
      held.lost = verdict.why.of(name())
      hops.settle(held.hop)
      // Told before it is repaired: a router that keeps silent takes ten seconds not to be.
      onChange()
      await inTurn(() => this.renew(held, signal))
    }
    hops.settle(held.hop)
    onChange()
  }

  /** Extends what is held, or opens it again; only in the rule's turn. */
  async renew(held: HopState, signal: AbortSignal): Promise<void> {
    const { hops, clock, name, isOver, onChange } = this.#options
    if (isOver() || hops.held.get(held.hop) !== held) return
    const failure = await renewed(held, signal)
    if (failure && isNaruError(failure, 'ABORTED')) return
    // Where there is no firewall, none was opened.
    if (!failure && held.lost && !held.lease.isEmpty) hops.reopened(held.hop)
    held.lost = failure?.of(name()) ?? null
    held.checkedAt = clock.now()
    hops.settle(held.hop)
    onChange()
  }
}

async function twice(held: HopState, signal: AbortSignal): Promise<Verdict> {
  const first = await verdictOf(held, signal)
  if (first.state === 'held' || held.lost || signal.aborted) return first
  await systemClock.sleep(secondLookMs)
  return verdictOf(held, signal)
}

async function verdictOf(held: HopState, signal: AbortSignal): Promise<Verdict> {
  try {
    return await held.lease.verify({ signal: withLimit(signal, lookLimitMs) })
  } catch (error) {
    return { state: 'lost', why: toNaruError(error) }
  }
}

/** @returns null where it is held again, or why not. */
async function renewed(held: HopState, signal: AbortSignal): Promise<NaruError | null> {
  try {
    await held.lease.renew({ signal: withLimit(signal, renewLimitMs) })
    return null
  } catch (error) {
    return signal.aborted ? new NaruError('ABORTED', { what: `renewing ${held.hop}` }) : toNaruError(error)
  }
}
