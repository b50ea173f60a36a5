/** What a doctor check says: code, severity, evidence, the fix as a command or a click path. */
import type { Text } from '../base/text.ts'
import type { Hop } from './hop.ts'

export type Severity = 'blocks' | 'warns' | 'informs'

export interface Fix {
  readonly text: Text
  /** What to type, ready to paste. */
  readonly command?: string
  /** It does what the one before it does, another way. Told to people as "or …", unless it is the first that is left. */
  readonly instead?: boolean
  /** True where `doctor --fix` can do it itself. */
  readonly ours?: boolean
}

export interface Finding {
  /** Stable and documented, such as `double-nat`. */
  readonly code: string
  readonly severity: Severity
  readonly hop: Hop | 'machine' | 'outside'
  /** The rule it concerns, or null for the machine. */
  readonly rule: string | null
  readonly title: Text
  readonly evidence: readonly Text[]
  readonly fixes: readonly Fix[]
  /** Codes of which this is only a consequence; shown folded under them. */
  readonly dependsOn: readonly string[]
}
