/**
 * What a verb is: its definition as data, from which the parser, the help, docs/cli.md and the completion are made,
 * and what it does.
 */
import type { ExitCode } from '../base/codes/entry.ts'
import type { Language, Text } from '../base/text.ts'
import type { CliDeps } from './deps.ts'
import type { Io } from './io.ts'
import type { Printer } from './print/printer.ts'

export interface Verb {
  readonly name: string
  readonly summary: Text
  /** More than one line can say. */
  readonly about?: Text
  readonly arguments?: readonly Argument[]
  readonly options?: readonly VerbOption[]
  readonly examples?: readonly Example[]
  /** `naru router ls`: the words after the verb. */
  readonly verbs?: readonly Verb[]
  /** What `--json` prints, for docs/cli.md. */
  readonly json?: Text
  /** Not in the help. */
  readonly hidden?: boolean
  run?(context: Context): Promise<ExitCode>
}

export interface Argument {
  readonly name: string
  readonly text: Text
  readonly optional?: boolean
  /** Takes all that follow. */
  readonly many?: boolean
  readonly completes?: Completes
}

export interface VerbOption {
  /** Without its dashes. */
  readonly name: string
  readonly short?: string
  readonly text: Text
  /** What its value is called in the help; without it the option is a switch. */
  readonly value?: string
  /** The value may be left out; then it is this. The next word is its value only where it is among `choices`. */
  readonly bare?: string
  readonly choices?: readonly string[]
  /** May be given several times. */
  readonly many?: boolean
  readonly completes?: Completes
}

/** What the shell can offer: names of rules, files, or fixed words. */
export type Completes = 'rule' | 'file' | readonly string[]

export interface Example {
  readonly command: string
  readonly text: Text
}

export interface ParsedWords {
  readonly args: Readonly<Record<string, readonly string[]>>
  readonly options: Readonly<Record<string, readonly string[]>>
}

export interface Context {
  readonly io: Io
  readonly deps: CliDeps
  readonly print: Printer
  /** Every verb there is, for those that speak of all. */
  verbs(): Promise<readonly Verb[]>
  readonly language: Language
  /** `--json` */
  readonly json: boolean
  /** `--config` */
  readonly file: string | null
  /** The value of an argument that must be there. */
  readonly arg: (name: string) => string
  args(name: string): readonly string[]
  /** The last value given; null where it was not. */
  readonly option: (name: string) => string | null
  options(name: string): readonly string[]
  readonly switched: (name: string) => boolean
  /**
   * Fires on the first Ctrl-C, SIGTERM or SIGHUP; one more than a second later ends the process. Until it is asked for, Ctrl-C ends it
   * at once. With `reloads` SIGHUP means something else to whoever asks, unless the terminal was closed.
   */
  interrupt(options?: { readonly reloads?: boolean }): AbortSignal
}

/** A switch that was given. */
export const on = 'true'
