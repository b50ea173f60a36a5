/** Choosing, falling back, several ports, and what is left when something fails: on fake routers over real sockets. */
import { describe, expect, it } from 'vitest'
import { asking, here, membersAt, toolsAtHome } from '../../test/fakes/at-home.ts'
import { memoryJournal } from '../../test/fakes/journal.ts'
import { FakeRouter, type Quirks } from '../../test/fakes/router.ts'
import { withLimit } from '../base/clock.ts'
import type { Route } from '../host/contract.ts'
import { pcp } from '../routers/pcp/index.ts'
import { upnp } from '../routers/upnp/index.ts'
import { RouterPublisher, type PublishRequest } from './publisher.ts'

const signal = (): AbortSignal => AbortSignal.timeout(15_000)
const wish: PublishRequest = {
  rule: 'web',
  by: 'auto',
  protocols: ['tcp'],
  ports: { first: 8888, last: 8888 },
  externalPort: null,
  address: here,
  allow: [],
}

async function home(
  quirks: Quirks = {},
): Promise<{ fake: FakeRouter; publisher: RouterPublisher } & AsyncDisposable> {
  const fake = await FakeRouter.start(quirks)
  const publisher = new RouterPublisher(
    Object.values(membersAt).map((make) => make(fake)),
    toolsAtHome(),
    'me',
  )
  return {
    fake,
    publisher,
    async [Symbol.asyncDispose]() {
      publisher[Symbol.dispose]()
      await fake[Symbol.asyncDispose]()
    },
  }
}

