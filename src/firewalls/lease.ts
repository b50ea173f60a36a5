/**
 * A firewall lease: what it says of itself is fixed when it opens; verifying, renewing and releasing go to the
 * member, one at a time, and releasing happens once.
 */
import { Semaphore } from '../base/semaphore.ts'
import type { Text } from '../base/text.ts'
import type { Host } from '../host/contract.ts'
import type { Json, Lease, LeaseDescription, Verdict } from '../model/hop.ts'

export interface FirewallLeaseParts {
  /** Nothing was opened. @default something was */
  readonly isEmpty?: true
  readonly member: string
  readonly text: Text
  readonly differs: () => readonly Text[]
  readonly data: () => Json
  verify(signal: AbortSignal): Promise<Verdict>
  renew(signal: AbortSignal): Promise<void>
  release(signal: AbortSignal): Promise<void>
  /** Milliseconds since the Unix epoch. @default null, until released */
  readonly goodUntil?: () => number | null
  readonly renewAfter?: () => number | null
}

export class FirewallLease implements Lease {
  readonly isEmpty?: true
  readonly #parts: FirewallLeaseParts
  #last: Promise<unknown> = Promise.resolve()
  #released = false

  constructor(parts: FirewallLeaseParts) {
    this.#parts = parts
    if (parts.isEmpty) this.isEmpty = true
  }

  get goodUntil(): number | null {
    return this.#parts.goodUntil?.() ?? null
  }

  get renewAfter(): number | null {
    return this.#parts.renewAfter?.() ?? null
  }

  describe(): LeaseDescription {
    const { member, text, differs, data } = this.#parts
    return { member, text, differs: differs(), data: data() }
  }

  verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    return this.#inTurn(() => this.#parts.verify(signal))
  }

  renew({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#released) await this.#parts.renew(signal)
    })
  }

  release({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#released) return
      await this.#parts.release(signal)
      this.#released = true
    })
  }

  /** A renewal never meets a release half way. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#last.then(act, act)
    this.#last = next.catch(() => undefined)
    return next
  }
}

const atOnce = 64

/** Where each opening is a program of its own: so many at once on a machine. */
export function inFew<T>(host: Host, signal: AbortSignal, open: () => Promise<T>): Promise<T> {
  const gate = gates.get(host) ?? new Semaphore(atOnce, 'opening the firewall')
  gates.set(host, gate)
  return gate.through(open, signal)
}

const gates = new WeakMap<Host, Semaphore>()
