/**
 * Changes of the rules by command, page, API and file, one at a time: validate, plan, apply, write the file. Where a rule that
 * listens would not any more, or the file cannot be written, all is as it was.
 */
import { withLimit } from '../base/clock.ts'
import { toNaruError, type NaruError, type NaruErrorJson } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { Deps } from '../instance/deps.ts'
import type { Journal } from '../instance/journal.ts'
import { circlesHere } from '../machine/circles.ts'
import type { AddedRules, ChangeOptions, ChangeResult, NewRule, RuleInput } from '../model/naru-api.ts'
import type { Plan, PlanStep } from '../model/plan.ts'
import type { Rule } from '../model/rule.ts'
import type { Snapshot, StoreChange } from '../stores/contract.ts'
import { addedOf, changed, notesFor, nothingToDo, renamed, withNew } from './changes.ts'
import { load, type Loaded, type LoadedRule } from './load.ts'
import type { Reconciler } from './reconcile.ts'
import type { Report } from './report.ts'
import type { RuleRun } from './rule-run.ts'
import type { RuleSet } from './rule-set.ts'
import type { ApplyOptions } from './run-tools.ts'

const planLimitMs = 30_000
const reopenLimitMs = 60_000

export interface RuleEditsOptions {
  readonly parts: Deps
  readonly journal: Journal
  readonly rules: RuleSet
  readonly report: Report
  readonly reconciler: Reconciler
  readonly how: (now?: boolean) => ApplyOptions
  /** Aborts when a stop begins. */
  readonly signal: AbortSignal
}

export class RuleEdits {
  readonly #options: RuleEditsOptions

  constructor(options: RuleEditsOptions) {
    this.#options = options
  }

  async change(
    name: string,
    rule: RuleInput | null,
    options: ChangeOptions & { now?: boolean } = {},
  ): Promise<ChangeResult> {
    const { rules, report, reconciler } = this.#options
    const wanted = changed(rules.loaded, { name, rule })
    const plan = await this.planFor(wanted)
    if (options.dryRun) return report.result(plan, [], [name])
    const { snapshot, failures } = await this.#written({ name, rule }, wanted, options)
    const loaded = load(snapshot, wanted.rules)
    const more = await reconciler.bring(loaded, snapshot, { now: options.now ?? false })
    report.rule(name)
    return report.result(plan, [...failures.map((error) => error.toJSON()), ...more], [name])
  }

  /** One look at what is there, one writing of the file, and then all are opened. */
  async addAll(asked: readonly NewRule[], options: ChangeOptions = {}): Promise<AddedRules> {
    const { rules, reconciler, signal } = this.#options
    const { host, store } = this.#options.parts
    const { wanted, fresh, refusals } = withNew(rules.loaded, asked)
    const notes = await circlesHere(
      [...wanted.rules.values()].map(({ rule }) => rule),
      fresh.map(({ rule }) => rule),
      host,
      withLimit(signal, planLimitMs),
    )
    if (!options.dryRun && fresh.length > 0) {
      const changes = fresh.map(({ rule, input }) => ({ name: rule.name, rule: input }))
      const snapshot = await store.change(changes, { signal, revision: options.revision })
      await reconciler.bring(load(snapshot, wanted.rules), snapshot, { eachAlone: true })
    }
    const failureOf = (name: string): NaruErrorJson | null =>
      rules.runs.get(name)?.failures()[0]?.toJSON() ?? null
    return { rules: addedOf(asked, refusals, failureOf), notes, revision: rules.loaded.revision }
  }

  /** Nothing in force is touched: what it was made under stays, and only what people see and write is another name. */
  async rename(name: string, to: string, options: ChangeOptions = {}): Promise<ChangeResult> {
    const { rules, report, reconciler, signal, parts } = this.#options
    const wanted = renamed(rules.loaded, name, to)
    if (options.dryRun) return report.result(nothingToDo, [], [name])
    const { input } = wanted.rules.get(to) as LoadedRule
    const { revision } = options
    const snapshot = await parts.store.change([{ name: to, rule: input, was: name }], { signal, revision })
    const loaded = load(snapshot, wanted.rules)
    const written = loaded.rules.get(to) as LoadedRule
    await this.#callRun(name, written)
    rules.loaded = { ...wanted, rules: new Map(wanted.rules).set(to, written) }
    const failures = await reconciler.bring(loaded, snapshot)
    report.rule(to)
    report.tell('info', to, say`renamed, was ${{ en: name, ko: `${name} → ${to}` }}`)
    return report.result(nothingToDo, failures, [to])
  }

