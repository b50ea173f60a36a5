/**
 * What one can ask of a running Naru. `control` answers it, `api/server` carries it over HTTP, `api/client` speaks
 * it from afar, and the CLI and the web page know nothing else.
 */
import type { NaruErrorJson } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { Connection, Counters } from './connection.ts'
import type { Hop, Json } from './hop.ts'
import type { Plan } from './plan.ts'
import type { RouterSteps } from './router-steps.ts'

export interface Naru {
  readonly about: () => Promise<About>

  readonly rules: {
    list(): Promise<readonly RuleStatus[]>
    /** @throws NaruError RULE_UNKNOWN */
    get(name: string): Promise<RuleStatus>
    /** `rule` is written as in the file. @throws NaruError RULE_EXISTS, RULE_INVALID */
    add(name: string, rule: RuleInput, options?: ChangeOptions): Promise<ChangeResult>
    /**
     * Many, of which the file is written once. One that may not be is refused by itself, and the rest is added.
     * @throws NaruError FILE_CHANGED, FILE_INVALID, FILE_UNWRITABLE
     */
    addAll(rules: readonly NewRule[], options?: ChangeOptions): Promise<AddedRules>
    /** Merges into what is there: null takes a key out. @throws NaruError RULE_UNKNOWN, RULE_INVALID, FILE_CHANGED */
    edit(name: string, change: RuleInput, options?: ChangeOptions): Promise<ChangeResult>
    remove(name: string, options?: ChangeOptions & { now?: boolean }): Promise<ChangeResult>
    enable(name: string, options?: ChangeOptions): Promise<ChangeResult>
    disable(name: string, options?: ChangeOptions & { now?: boolean }): Promise<ChangeResult>
    /**
     * Another name for the same rule: nothing is opened or closed, and its connections go on.
     * @throws NaruError RULE_UNKNOWN, RULE_EXISTS, VALUE_INVALID, FILE_CHANGED
     */
    rename(name: string, to: string, options?: ChangeOptions): Promise<ChangeResult>
    /** Tries every hop again now: what was lost or failed is opened, what stands is renewed. Connections go on. */
    reopen(name: string): Promise<ChangeResult>
  }

  /** What would be done: for a change, or with no argument for the file as it is now. */
  plan(change?: { name: string; rule: RuleInput | null }): Promise<Plan>
  /** What flowed, oldest first: the last 15 minutes, or a day with `span: 'day'`. */
  traffic(options?: TrafficOptions): Promise<readonly TrafficMoment[]>
  /** What Naru said, which hops opened and whom it refused lately, oldest first. */
  happened(): Promise<readonly Happening[]>
  connections(filter?: { rule?: string; limit?: number }): Promise<readonly Connection[]>
  /** False where no such connection is open. */
  cut(connection: string): Promise<boolean>
  /** From now on, or from `since` (an event id) as far as they are kept. Ends with the signal. */
  events(options: { signal: AbortSignal; since?: number }): AsyncIterable<NaruEvent>
  /** Re-reads the file now. */
  reload(): Promise<ChangeResult>
  /** Undoes everything and ends; `drain` lets connections finish first. */
  stop(options?: { drain?: boolean }): Promise<void>
}

/** A rule as the file has it; `ruleKeys` in rule-file.ts says which keys. */
export type RuleInput = { readonly [key: string]: Json }

export interface ChangeOptions {
  /** Show, do not do. */
  readonly dryRun?: boolean
  /** The revision the caller saw; another one is refused with FILE_CHANGED. */
  readonly revision?: string
}

export interface ChangeResult {
  readonly plan: Plan
  /** The rules it touched, as they are after it. */
  readonly rules: readonly RuleStatus[]
  /** What could not be done; the rest was. */
  readonly failures: readonly NaruErrorJson[]
  readonly revision: string
}

export interface NewRule {
  readonly name: string
  readonly rule: RuleInput
}

export interface AddedRules {
  /** In the order of what was asked. */
  readonly rules: readonly AddedRule[]
  /** What a person should read. */
  readonly notes: readonly Text[]
  readonly revision: string
}

export interface AddedRule {
  readonly name: string
  /** It is in the file now; with `dryRun`, it would be. */
  readonly added: boolean
  /** Why it was refused; of one that was added, what of it could not be done. */
  readonly problem: NaruErrorJson | null
}

export interface About {
  readonly version: string
  readonly pid: number
  /** Null for `naru open`, which has no file. */
  readonly file: string | null
  readonly startedAt: number
  readonly revision: string
  readonly web: string | null
  /** Set while the file on disk is not valid; the rules are those of the last valid one. */
  readonly fileProblem: NaruErrorJson | null
}

