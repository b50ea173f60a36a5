/**
 * The library's types: those of `model/naru-api`, with rules as the keys of the file have them, so that a wrong key does not
 * compile. Inside, a rule that came from anywhere is a map that was not read yet.
 */
import type * as exchange from './import-export.ts'
import type * as face from './naru-api.ts'
import type { WrittenRule } from './rule-keys/index.ts'

/** A rule with the keys of the file (docs/rules.md). */
export type RuleInput = WrittenRule

/** What an edit merges in: only what changes; null takes a key out. */
export type RuleChange = Change<WrittenRule>

type Change<T> = { readonly [K in keyof T]?: ChangeOf<T[K]> | null | undefined }
/** Maps merge into maps; a list, a word or a number takes the place of what was there. */
type ChangeOf<V> = V extends readonly unknown[] ? V : V extends object ? Change<V> : V

export interface NewRule {
  readonly name: string
  readonly rule: RuleInput
}

export interface RuleStatus extends Omit<face.RuleStatus, 'rule'> {
  /** As in the file. */
  readonly rule: RuleInput
}

export interface ChangeResult extends Omit<face.ChangeResult, 'rules'> {
  /** The rules it touched, as they are after it. */
  readonly rules: readonly RuleStatus[]
}

export type NaruEvent = Typed<face.NaruEvent>
type Typed<E> = E extends { readonly type: 'rule' } ? Omit<E, 'rule'> & { readonly rule: RuleStatus } : E

export interface FoundRule extends Omit<exchange.FoundRule, 'rule'> {
  /** With the keys of the file. */
  readonly rule: RuleInput
}

export interface Imported extends Omit<exchange.Imported, 'rules'> {
  readonly rules: readonly FoundRule[]
}

/** Whatever changes something resolves once it is done; each error is a `NaruError` (docs/library.md). */
export interface Naru extends Omit<face.Naru, 'rules' | 'plan' | 'events' | 'reload'> {
  readonly rules: {
    list(): Promise<readonly RuleStatus[]>
    /** @throws NaruError RULE_UNKNOWN */
    get(name: string): Promise<RuleStatus>
    /** @throws NaruError RULE_EXISTS, RULE_INVALID, VALUE_INVALID, and what a hop says */
    add(name: string, rule: RuleInput, options?: face.ChangeOptions): Promise<ChangeResult>
    /** Many at once: one that may not be is refused by itself, and the rest is added. @throws NaruError what a hop says */
    addAll(rules: readonly NewRule[], options?: face.ChangeOptions): Promise<face.AddedRules>
    /** Merges into what is there: null takes a key out. @throws NaruError RULE_UNKNOWN, RULE_INVALID */
    edit(name: string, change: RuleChange, options?: face.ChangeOptions): Promise<ChangeResult>
    /** Its connections may finish (`timeouts.drain`); `now` cuts them. @throws NaruError RULE_UNKNOWN */
    remove(name: string, options?: face.ChangeOptions & { now?: boolean }): Promise<ChangeResult>
    /** @throws NaruError RULE_UNKNOWN, and what a hop says */
    enable(name: string, options?: face.ChangeOptions): Promise<ChangeResult>
    /** Closes it and keeps it. @throws NaruError RULE_UNKNOWN */
    disable(name: string, options?: face.ChangeOptions & { now?: boolean }): Promise<ChangeResult>
    /** Another name for the same rule; its connections go on. @throws NaruError RULE_UNKNOWN, RULE_EXISTS, VALUE_INVALID */
    rename(name: string, to: string, options?: face.ChangeOptions): Promise<ChangeResult>
    /** Tries every hop again now; what stands is renewed. @throws NaruError RULE_UNKNOWN */
    reopen(name: string): Promise<ChangeResult>
  }
  /** What would be done for a change; null takes the rule out. @throws NaruError RULE_INVALID */
  plan(change?: { name: string; rule: RuleInput | null }): ReturnType<face.Naru['plan']>
  /** From now on, or from `since` (an event id) as far as they are kept. Ends with the signal. */
  events(options: { signal: AbortSignal; since?: number }): AsyncIterable<NaruEvent>
  reload(): Promise<ChangeResult>
}
