/** The rules that are open now, as those who hold them tell: what `naru ports` holds sockets against. */
import { stateRoot } from '../instance/instance.ts'
import type { Naru, RuleStatus } from '../model/naru-api.ts'
import { parseListen, type Listen } from '../model/listen.ts'
import { foregroundStatuses } from './foreground.ts'

/** A socket is the rule's only where it is the holder's own, too. */
export interface OpenRule {
  readonly name: string
  readonly listen: Listen
  readonly pid: number
}

/** The daemon's, and what `naru open` holds in other terminals. */
export async function openRules(find: () => Promise<Naru | null>): Promise<readonly OpenRule[]> {
  const [daemons, others] = await Promise.all([ofDaemon(await find()), foregroundStatuses(stateRoot())])
  return [...daemons, ...others.filter(({ status }) => listens(status)).map(openRule)]
}

async function ofDaemon(naru: Naru | null): Promise<readonly OpenRule[]> {
  if (!naru) return []
  const { pid } = await naru.about()
  return (await naru.rules.list()).filter(listens).map((status) => openRule({ status, pid }))
}

/** One that is opening may listen already. */
function listens({ state }: RuleStatus): boolean {
  return state === 'open' || state === 'opening' || state === 'degraded'
}

function openRule({ status, pid }: { readonly status: RuleStatus; readonly pid: number }): OpenRule {
  return { name: status.name, listen: parseListen(status.listen), pid }
}
