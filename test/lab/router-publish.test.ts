/** `publish.router` against real routers: what is promised is reached from outside, survives, and leaves nothing. */
import { availableParallelism, loadavg } from 'node:os'
import { afterEach, expect, it } from 'vitest'
import { silentLog } from '../../src/base/log.ts'
import { systemClock } from '../../src/base/clock.ts'
import { RouterPublisher, type PublishRequest } from '../../src/mappings/publisher.ts'
import { createHost } from '../../src/host/index.ts'
import { createRouters } from '../../src/routers/index.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { LenientRouter } from './lenient-router.ts'
import { Lab, type LabHost } from './namespaces.ts'
import { homeAddresses, homeNetwork, reaches, startRouter, startWebServer, upnpc } from './router.ts'

const needs = {
  root: true,
  platform: 'linux',
  commands: ['ip', 'nft', 'miniupnpd', 'upnpc', 'curl'],
} as const

const wish: PublishRequest = {
  rule: 'web',
  by: 'auto',
  protocols: ['tcp'],
  ports: { first: 8888, last: 8888 },
  externalPort: null,
  address: null,
  allow: [],
}
const outside = 'http://11.0.0.2:8888/'
const signal = (): AbortSignal => AbortSignal.timeout(20_000)

/** What is promised, on a machine that has a core for it: here a router, its home and the test share two. */
const promisedMs = loadavg()[0]! > availableParallelism() ? 15_000 : 5000

const made: RouterPublisher[] = []

afterEach(() => {
  for (const one of made.splice(0)) one[Symbol.dispose]()
})

function publisher(owner = 'me'): RouterPublisher {
  const tools = { host: createHost(), clock: systemClock, log: silentLog }
  const one = new RouterPublisher(createRouters(), tools, owner)
  made.push(one)
  return one
}

