/**
 * Does the steps from what a rule holds to what it wants, one after the other, and undoes what it opened where the rest
 * cannot be. Nothing outside of a hop that does not work is opened.
 */
import { withLimit, within } from '../base/clock.ts'
import { toNaruError, type NaruError } from '../base/errors.ts'
import { orAborted, stopped } from '../base/single-flight.ts'
import type { Heritage } from '../model/handover-sockets.ts'
import type { Hop, Lease } from '../model/hop.ts'
import { listensOverlap } from '../model/listen.ts'
import type { HopState } from './hop-state.ts'
import type { DesiredHop } from './hops/desired.ts'
import { isEngineLease } from './hops/relay.ts'
import type { Releases } from './releases.ts'
import type { RuleHops } from './rule-hops.ts'
import type { RuleRelays } from './rule-relays.ts'
import { lineLimitMs, stepLimitMs, type ApplyOptions, type RunTools } from './run-tools.ts'
import { stepsBetween, type Step } from './steps.ts'

/** What was opened must not stay, whatever called the change off. */
const undoLimitMs = 5000

export interface StepRunnerOptions {
  readonly tools: Pick<RunTools, 'clock' | 'journal' | 'mark' | 'before'>
  /** The rule's name now. */
  readonly name: () => string
  /** How long connections may go on where a hop closes, in ms. */
  readonly drainMs: () => number
  readonly hops: RuleHops
  readonly relays: RuleRelays
  readonly releases: Releases
  /** Something of a hop is another. */
  readonly onChange: () => void
}

export interface StepFailure {
  readonly why: NaruError
  /** Null where it was closing that failed. */
  readonly hop: Hop | null
}

export class StepRunner {
  readonly #options: StepRunnerOptions
  /** Ports of an engine that gave the rule up: nobody else is to have them before the next one does. */
  #heritage: Heritage | null = null

  constructor(options: StepRunnerOptions) {
    this.#options = options
  }

  /**
   * Opens, changes and closes until what is wanted is held.
   * @param opened takes what this opened. @returns why it went no further; null where all is done
   */
  async run(
    wanted: readonly DesiredHop[],
    options: ApplyOptions,
    opened: HopState[],
  ): Promise<StepFailure | null> {
    const { hops, onChange } = this.#options
    const steps = stepsBetween(hops.held, wanted)
    this.#tellAhead(steps)
    for (const step of options.relayFirst ? relayFirst(steps) : steps) {
      try {
        if (step.action !== 'close') refuseIfStopped(options.signal, this.#options.name())
        const held = await this.#inItsPlace(step, options)
        if (held) opened.push(held)
        if (step.action !== 'close') {
          hops.ahead.delete(step.wanted.hop)
          // Not before it works: a hop that is tried again and again is broken all the while.
          hops.failures.delete(step.wanted.hop)
        }
        onChange()
      } catch (error) {
        return this.#failed(step, toNaruError(error).of(this.#options.name()), options.signal)
      }
    }
    return null
  }

  /** What failed before and is tried again is not told as opening. */
  #tellAhead(steps: readonly Step[]): void {
    const { hops, onChange } = this.#options
    for (const step of steps)
      if (hops.failures.size === 0 && step.action === 'open' && !step.held)
        hops.ahead.set(step.wanted.hop, step.wanted)
    if (hops.ahead.size > 0) onChange()
  }

  /** What an earlier `run` opened goes again, the newest first. */
  async undo(opened: readonly HopState[], options: ApplyOptions): Promise<void> {
    for (const held of opened.toReversed()) {
      const signal = withLimit(undefined, undoLimitMs)
      await this.close(held, { ...options, signal, now: true, reason: 'shutdown' })
    }
  }

  async close(
    held: HopState,
    { signal, now = false, reason = 'drained' }: Omit<ApplyOptions, 'strict'>,
  ): Promise<void> {
    const { hops, relays, releases, drainMs } = this.#options
    hops.held.delete(held.hop)
    hops.failures.delete(held.hop)
    if (!isEngineLease(held.lease)) return releases.release(held.hop, held.lease)
    await relays.drainAll([held.lease], { signal, reason, now, drainMs: drainMs() })
  }

  /** Opened anew elsewhere: what is connected goes on under the terms it began with. */
  async retire(held: HopState): Promise<void> {
    const { hops, relays, releases } = this.#options
    hops.held.delete(held.hop)
    if (!isEngineLease(held.lease)) return releases.release(held.hop, held.lease)
    const heritage = held.lease.bequeath?.()
    if (heritage) {
      this.freePorts()
      this.#heritage = heritage
    }
    await relays.retire(held.lease)
  }

