/** What some Naru put into the kernel's own lists, which are saved and come back after everybody has forgotten it. */
import type { Json } from './hop.ts'

/** One of it, as the list itself has it. */
export interface MarkedEntry {
  /** Its tag; null where the tool keeps no words with a rule, and nobody can tell whose it is. */
  readonly tag: string | null
  /** As the tool prints it. */
  readonly text: string
  /** What `undo` takes it away by; null where only its administrator can tell that it is wanted no more. */
  readonly effect: Json | null
  /** What one types to take it away. */
  readonly command: string
}
