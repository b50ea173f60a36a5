/**
 * A rule as one thread carries it. An edit makes a new edition: connections keep the one they came in under, the
 * counts and the targets' health go on.
 */
import { Admission, type Ticket } from '../../relay/admit.ts'
import { SharedBucket, type Bucket } from '../../relay/bucket.ts'
import { Targets } from '../../relay/pick.ts'
import { SharedTally } from '../../relay/tally.ts'
import type { CloseReason } from '../../model/connection.ts'
import type { Rule } from '../../model/rule.ts'
import type { RuleMemory } from './messages.ts'
import { NameBook } from './names.ts'
import { cellsOf, reasonCell } from './shared.ts'

/** What a lease has on one thread. */
export class Carriage {
  readonly id: number
  readonly cells: Float64Array
  readonly carried = new Set<Carried>()
  readonly listeners = new Set<Listening>()
  readonly names: NameBook
  edition: Edition

  constructor(id: number, thread: number, edition: number, rule: Rule, memory: RuleMemory, names: NameBook) {
    this.id = id
    this.names = names
    this.cells = cellsOf(memory.cells, thread)
    this.edition = new Edition(edition, this, rule, memory, null)
  }

  update(edition: number, rule: Rule, memory: RuleMemory): void {
    this.edition = new Edition(edition, this, rule, memory, this.edition)
  }

  count(reason: CloseReason): void {
    this.cells[reasonCell(reason)]!++
  }
}

/** A connection or a session. */
export interface Carried {
  readonly serial: number
  end(reason: CloseReason): void
}

export interface Listening {
  pause(): void
  resume(): void
  /** Takes what waits in the queue and listens no more. */
  stop(): void
}

export class Edition {
  readonly id: number
  readonly carriage: Carriage
  readonly rule: Rule
  readonly admission: Admission
  readonly targets: Targets
  readonly bucket: Bucket | null

  constructor(id: number, carriage: Carriage, rule: Rule, memory: RuleMemory, before: Edition | null) {
    this.id = id
    this.carriage = carriage
    this.rule = rule
    this.admission = new Admission(rule, new SharedTally(memory.tally))
    this.targets = new Targets(rule, before?.targets)
    const { bytesPerSecond } = rule.limits
    this.bucket = bytesPerSecond === null ? null : new SharedBucket(bytesPerSecond, memory.bucket)
  }

  /** Most bytes to read at once: a slow rule takes small bites, so that its pace is even. */
  get bite(): number {
    const { bytesPerSecond } = this.rule.limits
    return bytesPerSecond === null
      ? Number.POSITIVE_INFINITY
      : Math.max(1024, Math.floor(bytesPerSecond / 20))
  }
}

export type { Ticket }
