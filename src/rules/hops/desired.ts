/** What a rule wants of one hop: who would do it and why, and how to do it. From it come both the plan and the doing. */
import { createHash } from 'node:crypto'
import type { Text } from '../../base/text.ts'
import type { Hop, Lease, OpenOptions } from '../../model/hop.ts'
import type { Listen } from '../../model/listen.ts'
import type { Inheritance } from '../../model/handover-sockets.ts'
import type { PlanStep } from '../../model/plan.ts'

export interface DesiredHop {
  readonly hop: Hop
  /** Null where nobody can; `why` says so. */
  readonly member: string | null
  readonly what: Text
  readonly why: Text
  /** The same without who cannot. @default `why` */
  readonly brief?: Text
  readonly needs: PlanStep['needs']
  /** Equal keys need no change. */
  readonly key: string
  /** @throws NaruError where it cannot be done; nothing is left then. */
  open(options: OpenHop): Promise<Lease>
  /** Changes what is held without opening anew. False where that cannot be. */
  update?(lease: Lease, inner: ReadonlyMap<Hop, Lease>): boolean
  /** Hold both for a moment, or close the old one before the new one opens. */
  readonly replace: 'open-first' | 'close-first'
  /** Openings wait in a line, and what is in it together is one change: meanwhile other rules go on. @default false */
  readonly waitsInLine?: boolean
  /** Where it listens: two that do not overlap are held for a moment, whatever `replace` says. */
  readonly listen?: Listen
}

export interface OpenHop extends OpenOptions {
  /** What the hops inside of this one hold. */
  readonly inner: ReadonlyMap<Hop, Lease>
  /** Ports that the engine before this one left. */
  readonly heritage?: Inheritance | null
}

export function keyOf(...parts: readonly unknown[]): string {
  return createHash('sha1').update(JSON.stringify(parts)).digest('base64')
}
