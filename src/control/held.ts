/** What a rule holds at a hop, and what was last seen of it. */
import type { NaruError } from '../base/errors.ts'
import type { Text } from '../base/text.ts'
import type { HopStatus } from '../model/face.ts'
import type { Hop, Lease } from '../model/hop.ts'
import type { Wanted } from './hops/wanted.ts'

export interface Held {
  readonly hop: Hop
  wanted: Wanted
  readonly lease: Lease
  /** Set while the hop does not do what it was asked; it is tried again. */
  lost: NaruError | null
  /** What the last look remarked. */
  notes: readonly Text[]
  checkedAt: number | null
}

export function heldStatus(held: Held): HopStatus {
  const { member, text, differs, data } = held.lease.describe()
  const notes = [...differs, ...held.notes]
  return {
    hop: held.hop,
    member,
    state: held.lost ? 'broken' : notes.length > 0 ? 'warning' : 'ok',
    text: held.lost ? held.lost.text : text,
    notes: held.lost?.fix ? [held.lost.fix, ...notes] : notes,
    data,
    problem: held.lost?.code ?? null,
    checkedAt: held.checkedAt,
  }
}

/** A hop that is wanted and could not be opened. */
export function failedStatus(wanted: Wanted, why: NaruError, at: number): HopStatus {
  return {
    hop: wanted.hop,
    member: wanted.member,
    state: 'broken',
    text: why.text,
    notes: why.fix ? [why.fix] : [],
    data: { code: why.code },
    problem: why.code,
    checkedAt: at,
  }
}
