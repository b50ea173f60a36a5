/** Changes that a click makes, with what is said of them and the way back. */
import { toNaruError } from '../../../src/base/errors.ts'
import type { Text } from '../../../src/base/text.ts'
import { toast, toastError } from '../parts/toasts.tsx'
import { errorFrom } from '../../../src/api/client/client.ts'
import type { ChangeResult, RuleStatus } from '../../../src/model/naru-api.ts'
import { inBoth } from '../words/korean.ts'
import { client, naru } from './naru.ts'

export async function switchRule(name: string, on: boolean): Promise<void> {
  try {
    const { failures } = await naru.change(() =>
      on ? client.rules.enable(name) : client.rules.disable(name),
    )
    sayLeft(failures)
  } catch (error) {
    toastError(error)
  }
}

/** Gone at once; the way back is offered for a while. */
export async function deleteRule(rule: RuleStatus): Promise<void> {
  const { name } = rule
  try {
    const { failures } = await client.rules.remove(name)
    sayLeft(failures)
    const undo = (): void => void bringBack([rule])
    toast(
      inBoth(({ rules }) => rules.deleted(name)),
      undo,
    )
  } catch (error) {
    toastError(error)
  }
}

async function bringBack(rules: readonly RuleStatus[]): Promise<void> {
  const back: string[] = []
  for (const { name, rule } of rules) {
    try {
      await naru.change(() => client.rules.add(name, rule))
      back.push(name)
    } catch (error) {
      toastError(error)
    }
  }
  naru.sort((await client.rules.list().catch(() => [])).map((one) => one.name))
  const [only = ''] = back
  if (back.length === 1) toast(inBoth((words) => words.rules.restored(only)))
  if (back.length > 1) toast(inBoth((words) => words.rules.restoredMany(back.length)))
}

export type BulkAction = 'enable' | 'disable' | 'remove'
/** What became of one rule: why it failed, or what could not be done of it. */
export type BulkResult = 'done' | Text

const bulk: Readonly<Record<BulkAction, (name: string) => Promise<ChangeResult>>> = {
  enable: (name) => client.rules.enable(name),
  disable: (name) => client.rules.disable(name),
  remove: (name) => client.rules.remove(name),
}

/** One after the other: what fails at one rule stops no other. Ends early with the signal. */
export async function bulkChange(
  action: BulkAction,
  rules: readonly RuleStatus[],
  { signal, onResult }: { signal: AbortSignal; onResult: (name: string, result: BulkResult) => void },
): Promise<void> {
  const gone: RuleStatus[] = []
  for (const rule of rules) {
    if (signal.aborted) break
    try {
      const { failures } = await naru.change(() => bulk[action](rule.name))
      if (action === 'remove') gone.push(rule)
      onResult(rule.name, failures[0]?.message ?? 'done')
    } catch (error) {
      onResult(rule.name, toNaruError(error).text)
    }
  }
  if (gone.length > 0)
    toast(
      inBoth((words) => words.rules.deletedMany(gone.length)),
      () => void bringBack(gone),
    )
}

/** A hop that could not be opened shows in the rule; what is still open of one that is gone shows nowhere else. */
function sayLeft(failures: ChangeResult['failures']): void {
  for (const failure of failures) if (failure.left) toastError(errorFrom(failure, '', 200))
}
