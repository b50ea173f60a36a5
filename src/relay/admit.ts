/**
 * Who may come in: a client's address meets `allow` and `deny`, then the limits. Out comes a ticket that gives the
 * place back, or the reason why not. Pure: any engine asks the same question and gets the same answer.
 */
import { addressBytes, sourceKey, unmapped, type Cidr } from '../base/address.ts'
import type { CloseReason } from '../model/connection.ts'
import { PrefixTrie } from '../base/prefix-trie.ts'
import type { CountLimits, LimitReason, Tally } from './tally.ts'

export interface AdmitTerms {
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
  readonly limits: CountLimits
}

export type RefuseReason = Extract<CloseReason, 'denied'> | LimitReason

export type Admitted =
  | { readonly ok: true; readonly ticket: Ticket }
  | { readonly ok: false; readonly reason: RefuseReason }

/** A place within the limits. */
export class Ticket implements Disposable {
  #tally: Tally | null
  readonly #source: string

  constructor(tally: Tally, source: string) {
    this.#tally = tally
    this.#source = source
  }

  /** Gives the place back. Twice is harmless. */
  release(): void {
    this.#tally?.release(this.#source)
    this.#tally = null
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

const allowed = 1
/** Higher than `allowed`: of one prefix in both lists, deny stays. */
const denied = 2

/** The terms of one revision of a rule. The tally outlives it: what is open counts on after an edit. */
export class Admission {
  readonly #lists: PrefixTrie | null
  readonly #strangersMayEnter: boolean
  readonly #limits: CountLimits
  readonly #tally: Tally

  constructor(terms: AdmitTerms, tally: Tally) {
    this.#lists = terms.allow.length + terms.deny.length > 0 ? trieOf(terms) : null
    this.#strangersMayEnter = terms.allow.length === 0
    this.#limits = terms.limits
    this.#tally = tally
  }

  /**
   * @param source the client's address; `::ffff:10.0.0.1` counts as `10.0.0.1`. Empty for a Unix client, which the
   * lists do not concern.
   * @param nowMs milliseconds that only go forward.
   */
  admit(source: string, nowMs: number): Admitted {
    const address = unmapped(source)
    if (!this.allows(address)) return { ok: false, reason: 'denied' }
    const counted = sourceKey(address)
    const reason = this.#tally.take(counted, this.#limits, nowMs)
    return reason === null ? { ok: true, ticket: new Ticket(this.#tally, counted) } : { ok: false, reason }
  }

  /** What `allow` and `deny` say: the longest prefix decides, equal: deny; in neither: only where there is no `allow`. */
  allows(address: string): boolean {
    if (this.#lists === null || address === '') return true
    const verdict = this.#lists.match(addressBytes(address))
    return verdict === 0 ? this.#strangersMayEnter : verdict === allowed
  }
}

function trieOf({ allow, deny }: AdmitTerms): PrefixTrie {
  const trie = new PrefixTrie()
  for (const cidr of allow) trie.add(cidr, allowed)
  for (const cidr of deny) trie.add(cidr, denied)
  return trie
}
