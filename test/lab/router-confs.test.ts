/**
 * The confs that routers come with, and those that mean no good: IGDv1, tiny leases, denied ports, a private WAN,
 * allow-lists. natpmpc and upnpc are the second opinion on what is mapped.
 */
import { expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.ts'
import { isNaruError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { createHost } from '../../src/host/index.ts'
import type { Router, RouterTools } from '../../src/routers/contract.ts'
import { natPmp } from '../../src/routers/nat-pmp/index.ts'
import { pcp } from '../../src/routers/pcp/index.ts'
import { upnp } from '../../src/routers/upnp/index.ts'
import { asking } from '../fakes/at-home.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import { homeAddresses, homeNetwork, natpmpc, reaches, startWebServer, upnpc } from './router.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'miniupnpd', 'upnpc', 'natpmpc', 'curl'],
} as const

const members = { pcp: () => pcp(), 'nat-pmp': () => natPmp(), upnp: () => upnp() }
const every = Object.entries(members) as [keyof typeof members, (typeof members)['pcp']][]
const signal = (): AbortSignal => AbortSignal.timeout(20_000)

async function routerBy(id: keyof typeof members): Promise<Router> {
  const tools: RouterTools = { host: createHost(), clock: systemClock, log: silentLog }
  const found = await members[id]().discover({ signal: signal(), tools })
  const router = found.find(({ family }) => family === 4)
  if (!router) throw new Error(`${id} found ${JSON.stringify(found)}`)
  return router
}

