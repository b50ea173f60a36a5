/** Saving a draft: over what one saw, never over what somebody else wrote meanwhile. */
import { isNaruError } from '../../../src/base/errors.ts'
import type { ChangeResult, RuleInput } from '../../../src/model/naru-api.ts'
import { client, naru } from '../state/naru.ts'
import { changeBetween } from './draft.ts'

export interface Base {
  readonly rule: RuleInput
  /** Null where it is not known at which revision the rule was read. */
  readonly revision: string | null
}

const unchanged: ChangeResult = { plan: { steps: [], notes: [] }, rules: [], failures: [], revision: '' }

export type Saved =
  | { readonly state: 'saved'; readonly result: ChangeResult }
  /** Somebody else changed the rule; nothing was saved. Null: deleted it. */
  | { readonly state: 'conflict'; readonly theirs: RuleInput | null }

/** @throws NaruError RULE_INVALID, RULE_EXISTS … */
export async function saveNew(name: string, rule: RuleInput): Promise<Saved> {
  return saved(() => client.rules.add(name, rule))
}

/** Nothing is opened or closed for it, and connections go on. @throws NaruError RULE_EXISTS, VALUE_INVALID */
export async function rename(name: string, to: string): Promise<void> {
  await naru.change(() => client.rules.rename(name, to))
  naru.sort((await client.rules.list()).map((one) => one.name))
}

/** Other rules may have changed as often as they like. @throws NaruError RULE_INVALID … */
export async function saveEdit(name: string, rule: RuleInput, base: Base): Promise<Saved> {
  const change = changeBetween(base.rule, rule)
  if (Object.keys(change).length === 0 && base.revision !== null) return { state: 'saved', result: unchanged }
  const edit = (revision: string): Promise<Saved> =>
    saved(() => client.rules.edit(name, change, { revision }))
  try {
    if (base.revision !== null) return await edit(base.revision)
  } catch (error) {
    if (isNaruError(error, 'RULE_UNKNOWN')) return { state: 'conflict', theirs: null }
    if (!isNaruError(error, 'FILE_CHANGED')) throw error
  }
  const { revision } = await client.about()
  const theirs = (await client.rules.list()).find((one) => one.name === name)?.rule ?? null
  if (!sameRule(theirs, base.rule)) return { state: 'conflict', theirs }
  return edit(revision)
}

export function sameRule(a: RuleInput | null, b: RuleInput | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

async function saved(make: () => Promise<ChangeResult>): Promise<Saved> {
  return { state: 'saved', result: await naru.change(make) }
}
