/** Brings what runs to what is loaded: only what changed is touched, and what leaves makes room for what comes. */
import { NaruError, toNaruError, type NaruErrorJson } from '../base/errors.ts'
import { neverAborted } from '../base/on-abort.ts'
import { Semaphore } from '../base/semaphore.ts'
import { formatListen } from '../model/listen.ts'
import { ListenIndex } from '../model/listen-index.ts'
import type { Rule } from '../model/rule.ts'
import type { Snapshot } from '../stores/contract.ts'
import type { Loaded, LoadedRule } from './load.ts'
import type { Report } from './report.ts'
import type { RuleRun } from './rule-run.ts'
import type { RuleSet } from './rule-set.ts'
import type { ApplyOptions } from './run-tools.ts'

/**
 * Rules applied at once that wait for no router and no guest, besides those in a line: what an engine asks the system is
 * one question for all that ask together (10,000 relays: 5.0 s instead of 9.7 s with 64).
 */
const localAtOnce = 512

export interface ReconcilerOptions {
  readonly rules: RuleSet
  readonly report: Report
  /** Rules applied at once that open more than this machine. */
  readonly atOnce: number
  readonly how: (now?: boolean) => ApplyOptions
  /** Aborts when there is no time left to undo anything. */
  readonly undoing: AbortSignal
  /** Changes are told; what Naru begins with is told by whoever starts it. */
  readonly isWatched: () => boolean
}

export interface BringOptions {
  /** Cut in place of draining. @default false */
  readonly now?: boolean
  /** Try again what could not be and goes on as it was. @default false */
  readonly again?: boolean
  /** Where `strict`: one that cannot be is told of, as others are opened all the same. @default false */
  readonly eachAlone?: boolean
}

/** As all that is brought at once is. */
type Bringing = BringOptions & { readonly asked: number }

export class Reconciler {
  readonly #options: ReconcilerOptions

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** @returns what could not be done. @throws NaruError where `strict` and not `eachAlone` */
  async bring(
    wanted: Loaded,
    snapshot: Snapshot,
    options: BringOptions = {},
  ): Promise<readonly NaruErrorJson[]> {
    const { rules, report } = this.#options
    const asked = performance.now()
    const before = rules.loaded.rules
    rules.loaded = wanted
    rules.samplePort = snapshot.samplePort
    const ended = [...rules.runs.values()].filter(({ name }) => !wanted.rules.has(name))
    // What leaves makes room first: a listen may pass from one rule to another.
    await Promise.all(ended.map((run) => this.#end(run, options.now ?? false)))
    const changed = this.#changedIn(wanted, options.again ?? false)
    const failures = await this.#applyInOrder(changed, { ...options, asked })
    report.keptRules()
    const touched = [...ended, ...changed.flatMap(({ rule }) => rules.runs.get(rule.name) ?? [])]
    if (this.#options.isWatched()) report.changes(before)
    return [...failures, ...touched.flatMap((run) => run.stillInForce())].map((error) => error.toJSON())
  }

  #changedIn(wanted: Loaded, again: boolean): readonly LoadedRule[] {
    const { runs, kept } = this.#options.rules
    for (const [name, { loaded }] of kept) if (again || wanted.rules.get(name) !== loaded) kept.delete(name)
    return [...wanted.rules.values()].filter((loaded) => {
      const { name } = loaded.rule
      return runs.get(name)?.loaded !== loaded && kept.get(name)?.loaded !== loaded
    })
  }

  /** What closes, then what moves to another listen, then what waits for this machine alone, then the rest. */
  async #applyInOrder(changed: readonly LoadedRule[], options: Bringing): Promise<readonly NaruError[]> {
    const { atOnce, rules } = this.#options
    const closing = changed.filter(({ rule }) => !rule.enabled)
    const moving = changed.filter(({ rule }) => this.#moves(rule))
    const sooner = new Set([...closing, ...moving])
    const later = changed.filter((loaded) => !sooner.has(loaded))
    const here = later.filter(({ rule }) => opensHereAlone(rule))
    const beyond = later.filter(({ rule }) => !opensHereAlone(rule))
    const closed = await this.#applyAll(closing, atOnce, options)
    // All of them, before the first takes another's.
    await each(this.#inTheWay(moving, [...moving, ...later]), atOnce, async ({ rule }) => {
      await rules.runs.get(rule.name)?.makeRoom()
    })
    const moved = await this.#applyAll(moving, atOnce, options)
    const local = await this.#applyAll(here, localAtOnce, options)
    return [...closed, ...moved, ...local, ...(await this.#applyAll(beyond, atOnce, options))]
  }

  async #applyAll(
    some: readonly LoadedRule[],
    most: number,
    options: Bringing,
  ): Promise<readonly NaruError[]> {
    const { rules, report } = this.#options
    const gate = new Semaphore(most, 'a rule')
    const all = some.map((loaded) =>
      // A change that is stopped says so itself.
      gate
        .through(() => this.#apply(loaded, gate, options), neverAborted)
        .catch((error: unknown) => {
          // One that was carried goes on as it was; what was not leaves nothing.
          const why = toNaruError(error)
          const { name } = loaded.rule
          if (rules.runs.get(name)?.loaded === loaded) {
            if (options.eachAlone) return [why]
            throw error
          }
          rules.kept.set(name, { loaded, why })
          report.rule(name)
          return [why]
        }),
    )
    return (await Promise.all(all)).flat()
  }

  /** @throws NaruError why it goes on as it was, where it was carried */
  async #apply(
    loaded: LoadedRule,
    gate: Semaphore,
    { now = false, asked }: Bringing,
  ): Promise<readonly NaruError[]> {
    const { rules, how } = this.#options
    const run = rules.runOf(loaded)
    rules.runs.set(loaded.rule.name, run)
    return run.change(loaded, { ...how(now), asked, aside: (wait) => gate.aside(wait) })
  }

  async #end(run: RuleRun, now: boolean): Promise<void> {
    const { rules, report, undoing } = this.#options
    rules.runs.delete(run.name)
    rules.leaving.add(run)
    await run.end({ now, reason: 'cut', signal: undoing })
    void run.gone().then(() => rules.leaving.delete(run))
    report.removed(run.name)
  }

  /** Is open, and is to be open on another listen. */
  #moves(rule: Rule): boolean {
    const run = this.#options.rules.runs.get(rule.name)
    return run !== undefined && rule.enabled && formatListen(run.rule.listen) !== formatListen(rule.listen)
  }

  /** Those whose place another one is to have. */
  #inTheWay(moving: readonly LoadedRule[], coming: readonly LoadedRule[]): readonly LoadedRule[] {
    if (moving.length === 0) return []
    const wanted = new ListenIndex<LoadedRule>()
    for (const loaded of coming) wanted.add(loaded.rule.listen, loaded)
    return moving.filter((loaded) => {
      const run = this.#options.rules.runs.get(loaded.rule.name)
      return run !== undefined && wanted.someoneAt(run.rule.listen, loaded) !== null
    })
  }
}

/** No router, no guest's NAT. */
function opensHereAlone({ publish: { router, guest } }: Rule): boolean {
  return router === 'off' && guest === 'direct'
}

/** @param most under way at once. @returns what each gave, in their order */
async function each<T, R>(items: readonly T[], most: number, run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++)
      results[index] = await run(items[index] as T)
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker))
  return results
}
