/**
 * From findings to a verdict: a finding that depends on another that was made is folded under it; of what remains
 * the worst and innermost comes first. Remarks stop nothing and come last.
 */
import { say, sayOf, verbatim, type Text } from '../base/text.ts'
import {
  alike,
  countsOf,
  isOfMachine,
  type CheckCounts,
  type CheckOutcome,
  type Diagnosis,
} from '../model/diagnosis.ts'
import type { Finding, Severity } from '../model/finding.ts'
import { slimmer } from './bounded.ts'

export interface Evidence {
  readonly findings: readonly Finding[]
  readonly outcomes: readonly CheckOutcome[]
  /** Of all looks. @default what `outcomes` come to */
  readonly counts?: CheckCounts
  /** Codes from the inside out; ties go to the earlier. */
  readonly order: readonly string[]
  readonly tookMs: number
}

const rank: Record<Severity, number> = { blocks: 0, warns: 1, informs: 2 }

export function diagnosisFrom({
  findings,
  outcomes,
  counts = countsOf(outcomes),
  order,
  tookMs,
}: Evidence): Diagnosis {
  const counting = withoutRepeats(findings.filter(({ severity }) => severity !== 'informs'))
  const roots = new Roots(counting)
  const folded = counting.flatMap((finding) => {
    const under = roots.rootOf(finding)
    return under === null ? [] : [{ finding, under }]
  })
  const consequences = new Set(folded.map(({ finding }) => finding))
  const place = new Map(order.map((code, at) => [code, at]))
  const placeOf = ({ code }: Finding): number => place.get(code) ?? -1
  const causes = counting
    .filter((finding) => !consequences.has(finding))
    .sort((a, b) => rank[a.severity] - rank[b.severity] || placeOf(a) - placeOf(b))
  const verdict = causes[0] ?? null
  const slim = slimmer()
  return {
    verdict,
    summary: summary(causes, counts),
    causes: causes.map(slim),
    folded: folded.map(({ finding, under }) => ({ finding: slim(finding), under })),
    remarks: withoutRepeats(findings.filter(({ severity }) => severity === 'informs')).map(slim),
    checks: outcomes,
    counts,
    tookMs,
  }
}

/** What concerns the machine is found once for each rule, and what concerns a rule once more for the machine; it is said once. */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const said = new Set<string>()
  const wordsOf = ({ code, evidence }: Finding): string => [code, ...evidence.map(({ en }) => en)].join('\n')
  const ofRules = new Set(findings.filter(({ rule }) => rule !== null).map(wordsOf))
  return findings.filter((finding) => {
    const { hop, rule } = finding
    const words = wordsOf(finding)
    if (rule === null && ofRules.has(words)) return false
    const key = hop === 'machine' ? words : `${rule}\n${words}`
    return !said.has(key) && said.add(key)
  })
}

/** Another rule's fault explains nothing; the machine's explains everything. */
class Roots {
  readonly #byRule = new Map<string | null, Finding[]>()

  constructor(findings: readonly Finding[]) {
    for (const finding of findings) {
      const key = isOfMachine(finding) ? null : finding.rule
      this.#byRule.set(key, [...(this.#byRule.get(key) ?? []), finding])
    }
  }

  /** The code at the root of what `finding` depends on, or null where it is a root itself. */
  rootOf(finding: Finding, passed: readonly string[] = []): string | null {
    const { rule, dependsOn } = finding
    if (dependsOn.length === 0) return null
    const near = [...(this.#byRule.get(rule) ?? []), ...(this.#byRule.get(null) ?? [])]
    const above = near.find((other) => dependsOn.includes(other.code) && !passed.includes(other.code))
    if (!above) return null
    return this.rootOf(above, [...passed, finding.code]) ?? above.code
  }
}

export const hopNames: Record<Finding['hop'], Text> = {
  service: say('service'),
  guest: say('guest'),
  relay: sayOf('verdict')('relay'),
  firewall: say('firewall'),
  router: say('router'),
  machine: say('this machine'),
  outside: say('internet'),
}

function summary(causes: readonly Finding[], { unmade: unread }: CheckCounts): Text {
  const [first, ...others] = alike(causes)
  if (!first) {
    return unread === 0
      ? say('nothing is wrong as far as can be seen from here')
      : say`nothing wrong was found, but ${unread} checks could not be made`
  }
  const [{ hop, title, severity, rule }] = first
  const blocks = severity === 'blocks'
  const which = first.length > 1 ? say`${first.length} rules: ` : verbatim(rule === null ? '' : `${rule}: `)
  const more = others.length > 0 ? say` (and ${others.length} more)` : none
  const missed = unread > 0 ? say`; ${unread} checks could not be made` : none
  return sayOf(
    'verdict',
  )`${which}${blocks ? say('blocked at') : say('a warning at')} ${hopNames[hop]}: ${title}${more}${missed}`
}

const none = verbatim('')
