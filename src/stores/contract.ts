/** Where rules live. The store hands out what it holds with its revision, and takes changes one at a time. */
import type { NaruError } from '../base/errors.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { Problem } from '../model/schema.ts'

export interface Store {
  /** What people call it: the file's path. */
  readonly name: string
  /**
   * @param options.meant a person says that what is there is what he wants, whatever it looks like. @default false
   * @throws NaruError FILE_UNREADABLE, FILE_NOT_UTF8, FILE_INVALID
   */
  read(options: { signal: AbortSignal; meant?: boolean }): Promise<Snapshot>
  /**
   * Puts (a rule) or takes out (null) by name, keeps everything else as it was written, and makes it durable.
   * @throws NaruError FILE_CHANGED where `revision` is given and no longer the one there is; FILE_UNWRITABLE
   */
  change(changes: readonly StoreChange[], options: StoreChangeOptions): Promise<Snapshot>
  /** Calls back after somebody else changed the store. Ends with the signal. */
  watch(options: { signal: AbortSignal; onChange: () => void }): void
}

export interface StoreChangeOptions {
  readonly signal: AbortSignal
  /** The one that the caller saw. @default whichever there is */
  readonly revision?: string
  /** Awaited before anything is written; where it throws, nothing is. @default nothing */
  readonly before?: () => Promise<void>
}

export interface StoreChange {
  readonly name: string
  readonly rule: RuleInput | null
  /** It was called so before: it keeps its place and its comments. `rule` is as it was. */
  readonly was?: string
}

export interface Snapshot {
  /** Changes with the content; equal content has equal revisions. */
  readonly revision: string
  readonly rules: ReadonlyMap<string, RuleInput>
  /** Port on 127.0.0.1 for the built-in sample page; null serves none. */
  readonly samplePort: number | null
  /** Names the user gives out for this place, such as a DDNS name: the doctor sees whether they still lead here. */
  readonly names: readonly string[]
  /** STUN servers in place of the built-in ones; asked only with the user's word. */
  readonly stun: readonly { readonly host: string; readonly port: number }[]
  /** The error that names each problem by file:line:column. Paths start at the top: `['rules', 'iis', 'listen']`. */
  invalid(problems: readonly Problem[]): NaruError
}
