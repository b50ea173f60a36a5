/** What a TCP connection and a UDP session have in common: a record, a place within the limits, and one end. */
import type { Ticket } from '../../../relay/admit.ts'
import type { TargetState } from '../../../relay/pick.ts'
import type { CloseReason } from '../../../model/connection.ts'
import { Deadline, type Timed } from './deadlines.ts'
import type { Flow, RuleRevision } from './rule-revision.ts'
import { cell } from '../shared/records.ts'
import type { Thread } from './thread.ts'

export abstract class FlowBase implements Flow, Timed {
  readonly thread: Thread
  readonly revision: RuleRevision
  readonly record: number
  readonly deadline = new Deadline(this)
  place = -1
  target: TargetState | null = null
  ended = false
  /** Null until a trusted proxy has said who calls. */
  ticket: Ticket | null

  /** @param client its sockaddr; copied. */
  constructor(
    thread: Thread,
    revision: RuleRevision,
    listener: number,
    client: Uint8Array,
    ticket: Ticket | null,
  ) {
    this.thread = thread
    this.revision = revision
    this.ticket = ticket
    this.record = thread.records.begin(revision.id, listener, client, thread.loop.wall)
    revision.ruleOnThread.cells[cell.opened]!++
    revision.ruleOnThread.carried.add(this)
    thread.eventBatch.opened(this.record, thread.loop.now)
  }

  get serial(): number {
    return this.thread.records.serial(this.record)
  }

  /** The first reason counts. */
  end(reason: CloseReason): void {
    if (this.ended) return
    this.ended = true
    try {
      this.release(reason)
    } finally {
      // A fault in there takes neither the place within the limits nor the record with it.
      this.#settleUp(reason)
    }
  }

  #settleUp(reason: CloseReason): void {
    this.thread.loop.deadlines.drop(this.deadline)
    if (this.target) this.revision.carries(this.target, -1)
    this.target = null
    this.ticket?.release()
    const { records, eventBatch, loop } = this.thread
    records.end(this.record, reason, loop.wall)
    eventBatch.closed(this.record, loop.now)
    records.free(this.record)
    this.revision.ruleOnThread.count(reason)
    this.revision.ruleOnThread.cells[cell.ended]!++
    this.revision.ruleOnThread.carried.remove(this)
  }

  /** `target` carries it from now on, at `address`. */
  settle(target: TargetState, address: Uint8Array): void {
    if (this.target !== target) {
      if (this.target) this.revision.carries(this.target, -1)
      this.revision.carries(target, 1)
      this.target = target
    }
    this.thread.records.setTarget(this.record, this.revision.targets.states.indexOf(target), address)
  }

  abstract onDeadline(): void
  /** Closes descriptors and gives buffers back. */
  protected abstract release(reason: CloseReason): void
}

/** What a connection's parts may know of it. */
export type Whole = Pick<FlowBase, 'thread' | 'revision' | 'record' | 'deadline' | 'ended' | 'end'>
