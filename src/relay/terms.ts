/**
 * One edition of a rule, ready for use. Connections keep the terms they began with; an edit makes new terms that
 * take over what outlives them: the tally, what is known of the targets, a bandwidth bucket of the same rate.
 */
import type { Rule } from '../model/rule.ts'
import { Admission } from './admit.ts'
import { TokenBucket, type Bucket } from './bucket.ts'
import { Targets } from './pick.ts'
import type { Tally } from './tally.ts'

export interface Terms {
  readonly rule: Rule
  readonly admission: Admission
  readonly targets: Targets
  readonly bucket: Bucket | null
}

export function termsOf(rule: Rule, tally: Tally, before?: Terms): Terms {
  const rate = rule.limits.bytesPerSecond
  const sameRate = before !== undefined && before.rule.limits.bytesPerSecond === rate
  return {
    rule,
    admission: new Admission(rule, tally),
    targets: new Targets(rule, before?.targets),
    bucket: rate === null ? null : sameRate ? before.bucket : new TokenBucket(rate),
  }
}