describe('publishing', () => {
  it('prefers PCP, and believes it because UPnP lists the mapping too', async () => {
    await using at = await home()
    const lease = await at.publisher.open(wish, { signal: signal(), record: memoryJournal() })
    expect(lease.describe()).toMatchObject({ member: 'pcp', differs: [] })
    await lease.release({ signal: signal() })
    expect(at.fake.table.size).toBe(0)
  })

  it('believes PCP too where UPnP lists the mapping without its internal port', async () => {
    await using at = await home({ tellsNoInternalPort: true })
    const lease = await at.publisher.open(wish, { signal: signal(), record: memoryJournal() })
    expect(lease.describe()).toMatchObject({ member: 'pcp', differs: [] })
  })

  it('goes on to the next protocol where one refuses', async () => {
    await using at = await home({ pcpResult: 2 })
    const lease = await at.publisher.open(wish, { signal: signal(), record: memoryJournal() })
    expect(lease.describe().member).toBe('upnp')
  })

  it('opens every port and protocol of a range as one lease, and undoes all of it where one fails', async () => {
    await using at = await home()
    const journal = memoryJournal()
    const range = { ...wish, protocols: ['tcp', 'udp'], ports: { first: 9000, last: 9004 } } as const
    const lease = await at.publisher.open(range, { signal: signal(), record: journal })
    expect([at.fake.table.size, journal.left().length]).toEqual([10, 10])
    await lease.release({ signal: signal() })
    at.fake.table.set('udp 9003', {
      protocol: 'udp',
      externalPort: 9003,
      internalAddress: '192.168.0.66',
      internalPort: 1,
      description: 'game',
      leaseSeconds: 0,
    })
    at.fake.quirks.pcpResult = 11
    at.fake.quirks.natPmpResult = 2
    await expect(at.publisher.open(range, { signal: signal(), record: journal })).rejects.toMatchObject({
      code: 'ROUTER_PORT_TAKEN',
    })
    expect([[...at.fake.table.keys()], journal.left()]).toEqual([['udp 9003'], []])
  })

  it('refuses a range that no router has room for', async () => {
    await using at = await home()
    const wide = { ...wish, ports: { first: 1000, last: 2000 } }
    await expect(
      at.publisher.open(wide, { signal: signal(), record: memoryJournal() }),
    ).rejects.toMatchObject({ code: 'ROUTER_TOO_MANY_PORTS' })
  })

  it('keeps the port it was given through a restart where any will do', async () => {
    await using at = await home()
    at.fake.epochStart -= 100_000
    at.fake.table.set('tcp 8888', {
      protocol: 'tcp',
      externalPort: 8888,
      internalAddress: '192.168.0.66',
      internalPort: 1,
      description: 'game',
      leaseSeconds: 0,
    })
    const lease = await at.publisher.open(
      { ...wish, by: 'upnp', externalPort: 'any' },
      { signal: signal(), record: memoryJournal() },
    )
    const mine = (): number[] =>
      [...at.fake.table.values()]
        .filter(({ internalAddress }) => internalAddress === here)
        .map(({ externalPort }) => externalPort)
    const given = mine()
    expect(given).toEqual([expect.any(Number)])
    expect(given).not.toEqual([8888])
    await at.fake.restart()
    await expect.poll(mine, { timeout: 8000 }).toEqual(given)
    await lease.release({ signal: signal() })
  })

  it('comes back by itself after the router restarted, within the time of a look', async () => {
    await using at = await home()
    at.fake.epochStart -= 100_000
    const lease = await at.publisher.open(wish, { signal: signal(), record: memoryJournal() })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await at.fake.restart()
    await expect.poll(() => at.fake.table.size, { timeout: 5000 }).toBe(1)
    await lease.release({ signal: signal() })
  })

  it('asks by UPnP first where any port will do, since its list says what is taken', async () => {
    await using at = await home({ mapsForEver: true })
    const lease = await at.publisher.open(
      { ...wish, externalPort: 'any' },
      { signal: signal(), record: memoryJournal() },
    )
    expect(lease.describe().member).toBe('upnp')
  })

  it('a router that is still at it when the time is over is told as that, and stays in the journal', async () => {
    await using at = await home({ mapsForEver: true, noUpnp: true })
    const journal = memoryJournal()
    await at.publisher.finder.find({ signal: signal(), all: true })
    const open = at.publisher.open(
      { ...wish, by: 'pcp' },
      { signal: withLimit(undefined, 300), record: journal },
    )
    await expect(open).rejects.toMatchObject({ code: 'ROUTER_SILENT' })
    expect(journal.left()).toMatchObject([{ via: 'pcp' }])
  })

  it('believes the protocol that was named, though another does not list what it made', async () => {
    await using at = await home({ listsOwnOnly: true })
    const lease = await at.publisher.open(
      { ...wish, by: 'nat-pmp' },
      { signal: signal(), record: memoryJournal() },
    )
    expect(lease.describe().member).toBe('nat-pmp')
    expect((await lease.verify({ signal: signal() })).state).toBe('held')
    const auto = await at.publisher.open(wish, { signal: signal(), record: memoryJournal() })
    expect(auto.describe().member).toBe('upnp')
  })

  it('does not wait for IPv6 where there is none', async () => {
    await using at = await home({ natPmpOnly: true, loses: 99 })
    const started = performance.now()
    await at.publisher.open({ ...wish, address: null }, { signal: signal(), record: memoryJournal() })
    expect(performance.now() - started).toBeLessThan(1500)
  })

  for (const gateway of [here, '127.0.0.9'])
    it(`a router that tells no outside address is ${gateway === here ? 'told of' : 'no way in'} where the gateway is ${gateway}`, async () => {
      await using fake = await FakeRouter.start()
      fake.externalAddress = '0.0.0.0'
      const tools = toolsAtHome()
      const [route] = await tools.host.network.defaultRoutes({ signal: signal() })
      // Found by multicast, say: here it is where the search looks.
      const member = upnp({ ssdpPort: fake.ssdpPort, searchMs: 500 })
      const network = {
        ...tools.host.network,
        defaultRoutes: () => Promise.resolve([{ ...(route as Route), gateway }]),
      }
      const found = { ...member, discover: () => member.discover({ signal: signal(), tools: toolsAtHome() }) }
      using publisher = new RouterPublisher([found], { ...tools, host: { ...tools.host, network } }, 'me')
      const journal = memoryJournal()
      const open = publisher.open(wish, { signal: signal(), record: journal })
      if (gateway === here) {
        expect((await open).describe().differs).toMatchObject([
          { en: expect.stringContaining('tells no outside address') as string },
        ])
      } else {
        await expect(open).rejects.toMatchObject({
          code: 'ROUTER_NOT_FOUND',
          message: expect.stringContaining('is not this machine’s gateway') as string,
        })
        expect([fake.table.size, journal.left()]).toEqual([0, []])
      }
    })

  for (const [what, quirks, most] of [
    ['with a list', {}, 3],
    ['without a list', { versionOne: true }, 4],
    ['of PCP alone', { noUpnp: true }, 2],
  ] as const)
    it(`a hundred mappings cost a router ${what} a few questions a second, however often they are looked at`, async () => {
      await using fake = await FakeRouter.start(quirks)
      // As often as by default, which is not as often as the other tests like it.
      const members = [pcp({ port: fake.port }), upnp({ ssdpPort: fake.ssdpPort, searchMs: 1500 })]
      using publisher = new RouterPublisher(members, toolsAtHome(), 'me')
      const half = { ...wish, protocols: ['tcp', 'udp'], ports: { first: 9000, last: 9024 } } as const
      const leases = await Promise.all(
        [half, { ...half, rule: 'other', ports: { first: 9100, last: 9124 } }].map((each) =>
          publisher.open(each, { signal: signal(), record: memoryJournal() }),
        ),
      )
      expect(fake.table.size).toBe(100)
      const asked = (): number => [...fake.asked.values()].reduce((sum, count) => sum + count, 0)
      const [before, started] = [asked(), performance.now()]
      while (performance.now() - started < 4500) {
        const verdicts = await Promise.all(leases.map((lease) => lease.verify({ signal: signal() })))
        expect(verdicts.map(({ state }) => state)).toEqual(['held', 'held'])
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      const seconds = (performance.now() - started) / 1000
      // Every exchange by HTTP is counted twice: its path, and its action.
      expect((asked() - before) / seconds).toBeLessThan(most * 2)
    })

  for (const [member, quirks] of [
    ['pcp', { noUpnp: true }],
    ['nat-pmp', { noUpnp: true, natPmpOnly: true }],
  ] as const)
    it(`by ${member}, lost packets are asked for again, and only silence is told`, async () => {
      await using at = await home(quirks)
      const lease = await at.publisher.open(
        { ...wish, by: member },
        { signal: signal(), record: memoryJournal() },
      )
      at.fake.quirks.loses = 2
      expect((await lease.verify({ signal: signal() })).state).toBe('held')
      at.fake.quirks.loses = Infinity
      const state = async (): Promise<string> => (await lease.verify({ signal: signal() })).state
      await expect.poll(state, { timeout: 10_000 }).toBe('lost')
      expect(await lease.verify({ signal: signal() })).toMatchObject({ why: { code: 'ROUTER_SILENT' } })
      at.fake.quirks.loses = 0
      await lease.renew({ signal: signal() })
      expect(await state()).toBe('held')
    })

  it('a router that is too busy to answer is not told to close', { timeout: 60_000 }, async () => {
    await using at = await home({ noUpnp: true })
    const journal = memoryJournal()
    const lease = await at.publisher.open({ ...wish, by: 'pcp' }, { signal: signal(), record: journal })
    at.fake.quirks.answersLate = true
    await expect(lease.renew({ signal: signal() })).rejects.toMatchObject({ code: 'ROUTER_SILENT' })
    expect(at.fake.table.size).toBe(1)
    // Nor does who takes the place of this one, and finds it busy.
    const next = new RouterPublisher([membersAt.pcp(at.fake)], toolsAtHome(), 'me')
    const record = { ...memoryJournal(), before: journal.left() }
    await next.finder.find({ signal: signal() })
    const late = next.open({ ...wish, by: 'pcp' }, { signal: signal(), record })
    await expect(late).rejects.toMatchObject({ code: expect.stringMatching(/^ROUTER_/) as string })
    expect(at.fake.table.size).toBe(1)
    at.fake.quirks.answersLate = false
    await lease.renew({ signal: signal() })
    await lease.release({ signal: signal() })
    expect([at.fake.table.size, journal.left()]).toEqual([0, []])
  })

  it('goes on by the protocol of the process before it, and not by the one that is asked first', async () => {
    await using at = await home({ pcpResult: 2 })
    const journal = memoryJournal()
    await at.publisher.open(wish, { signal: signal(), record: journal })
    at.fake.quirks.pcpResult = 0
    const next = new RouterPublisher(
      Object.values(membersAt).map((make) => make(at.fake)),
      toolsAtHome(),
      'me',
    )
    const record = { ...memoryJournal(), before: journal.left() }
    const lease = await next.open(wish, { signal: signal(), record })
    expect(lease.describe().member).toBe('upnp')
    expect(at.fake.table.size).toBe(1)
    await lease.release({ signal: signal() })
    next[Symbol.dispose]()
  })

  it('that are asked for one by one are silent all at once where the router is gone', async () => {
    const fake = await FakeRouter.start({ versionOne: true })
    using publisher = new RouterPublisher([membersAt.upnp(fake)], toolsAtHome(), 'me')
    const range = { ...wish, ports: { first: 9000, last: 9019 } }
    const lease = await publisher.open(range, { signal: signal(), record: memoryJournal() })
    await fake[Symbol.asyncDispose]()
    const began = performance.now()
    const why = async (): Promise<unknown> => {
      const verdict = await lease.verify({ signal: signal() })
      return verdict.state === 'lost' && verdict.why.code
    }
    await expect.poll(why, { timeout: 10_000 }).toBe('ROUTER_SILENT')
    const quiet = { en: expect.stringContaining('does not answer') as string }
    expect(await lease.verify({ signal: signal() })).toMatchObject({ why: { text: quiet } })
    // One look, though only two of them are asked for in it.
    expect(performance.now() - began).toBeLessThan(8000)
  })

  it('misses a mapping that somebody deleted, and opens it again', async () => {
    await using at = await home()
    const lease = await at.publisher.open(
      { ...wish, by: 'upnp', ports: { first: 9000, last: 9003 } },
      { signal: signal(), record: memoryJournal() },
    )
    at.fake.table.delete('tcp 9002')
    const state = async (): Promise<string> => (await lease.verify({ signal: signal() })).state
    await expect.poll(state, { timeout: 6000 }).toBe('lost')
    await lease.renew({ signal: signal() })
    expect([at.fake.table.size, await state()]).toEqual([4, 'held'])
  })

  it('where nobody answers it says what was tried, and asks again later', async () => {
    const fake = await FakeRouter.start()
    const members = Object.values(membersAt).map((make) => make(fake))
    await fake[Symbol.asyncDispose]()
    const publisher = new RouterPublisher(members, toolsAtHome(), 'me')
    await expect(publisher.open(wish, { signal: signal(), record: memoryJournal() })).rejects.toMatchObject({
      code: 'ROUTER_NOT_FOUND',
      message: expect.stringContaining(members.map(({ title }) => title).join(', ')) as string,
    })
  })

  it('removes orphans of its own tag only', async () => {
    await using at = await home()
    const orphan = (externalPort: number, description: string): void =>
      void at.fake.table.set(`tcp ${externalPort}`, {
        protocol: 'tcp',
        externalPort,
        internalAddress: here,
        internalPort: 1,
        description,
        leaseSeconds: 0,
      })
    orphan(1, 'naru:old@me')
    orphan(2, 'naru:old@other')
    orphan(3, 'naru:old')
    orphan(4, 'game')
    const lease = await at.publisher.open(
      { ...wish, by: 'upnp' },
      { signal: signal(), record: memoryJournal() },
    )
    expect(await at.publisher.sweep(signal())).toBe(1)
    expect([...at.fake.table.values()].map(({ externalPort }) => externalPort)).toEqual([
      2,
      3,
      4,
      asking.externalPort,
    ])
    await lease.release({ signal: signal() })
  })
})
