/** A machine whose default gateway is a fake router on loopback, and members that ask it at its ports. */
import { systemClock, type Clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import type { MappingRequest, Router, RouterMember, RouterTools } from '../../src/routers/contract.ts'
import { natPmp } from '../../src/routers/nat-pmp/index.ts'
import { pcp } from '../../src/routers/pcp/index.ts'
import { upnp } from '../../src/routers/upnp/index.ts'
import { fakeHost } from './host.ts'
import type { FakeRouter } from './router.ts'

export const here = '127.0.0.1'

export function toolsAtHome(): RouterTools {
  const adapter = { name: 'eth0', kind: 'ethernet', up: true, mac: null, index: 1 } as const
  const route = { family: 4, interface: 'eth0', gateway: here, source: here, metric: 0 } as const
  const host = fakeHost({
    network: {
      interfaces: () => Promise.resolve([{ ...adapter, addresses: [{ family: 4, address: here, bits: 8 }] }]),
      defaultRoutes: () => Promise.resolve([route]),
    },
  })
  return { host, clock: systemClock, log: silentLog }
}

export const membersAt: Record<'pcp' | 'nat-pmp' | 'upnp', (router: FakeRouter) => RouterMember> = {
  pcp: (router) => pcp({ port: router.port, pollMs: 200 }),
  'nat-pmp': (router) => natPmp({ port: router.port, pollMs: 200 }),
  upnp: (router) => upnp({ ssdpPort: router.ssdpPort, pollMs: 200, searchMs: 1500 }),
}

export async function found(member: RouterMember, clock: Clock = systemClock): Promise<Router> {
  const tools = { ...toolsAtHome(), clock }
  const [router] = await member.discover({ signal: AbortSignal.timeout(8000), tools })
  if (!router) throw new Error(`${member.id} found nothing`)
  return router
}

export const asking: MappingRequest = {
  rule: 'web',
  owner: 'me',
  protocol: 'tcp',
  externalPort: 8888,
  anyPort: false,
  internalPort: 80,
  internalAddress: null,
  leaseSeconds: 3600,
  allow: [],
}