  /** Ports that were kept for the next engine are anybody's. */
  freePorts(): void {
    this.#heritage?.[Symbol.dispose]()
    this.#heritage = null
  }

  #failed(step: Step, why: NaruError, signal: AbortSignal): StepFailure {
    const { hops, tools } = this.#options
    hops.ahead.clear()
    if (step.action === 'close') return { why, hop: null }
    const { wanted } = step
    // A try that was called off says nothing new.
    if (!signal.aborted || !hops.failures.has(wanted.hop))
      hops.failures.set(wanted.hop, { wanted, why, at: tools.clock.now() })
    return { why, hop: wanted.hop }
  }

  /** A hop that waits in a line of its own keeps nobody else waiting. */
  #inItsPlace(step: Step, options: ApplyOptions): Promise<HopState | null> {
    const { waitsInLine } = step.action === 'close' ? step.held.wanted : step.wanted
    const run = (): Promise<HopState | null> => this.#do(step, options)
    return waitsInLine && options.aside && step.action !== 'keep' ? options.aside(run) : run()
  }

  async #do(step: Step, options: ApplyOptions): Promise<HopState | null> {
    switch (step.action) {
      case 'keep':
        return null
      case 'close':
        await this.close(step.held, options)
        return null
      case 'update':
        if (step.wanted.update?.(step.held.lease, this.#options.hops.inner())) {
          step.held.wanted = step.wanted
          await inForce(step.held.lease, options.signal)
          return null
        }
        return this.#replace(step.held, step.wanted, options)
      case 'open':
        return step.held ? this.#replace(step.held, step.wanted, options) : this.#open(step.wanted, options)
    }
  }

  async #replace(held: HopState, wanted: DesiredHop, options: ApplyOptions): Promise<HopState> {
    // Nobody can, and nothing has to go for that to be said.
    if (wanted.member === null && options.relayFirst) return this.#open(wanted, options)
    if (held.lost || mustCloseFirst(held.wanted, wanted)) {
      await this.retire(held)
      return this.#open(wanted, options)
    }
    const next = await this.#open(wanted, options)
    if (isEngineLease(held.lease)) await this.#options.relays.retire(held.lease)
    else await this.#options.releases.release(held.hop, held.lease)
    return next
  }

  async #open(wanted: DesiredHop, { signal }: ApplyOptions): Promise<HopState> {
    const { tools, name, hops } = this.#options
    const member = wanted.member ?? 'none'
    const before = tools.before(name(), wanted)
    const of = {
      get rule() {
        return name()
      },
      hop: wanted.hop,
      member,
    }
    const record = { ...tools.journal.recorder(of, before), mark: tools.mark }
    const limitMs = wanted.waitsInLine ? lineLimitMs : stepLimitMs
    const lease = await within(signal, limitMs, (limited) =>
      wanted.open({ signal: limited, record, inner: hops.inner(), heritage: this.#heritage }),
    )
    if (wanted.hop === 'relay') this.freePorts()
    const held: HopState = {
      hop: wanted.hop,
      wanted,
      lease,
      lost: null,
      notes: [],
      checkedAt: tools.clock.now(),
    }
    hops.opened(held)
    return held
  }
}

/** Longer nobody waits for the answer to an edit: a name may take seconds. */
const inForceLimitMs = 2000

/** Whoever is told that an edit is done may count on it. What cannot be is told by the engine's events. */
async function inForce(lease: Lease, signal: AbortSignal): Promise<void> {
  if (!isEngineLease(lease) || !lease.settled) return
  const settled = lease.settled()
  await within(signal, inForceLimitMs, (limited) => orAborted(settled, limited, 'the edit')).catch(() => {})
}

/** @throws NaruError: what is called off begins nothing more */
function refuseIfStopped(signal: AbortSignal, name: string): void {
  if (signal.aborted) throw stopped(signal, name)
}

function mustCloseFirst(held: DesiredHop, wanted: DesiredHop): boolean {
  if (wanted.replace === 'open-first') return false
  return !held.listen || !wanted.listen || listensOverlap(held.listen, wanted.listen)
}

/** What opens up to the relay, then what closes, then what opens outside of it. */
function relayFirst(steps: readonly Step[]): Step[] {
  const place = (step: Step): number => {
    if (step.action === 'close') return 1
    return step.wanted.hop === 'firewall' || step.wanted.hop === 'router' ? 2 : 0
  }
  return steps.toSorted((a, b) => place(a) - place(b))
}
