/** The rules as the file has them, and what runs of each. */
import type { NaruError } from '../base/errors.ts'
import type { JournalEntry } from '../instance/journal.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { existing } from './changes.ts'
import type { Loaded, LoadedRule } from './load.ts'
import { RuleRun, type RuleRunTools } from './rule-run.ts'

/** What the file says of a rule and could not be: it goes on as it was, until the file says otherwise or is read again. */
export interface KeptRule {
  readonly loaded: LoadedRule
  readonly why: NaruError
}

export class RuleSet {
  loaded: Loaded = { revision: '', rules: new Map() }
  /** Port of the built-in sample page that the file asks for. */
  samplePort: number | null = null
  readonly runs = new Map<string, RuleRun>()
  /** Ended, but their connections still drain, or something of them is still in force. */
  readonly leaving = new Set<RuleRun>()
  readonly kept = new Map<string, KeptRule>()
  readonly #tools: () => RuleRunTools

  constructor(tools: () => RuleRunTools) {
    this.#tools = tools
  }

  /** The run of a rule, or one that has nothing yet; it is not among `runs` then. */
  runOf(loaded: LoadedRule): RuleRun {
    return this.runs.get(loaded.rule.name) ?? new RuleRun(loaded, this.#tools())
  }

  all(): RuleRun[] {
    return [...this.runs.values(), ...this.leaving]
  }

  /** As the file has them, then those that only drain. */
  ordered(): RuleRun[] {
    const known = [...this.loaded.rules.keys()].flatMap((name) => this.runs.get(name) ?? [])
    return [...known, ...[...this.leaving].filter(({ name }) => !this.runs.has(name))]
  }

  /** @throws NaruError RULE_UNKNOWN */
  find(name: string): RuleRun {
    const known = this.loaded.rules.has(name) ? this.runs.get(name) : undefined
    if (known) return known
    const draining = [...this.leaving].find((run) => run.name === name && !this.runs.has(name))
    return draining ?? this.runOf(existing(this.loaded, name))
  }

  /** @throws NaruError RULE_UNKNOWN */
  input(name: string): RuleInput {
    return existing(this.loaded, name).input
  }

  failures(): readonly NaruError[] {
    return [...this.runs.values()].flatMap((run) => run.failures())
  }

  /** Connections of what listens no more. */
  get carried(): number {
    return this.all().reduce((sum, { carried }) => sum + carried, 0)
  }

  /** What is in force for the relay of a rule that runs by the same engine. */
  readonly carries = ({ rule, hop, member }: JournalEntry): boolean =>
    hop === 'relay' && this.runs.get(rule)?.engine()?.id === member
}