/** Milliseconds until `done`; looked at every 50 ms. */
async function until(done: () => boolean, limitMs = 3 * promisedMs): Promise<number> {
  const start = performance.now()
  while (!done()) {
    if (performance.now() - start > limitMs) throw new Error(`not within ${limitMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return performance.now() - start
}

describeWith(needs, 'publishing on a real router', () => {
  it('opens IPv4 and IPv6 with one lease, verifies, and closes both', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { conf: ['min_lifetime=1'] })
    await startWebServer(home.host, 8888)
    using _inside = enter(home.host)
    const journal = memoryJournal()
    const lease = await publisher().open(wish, { signal: signal(), record: journal })
    expect(reaches(home.internet, outside)).toBe(true)
    expect(reaches(home.internet, 'http://[2600:77::10]:8888/')).toBe(true)
    expect(lease.describe()).toMatchObject({ differs: [] })
    expect(await lease.verify({ signal: signal() })).toEqual({ state: 'held', notes: [] })
    await lease.release({ signal: signal() })
    expect([home.router.mappings(), journal.left()]).toEqual([[], []])
    // At once where UPnP opened it; miniupnpd lets a pinhole of PCP live to its end, which was then cut to 1 s.
    await expect.poll(() => home.router.pinholes(), { timeout: 10_000 }).toEqual([])
  })

  it('puts everything back within 5 s of the router answering again, at another HTTP port too', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { conf: ['min_lifetime=1'] })
    using _inside = enter(home.host)
    const there = (): boolean => home.router.mappings().length === 1 && home.router.pinholes().length === 1
    const lease = await publisher().open(wish, { signal: signal(), record: memoryJournal() })
    // The watch has to have seen it once before it can tell a change.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await home.router.restart({ downMs: 500, whileDown: () => expect(there()).toBe(false) })
    expect(await until(there)).toBeLessThan(promisedMs)
    // As a router that starts its daemon again when its line comes up: there is no epoch yet to fall.
    await home.router.restart({ change: { httpPort: 5555 } })
    expect(await until(there)).toBeLessThan(promisedMs)
    await lease.release({ signal: signal() })
    expect(home.router.mappings()).toEqual([])
    // At once by UPnP; a pinhole that came back by PCP lives to its end, which was then cut to 1 s.
    await expect.poll(() => home.router.pinholes(), { timeout: 10_000 }).toEqual([])
  })

  it('leaves a mapping of somebody else alone, names it, and takes another port where any will do', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { secure: false })
    using _inside = enter(home.host)
    upnpc(home.host, '-e', 'game', '-a', '192.168.77.66', '80', '8888', 'tcp', '3600')
    const before = home.router.mappings()
    expect(before).toHaveLength(1)
    const refused = publisher().open(
      { ...wish, address: homeAddresses.host },
      { signal: signal(), record: memoryJournal() },
    )
    await expect(refused).rejects.toMatchObject({
      code: 'ROUTER_PORT_TAKEN',
      message: expect.stringContaining('game') as string,
    })
    expect(home.router.mappings()).toEqual(before)
    const journal = memoryJournal()
    const lease = await publisher().open(
      { ...wish, address: homeAddresses.host, externalPort: 'any' },
      { signal: signal(), record: journal },
    )
    expect(
      lease
        .describe()
        .differs.map(({ en }) => en)
        .join(),
    ).toMatch(/gave external port \d+, not 8888/)
    expect(home.router.mappings()).toHaveLength(2)
    await lease.release({ signal: signal() })
    expect([home.router.mappings(), journal.left()]).toEqual([before, []])
  })

  it('undoes from the journal alone what a killed run left, twice without harm', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    using _inside = enter(home.host)
    const journal = memoryJournal()
    for (const by of ['pcp', 'upnp', 'nat-pmp']) {
      await publisher().open(
        { ...wish, by, address: homeAddresses.host },
        { signal: signal(), record: journal },
      )
      expect(home.router.mappings()).toHaveLength(1)
      const [left] = journal.left().slice(-1)
      for (let times = 0; times < 2; times++) await publisher().undo(left as never, signal())
      expect(home.router.mappings()).toEqual([])
    }
  })

  it('removes by description what is left over, and nobody else’s', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab)
    using _inside = enter(home.host)
    for (const [name, port] of [
      ['naru:old@me', '9001'],
      ['naru:old@other', '9002'],
      ['game', '9003'],
    ] as const)
      upnpc(home.host, '-e', name, '-a', homeAddresses.host, '80', port, 'tcp', '0')
    expect(await publisher('me').sweep(signal())).toBe(1)
    expect(home.router.mappings().map(({ externalPort }) => externalPort)).toEqual([9002, 9003])
  })

  it('says no where the router denies the port, and leaves nothing', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, {
      permissions: ['deny 8800-8900 0.0.0.0/0 1-65535', 'allow 1024-65535 0.0.0.0/0 1-65535'],
    })
    using _inside = enter(home.host)
    const journal = memoryJournal()
    const only4 = { ...wish, address: homeAddresses.host }
    await expect(publisher().open(only4, { signal: signal(), record: journal })).rejects.toMatchObject({
      code: 'ROUTER_REFUSED',
    })
    expect([home.router.mappings(), journal.left()]).toEqual([[], []])
  })

  it('names carrier-grade NAT as what it is', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, {
      wanAddress: '100.64.7.2',
      internetAddress: '100.64.7.1',
    })
    home.internet.sysctl('net/ipv4/ip_forward', '1')
    using _inside = enter(home.host)
    const only4 = { ...wish, address: homeAddresses.host }
    const failure = await publisher()
      .open(only4, { signal: signal(), record: memoryJournal() })
      .catch((thrown: unknown) => thrown)
    expect(failure).toMatchObject({
      code: expect.stringMatching(/ROUTER_(NO_ADDRESS|CARRIER_NAT)/) as string,
    })
  })

  it('goes through two routers where the outer one allows it, by each protocol', async () => {
    for (const outerSpeaks of [{ upnp: false }, { pcp: false }]) {
      await using lab = new Lab()
      const [internet, far, near, host] = ['internet', 'outer', 'inner', 'host'].map((name) =>
        lab.host(name),
      ) as [LabHost, LabHost, LabHost, LabHost]
      lab.cable(
        { host: internet, interface: 'eth0', addresses: ['11.0.0.1/24'] },
        { host: far, interface: 'wan', addresses: ['11.0.0.2/24'] },
      )
      lab.cable(
        { host: far, interface: 'lan', addresses: ['192.168.1.1/24'] },
        { host: near, interface: 'wan', addresses: ['192.168.1.2/24'] },
      )
      lab.cable(
        { host: near, interface: 'lan', addresses: ['192.168.77.1/24'] },
        { host, interface: 'eth0', addresses: ['192.168.77.10/24'] },
      )
      far.ip('route', 'add', 'default', 'via', '11.0.0.1')
      near.ip('route', 'add', 'default', 'via', '192.168.1.1')
      host.ip('route', 'add', 'default', 'via', '192.168.77.1')
      await using outer = await startRouter(far, { lanAddress: '192.168.1.1', ...outerSpeaks })
      await using inner = await LenientRouter.start(near, '192.168.1.2')
      await startWebServer(host, 8888)
      using _inside = enter(host)
      const journal = memoryJournal()
      const lease = await publisher().open(
        { ...wish, address: '192.168.77.10' },
        { signal: signal(), record: journal },
      )
      expect(
        lease
          .describe()
          .differs.map(({ en }) => en)
          .join(),
      ).toContain('two routers: 192.168.1.1')
      expect([inner.mappings(), outer.mappings()]).toEqual([
        ['8888→192.168.77.10:8888'],
        [{ protocol: 'tcp', externalPort: 8888, internalAddress: '192.168.1.2', internalPort: 8888 }],
      ])
      expect(reaches(internet, outside)).toBe(true)
      await lease.renew({ signal: signal() })
      expect(journal.left()).toHaveLength(2)
      await lease.release({ signal: signal() })
      expect([inner.mappings(), outer.mappings(), journal.left()]).toEqual([[], [], []])
    }
  })

  it('follows this machine to its new address', async () => {
    await using lab = new Lab()
    await using home = await homeNetwork(lab, { secure: false })
    using _inside = enter(home.host)
    const lease = await publisher().open(
      { ...wish, by: 'upnp' },
      { signal: signal(), record: memoryJournal() },
    )
    await new Promise((resolve) => setTimeout(resolve, 1500))
    home.host.ip('address', 'del', '192.168.77.10/24', 'dev', 'eth0')
    home.host.ip('address', 'add', '192.168.77.44/24', 'dev', 'eth0')
    home.host.ip('route', 'add', 'default', 'via', homeAddresses.router)
    const there = (): boolean =>
      home.router
        .mappings()
        .some((each) => each.internalAddress === '192.168.77.44' && each.externalPort === 8888)
    expect(await until(there)).toBeLessThan(promisedMs)
    await lease.release({ signal: signal() })
  })
})
