/**
 * The daemon's own eye: the doctor's cheap checks on every rule that is open, quietly. A fault that was not known is
 * looked at twice before it counts. What a rule's leases hold is read back by the heartbeat; this sees what no lease
 * tells: a service that nobody published, a program on the rule's port, a machine without a way out.
 */
import type { Clock } from '../base/clock.ts'
import { Slices } from '../base/slices.ts'
import type { Finding } from '../model/finding.ts'
import type { Doctor, RuleToCheck } from './diagnose.ts'

/** With the second look, a dial that hangs and the tick, a fault is told within 10 s. */
export const watchEveryMs = 4000
const secondLookMs = 1000

export interface WatchedRule {
  /** It is open, or to be. */
  readonly isToCheck: boolean
  /** The rule and what its own leases say of its hops; null while nothing of it is to be open. */
  toCheck(): RuleToCheck | null
  /** Is it told already? */
  knows(finding: Finding): boolean
  /** What the checks found this time of the rule as it was when they looked. */
  examined(findings: readonly Finding[], of: RuleToCheck): void
}

interface Seen {
  readonly subject: RuleToCheck
  readonly findings: readonly Finding[]
}

export async function watch(
  rules: readonly WatchedRule[],
  { examine, clock, signal }: { examine: Doctor['examine']; clock: Clock; signal: AbortSignal },
): Promise<void> {
  const slices = new Slices()
  const first = await look(rules)
  const news = rules.filter((rule) => first.get(rule)?.findings.some((finding) => !rule.knows(finding)))
  if (news.length > 0) await clock.sleep(secondLookMs, signal)
  const second = await look(news)
  for (const rule of rules) {
    await slices.next()
    const seen = first.get(rule)
    if (seen && rule.isToCheck)
      rule.examined(confirmed(seen.findings, second.get(rule)?.findings), seen.subject)
  }

  async function look(some: readonly WatchedRule[]): Promise<ReadonlyMap<WatchedRule, Seen>> {
    const asked: { rule: WatchedRule; subject: RuleToCheck }[] = []
    for (const rule of some) {
      await slices.next()
      const subject = rule.toCheck()
      if (subject) asked.push({ rule, subject })
    }
    if (asked.length === 0) return new Map()
    const found = await examine(
      asked.map(({ subject }) => subject),
      { signal },
    )
    return new Map(asked.map(({ rule, subject }, at) => [rule, { subject, findings: found[at] ?? [] }]))
  }
}

function confirmed(findings: readonly Finding[], again: readonly Finding[] | undefined): readonly Finding[] {
  return again ? findings.filter(({ code }) => again.some((other) => other.code === code)) : findings
}
