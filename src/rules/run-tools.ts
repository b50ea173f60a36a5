/** What a rule's run is handed, and how a change of it is asked for. */
import type { Clock } from '../base/clock.ts'
import type { Text } from '../base/text.ts'
import type { EngineEvent } from '../engines/contract.ts'
import type { Journal } from '../instance/journal.ts'
import type { RuleNews } from '../instance/rule-news.ts'
import type { CloseReason } from '../model/connection.ts'
import type { Json } from '../model/hop.ts'
import type { EngineId, Rule } from '../model/rule.ts'
import type { DesiredHop } from './hops/desired.ts'

/** The longest that one step may take; discovery of a silent router takes 6 s. */
export const stepLimitMs = 20_000
/** Where openings wait in a line of their own, whose commands have limits: a thousand of ufw take 0.4 s each. */
export const lineLimitMs = 600_000
/** What could not be is tried again after this, then after twice as long each time. */
export const firstRetryMs = 1000
export const lastRetryMs = 30_000

export interface RunTools {
  readonly clock: Clock
  readonly journal: Journal
  /** Aborts when nothing may be begun any more. */
  readonly working: AbortSignal
  /** Aborts when there is no time left to undo anything. */
  readonly undoing: AbortSignal
  /** What openings carry that a saved list may bring back. */
  readonly mark: () => Promise<string>
  /** What the process whose place this one takes has in force where a rule wants the same. */
  before(rule: string, wanted: DesiredHop): readonly Json[]
  /** Every hop that the rule wants, in any order. Does not throw: a hop that cannot be is one whose `open` throws. */
  wants(rule: Rule, context: WantContext): Promise<readonly DesiredHop[]>
  tell(level: 'info' | 'warn' | 'error', rule: string, text: Text): void
  /** For the processes that passed this place on and have connections of the rule. */
  tellLeaving(news: RuleNews): void
}

export interface WantContext {
  readonly failedEngines: ReadonlyMap<EngineId, Text>
  readonly onEngineEvent: (event: EngineEvent) => void
  /** The event under the name that the rule has now. */
  readonly named: (event: EngineEvent) => EngineEvent
  /** When it was asked for, of `performance.now()`: what the machine told since then is news enough. @default now */
  readonly asked?: number | undefined
  readonly signal: AbortSignal
}

export interface ApplyOptions {
  /** Undo what this call opened where a step fails, and throw; otherwise keep it and try again later. */
  readonly strict: boolean
  /** Where `strict`: a router that does nothing is no reason to undo the rest, where it is a person's to mend. @default false */
  readonly rowByHand?: boolean
  /** Cut in place of draining where the rule ends. */
  readonly now?: boolean
  readonly signal: AbortSignal
  readonly reason?: CloseReason
  /** What is no longer wanted goes once the relay stands, so that all can be as before where it does not. @default false */
  readonly relayFirst?: boolean
  /** As `WantContext.asked`. */
  readonly asked?: number | undefined
  /** Runs what waits in a line of its own while other rules have this one's place. @default nobody waits for it */
  readonly aside?: <T>(wait: () => Promise<T>) => Promise<T>
}
