/**
 * Every client at once: the prefixes that lines name, each for the clients that are in it and in no longer one. A line
 * says the same of all clients of a prefix, so a way through chains is followed once for all of them.
 */
import { addressBytes, formatCidr, type Cidr, type Family } from '../../base/address.ts'
import { everybody, holds } from '../shared/access.ts'
import type { IptablesRule } from './parse.ts'

export type Span = readonly [first: number, end: number]

export class Sources {
  /** Each before those within it; the first is everybody. */
  readonly prefixes: readonly Cidr[]
  readonly #spans = new Map<string, Span>()
  /** Of each prefix as a line has it, which is asked for again and again. */
  readonly #found = new WeakMap<Cidr, Span | null>()
  readonly #holders: number[]

  constructor(family: Family, entries: Iterable<IptablesRule>) {
    const named = new Map<string, Cidr>()
    const add = (cidr: Cidr): void => void (cidr.family === family && named.set(formatCidr(cidr), cidr))
    for (const cidr of everybody) add(cidr)
    for (const { match } of entries) {
      if (match.source) add(match.source)
      for (const cidr of match.notSources) add(cidr)
    }
    const keyed = [...named.values()].map((cidr) => ({ cidr, key: Buffer.from(addressBytes(cidr.address)) }))
    keyed.sort((a, b) => Buffer.compare(a.key, b.key) || a.cidr.bits - b.cidr.bits)
    this.prefixes = keyed.map(({ cidr }) => cidr)
    this.#holders = this.#measure()
  }

  get count(): number {
    return this.prefixes.length
  }

  /** Which clients a prefix holds; null for one of the other family. */
  span(cidr: Cidr): Span | null {
    const before = this.#found.get(cidr)
    if (before !== undefined) return before
    const span = this.#spans.get(formatCidr(cidr)) ?? null
    this.#found.set(cidr, span)
    return span
  }

  /** The `allow` and `deny` of who is admitted, the longest first; null for nobody. */
  access(admitted: Uint8Array): { allow: string[]; deny: string[] } | null {
    if (!admitted.includes(1)) return null
    const allow: Cidr[] = []
    const deny: Cidr[] = []
    for (let at = 1; at < this.count; at++)
      if (admitted[at] !== admitted[this.#holders[at] as number])
        (admitted[at] === 1 ? allow : deny).push(this.prefixes[at] as Cidr)
    const longest = (some: Cidr[]): string[] => some.toSorted((a, b) => b.bits - a.bits).map(formatCidr)
    // An allow-list shuts everybody else out; where they come in they must be named.
    const rest = admitted[0] === 1 && allow.length > 0 ? everybody.map(formatCidr) : []
    return { allow: [...longest(allow), ...rest], deny: longest(deny) }
  }

  /** Spans of all prefixes, and of each the narrowest that holds it. */
  #measure(): number[] {
    const open: number[] = []
    const holders: number[] = []
    const close = (end: number): void => {
      const at = open.pop() as number
      this.#spans.set(formatCidr(this.prefixes[at] as Cidr), [at, end])
    }
    for (const [at, cidr] of this.prefixes.entries()) {
      while (open.length > 0 && !holds(this.prefixes[open.at(-1) as number] as Cidr, cidr)) close(at)
      holders.push(open.at(-1) ?? 0)
      open.push(at)
    }
    while (open.length > 0) close(this.count)
    return holders
  }
}
