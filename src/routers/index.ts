/** The router protocols there are: asked in parallel, preferred by the rank of what they find. */
import type { RouterMember } from './contract.ts'
import { natPmp } from './nat-pmp/index.ts'
import { pcp } from './pcp/index.ts'
import { upnp } from './upnp/index.ts'

export function createRouters(): readonly RouterMember[] {
  return [pcp(), upnp(), natPmp()]
}
