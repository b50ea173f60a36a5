/**
 * Forwards of other programs: read into rules, rules written as theirs, and what neither way can carry. Nothing is
 * dropped without a word: each loss says where it stood and why.
 */
import type { Text } from '../base/text.ts'
import type { RuleInput } from './naru-api.ts'

/** What `naru import` reads. */
export const importFormats = ['netsh', 'rinetd', 'nginx', 'haproxy', 'iptables', 'compose', 'asus'] as const
export type ImportFormat = (typeof importFormats)[number]

/** What `naru export` writes, each as its program calls the file. */
export const exportFiles = {
  nft: 'naru.nft',
  iptables: 'naru.rules',
  haproxy: 'haproxy.cfg',
  nginx: 'naru-stream.conf',
  netsh: 'naru-portproxy.cmd',
  socat: 'naru-socat.sh',
} as const
export type ExportFormat = keyof typeof exportFiles
export const exportFormats = Object.keys(exportFiles) as readonly ExportFormat[]

/** Both count from 1. */
export interface SourcePlace {
  readonly line: number
  readonly column: number
}

export interface Loss {
  /** Where it stands in what was read; null for what is written. */
  readonly place: SourcePlace | null
  /** The rule that goes without it; null where it belongs to none, or to none that was made. */
  readonly rule: string | null
  /**
   * True where the whole forward is left out: without this it would be another one, or open to others. Where `rule` says
   * its name, it is there, switched off, until somebody says what the text does not.
   */
  readonly leftOut: boolean
  /** The rule is switched off or over: it forwards nothing here, and so is no failure to miss there. @default false */
  readonly off?: boolean
  /** As it is written there (`mode http`), or the key of the rule (`limits.bandwidth`). */
  readonly what: string
  readonly why: Text
}

export interface FoundRule {
  readonly name: string
  /** With the keys of the file. */
  readonly rule: RuleInput
  readonly place: SourcePlace
}

export interface Imported {
  readonly format: ImportFormat
  /** False where `--from` said so. */
  readonly detected: boolean
  readonly rules: readonly FoundRule[]
  readonly losses: readonly Loss[]
}

export interface Exported {
  readonly format: ExportFormat
  /** In the language of that program, with its newline at the end. */
  readonly text: string
  /** Names of the rules that are in it. */
  readonly rules: readonly string[]
  readonly losses: readonly Loss[]
}

/** A rule that was found, with the name that it would get beside those that are there. */
export interface NamedRule extends FoundRule {
  /** As it is called where it comes from. */
  readonly wanted: string
  /** The same rule is there already, by this name. */
  readonly isThere: boolean
}

/** Both ways, for the API. */
export interface Exchange {
  /** @throws NaruError IMPORT_INVALID, IMPORT_UNKNOWN */
  read(text: string, options: { file: string; from: ImportFormat | null }): Promise<Imported>
  write(
    to: ExportFormat,
    rules: readonly { readonly name: string; readonly rule: RuleInput }[],
  ): Promise<Exported>
}
