/** Rules that live as long as the process: for `naru open`, and for programs that use the library. */
import { NaruError } from '../base/errors.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { joined } from '../model/rule-file.ts'
import type { StoreChange, Snapshot, Store, StoreChangeOptions } from './contract.ts'

export function createMemoryStore(rules: Readonly<Record<string, RuleInput>> = {}): Store {
  const held = new Map(Object.entries(rules))
  let revision = 0
  const snapshot = (): Snapshot => ({
    revision: String(revision),
    rules: new Map(held),
    samplePort: null,
    names: [],
    stun: [],
    invalid(problems) {
      const name = String(problems[0]?.path[1] ?? '')
      return new NaruError('RULE_INVALID', {
        name,
        problems: joined(problems.map(({ path, text }) => ({ path: path.slice(2), text }))),
      })
    },
  })
  const change = async (
    changes: readonly StoreChange[],
    { revision: expected, before }: StoreChangeOptions,
  ): Promise<Snapshot> => {
    if (expected !== undefined && expected !== String(revision))
      throw new NaruError('FILE_CHANGED', { file: 'memory' })
    await before?.()
    for (const { name, rule, was } of changes) {
      if (was !== undefined) renameIn(held, was, name)
      else if (rule === null) held.delete(name)
      else held.set(name, rule)
    }
    revision++
    return snapshot()
  }
  return {
    name: 'memory',
    read: () => Promise.resolve(snapshot()),
    change,
    watch() {},
  }
}

/** Keeps its place among the others. */
function renameIn(held: Map<string, RuleInput>, was: string, name: string): void {
  const entries = [...held]
  held.clear()
  for (const [key, rule] of entries) held.set(key === was ? name : key, rule)
}
