/** Changes that a click makes, with what is said of them and the way back. */
import { toast, toastError } from '../parts/toasts.tsx'
import { errorFrom } from '../../../src/api/client/client.ts'
import type { ChangeResult, RuleStatus } from '../../../src/model/face.ts'
import { en } from '../words/en.ts'
import { ko } from '../words/ko.ts'
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
    const undo = (): void => void bringBack(rule)
    toast({ en: en.rules.deleted(name), ko: ko.rules.deleted(name) }, undo)
  } catch (error) {
    toastError(error)
  }
}

async function bringBack({ name, rule }: RuleStatus): Promise<void> {
  try {
    await naru.change(() => client.rules.add(name, rule))
    naru.sort((await client.rules.list()).map((one) => one.name))
    toast({ en: en.rules.restored(name), ko: ko.rules.restored(name) })
  } catch (error) {
    toastError(error)
  }
}

/** A hop that could not be opened shows in the rule; what is still open of one that is gone shows nowhere else. */
function sayLeft(failures: ChangeResult['failures']): void {
  for (const failure of failures) if (failure.left) toastError(errorFrom(failure, '', 200))
}
