/**
 * What every hop looks like to `control`. A member says whether it can, opens, and hands back a lease; what it did
 * is in the journal before it is done, so that it can be undone from there alone.
 */
import type { NaruError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'

/** One place on the path, from the inside out. */
export const hops = ['service', 'guest', 'relay', 'firewall', 'router'] as const
export type Hop = (typeof hops)[number]

/** What JSON can carry: journal entries and API bodies. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export interface LeaseDescription {
  /** Member that holds it, such as `upnp`. */
  readonly member: string
  /** One line for people: `203.0.113.5:8888 → 192.168.1.10:8888/tcp until 14:00`. */
  readonly text: Text
  /** Where the hop granted something else than was asked: port, lease, source filter. */
  readonly differs: readonly Text[]
  /** The same facts for programs. Stable, documented with the member. */
  readonly data: Json
}

/** What `verify` read back from the hop itself. */
export type Verdict =
  | { readonly state: 'held'; readonly notes: readonly Text[] }
  | { readonly state: 'lost'; readonly why: NaruError }

/** A handle on one effect at one hop. */
export interface Lease {
  /** There was nothing to open, and there is nothing to undo. @default it holds an effect */
  readonly isEmpty?: true
  describe(): LeaseDescription
  /** Milliseconds since the Unix epoch; null is until released. */
  readonly goodUntil: number | null
  /** When to call `renew`; null is never. */
  readonly renewAfter: number | null
  /** Reads back what the hop really does. Never changes it. */
  verify(options: { signal: AbortSignal }): Promise<Verdict>
  /** Extends the lease, or opens it again where it was lost. */
  renew(options: { signal: AbortSignal }): Promise<void>
  /** Undoes the effect. Twice is harmless. */
  release(options: { signal: AbortSignal }): Promise<void>
}

/** The journal as a member sees it: one recorder belongs to one `open`. */
export interface Recorder {
  /**
   * Writes down, on the disk before it returns, what is about to be done and all that is needed to undo it.
   * Call it before each effect; `undone` after the effect is gone.
   */
  intend(effect: Json): Promise<Effect>
  /**
   * What the process whose place this one takes has in force for the same rule at the same hop. A member may go on
   * with it in place of doing it again; then it intends it as its own. @default none
   */
  readonly before?: readonly Json[]
  /**
   * Eight hexadecimal digits that an effect carries where a list with it may be saved and come back after the journal
   * has forgotten it: a later start finds it by them. @default none
   */
  readonly mark?: () => Promise<string>
}

export interface Effect {
  /** Replaces what is written: a handle that the system gave, another port that was granted. */
  amend(effect: Json): Promise<void>
  /** The effect is gone; nothing is left to undo. */
  undone(): Promise<void>
}

export interface OpenOptions {
  readonly signal: AbortSignal
  readonly record: Recorder
}
