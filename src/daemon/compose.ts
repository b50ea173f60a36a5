/**
 * Fetches the members of every room and hands them to `control`. A room is imported when a rule needs it, so that
 * `naru open 8888 …` does not pay for routers it never asks.
 */
import { systemClock } from '../base/clock.ts'
import { silentLog, type Log } from '../base/log.ts'
import type { Deps } from '../instance/deps.ts'
import { createHost } from '../host/index.ts'
import { NameResolver } from '../relay/resolve.ts'
import type { Store } from '../stores/contract.ts'
import { probe } from './probe.ts'
import { version } from './version.ts'

export interface RoomsWanted {
  /** Firewalls and routers. */
  readonly publish: boolean
  readonly guests: boolean
}

export const everyRoom: RoomsWanted = { publish: true, guests: true }

export async function composeDeps(
  store: Store,
  { log = silentLog, rooms = everyRoom }: { log?: Log; rooms?: RoomsWanted } = {},
): Promise<Deps> {
  const host = createHost()
  const tools = { host, clock: systemClock, log }
  const resolver = new NameResolver()
  const { engines } = await import('../engines/index.ts')
  const firewalls = rooms.publish ? (await import('../firewalls/index.ts')).firewalls : []
  const routers = rooms.publish ? (await import('../routers/index.ts')).createRouters() : []
  const guests = rooms.guests ? (await import('../guests/index.ts')).guestMembers() : []
  return {
    version,
    host,
    clock: systemClock,
    log,
    store,
    engines: engines.map((make) => make(tools)),
    firewalls,
    routers,
    guests,
    resolveName: (target, options) => resolver.resolve(target.kind === 'inet' ? target.host : '', options),
    probe,
  }
}