describeWith(needs, 'a real router with another conf', () => {
  it('IGDv1: opens, gives another port where any will do, and says how long for ever is', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { igd: 1, secure: false })
    await startWebServer(home.host, 80)
    using _inside = enter(home.host)
    const router = await routerBy('upnp')
    expect(router).toMatchObject({ flavour: 'upnp-1', looksAtAll: false })
    const journal = memoryJournal()
    upnpc(home.host, '-e', 'game', '-a', '192.168.77.66', '80', '8888', 'tcp', '3600')
    const taken = router.open(asking, { signal: signal(), record: journal })
    await expect(taken).rejects.toMatchObject({ code: 'ROUTER_PORT_TAKEN' })
    const any = await router.open(
      { ...asking, anyPort: true, leaseSeconds: 0 },
      { signal: signal(), record: journal },
    )
    expect(any.externalPort).not.toBe(8888)
    // miniupnpd makes a week of it, IGDv1 or not.
    expect(any.describe().differs.map(({ en }) => en)).toContain('the router keeps it for 7d')
    expect(reaches(home.internet, `http://11.0.0.2:${any.externalPort}/`)).toBe(true)
    expect(upnpc(home.host, '-l')).toContain(`TCP ${any.externalPort}->192.168.77.10:80`)
    const list = await router.mappings({ signal: signal() })
    const rows = list?.map(({ externalPort, description, ours }) => [externalPort, description, ours])
    expect(rows).toHaveLength(2)
    expect(rows).toContainEqual([8888, 'game', false])
    expect(rows).toContainEqual([any.externalPort, 'naru:web@me', true])
    expect((await any.verify({ signal: signal() })).state).toBe('held')
    // Killed here: what is left is undone from the journal alone.
    await upnp().undo(journal.left()[0] ?? null, {
      signal: signal(),
      tools: { host: createHost(), clock: systemClock, log: silentLog },
    })
    expect(home.router.mappings().map(({ externalPort }) => externalPort)).toEqual([8888])
  })

  it('tiny leases: what is granted is said, and renewed in time', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { conf: ['min_lifetime=1', 'max_lifetime=4'] })
    using _inside = enter(home.host)
    // Of its protocols only PCP has limits; a mapping without renewal is gone after four seconds.
    const router = await routerBy('pcp')
    const lease = await router.open(asking, { signal: signal(), record: memoryJournal() })
    expect(lease.describe().differs.map(({ en }) => en)).toEqual([
      'the router gave a lease of 4s, not 1h; Naru renews it',
    ])
    const before = lease.goodUntil ?? 0
    expect((lease.renewAfter ?? 0) - Date.now()).toBeLessThan(2600)
    for (let times = 0; times < 4; times++) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, (lease.renewAfter ?? 0) - Date.now())))
      await lease.renew({ signal: signal() })
    }
    expect(home.router.mappings()).toHaveLength(1)
    expect(lease.goodUntil).toBeGreaterThan(before + 4000)
    await lease.release({ signal: signal() })
    expect(home.router.mappings()).toEqual([])
  })

  it('deny rules: no protocol opens what is denied, nor leaves anything', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, {
      permissions: [
        'deny 8000-8999 0.0.0.0/0 1-65535',
        'allow 1024-65535 192.168.77.0/24 1-65535',
        'deny 0-65535 0.0.0.0/0 0-65535',
      ],
    })
    using _inside = enter(home.host)
    for (const [id] of every) {
      const journal = memoryJournal()
      const router = await routerBy(id)
      const refused = await router
        .open(asking, { signal: signal(), record: journal })
        .catch((failure: unknown) => failure)
      // PCP and NAT-PMP are given another port in its place, which is given back.
      expect(isNaruError(refused, 'ROUTER_REFUSED', 'ROUTER_OTHER_PORT', 'ROUTER_PORT_TAKEN'), id).toBe(true)
      expect([home.router.mappings(), journal.left()], id).toEqual([[], []])
      const allowed = await router.open(
        { ...asking, externalPort: 9000 },
        { signal: signal(), record: journal },
      )
      expect(home.router.mappings(), id).toMatchObject([{ externalPort: 9000 }])
      await allowed.release({ signal: signal() })
    }
  })

  it('a private WAN: every protocol says that there is no address', async () => {
    await using lab = new Lab()
    const wan = { wanAddress: '192.168.5.2', internetAddress: '192.168.5.1' }
    await using home = await homeNetwork(lab, wan)
    using _inside = enter(home.host)
    for (const [id] of every) {
      const journal = memoryJournal()
      const router = await routerBy(id)
      expect((await router.info({ signal: signal() })).externalAddress, id).toBeNull()
      const refused = await router
        .open(asking, { signal: signal(), record: journal })
        .catch((failure: unknown) => failure)
      expect(
        isNaruError(refused, 'ROUTER_NO_ADDRESS', 'ROUTER_TABLE_FULL'),
        `${id}: ${String(refused)}`,
      ).toBe(true)
      expect([home.router.mappings(), journal.left()], id).toEqual([[], []])
    }
  })

  it('natpmpc and upnpc see the same mapping and the same address, whoever made it', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    using _inside = enter(home.host)
    for (const [id] of every) {
      const lease = await (await routerBy(id)).open(asking, { signal: signal(), record: memoryJournal() })
      expect(lease.externalAddress).toBe('11.0.0.2')
      expect(upnpc(home.host, '-l'), id).toMatch(/TCP +8888->192\.168\.77\.10:80/)
      // NAT-PMP has no list; but who asks for a port that is taken is given another one.
      const said = natpmpc(home.host, '-g', homeAddresses.router, '-a', '8888', '81', 'tcp', '3600')
      expect(said, id).toContain('Public IP address : 11.0.0.2')
      expect(said, id).toMatch(/Mapped public port (?!8888\b)\d+ protocol TCP to local port 81/)
      natpmpc(home.host, '-g', homeAddresses.router, '-a', '0', '81', 'tcp', '0')
      await lease.release({ signal: signal() })
      expect(home.router.mappings(), id).toEqual([])
    }
  })

  it('an allow-list: whether the router keeps others out is not claimed, since this one does not', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    await startWebServer(home.host, 80)
    using _inside = enter(home.host)
    const allow = [{ family: 4, address: '11.0.0.99', bits: 32 }] as const
    for (const [id] of every) {
      const router = await routerBy(id)
      const lease = await router.open({ ...asking, allow }, { signal: signal(), record: memoryJournal() })
      const said = lease.describe().differs.map(({ en }) => en)
      // 11.0.0.1 is not in the list: miniupnpd takes the FILTER and lets it in.
      expect(reaches(home.internet, 'http://11.0.0.2:8888/'), id).toBe(true)
      expect(said, id).toHaveLength(1)
      expect(said[0], id).toMatch(/enforced on this machine$/)
      await lease.release({ signal: signal() })
    }
  })
})
