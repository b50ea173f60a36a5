/** What the doctor says: the verdict first, then what else was found, then what was looked at. */
import type { NaruErrorJson } from '../base/errors.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import type { Finding } from './finding.ts'

/** Who tried from outside. */
export interface Outsider {
  readonly kind: 'phone' | 'vantage'
  /** Null for a phone that did not get here. */
  readonly address: string | null
}

/** `phone 203.0.113.9`, `vantage 203.0.113.7`; of a phone in each language. */
export function outsiderText({ kind, address }: Outsider): Text {
  const at = address === null ? '' : ` ${address}`
  return kind === 'phone' ? say`phone${at}` : verbatim(`vantage${at}`)
}

/**
 * Bounded, however many rules there are: of more than 500 findings the first of those alike are whole, and the others
 * without evidence and fixes, which a diagnosis of their rule alone has.
 */
export interface Diagnosis {
  /** Worst root cause, innermost hop first; null where nothing is wrong. */
  readonly verdict: Finding | null
  /** One or two sentences: which hop, why, what next. */
  readonly summary: Text
  /** Findings that are no consequence of another, the verdict first. */
  readonly causes: readonly Finding[]
  /** Consequences, each with the code of the cause it is folded under. */
  readonly folded: readonly { readonly finding: Finding; readonly under: string }[]
  /** Good to know, and no fault. */
  readonly remarks: readonly Finding[]
  /** Of more than 10,000 those alone that did not pass, at most as many. */
  readonly checks: readonly CheckOutcome[]
  readonly counts: CheckCounts
  readonly tookMs: number
}

/** All that was looked at, by what it came to. */
export interface CheckCounts {
  readonly passed: number
  readonly found: number
  /** Timed out or failed. */
  readonly unmade: number
}

export function countsOf(outcomes: readonly CheckOutcome[]): CheckCounts {
  const counts = { passed: 0, found: 0, unmade: 0 }
  for (const { state } of outcomes) counts[state === 'passed' || state === 'found' ? state : 'unmade']++
  return counts
}

export interface CheckOutcome {
  readonly code: string
  readonly hop: Finding['hop']
  readonly rule: string | null
  readonly title: Text
  readonly state: 'passed' | 'found' | 'timed-out' | 'failed'
  /** Why it could not be looked at; null unless timed out or failed. */
  readonly problem: NaruErrorJson | null
  readonly tookMs: number
}

/** Live progress of a diagnosis; of more than 10,000 looks not each that passed is told. The diagnosis counts them all. */
export type DoctorEvent =
  | {
      readonly type: 'started'
      readonly code: string
      readonly hop: Finding['hop']
      readonly rule: string | null
      readonly title: Text
    }
  | { readonly type: 'finished'; readonly outcome: CheckOutcome; readonly findings: readonly Finding[] }
  /** To be opened on a phone that is off the Wi-Fi; `qr` is the link for a terminal. */
  | { readonly type: 'link'; readonly url: string; readonly qr: string }
  /** What a try from outside came to; `synsSeen` is how many of its packets reached this machine, null is unknown. */
  | {
      readonly type: 'outside'
      /** As one word. */
      readonly by: string
      readonly who: Outsider
      readonly to: string
      readonly port: number
      readonly result: 'answered' | 'refused' | 'silent'
      readonly synsSeen: number | null
    }

/** The same for every rule: it is said once, and explains what follows from it at any of them. */
export const isOfMachine = ({ hop, rule }: Finding): boolean => hop === 'machine' || rule === null

/** The same of those that are told as one. */
export const likeness = ({ code, severity, title }: Finding): string => `${code} ${severity} ${title.en}`

type Alike = readonly [Finding, ...Finding[]]

/** The same fault of several rules is told as one, in the order of the first. */
export function alike(causes: readonly Finding[]): readonly Alike[] {
  const groups = new Map<string, [Finding, ...Finding[]]>()
  for (const cause of causes) {
    const key = likeness(cause)
    const group = groups.get(key)
    if (group) group.push(cause)
    else groups.set(key, [cause])
  }
  return [...groups.values()]
}

/** Tells what follows from a cause, at its own rule; at any rule where the cause is the machine's. */
export function consequencesIn(folded: Diagnosis['folded']): (cause: Finding) => readonly Finding[] {
  const found = new Map<string, Finding[]>()
  const keyOf = (under: string, rule: string | null): string => `${under}\n${rule ?? ''}`
  const note = (key: string, finding: Finding): void => {
    const others = found.get(key)
    if (others) others.push(finding)
    else found.set(key, [finding])
  }
  for (const { finding, under } of folded) {
    note(keyOf(under, null), finding)
    if (finding.rule !== null) note(keyOf(under, finding.rule), finding)
  }
  return (cause) => found.get(keyOf(cause.code, isOfMachine(cause) ? null : cause.rule)) ?? []
}
