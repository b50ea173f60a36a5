/**
 * Brings what one rule holds to what it wants, by the next engine where one fails. What could not be is told, undone
 * where all must be whole, and tried again later where not.
 */
import { within } from '../base/clock.ts'
import type { NaruError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { EngineEvent } from '../engines/contract.ts'
import type { Rule } from '../model/rule.ts'
import type { ChangeQueue } from './change-queue.ts'
import { EngineFailures } from './engine-failures.ts'
import type { HopState } from './hop-state.ts'
import type { DesiredHop } from './hops/desired.ts'
import { isPersonsToMend } from './manual-row.ts'
import type { Releases } from './releases.ts'
import type { RuleHops } from './rule-hops.ts'
import type { RuleName } from './rule-name.ts'
import type { RuleRelays } from './rule-relays.ts'
import { stepLimitMs, type ApplyOptions, type RunTools } from './run-tools.ts'
import { StepRunner, type StepFailure } from './step-runner.ts'

export interface ConvergenceOptions {
  readonly tools: RunTools
  readonly name: RuleName
  /** As it is to be now. */
  readonly rule: () => Rule
  readonly hops: RuleHops
  readonly relays: RuleRelays
  readonly releases: Releases
  readonly changes: ChangeQueue
  /** Nothing is to be tried any more. */
  readonly isOver: () => boolean
  readonly tell: (level: 'info' | 'warn' | 'error', text: Text) => void
  /** Something of a hop is another. */
  readonly onChange: () => void
}

export class Convergence {
  readonly runner: StepRunner
  readonly engines: EngineFailures
  readonly #options: ConvergenceOptions

  constructor(options: ConvergenceOptions) {
    this.#options = options
    const { tools, name, rule, hops, relays, releases, tell, onChange } = options
    this.engines = new EngineFailures({ hops, rule, tell })
    this.runner = new StepRunner({
      tools,
      name: () => name.now,
      drainMs: () => rule().timeouts.drainMs,
      hops,
      relays,
      releases,
      onChange,
    })
  }

  isActive(rule: Rule): boolean {
    return rule.enabled && (rule.until === null || rule.until > this.#options.tools.clock.now())
  }

  /** Nothing where it is not to be open. */
  async wants(
    rule: Rule,
    { signal, asked }: Pick<ApplyOptions, 'signal' | 'asked'>,
  ): Promise<readonly DesiredHop[]> {
    const { tools, name } = this.#options
    if (!this.isActive(rule)) return []
    return tools.wants(name.asMade(rule), {
      failedEngines: this.engines.passedOver,
      onEngineEvent: (event) => this.#onEngineEvent(event),
      named: name.ofEvent,
      asked,
      signal,
    })
  }

  /**
   * @param opened by this very change so far: another engine is tried.
   * @returns what could not be done. @throws NaruError where `strict` and something could not; nothing new is left then
   */
  async run(options: ApplyOptions, opened: HopState[] = []): Promise<readonly NaruError[]> {
    const { changes, hops, isOver, onChange } = this.#options
    changes.forgetRetry()
    const wanted = await this.#wantedNow(options)
    const failure = await this.runner.run(wanted, options, opened)
    if (failure && !options.signal.aborted && this.engines.passesOver(failure.why))
      return this.run(options, opened)
    const strict = failure !== null && mustBeWhole(failure, options)
    if (strict) await this.runner.undo(opened, options)
    for (const hop of hops.failures.keys()) if (hop !== failure?.hop) hops.failures.delete(hop)
    if (wanted.length === 0) this.#over(options)
    onChange()
    if (!failure) {
      changes.allWell()
      return []
    }
    if (strict) throw failure.why
    if (!isOver()) changes.retryLater()
    return [failure.why]
  }

  #over({ now = false }: ApplyOptions): void {
    const { tools, name } = this.#options
    this.runner.freePorts()
    tools.tellLeaving({ rule: name.now, over: now ? 'cut' : 'drain' })
  }

  /** What is wanted may depend on who answers, which takes a silent router seconds: it is told as opening meanwhile. */
  async #wantedNow(options: ApplyOptions): Promise<readonly DesiredHop[]> {
    const { hops, relays, name, rule, onChange } = this.#options
    const { held, failures } = hops
    if (held.size === 0 && relays.isEmpty) name.forgetMade()
    if (failures.size === 0 && held.size === 0) onChange()
    return this.wants(rule(), options)
  }

  /** What an engine tells of the rule that it carries. */
  #onEngineEvent(event: EngineEvent): void {
    const { tools, hops, changes, isOver } = this.#options
    const givenUp = isOver() ? null : this.engines.seen(event)
    if (!givenUp) return
    const { relay, mustGo } = givenUp
    void changes
      .takeBeforeRetry(async () => {
        if (isOver()) return
        if (mustGo && hops.held.get('relay') === relay) await this.runner.retire(relay)
        await within(tools.working, stepLimitMs, (signal) => this.run({ strict: false, signal }))
      })
      .catch(() => {})
  }
}

/** A router that does nothing is no reason to undo the rest, where a person can type the row. */
function mustBeWhole({ why, hop }: StepFailure, { strict, rowByHand = false }: ApplyOptions): boolean {
  return strict && !(rowByHand && hop === 'router' && isPersonsToMend(why))
}
