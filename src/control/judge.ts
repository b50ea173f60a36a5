/**
 * From findings to a verdict: a finding that depends on another that was made is folded under it; of what remains
 * the worst and innermost comes first. Remarks stop nothing and come last.
 */
import { say, type Text } from '../base/text.ts'
import type { CheckOutcome, Diagnosis } from '../model/diagnosis.ts'
import type { Finding, Severity } from '../model/finding.ts'

export interface Evidence {
  readonly findings: readonly Finding[]
  readonly outcomes: readonly CheckOutcome[]
  /** Codes from the inside out; ties go to the earlier. */
  readonly order: readonly string[]
  readonly tookMs: number
}

const rank: Record<Severity, number> = { blocks: 0, warns: 1, informs: 2 }

export function judge({ findings, outcomes, order, tookMs }: Evidence): Diagnosis {
  const counting = withoutRepeats(findings.filter(({ severity }) => severity !== 'informs'))
  const folded = counting.flatMap((finding) => {
    const under = rootOf(finding, counting)
    return under === null ? [] : [{ finding, under }]
  })
  const causes = counting
    .filter((finding) => !folded.some((entry) => entry.finding === finding))
    .sort((a, b) => rank[a.severity] - rank[b.severity] || order.indexOf(a.code) - order.indexOf(b.code))
  const verdict = causes[0] ?? null
  return {
    verdict,
    summary: summary(verdict, causes.length, outcomes),
    causes,
    folded,
    remarks: withoutRepeats(findings.filter(({ severity }) => severity === 'informs')),
    checks: outcomes,
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

/** The code at the root of what `finding` depends on, or null where it is a root itself. */
function rootOf(finding: Finding, all: readonly Finding[], passed: readonly string[] = []): string | null {
  const above = all.find(
    (other) =>
      finding.dependsOn.includes(other.code) &&
      !passed.includes(other.code) &&
      // Another rule's fault explains nothing here; the machine's explains everything.
      (other.rule === finding.rule || other.rule === null),
  )
  if (!above) return null
  return rootOf(above, all, [...passed, finding.code]) ?? above.code
}

export const hopNames: Record<Finding['hop'], Text> = {
  service: say('service', '서비스'),
  guest: say('guest', '게스트'),
  relay: say('relay', '릴레이'),
  firewall: say('firewall', '방화벽'),
  router: say('router', '공유기'),
  machine: say('this machine', '이 컴퓨터'),
  outside: say('internet', '인터넷'),
}

function summary(verdict: Finding | null, causes: number, outcomes: readonly CheckOutcome[]): Text {
  const unread = outcomes.filter(({ state }) => state === 'timed-out' || state === 'failed').length
  if (!verdict) {
    return unread === 0
      ? say('nothing is wrong as far as can be seen from here', '여기서 볼 수 있는 한 문제가 없습니다')
      : say(
          `nothing wrong was found, but ${unread} checks could not be made`,
          `발견된 문제는 없지만, 검사 ${unread}개를 하지 못했습니다`,
        )
  }
  const { hop, title, rule, severity } = verdict
  const blocks = severity === 'blocks'
  const which = rule === null ? '' : `${rule}: `
  const more = causes > 1 ? say(` (and ${causes - 1} more)`, ` (그 밖에 ${causes - 1}건)`) : say('', '')
  return say(
    `${which}${blocks ? 'blocked at' : 'a warning at'} ${hopNames[hop].en}: ${title.en}${more.en}`,
    `${which}${hopNames[hop].ko}에서 ${blocks ? '막혔습니다' : '주의가 필요합니다'}: ${title.ko}${more.ko}`,
  )
}
