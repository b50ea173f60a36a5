/**
 * This Naru's place: taken from a predecessor that goes on until this one has everything, and given to a successor,
 * after which this one stays for its connections alone.
 */
import { Batch } from '../base/batch.ts'
import { messageOf } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { Inheritance } from '../model/handover-sockets.ts'
import type { Json } from '../model/hop.ts'
import type { Deps } from '../instance/deps.ts'
import type { Instance } from '../instance/instance.ts'
import type { Journal, JournalEntry } from '../instance/journal.ts'
import { systemMs, type RuleNews } from '../instance/rule-news.ts'
import { publisherOf } from '../mappings/publisher.ts'
import { HandOver, mustCatchUp, settle, textOf, type Predecessor } from './hand-over.ts'
import type { DesiredHop } from './hops/desired.ts'
import { LeftRules } from './left-rules.ts'
import type { RuleSet } from './rule-set.ts'
import type { ChangeTurns } from './change-turns.ts'
import type { Upkeep } from './upkeep.ts'

/** How soon a process that passed its place on sees that its last connection has ended. */
const lookForEndMs = 250

export interface SuccessionOptions {
  readonly parts: Deps
  readonly instance: Instance
  readonly journal: Journal
  readonly rules: RuleSet
  readonly turns: ChangeTurns
  readonly upkeep: Upkeep
  readonly predecessor: Predecessor | null
  /** Aborts when a stop begins. */
  readonly working: AbortSignal
  /** Aborts when the time that undoing may take is over. */
  readonly undoing: AbortSignal
  /** Aborts when this Naru has stopped. */
  readonly life: AbortSignal
  readonly stop: () => Promise<void>
}

export class Succession {
  readonly #options: SuccessionOptions
  /** Set until the process whose place this one takes has let go. */
  #predecessor: Predecessor | null
  /** What that one has in force. */
  #before: readonly JournalEntry[] = []
  /** Resolves once what the predecessor left is settled. */
  readonly #settled = deferred()
  /** Resolves once no successor is about to take this place. */
  #handing: Promise<void> = Promise.resolve()
  #passedOn = false
  readonly #news = new Batch<RuleNews>((news) => this.#write(news))

  constructor(options: SuccessionOptions) {
    this.#options = options
    this.#predecessor = options.predecessor
  }

  /** A predecessor has not let go yet. */
  get isTaking(): boolean {
    return this.#predecessor !== null
  }

  /** A successor has everything but the connections. */
  get passedOn(): boolean {
    return this.#passedOn
  }

  get inherit(): Inheritance | null {
    return this.#predecessor?.inherit ?? null
  }

  /**
   * Opens everything beside the predecessor, taking up what that one has; changes wait for `settle`.
   * @throws NaruError HANDOVER_FAILED
   */
  async take(predecessor: Predecessor, open: () => Promise<unknown>): Promise<void> {
    const { parts, journal, turns, rules, working } = this.#options
    for (const engine of parts.engines) engine.succeed?.(predecessor.pid)
    this.#before = journal.live()
    turns.holdUntil(predecessor.inherit.begun)
    await open()
    await mustCatchUp(rules.runs, predecessor, { clock: parts.clock, signal: working })
  }

  /** The predecessor has let go: what it had and no rule wants is undone. */
  async settle(): Promise<void> {
    const { journal, parts, rules, undoing } = this.#options
    this.#tellDifferent(this.#predecessor)
    this.#predecessor = null
    const before = this.#before
    this.#before = []
    await settle(before, { journal, parts, runs: rules.runs, signal: undoing }).finally(() =>
      this.#settled.resolve(),
    )
  }

  /** For those who passed this place on, and have connections of that rule. */
  tellLeaving(news: RuleNews): void {
    if (!this.#passedOn) void this.#news.add([news])
  }

  /** Does not throw: what ended here has ended. */
  async #write(news: readonly RuleNews[]): Promise<void> {
    const { instance, parts } = this.#options
    try {
      await instance.tellLeaving(news)
    } catch (error) {
      const why = messageOf(error)
      parts.log.warn(
        {},
        say`connections of before the last hand-over go on, whatever became of their rule: ${why}`,
      )
    }
  }

  /** The file may say another thing than when the predecessor read it. */
  #tellDifferent(predecessor: Predecessor | null): void {
    for (const [rule, { text }] of Object.entries(predecessor?.rules ?? {})) {
      const run = this.#options.rules.runs.get(rule)
      if (!run?.rule.enabled) this.tellLeaving({ rule, over: 'drain' })
      else if (textOf(run.input) !== text) this.tellLeaving({ rule, until: run.rule.until })
    }
  }

  /** What the predecessor has where the same is wanted, the newest first: what it could not undo is older. */
  before(rule: string, { hop, key }: DesiredHop): readonly Json[] {
    if (this.#predecessor?.rules[rule]?.hops?.[hop] !== key) return []
    return this.#before
      .filter((entry) => entry.rule === rule && entry.hop === hop)
      .map(({ effect }) => effect)
      .toReversed()
  }

  /** Everything stands still until the answer is taken back or left. */
  async offer(): Promise<HandOver> {
    const { journal, parts, rules, turns, upkeep, working } = this.#options
    const gate = deferred()
    const handing = deferred()
    const holding = {
      onOver: handing.resolve,
      runs: [...rules.runs.values()],
      journal,
      parts,
      watch: (on: boolean) => {
        upkeep.end()
        if (on && !working.aborted) upkeep.begin()
      },
    }
    await turns.take(() => Promise.resolve())
    turns.holdUntil(gate.promise)
    this.#handing = handing.promise
    return HandOver.begin(holding, gate.promise, gate.resolve)
  }

  /** The successor has it: stays until the last connection has ended, however long. @returns how many there are */
  async leave(handOver: HandOver): Promise<number> {
    const { instance, parts, rules } = this.#options
    this.#passedOn = true
    const left = new LeftRules({ runs: rules.runs, clock: parts.clock, instance, since: systemMs() })
    await instance.passOn()
    publisherOf(parts)[Symbol.dispose]()
    await handOver.leave()
    void this.#endWithConnections(left)
    return rules.carried
  }

  /** After `leave`: a process that starts anew, as the successor is gone, may bind every port. Streams go on. */
  async letGo(): Promise<void> {
    if (!this.#passedOn) return
    const { instance, rules } = this.#options
    await Promise.all(rules.all().map((run) => run.letGo()))
    await instance.letGo()
  }

  /** Resolves once what is under way has ended, and nobody takes or gives this place. */
  async standsStill(): Promise<void> {
    await this.#handing
    if (this.#predecessor) await this.#settled.promise
    await this.#options.turns.ended()
  }

  async #endWithConnections(left: LeftRules): Promise<void> {
    const { parts, rules, life, stop } = this.#options
    while (rules.carried > 0 && !life.aborted) {
      await left.look()
      await parts.clock.sleep(lookForEndMs, life).catch(() => {})
    }
    await stop().catch(() => {})
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
