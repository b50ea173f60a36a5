import { describe, expect, it } from 'vitest'
import { verbatim } from '../base/text.ts'
import { alike, consequencesIn, type CheckOutcome } from '../model/diagnosis.ts'
import type { Finding } from '../model/finding.ts'
import { diagnosisFrom } from './verdict.ts'

function finding(code: string, more: Partial<Finding> = {}): Finding {
  return {
    code,
    severity: 'blocks',
    hop: 'router',
    rule: 'web',
    title: verbatim(code),
    evidence: [verbatim(code)],
    fixes: [],
    dependsOn: [],
    ...more,
  }
}

const verdictOf = (findings: Finding[], order: string[] = []) =>
  diagnosisFrom({ findings, outcomes: [], order, tookMs: 1 })

describe('the verdict', () => {
  it('is the innermost of what blocks, before any warning', () => {
    const { causes, verdict } = verdictOf(
      [finding('c'), finding('a', { severity: 'warns' }), finding('b')],
      ['a', 'b', 'c'],
    )
    expect(verdict?.code).toBe('b')
    expect(causes.map(({ code }) => code)).toEqual(['b', 'c', 'a'])
  })

  it('folds what follows from another under its root', () => {
    const { causes, folded } = verdictOf([
      finding('leaf', { dependsOn: ['middle'] }),
      finding('middle', { dependsOn: ['root'] }),
      finding('root'),
    ])
    expect(causes.map(({ code }) => code)).toEqual(['root'])
    expect(folded.map(({ finding: { code }, under }) => [code, under])).toEqual([
      ['leaf', 'root'],
      ['middle', 'root'],
    ])
  })

  it('explains no rule by another’s fault, and every rule by the machine’s', () => {
    const needsRoot = finding('leaf', { dependsOn: ['root'] })
    expect(verdictOf([needsRoot, finding('root', { rule: 'other' })]).causes).toHaveLength(2)
    expect(verdictOf([needsRoot, finding('root', { rule: null })]).causes).toHaveLength(1)
  })

  it('says the machine’s fault once, however many rules it concerns', () => {
    const twice = ['a', 'b'].map((rule) => finding('vpn', { rule, hop: 'machine' }))
    expect(verdictOf(twice).causes).toHaveLength(1)
  })

  it('folds what follows from the machine’s fault at every rule, though it is said for the first', () => {
    const { causes, folded } = verdictOf([
      finding('vpn', { rule: 'a', hop: 'machine' }),
      finding('vpn', { rule: 'b', hop: 'machine' }),
      finding('leaf', { rule: 'b', dependsOn: ['vpn'] }),
    ])
    expect(causes.map(({ code }) => code)).toEqual(['vpn'])
    expect(consequencesIn(folded)(causes[0] as Finding)).toHaveLength(1)
  })

  it('counts consequences under the fault of their own rule', () => {
    const { causes, folded } = verdictOf(
      ['a', 'b'].flatMap((rule) => [
        finding('root', { rule }),
        finding('leaf', { rule, dependsOn: ['root'], evidence: [verbatim(rule)] }),
      ]),
    )
    expect(causes.map((cause) => consequencesIn(folded)(cause).length)).toEqual([1, 1])
  })

  it('tells the same fault of many rules as one, and in the headline what could not be looked at', () => {
    const late: CheckOutcome = {
      code: 'x',
      hop: 'router',
      rule: 'a',
      title: verbatim('x'),
      state: 'timed-out',
      problem: null,
      tookMs: 1,
    }
    const findings = ['a', 'b', 'c'].map((rule) => finding('down', { rule, evidence: [verbatim(rule)] }))
    const { summary, causes } = diagnosisFrom({ findings, outcomes: [late], order: [], tookMs: 1 })
    expect(alike(causes)).toHaveLength(1)
    expect(summary.en).toBe('3 rules: blocked at router: down; 1 checks could not be made')
  })

  it('takes as long for ten times as many rules as ten times for each', () => {
    const findings = Array.from({ length: 20_000 }, (_, at) =>
      finding(at % 2 ? 'leaf' : 'root', { rule: `r${at >> 1}`, dependsOn: at % 2 ? ['root'] : [] }),
    )
    const { causes, folded } = verdictOf(findings)
    expect([causes.length, folded.length]).toEqual([10_000, 10_000])
  })

  it('tells the same fault of ten thousand rules in full once, and by name of each', () => {
    const findings = Array.from({ length: 10_000 }, (_, at) =>
      finding(at === 9_999 ? 'other' : 'away', {
        rule: `r${at}`,
        evidence: [verbatim('x'.repeat(1000))],
        fixes: [{ text: verbatim('y'.repeat(1000)) }],
      }),
    )
    const { causes } = verdictOf(findings)
    expect(causes.map(({ rule }) => rule)).toEqual(findings.map(({ rule }) => rule))
    const whole = causes.filter(({ fixes }) => fixes.length > 0).map(({ rule }) => rule)
    expect([whole.length, whole[0], whole.at(-1)]).toEqual([501, 'r0', 'r9999'])
    expect(JSON.stringify(causes).length).toBeLessThan(5_000_000)
  })

  it('takes remarks for no fault', () => {
    const { verdict, remarks } = verdictOf([finding('hint', { severity: 'informs' })])
    expect(verdict).toBeNull()
    expect(remarks.map(({ code }) => code)).toEqual(['hint'])
  })

  it('does not call well what it could not look at', () => {
    const failed = {
      code: 'x',
      hop: 'router',
      rule: null,
      title: verbatim('x'),
      state: 'failed',
      problem: null,
      tookMs: 1,
    }
    const { summary } = diagnosisFrom({
      findings: [],
      outcomes: [failed as CheckOutcome],
      order: [],
      tookMs: 1,
    })
    expect(summary.en).toContain('1 checks could not be made')
  })
})