  /**
   * An invalid file changes nothing and is reported.
   * @param meant as of `Store.read` @throws NaruError FILE_INVALID, FILE_UNREADABLE
   */
  async reload(meant: boolean): Promise<ChangeResult> {
    const { rules, report, reconciler } = this.#options
    try {
      const snapshot = await this.#read(meant)
      const loaded = load(snapshot, rules.loaded.rules)
      const plan = await this.planFor(loaded)
      const failures = await reconciler.bring(loaded, snapshot, { again: true })
      return report.result(plan, failures, [...new Set(plan.steps.map(({ rule }) => rule))])
    } catch (error) {
      const problem = report.setFileProblem(toNaruError(error)).text
      report.tell('error', null, say`nothing was changed: ${problem}`)
      throw error
    }
  }

  /** Without waiting for the heartbeat; no other rule's change waits for it. */
  async reopen(run: RuleRun): Promise<ChangeResult> {
    const signal = withLimit(this.#options.signal, reopenLimitMs)
    const plan = { steps: await run.plan(run.rule, signal), notes: [] }
    const failures = (await run.reopen(signal)).map((error) => error.toJSON())
    return this.#options.report.result(plan, failures, [run.name])
  }

  /** What the change would take; without one, what the file as it is now would. */
  async plan(change?: { name: string; rule: RuleInput | null }): Promise<Plan> {
    const { loaded } = this.#options.rules
    return this.planFor(change ? changed(loaded, change) : load(await this.#read(), loaded.rules))
  }

  #read(meant = false): Promise<Snapshot> {
    const { parts, signal } = this.#options
    return parts.store.read({ signal, meant })
  }

  /** What bringing the rules to these would take. */
  async planFor(wanted: Loaded): Promise<Plan> {
    const { rules, parts } = this.#options
    const signal = withLimit(this.#options.signal, planLimitMs)
    const asked = performance.now()
    const steps: PlanStep[] = []
    for (const [name, run] of rules.runs)
      if (!wanted.rules.has(name)) steps.push(...(await run.plan(null, signal)))
    const notes: Text[] = []
    const fresh: Rule[] = []
    for (const loaded of wanted.rules.values()) {
      const { rule } = loaded
      if (rules.runs.has(rule.name) && rules.loaded.rules.get(rule.name) === loaded) continue
      steps.push(...(await rules.runOf(loaded).plan(rule, signal, asked)))
      notes.push(...(await notesFor(rule, parts, signal)))
      fresh.push(rule)
    }
    if (fresh.length > 0) {
      const all = [...wanted.rules.values()].map(({ rule }) => rule)
      notes.push(...(await circlesHere(all, fresh, parts.host, signal)))
    }
    return { steps, notes }
  }

  /** What goes on listening is changed before the file is. @returns what of it could not be done */
  async #written(
    change: StoreChange,
    wanted: Loaded,
    { revision, now }: ChangeOptions & { now?: boolean },
  ): Promise<{ snapshot: Snapshot; failures: readonly NaruError[] }> {
    const { rules, how, signal } = this.#options
    const { store } = this.#options.parts
    const [run, loaded] = [rules.runs.get(change.name), wanted.rules.get(change.name)]
    if (!run || !loaded || !run.goesOn(loaded.rule))
      return { snapshot: await store.change([change], { signal, revision }), failures: [] }
    const asItWas = run.loaded
    let failures: readonly NaruError[] = []
    const before = async (): Promise<void> => {
      failures = await run.change(loaded, how(now))
    }
    try {
      const snapshot = await store.change([change], { signal, revision, before })
      return { snapshot, failures: [...failures, ...run.stillInForce()] }
    } catch (error) {
      if (run.loaded !== asItWas) await run.apply(asItWas, how())
      throw error
    }
  }

  async #callRun(name: string, loaded: LoadedRule): Promise<void> {
    const { rules, journal, report } = this.#options
    const run = rules.runs.get(name)
    if (!run) return
    await journal.rename(name, loaded.rule.name)
    rules.runs.delete(name)
    const asWritten = run.loaded === rules.loaded.rules.get(name)
    run.rename(asWritten ? loaded : { ...run.loaded, rule: { ...run.rule, name: loaded.rule.name } })
    rules.runs.set(run.name, run)
    report.renamed(name, run.name)
  }
}
