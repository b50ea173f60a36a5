/**
 * Who may come in, in the two ways it is written: our `allow` and `deny`, of which the longest prefix that holds the
 * client decides, and the list of a packet filter or proxy, of which the first entry that matches decides.
 */
import { addressBytes, formatCidr, type Cidr, type Family } from '../../base/address.ts'
import { PrefixTrie } from '../../base/prefix-trie.ts'
import type { Rule } from '../../model/rule.ts'

export interface AccessEntry {
  readonly action: 'allow' | 'deny'
  readonly cidr: Cidr
}

export interface OrderedAccess {
  readonly entries: readonly AccessEntry[]
  /** For who is in no entry. */
  readonly otherwise: 'allow' | 'deny'
}

/** Longest prefix first, so that the first match is the longest; of two equal ones deny comes first. */
export function inOrder({ allow, deny }: Pick<Rule, 'allow' | 'deny'>): OrderedAccess {
  const entries: AccessEntry[] = [
    ...deny.map((cidr): AccessEntry => ({ action: 'deny', cidr })),
    ...allow.map((cidr): AccessEntry => ({ action: 'allow', cidr })),
  ]
  return {
    entries: withoutShadowed(entries.toSorted((a, b) => b.cidr.bits - a.cidr.bits)),
    otherwise: allow.length > 0 ? 'deny' : 'allow',
  }
}

/** The `allow` and `deny` that decide as the list does; entries that decide nothing are not written, the
 * longest stand first. */
export function fromOrder({ entries, otherwise }: OrderedAccess): { allow: string[]; deny: string[] } {
  const alive = withoutShadowed(entries)
  const trie = trieOf(alive)
  // Who would decide without this entry is the narrowest that holds it.
  const needed = alive.filter(
    ({ action, cidr }) => action !== (verdict(trie, cidr, cidr.bits - 1) ?? otherwise),
  )
  const of = (action: AccessEntry['action']): string[] =>
    needed
      .filter((entry) => entry.action === action)
      .toSorted((a, b) => b.cidr.bits - a.cidr.bits)
      .map(({ cidr }) => formatCidr(cidr))
  const [allow, deny] = [of('allow'), of('deny')]
  if (otherwise === 'deny' && allow.length === 0) return { allow, deny: everybody.map(formatCidr) }
  if (otherwise === 'deny' || allow.length === 0) return { allow, deny }
  // Our allow-list shuts everybody else out; where the list lets them in they must be named.
  const rest = everybody.map((cidr): AccessEntry => ({ action: 'allow', cidr }))
  return fromOrder({ entries: [...alive, ...rest], otherwise: 'deny' })
}

export const everybody: readonly Cidr[] = [
  { family: 4, address: '0.0.0.0', bits: 0 },
  { family: 6, address: '::', bits: 0 },
]

/** Who is let in by either list in turn: two lists of which each may turn a client away. */
export function both(one: OrderedAccess, other: OrderedAccess): OrderedAccess {
  if (isOpen(other)) return one
  if (isOpen(one)) return other
  const lists = [one, other].map(decided)
  const admitted = (who: Cidr): boolean =>
    lists.every(({ trie, otherwise }) => (verdict(trie, who) ?? otherwise) === 'allow')
  // Prefixes lie within each other or apart: what a list says of the longest that holds a client it says of the client.
  const entries = lists
    .flatMap(({ alive }) => alive)
    .toSorted((a, b) => b.cidr.bits - a.cidr.bits)
    .map(({ cidr }): AccessEntry => ({ cidr, action: admitted(cidr) ? 'allow' : 'deny' }))
  const otherwise = lists.every((list) => list.otherwise === 'allow') ? 'allow' : 'deny'
  return { entries: withoutShadowed(entries), otherwise }
}

/** It turns nobody away. */
export function isOpen({ entries, otherwise }: OrderedAccess): boolean {
  return otherwise === 'allow' && entries.every(({ action }) => action === 'allow')
}

/** Entries of one family, as a format that writes each family apart needs them. */
export function ofFamily(access: OrderedAccess, family: Family): OrderedAccess {
  return { ...access, entries: access.entries.filter(({ cidr }) => cidr.family === family) }
}

/** What is within an entry before it never decides. */
function withoutShadowed(entries: readonly AccessEntry[]): AccessEntry[] {
  const before = new PrefixTrie()
  return entries.filter(({ cidr }) => {
    if (before.match(bytesOf(cidr), cidr.bits) > 0) return false
    before.add(cidr, 1)
    return true
  })
}

interface Decided {
  readonly alive: readonly AccessEntry[]
  readonly trie: PrefixTrie
  readonly otherwise: AccessEntry['action']
}

/** A list that many forwards share is worked out once. */
const worked = new WeakMap<OrderedAccess, Decided>()

function decided(list: OrderedAccess): Decided {
  const before = worked.get(list)
  if (before) return before
  const alive = withoutShadowed(list.entries)
  const made: Decided = { alive, trie: trieOf(alive), otherwise: list.otherwise }
  worked.set(list, made)
  return made
}

const values = { allow: 1, deny: 2 } as const

/** Of entries of which none is shadowed the first that matches is the longest. */
function trieOf(alive: readonly AccessEntry[]): PrefixTrie {
  const trie = new PrefixTrie()
  for (const { action, cidr } of alive) trie.add(cidr, values[action])
  return trie
}

/** What the longest entry that holds all of a prefix says, of those of `most` bits; null where none does. */
function verdict(trie: PrefixTrie, cidr: Cidr, most = cidr.bits): AccessEntry['action'] | null {
  const value = trie.match(bytesOf(cidr), most)
  return value === 0 ? null : value === values.allow ? 'allow' : 'deny'
}

/** Each prefix of a list is held against all others; its text is read once. */
const known = new WeakMap<Cidr, Uint8Array>()

function bytesOf(cidr: Cidr): Uint8Array {
  const before = known.get(cidr)
  if (before) return before
  const bytes = addressBytes(cidr.address)
  known.set(cidr, bytes)
  return bytes
}

export function holds(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || outer.bits > inner.bits) return false
  const [a, b] = [bytesOf(outer), bytesOf(inner)]
  for (let bit = 0; bit < outer.bits; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((a[bit >> 3] ?? 0) & mask) !== ((b[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}
