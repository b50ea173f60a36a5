/** What the doctor says: the verdict first, then what else was found, then what was looked at. */
import type { NaruErrorJson } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { Finding } from './finding.ts'

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
  readonly checks: readonly CheckOutcome[]
  readonly tookMs: number
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

/** Live progress of a diagnosis. */
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
      readonly by: string
      readonly to: string
      readonly port: number
      readonly result: 'answered' | 'refused' | 'silent'
      readonly synsSeen: number | null
    }
