/**
 * The engine leases of a rule: the one that listens, and former ones, which stay until their last connection has ended.
 * A retired one has no limit; a draining one has the rule's drain time, or none where it is cut.
 */
import { neverAborted } from '../base/on-abort.ts'
import type { EngineLease, Passing } from '../engines/contract.ts'
import type { CloseReason, Connection, Counters } from '../model/connection.ts'
import type { LentSocket } from '../model/handover-sockets.ts'
import { addCounters, noCounters } from './counters.ts'

export interface RuleRelaysOptions {
  /** The one that listens; null where none does. */
  readonly current: () => EngineLease | null
  /** Undoes what the lease did. Does not throw. */
  readonly release: (lease: EngineLease) => Promise<void>
  /** One is gone. */
  readonly onGone: () => void
}

export interface DrainOptions {
  /** Cut in place of draining. @default false */
  readonly now?: boolean
  /** Of the connections that are cut. @default 'drained' */
  readonly reason?: CloseReason
  /** How long connections may go on, in ms. */
  readonly drainMs: number
  readonly signal: AbortSignal
}

export class RuleRelays {
  readonly #options: RuleRelaysOptions
  /** Their connections go on without limit. */
  readonly #retired = new Set<EngineLease>()
  /** Their connections have a limit. */
  readonly #draining = new Map<EngineLease, Promise<void>>()
  #counted: Counters = noCounters

  constructor(options: RuleRelaysOptions) {
    this.#options = options
  }

  get isDraining(): boolean {
    return this.#draining.size > 0
  }

  /** What all of them counted, those that are gone included. */
  counters(): Counters {
    return this.#all().reduce((sum, lease) => addCounters(sum, lease.counters()), this.#counted)
  }

  connections(): Connection[] {
    return this.#all().flatMap((lease) => lease.connections())
  }

  /** @returns whether one of them had that connection */
  cut(id: string): boolean {
    return this.#all().some((lease) => lease.cut(id, 'cut'))
  }

  /** Nothing listens, and nothing is connected. */
  get isEmpty(): boolean {
    return this.#all().length === 0
  }

  /** Sockets that a successor gets, those that only keep a port included. */
  lends(): readonly LentSocket[] {
    const relay = this.#options.current()
    return relay ? [...(relay.passing?.lend() ?? []), ...(relay.held?.() ?? [])] : []
  }

  /** How the listening sockets pass to a successor; undefined where they do not, or there are none. */
  passing(): Passing | undefined {
    return this.#options.current()?.passing
  }

  #all(): readonly EngineLease[] {
    const current = this.#options.current()
    return current ? [current, ...this.#former()] : this.#former()
  }

  #former(): readonly EngineLease[] {
    return [...this.#retired, ...this.#draining.keys()]
  }

  /** Connections that go on though their lease listens no more. */
  get carried(): number {
    this.sweep()
    return this.#former().reduce((sum, one) => sum + one.counters().open, 0)
  }

  /** What is connected goes on under the terms it began with. */
  async retire(lease: EngineLease): Promise<void> {
    this.#retired.add(lease)
    await lease.retire()
  }

  /** A successor has what it listened on: it stays for its connections. */
  async leave(lease: EngineLease): Promise<void> {
    this.#retired.add(lease)
    await lease.passing?.leave()
  }

  /** After `leave`: datagrams of its ports are somebody else's from now on. */
  async letGo(): Promise<void> {
    await Promise.all([...this.#retired].map(async (lease) => lease.passing?.letGo()))
  }

  /** A retired lease ends with its last connection. */
  sweep(): void {
    for (const lease of this.#retired) {
      if (lease.counters().open === 0) this.#draining.set(lease, this.#end(lease))
    }
  }

  /** Drains `more`, and all that had no limit. Resolves once nothing listens, and where `now` once all are gone. */
  async drainAll(more: readonly EngineLease[], options: DrainOptions): Promise<void> {
    const { now = false, reason = 'drained', drainMs, signal } = options
    const leases = [...more, ...this.#retired]
    // Another rule, or another program, may take the port next.
    if (!now && drainMs > 0) await Promise.allSettled(leases.map((lease) => lease.retire()))
    const how = now
      ? { drainMs: 0, reason, signal }
      : { drainMs, reason: 'drained' as const, signal: neverAborted }
    const drains = leases.map((lease) => this.#drain(lease, how))
    if (now) await Promise.all(drains)
  }

  /** Resolves when none drains any more. */
  async drained(): Promise<void> {
    while (this.#draining.size > 0) await Promise.allSettled(this.#draining.values())
  }

  #drain(lease: EngineLease, how: Parameters<EngineLease['drain']>[0]): Promise<void> {
    this.#retired.delete(lease)
    const done = lease
      .drain(how)
      .catch(() => {})
      .then(() => this.#end(lease))
    this.#draining.set(lease, done)
    return done
  }

  async #end(lease: EngineLease): Promise<void> {
    await this.#options.release(lease)
    this.#counted = addCounters(this.#counted, { ...lease.counters(), open: 0, offloaded: 0 })
    this.#retired.delete(lease)
    this.#draining.delete(lease)
    this.#options.onGone()
  }
}
