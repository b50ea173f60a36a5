/** What a rule holds at a hop, what was last seen of it, and how that is told. */
import type { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { Finding } from '../model/finding.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Hop, Lease } from '../model/hop.ts'
import type { FlapDamping } from './flap-damping.ts'
import type { DesiredHop } from './hops/desired.ts'

export interface HopState {
  readonly hop: Hop
  wanted: DesiredHop
  readonly lease: Lease
  /** Set while the hop does not do what it was asked; it is tried again. */
  lost: NaruError | null
  /** What the last look remarked. */
  notes: readonly Text[]
  checkedAt: number | null
}

/** What is wrong at a hop, by its own lease or by a check. */
export interface Trouble {
  readonly state: 'broken' | 'warning'
  readonly code: string
  readonly text: Text
  readonly notes: readonly Text[]
}

export function troubleOf({ code, text, fix }: NaruError): Trouble {
  return { state: 'broken', code, text, notes: fix ? [fix] : [] }
}

export function foundTrouble({ code, severity, title, evidence, fixes }: Finding): Trouble {
  const [first, ...more] = evidence
  return {
    state: severity === 'blocks' ? 'broken' : 'warning',
    code,
    text: first ? say`${title}: ${first}` : title,
    notes: [...more, ...fixes.map(fixText)],
  }
}

function fixText({ text, command }: Finding['fixes'][number]): Text {
  return command === undefined ? text : say`${text}: \`${command}\``
}

export function openStatus(held: HopState, calm: FlapDamping<Trouble> | undefined): HopStatus {
  const { member, text, differs, data } = held.lease.describe()
  const notes = [...differs, ...held.notes]
  const ok: HopStatus = {
    hop: held.hop,
    member,
    state: notes.length > 0 ? 'warning' : 'ok',
    text,
    notes,
    data,
    problem: null,
    checkedAt: held.checkedAt,
  }
  return calm?.told ? troubled(ok, calm.told, calm) : ok
}

/** A hop that the rule does not hold, told since something was wrong there. */
export function foundStatus(hop: Hop, calm: FlapDamping<Trouble>, checkedAt: number | null): HopStatus {
  const well: HopStatus = {
    hop,
    member: null,
    state: 'ok',
    text: say('works again'),
    notes: [],
    data: null,
    problem: null,
    checkedAt,
  }
  return calm.told ? troubled(well, calm.told, calm) : well
}

function troubled(status: HopStatus, told: Trouble, calm: FlapDamping<Trouble>): HopStatus {
  const doubt = calm.doubted ? [say('it works again, and is watched until it stays so')] : []
  const often = calm.relapses > 0 ? [say`it comes and goes: ${calm.relapses} times lately`] : []
  return {
    ...status,
    state: told.state,
    text: told.text,
    notes: [...doubt, ...often, ...told.notes, ...status.notes],
    problem: calm.doubted ? null : told.code,
  }
}

/** A hop that is wanted, and whose turn comes once the hops inside of it are open. */
export function aheadStatus({ hop, member, what }: DesiredHop): HopStatus {
  return { hop, member, state: 'opening', text: what, notes: [], data: null, checkedAt: null }
}

/** A hop that is wanted and could not be opened. */
export function failedStatus(wanted: DesiredHop, why: NaruError, at: number): HopStatus {
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
