/** `naru ports` by itself: of all rooms only the host's is loaded, and the guests' where a socket may be one of theirs. */
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { createMachine } from '../machine/machine.ts'
import { createHost } from '../host/index.ts'
import type { Naru } from '../model/naru-api.ts'
import type { MachineApi } from '../model/machine-api.ts'
import { openRules } from './open-rules.ts'

/** @param daemon whose rules are open; null where none runs. */
export function portsOf(daemon: () => Promise<Naru | null>): Pick<MachineApi, 'ports'> {
  return createMachine({
    host: createHost(),
    clock: systemClock,
    log: silentLog,
    routers: [],
    guests: async () => (await import('../guests/index.ts')).guestMembers(),
    askStun: () => Promise.resolve(null),
    rules: () => openRules(daemon),
  })
}
