/** `naru router add`, `ls` and `rm` of an IPv6 pinhole on a real router, also where the first of them was killed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { manualMappings } from '../../src/mappings/manual-mappings.ts'
import { createHost } from '../../src/host/index.ts'
import type { OpenOptions } from '../../src/model/hop.ts'
import type { RouterDesk } from '../../src/model/router.ts'
import type { MappingLease, MappingRequest, Router, RouterMember } from '../../src/routers/contract.ts'
import { pcp } from '../../src/routers/pcp/index.ts'
import { upnp } from '../../src/routers/upnp/index.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import {
  byLinkLocal,
  homeAddresses,
  homeNetwork,
  reaches,
  startWebServer,
  type RouterSetup,
} from './router.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd', 'curl'] } as const

const signal = (): AbortSignal => AbortSignal.timeout(20_000)
const port = 8080
const key = { protocol: 'tcp', externalPort: port } as const
const wish = {
  name: 'by-hand',
  protocols: ['tcp'],
  externalPort: port,
  internalPort: port,
  internalAddress: homeAddresses.host6,
} as const
const pinhole = { protocol: 'tcp', address: homeAddresses.host6, port } as const

/** Each process has its own: what they share is the file. */
function deskOf(members: readonly RouterMember[], byHandPath: string): RouterDesk {
  const parts = { host: createHost(), clock: systemClock, log: silentLog, routers: members }
  return manualMappings({ ...parts, byHandPath, probe: () => Promise.reject(new Error('asked of nobody')) })
}

/** Ended in the moment when the router had done it and the answer was not written down: nothing after that is done. */
function killedAfter(member: RouterMember): RouterMember {
  const dead = (): Promise<never> => Promise.reject(new Error('killed'))
  const dying = ({ record, ...rest }: OpenOptions): OpenOptions => {
    const intend: typeof record.intend = async (effect) => {
      await record.intend(effect)
      return { amend: dead, undone: dead }
    }
    return { ...rest, record: { intend } }
  }
  const mortal = (router: Router): Router =>
    new Proxy(router, {
      get: (target, name) =>
        name === 'open'
          ? (request: MappingRequest, options: OpenOptions): Promise<MappingLease> =>
              target.open(request, dying(options))
          : (Reflect.get(target, name, target) as unknown),
    })
  return { ...member, discover: async (how) => (await member.discover(how)).map(mortal) }
}

const ways: readonly [string, () => RouterMember, Partial<RouterSetup>][] = [
  ['UPnP', () => upnp(), { pcp: false }],
  // miniupnpd keeps a pinhole that PCP deletes, to the end of a life that is then cut to its shortest.
  ['PCP', () => pcp(), { upnp: false, conf: ['min_lifetime=1'] }],
]

describeWith(needs, 'a pinhole by hand', () => {
  for (const [name, make, setup] of ways) {
    it(`by ${name}: opened, listed by the next process, removed by the one after`, async () => {
      await using at = await place(setup)
      const outside = `http://[${homeAddresses.host6}]:${port}/`
      await startWebServer(at.home.host, port)
      using _inside = enter(at.home.host)
      const [added] = await deskOf([make()], at.path).add(wish, { signal: signal() })
      expect(added).toMatchObject({ externalPort: port, notes: [] })
      expect(at.home.router.pinholes()).toEqual([pinhole])
      expect(reaches(at.home.internet, outside)).toBe(true)
      expect(await deskOf([make()], at.path).list({ signal: signal() })).toMatchObject([
        { externalPort: port, internalAddress: homeAddresses.host6, rule: 'by-hand', here: true },
      ])
      await deskOf([make()], at.path).remove(key, { signal: signal() })
      await expect.poll(() => at.home.router.pinholes(), { timeout: 10_000 }).toEqual([])
      expect(reaches(at.home.internet, outside)).toBe(false)
    })

    it(`by ${name}: what a killed one opened is listed with its lease, and removed`, async () => {
      await using at = await place(setup)
      using _inside = enter(at.home.host)
      const killed = deskOf([killedAfter(make())], at.path).add(wish, { signal: signal() })
      await expect(killed).rejects.toThrow('killed')
      expect(at.home.router.pinholes()).toEqual([pinhole])
      const [row] = await deskOf([make()], at.path).list({ signal: signal() })
      expect(row).toMatchObject({ externalPort: port, internalAddress: homeAddresses.host6, rule: 'by-hand' })
      expect(row?.leaseSecondsLeft).toBeGreaterThan(86_000)
      await deskOf([make()], at.path).remove(key, { signal: signal() })
      await expect.poll(() => at.home.router.pinholes(), { timeout: 10_000 }).toEqual([])
    })
  }

  it('removes with it the IPv4 port that was opened by the same name, and no rule’s', async () => {
    await using at = await place({})
    using _inside = enter(at.home.host)
    for (const internalAddress of [null, homeAddresses.host6])
      await deskOf([upnp()], at.path).add({ ...wish, internalAddress }, { signal: signal() })
    const of6 = { ...wish, protocols: ['udp'], internalAddress: homeAddresses.host6 } as const
    await deskOf([upnp()], at.path).add(of6, { signal: signal() })
    const [router] = await upnp().discover({ signal: signal(), tools: toolsHere() })
    const rule = { rule: 'by-hand', owner: 'daemon', protocol: 'udp', externalPort: port, internalPort: port }
    const request = { ...rule, anyPort: false, internalAddress: null, leaseSeconds: 600, allow: [] } as const
    const nothing = { amend: () => Promise.resolve(), undone: () => Promise.resolve() }
    await router?.open(request as MappingRequest, {
      signal: signal(),
      record: { intend: () => Promise.resolve(nothing) },
    })
    for (const protocol of ['tcp', 'udp'] as const)
      await deskOf([upnp()], at.path).remove({ ...key, protocol }, { signal: signal() })
    expect(at.home.router.pinholes()).toEqual([])
    expect(at.home.router.mappings()).toMatchObject([{ protocol: 'udp', externalPort: port }])
  })
})

function toolsHere(): {
  host: ReturnType<typeof createHost>
  clock: typeof systemClock
  log: typeof silentLog
} {
  return { host: createHost(), clock: systemClock, log: silentLog }
}

async function place(
  setup: Partial<RouterSetup>,
): Promise<{ home: Awaited<ReturnType<typeof homeNetwork>>; path: string } & AsyncDisposable> {
  const lab = new Lab()
  const folder = await mkdtemp(join(tmpdir(), 'naru-lab-hand-'))
  const home = await homeNetwork(lab, setup)
  await byLinkLocal(home)
  return {
    home,
    path: join(folder, 'by-hand'),
    async [Symbol.asyncDispose]() {
      await home[Symbol.asyncDispose]()
      await lab[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
