/**
 * One revision of a rule, ready for use. Connections keep the terms they began with; an edit makes new terms that
 * take over what outlives them: the tally, what is known of the targets, a bandwidth bucket of the same rate.
 */
import { addressBytes } from '../base/address.ts'
import type { Rule } from '../model/rule.ts'
import { Admission } from './admit.ts'
import { maxReadOf, TokenBucket, type Bucket } from './bucket.ts'
import { Targets } from './pick.ts'
import { PrefixTrie } from '../base/prefix-trie.ts'
import type { Tally } from './tally.ts'

export interface Terms {
  readonly rule: Rule
  readonly admission: Admission
  readonly targets: Targets
  readonly bucket: Bucket | null
  /** Most bytes to read at once. */
  readonly maxRead: number
  /** Peers whose PROXY header is believed; null where the rule expects none at all. */
  readonly proxies: PrefixTrie | null
}

export function termsOf(rule: Rule, tally: Tally, before?: Terms): Terms {
  const rate = rule.limits.bytesPerSecond
  const sameRate = before !== undefined && before.rule.limits.bytesPerSecond === rate
  return {
    rule,
    admission: new Admission(rule, tally),
    targets: new Targets(rule, before?.targets),
    bucket: rate === null ? null : sameRate ? before.bucket : new TokenBucket(rate),
    maxRead: maxReadOf(rate),
    proxies: rule.acceptProxy.length > 0 ? proxiesOf(rule) : null,
  }
}

/** What is to be done about a PROXY header of this peer: one must be there, none may be, or nobody looks. */
export function proxyDuty({ proxies }: Terms, peer: string): 'required' | 'refused' | 'ignored' {
  if (proxies === null) return 'ignored'
  return peer !== '' && proxies.match(addressBytes(peer)) > 0 ? 'required' : 'refused'
}

export function proxiesOf({ acceptProxy }: Rule): PrefixTrie {
  const trie = new PrefixTrie()
  for (const cidr of acceptProxy) trie.add(cidr, 1)
  return trie
}