export interface RuleStatus {
  readonly name: string
  /** As in the file: never what is not written yet. */
  readonly rule: RuleInput
  /** Why what the file says could not be: it goes on as it was. @default absent: it is as the file says */
  readonly kept?: NaruErrorJson
  /** Of the rule as it runs, as are its targets. */
  readonly listen: string
  readonly targets: readonly string[]
  readonly state: RuleState
  /** Its targets, as far as they were looked at; `shownState` in model/shown-state tells it in a word with `state`. */
  readonly service: ServiceState
  /** `why` tells also why engines that are preferred cannot carry it; `brief` leaves those out. */
  readonly engine: { readonly id: string; readonly why: Text; readonly brief: Text } | null
  readonly hops: readonly HopStatus[]
  readonly counters: Counters
  /** Bytes a second over the last seconds. */
  readonly rate: { readonly toTarget: number; readonly toClient: number }
  readonly until: number | null
  /** What to give to others, nearest first, as far as each hop on the way is open; empty while nothing is. */
  readonly addresses: readonly RuleAddress[]
  /** What to type on the router's own page while it opens nothing by itself; null where nothing is to be typed. */
  readonly byHand: RouterSteps | null
}

export interface RuleAddress {
  /** Who finds the rule there: programs of this machine, its network, everybody. */
  readonly scope: 'machine' | 'lan' | 'internet'
  /** `192.168.0.10:8888`, `unix:/run/web`; `http://192.168.0.10:8888` where it is known to be web. */
  readonly text: string
}

/**
 * `untried`: nobody has looked yet since the rule was opened or changed. `silent`: what answers there is missing. `ok`:
 * nothing is wrong with it, as far as can be told by asking (of UDP on other machines it cannot).
 */
export type ServiceState = 'untried' | 'ok' | 'silent'

/** `stopped`: no Naru runs on the file. */
export type RuleState =
  | 'stopped'
  | 'open'
  | 'opening'
  | 'degraded'
  | 'failed'
  | 'disabled'
  | 'draining'
  | 'expired'

export interface HopStatus {
  readonly hop: Hop
  readonly member: string | null
  readonly state: 'ok' | 'opening' | 'warning' | 'broken' | 'off'
  readonly text: Text
  /** What the hop granted differently from what was asked, and what to do where it is broken. */
  readonly notes: readonly Text[]
  readonly data: Json
  /** Code of the error while it is broken, such as `ROUTER_REFUSED`. */
  readonly problem?: string | null
  /** Milliseconds since the Unix epoch of the last look. */
  readonly checkedAt: number | null
}

export type NaruEvent = { readonly id: number; readonly at: number } & (
  | { readonly type: 'rule'; readonly rule: RuleStatus }
  /** With `renamedTo` it goes on under that name, and so does what happened to it. */
  | { readonly type: 'rule-removed'; readonly name: string; readonly renamedTo?: string | undefined }
  | { readonly type: 'hop'; readonly rule: string; readonly status: HopStatus }
  | { readonly type: 'opened' | 'closed'; readonly connection: Connection }
  | { readonly type: 'refused'; readonly rule: string; readonly client: string; readonly reason: string }
  /** Every second while somebody listens: counters and rates of every rule that has moved. */
  | { readonly type: 'traffic'; readonly rules: readonly TrafficSample[] }
  | { readonly type: 'file'; readonly problem: NaruErrorJson | null }
  | {
      readonly type: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly rule: string | null
      readonly text: Text
    }
  /** Events were lost (the listener was too slow, or `since` is too old): read the state anew. */
  | { readonly type: 'gap' }
)

export interface TrafficOptions {
  /** A day comes a minute a moment, and tells but one rule apart. @default 'quarter' */
  readonly span?: 'quarter' | 'day'
  /** Of a day: the rule that is told apart. @default none */
  readonly rule?: string
}

/** Kept when the events around it are forgotten: the last 500, and the last 200 of `refused`. */
export type Happening = Extract<NaruEvent, { type: 'log' | 'refused' | 'file' | 'hop' }>

/** Of a hop it is news that it opened; what is to be done and what broke are told otherwise. */
export const isHappening = (event: NaruEvent): event is Happening =>
  event.type === 'hop'
    ? event.status.state === 'ok'
    : event.type === 'log' || event.type === 'refused' || event.type === 'file'

/** Five seconds of traffic, or a minute. */
export interface TrafficMoment {
  /** When they ended; milliseconds since the Unix epoch. */
  readonly at: number
  /** Of all rules together. */
  readonly all: TrafficFlow
  /** Of the rules that moved, the busiest 50 at most; of a day the rule asked for, where it was among them. */
  readonly rules: Readonly<Record<string, TrafficFlow>>
}

/** Mean bytes a second each way, and connections open at the end. */
export type TrafficFlow = readonly [toTarget: number, toClient: number, open: number]

export interface TrafficSample {
  readonly name: string
  readonly counters: Counters
  readonly rate: { readonly toTarget: number; readonly toClient: number }
}
