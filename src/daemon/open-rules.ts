/** The rules that are open now, as their daemon tells them: what `naru ports` holds sockets against. */
import type { Naru } from '../model/face.ts'
import { parseListen, type Listen } from '../model/listen.ts'

export async function openRules(
  find: () => Promise<Naru | null>,
): Promise<readonly { readonly name: string; readonly listen: Listen; readonly pid: number }[]> {
  const naru = await find()
  if (!naru) return []
  const { pid } = await naru.about()
  // One that is opening may listen already; a socket is the rule's only where it is the daemon's own, too.
  const listens = ['open', 'opening', 'degraded']
  const open = (await naru.rules.list()).filter(({ state }) => listens.includes(state))
  return open.map(({ name, listen }) => ({ name, listen: parseListen(listen), pid }))
}
