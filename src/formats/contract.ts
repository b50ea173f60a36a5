/**
 * Another program's way to write forwards. A member is text in, text out: it reads no machine and knows no other
 * member. What a format cannot say is said to `ImportContext` or follows from `carries`; it is never dropped in silence.
 */
import type { Text } from '../base/text.ts'
import type { ExportFormat, ImportFormat } from '../model/import-export.ts'
import type { Rule } from '../model/rule.ts'
import type { Capability } from './shared/capabilities.ts'
import type { ImportContext } from './shared/import-context.ts'
import type { Writing } from './shared/writing.ts'

export interface Format {
  readonly id: ImportFormat | ExportFormat
  /** The program, and which of its files: `HAProxy, haproxy.cfg`. */
  readonly title: Text
  /** What of a rule it can say, for what is left out and for docs/import-export.md. */
  readonly carries: Readonly<Record<Capability, Carry>>
}

/** Yes, no, or in part and how. */
export type Carry = boolean | Text

export interface ReadableFormat extends Format {
  readonly id: ImportFormat
  /** Could this text be one? Cheap, from a few lines; the registry asks in order. */
  looksRight(text: string): boolean
  /** Forwards into `reading`, with everything that is not carried and everything that is wrong. */
  read(text: string, reading: ImportContext): void
}

export interface WritableFormat extends Format {
  readonly id: ExportFormat
  /** The rules that can be carried; what of them cannot was said before, by `carries`. */
  write(rules: readonly Rule[], writing: Writing): string
}
