/** What real routers do in place of what they should: each switch of the fake router, and what we make of it. */
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { asking, found, here, membersAt, toolsAtHome } from '../../../test/fakes/at-home.ts'
import { memoryJournal } from '../../../test/fakes/journal.ts'
import { FakeRouter, type Quirks } from '../../../test/fakes/router.ts'
import type { MappingLease, MappingRequest, Router } from '../contract.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)

async function opened(
  quirks: Quirks,
  request: Partial<MappingRequest> = {},
): Promise<
  {
    fake: FakeRouter
    router: Router
    lease: MappingLease
    journal: ReturnType<typeof memoryJournal>
  } & AsyncDisposable
> {
  const fake = await FakeRouter.start(quirks)
  const journal = memoryJournal()
  const router = await found(membersAt.upnp(fake))
  const lease = await router.open({ ...asking, ...request }, { signal: signal(), record: journal })
  return { fake, router, lease, journal, [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose]() }
}

async function refused(quirks: Quirks, request: Partial<MappingRequest> = {}): Promise<unknown> {
  await using fake = await FakeRouter.start(quirks)
  const journal = memoryJournal()
  const router = await found(membersAt.upnp(fake))
  const failure = await router
    .open({ ...asking, ...request }, { signal: signal(), record: journal })
    .catch((thrown: unknown) => thrown)
  expect([fake.table.size, journal.left()]).toEqual([0, []])
  return failure
}

const differs = (lease: MappingLease): string =>
  lease
    .describe()
    .differs.map(({ en }) => en)
    .join('; ')

for (const quirk of ['permanentOnly', 'refuses402UnlessPermanent'] as const)
  it(`a router with ${quirk} gets a permanent lease, which is said and removed at the end`, async () => {
    await using home = await opened({ [quirk]: true })
    expect(home.lease).toMatchObject({ goodUntil: null, renewAfter: null })
    expect(differs(home.lease)).toContain('for ever')
    expect(home.journal.left()).toMatchObject([{ until: null, description: 'naru:web@me' }])
    await home.lease.release({ signal: signal() })
    expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
  })

it('a router that wants equal ports (724) says so, and gets them where any port will do', async () => {
  expect(await refused({ equalPortsOnly: true })).toMatchObject({
    code: 'ROUTER_REFUSED',
    message: expect.stringContaining('externalPort') as string,
  })
  await using home = await opened({ equalPortsOnly: true }, { anyPort: true })
  expect(home.lease.externalPort).toBe(80)
  expect(differs(home.lease)).toContain('gave external port 80, not 8888')
})

it('a router that answers 718 to a renewal keeps the mapping it has', async () => {
  await using home = await opened({ conflictOnRenewal: true })
  await home.lease.renew({ signal: signal() })
  expect(home.fake.table.size).toBe(1)
  expect((await home.lease.verify({ signal: signal() })).state).toBe('held')
})

it('718 to a renewal near the end makes the mapping anew', async () => {
  await using home = await opened({ conflictOnRenewal: true })
  for (const entry of home.fake.table.values()) entry.leaseSeconds = 20
  await home.lease.renew({ signal: signal() })
  expect([...home.fake.table.values()][0]?.leaseSeconds).toBe(3600)
})

it('a mapping that vanished without a word is lost when looked at, and back when renewed', async () => {
  await using home = await opened({})
  home.fake.table.clear()
  expect(await home.lease.verify({ signal: signal() })).toMatchObject({
    state: 'lost',
    why: { code: 'ROUTER_MAPPING_LOST' },
  })
  await home.lease.renew({ signal: signal() })
  expect(home.fake.table.size).toBe(1)
})

it('success without an entry is not believed', async () => {
  expect(await refused({ successWithoutEntry: true })).toMatchObject({ code: 'ROUTER_NOT_DONE' })
})

it('a router that maps to another internal port is told to take it back', async () => {
  expect(await refused({ ignoresInternalPort: true })).toMatchObject({ code: 'ROUTER_NOT_DONE' })
})

it('a router that reads back no internal port has what carries our tag, and no other has our port', async () => {
  await using home = await opened({ tellsNoInternalPort: true })
  expect((await home.lease.verify({ signal: signal() })).state).toBe('held')
  await home.lease.renew({ signal: signal() })
  await home.lease.release({ signal: signal() })
  expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
  home.fake.table.set('tcp 8888', {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: here,
    internalPort: 81,
    description: 'a game',
    leaseSeconds: 0,
  })
  const again = home.router.open(asking, { signal: signal(), record: home.journal })
  await expect(again).rejects.toMatchObject({ code: 'ROUTER_PORT_TAKEN' })
  expect(home.fake.table.size).toBe(1)
})

it('another HTTP port after a restart is found again, by a lease and by the journal', async () => {
  await using home = await opened({})
  await home.fake.restart()
  await home.lease.renew({ signal: signal() })
  expect(home.fake.table.size).toBe(1)
  await home.fake.restart()
  home.fake.table.set('tcp 8888', {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: here,
    internalPort: 80,
    description: 'naru:web@me',
    leaseSeconds: 0,
  })
  await membersAt
    .upnp(home.fake)
    .undo(home.journal.left()[0] ?? null, { signal: signal(), tools: toolsAtHome() })
  expect(home.fake.table.size).toBe(0)
})

it('LOCATION elsewhere is read as a path on the host that answered', async () => {
  await using home = await opened({ locationElsewhere: true })
  expect(home.fake.table.size).toBe(1)
})

it('an answer from another port of the same router counts', async () => {
  await using home = await opened({ otherReplyPort: true })
  expect(home.fake.table.size).toBe(1)
})

it('an empty external address is none, and 501 then means that there is none', async () => {
  expect(await refused({ emptyExternalAddress: true, full: true })).toMatchObject({
    code: 'ROUTER_NO_ADDRESS',
  })
})

it('501 with a public address is a failure without a reason, and told as that', async () => {
  expect(await refused({ full: true })).toMatchObject({
    code: 'ROUTER_REFUSED',
    message: expect.stringContaining('does not say why: its list may be full (UPnP 501') as string,
  })
})

it('728 and 606 are what they say', async () => {
  expect(await refused({ refuses: 728 })).toMatchObject({ code: 'ROUTER_TABLE_FULL' })
  expect(await refused({ refuses: 606 })).toMatchObject({ code: 'ROUTER_REFUSED' })
})

it('the version is the description’s, not the search answer’s', async () => {
  await using one = await opened({ versionOne: true }, { anyPort: true })
  expect(one.router.flavour).toBe('upnp-1')
  expect(one.fake.count('AddAnyPortMapping')).toBe(0)
  await using two = await opened({}, { anyPort: true })
  expect(two.router.flavour).toBe('upnp-2')
  expect(two.fake.count('AddAnyPortMapping')).toBe(1)
})

it('a shorter lease than asked is said and renewed in time', async () => {
  await using home = await opened({ longestLease: 120 })
  expect(differs(home.lease)).toContain('a lease of 2m, not 1h')
  expect((home.lease.renewAfter ?? 0) - Date.now()).toBeLessThan(61_000)
})

it.each([3600, 0])(
  'what ran of a lease of %i s while a slow router answered makes it no shorter one',
  async (asked) => {
    await using fake = await FakeRouter.start({ ranSeconds: 9, refusesPermanent: 402 })
    const slow = (): number => performance.now() + (fake.table.size > 0 ? 8000 : 0)
    const router = await found(membersAt.upnp(fake), { ...systemClock, monotonic: slow })
    const request = { ...asking, leaseSeconds: asked }
    const lease = await router.open(request, { signal: signal(), record: memoryJournal() })
    expect(differs(lease)).toBe(asked > 0 ? '' : 'the router keeps it for 7d')
  },
)

it('a router without reading back is held, with a remark', async () => {
  await using home = await opened({ noReadBack: true, noList: true })
  expect(await home.lease.verify({ signal: signal() })).toMatchObject({
    state: 'held',
    notes: [{ en: expect.stringContaining('read back') as string }],
  })
})

it('a mapping of somebody else is named, and neither replaced nor deleted', async () => {
  await using fake = await FakeRouter.start()
  const theirs = {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: '192.168.0.66',
    internalPort: 9,
    description: 'game',
    leaseSeconds: 0,
  } as const
  fake.table.set('tcp 8888', { ...theirs })
  const router = await found(membersAt.upnp(fake))
  const open = router.open(asking, { signal: signal(), record: memoryJournal() })
  await expect(open).rejects.toMatchObject({
    code: 'ROUTER_PORT_TAKEN',
    message: expect.stringContaining('"game"') as string,
  })
  await expect(router.remove(theirs, { signal: signal() })).rejects.toMatchObject({ code: 'ROUTER_NOT_OURS' })
  expect([...fake.table.values()]).toEqual([theirs])
  const any = await router.open({ ...asking, anyPort: true }, { signal: signal(), record: memoryJournal() })
  expect(any.externalPort).not.toBe(8888)
  await any.release({ signal: signal() })
  expect([...fake.table.values()]).toEqual([theirs])
})

it('a row typed in by hand that leads here is used and left alone', async () => {
  await using fake = await FakeRouter.start()
  fake.table.set('tcp 8888', {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: here,
    internalPort: 80,
    description: 'by hand',
    leaseSeconds: 0,
  })
  const router = await found(membersAt.upnp(fake))
  const journal = memoryJournal()
  const lease = await router.open(asking, { signal: signal(), record: journal })
  expect(differs(lease)).toContain('"by hand" opened this port')
  await lease.release({ signal: signal() })
  expect([fake.table.size, journal.left(), fake.count('AddPortMapping')]).toEqual([1, [], 0])
})

it('what somebody else put in place of ours meanwhile is not deleted', async () => {
  await using home = await opened({})
  home.fake.table.set('tcp 8888', {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: '192.168.0.66',
    internalPort: 9,
    description: 'game',
    leaseSeconds: 0,
  })
  expect((await home.lease.verify({ signal: signal() })).state).toBe('lost')
  await expect(home.lease.renew({ signal: signal() })).rejects.toMatchObject({ code: 'ROUTER_PORT_TAKEN' })
  await home.lease.release({ signal: signal() })
  expect(home.fake.table.size).toBe(1)
})

for (const quirk of ['slowDrip', 'huge', 'entities', 'redirects'] as const)
  it(`a description with ${quirk} is no router, and costs little`, async () => {
    await using fake = await FakeRouter.start({ [quirk]: true })
    const before = process.memoryUsage().heapUsed
    const started = performance.now()
    expect(await membersAt.upnp(fake).discover({ signal: signal(), tools: toolsAtHome() })).toEqual([])
    expect(performance.now() - started).toBeLessThan(6000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024)
  })

it('a list that never ends, or repeats itself, ends', { timeout: 60_000 }, async () => {
  for (const endlessList of ['repeat', 'new'] as const) {
    await using fake = await FakeRouter.start({ endlessList })
    const router = await found(membersAt.upnp(fake))
    const list = await router.mappings({ signal: AbortSignal.timeout(30_000) })
    expect(list?.length).toBeLessThanOrEqual(1024)
    expect(fake.count('GetGenericPortMappingEntry')).toBeLessThanOrEqual(1024)
  }
})

const ours = {
  protocol: 'tcp',
  externalPort: 8888,
  internalAddress: here,
  internalPort: 80,
  description: 'naru:web@me',
  leaseSeconds: 0,
} as const

describe('what we asked for is ours until it is read back as gone', () => {
  for (const shows of ['blank', 'cleaned', 'its own'] as const)
    it(`a router whose list shows descriptions ${shows} keeps, renews and deletes it`, async () => {
      await using home = await opened({ shows })
      await home.lease.renew({ signal: signal() })
      expect(differs(home.lease)).toBe('')
      expect((await home.lease.verify({ signal: signal() })).state).toBe('held')
      const [left] = home.journal.left()
      await home.lease.release({ signal: signal() })
      expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
      home.fake.table.set('tcp 8888', { ...ours })
      await membersAt.upnp(home.fake).undo(left ?? null, { signal: signal(), tools: toolsAtHome() })
      expect(home.fake.table.size).toBe(0)
    })

  it('a row that was made by hand in its place meanwhile is left alone, though it leads here', async () => {
    await using home = await opened({})
    home.fake.table.set('tcp 8888', { ...ours, description: 'by hand' })
    await home.lease.release({ signal: signal() })
    expect(home.fake.table.size).toBe(1)
  })

  for (const quirks of [{ losesAnswerTo: 'AddPortMapping' }, { emptyAnswerTo: 'AddPortMapping' }])
    it(`an answer that never came is looked for in the list (${Object.keys(quirks)[0]})`, async () => {
      await using home = await opened(quirks)
      expect(home.fake.table.size).toBe(1)
      await home.lease.release({ signal: signal() })
      expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
    })

  it('an answer that never came and cannot be looked for stays in the journal, which undoes it', async () => {
    await using fake = await FakeRouter.start({
      emptyAnswerTo: 'AddPortMapping',
      noReadBack: true,
      noList: true,
    })
    const journal = memoryJournal()
    const member = membersAt.upnp(fake)
    const open = (await found(member)).open(asking, { signal: signal(), record: journal })
    await expect(open).rejects.toMatchObject({ code: 'ROUTER_ANSWER_BAD' })
    expect([fake.table.size, journal.left().length]).toEqual([1, 1])
    await member.undo(journal.left()[0] ?? null, { signal: signal(), tools: toolsAtHome() })
    expect(fake.table.size).toBe(0)
  })

  for (const rowFault of [714, 501])
    it(`a router that answers ${rowFault} for the row that its list shows is read by its list`, async () => {
      await using home = await opened({ rowFault })
      expect(await home.lease.verify({ signal: signal() })).toEqual({ state: 'held', notes: [] })
      await home.lease.renew({ signal: signal() })
      await home.lease.release({ signal: signal() })
      expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
    })

  it('what the router shows nowhere is deleted, and not called open', async () => {
    expect(await refused({ rowFault: 714, list: 'none', endlessList: 'repeat' })).toMatchObject({
      code: 'ROUTER_NOT_DONE',
    })
  })

  it('a row that stays though the router says it deleted it is told, and stays in the journal', async () => {
    await using home = await opened({})
    home.fake.quirks.keepsDeleted = true
    await expect(home.lease.release({ signal: signal() })).rejects.toMatchObject({
      code: 'ROUTER_NOT_CLOSED',
    })
    expect(home.journal.left()).toHaveLength(1)
    home.fake.quirks.keepsDeleted = false
    await home.lease.release({ signal: signal() })
    expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
  })

  it('a router that maps another external port gives it back, or is taken at its word where any will do', async () => {
    expect(await refused({ ignoresExternalPort: 7777 })).toMatchObject({
      code: 'ROUTER_OTHER_PORT',
      message: expect.stringContaining('7777 in place of 8888') as string,
    })
    await using home = await opened({ ignoresExternalPort: 7777, versionOne: true }, { anyPort: true })
    expect(home.lease.externalPort).toBe(7777)
  })
})

describe('a lease that the router does not take', () => {
  for (const quirks of [{ refusesLease: -911 }, { refusesLease: 501 }, { keepsPermanentOnly: true }])
    it(`is asked for as a permanent one (${JSON.stringify(quirks)})`, async () => {
      await using home = await opened(quirks)
      expect(home.lease.goodUntil).toBe(null)
      expect(differs(home.lease)).toContain('for ever')
      await home.lease.release({ signal: signal() })
      expect([home.fake.table.size, home.journal.left()]).toEqual([0, []])
    })

  it('is a week where a permanent one is refused', async () => {
    await using home = await opened({ refusesPermanent: 402 }, { leaseSeconds: 0 })
    expect([...home.fake.table.values()][0]?.leaseSeconds).toBe(604_800)
    expect(differs(home.lease)).toContain('the router keeps it for 7d')
  })

  it('is told by the number that the router gave', async () => {
    expect(await refused({ refuses: -911 })).toMatchObject({
      code: 'ROUTER_REFUSED',
      message: expect.stringContaining('UPnP -911') as string,
    })
  })

  it('and reads back as 0 is renewed as asked for, and deleted however late', async () => {
    await using home = await opened({ tellsNoLease: true })
    expect((home.lease.renewAfter ?? 0) - Date.now()).toBeGreaterThan(1_790_000)
    expect((home.lease.renewAfter ?? 0) - Date.now()).toBeLessThan(1_800_001)
    expect([differs(home.lease), home.journal.left()]).toMatchObject(['', [{ until: null }]])
  })

  it('and does not grow when asked again is made anew, at once', async () => {
    await using home = await opened({ renewsNothing: true })
    for (const entry of home.fake.table.values()) entry.leaseSeconds = 1800
    await home.lease.renew({ signal: signal() })
    expect([...home.fake.table.values()][0]?.leaseSeconds).toBe(3600)
    expect(home.fake.count('DeletePortMapping')).toBe(1)
    await home.lease.renew({ signal: signal() })
    expect(home.fake.count('DeletePortMapping')).toBe(1)
  })
})

describe('a router that stumbles', () => {
  for (const status of [400, 500])
    it(`over the first request (HTTP ${status}) is asked once more`, async () => {
      await using home = await opened({ stumbles: { status, times: 1 } })
      expect(home.fake.table.size).toBe(1)
    })

  it('and goes on stumbling is told, with nothing left', async () => {
    await using fake = await FakeRouter.start({ stumbles: { status: 400, times: 99 } })
    const open = (await found(membersAt.upnp(fake))).open(asking, {
      signal: signal(),
      record: memoryJournal(),
    })
    await expect(open).rejects.toMatchObject({ code: 'ROUTER_ANSWER_BAD' })
    expect(fake.count('AddPortMapping')).toBe(2)
  })

  it('over a second connection is asked one thing at a time', async () => {
    await using home = await opened({ oneConnection: true })
    expect(home.lease.externalAddress).toBe('203.0.114.7')
  })

  for (const addressAnswer of ['html', 'silence'] as const)
    it(`over its own address (${addressAnswer}) maps all the same`, async () => {
      await using home = await opened({ addressAnswer })
      expect(home.lease).toMatchObject({ externalAddress: null, externalPort: 8888 })
    })
})

describe('a row typed in by hand', () => {
  it('that is permanent is told once, as what it is', async () => {
    await using fake = await FakeRouter.start()
    fake.table.set('tcp 8888', { ...ours, description: 'by hand' })
    const lease = await (
      await found(membersAt.upnp(fake))
    ).open(asking, {
      signal: signal(),
      record: memoryJournal(),
    })
    expect(lease.describe().differs).toMatchObject([
      { en: expect.stringContaining('leaves it alone') as string },
    ])
  })

  for (const enabled of ['0', 'false', 'no'])
    it(`that is off (${enabled}) is told as off`, async () => {
      await using fake = await FakeRouter.start()
      fake.table.set('tcp 8888', { ...ours, description: 'by hand', enabled })
      const open = (await found(membersAt.upnp(fake))).open(asking, {
        signal: signal(),
        record: memoryJournal(),
      })
      await expect(open).rejects.toMatchObject({ code: 'ROUTER_ROW_OFF' })
    })

  it('and vanishes is replaced by one of ours, which the journal knows', async () => {
    await using fake = await FakeRouter.start()
    fake.table.set('tcp 8888', { ...ours, description: 'by hand' })
    const journal = memoryJournal()
    const lease = await (
      await found(membersAt.upnp(fake))
    ).open(asking, { signal: signal(), record: journal })
    fake.table.clear()
    await lease.renew({ signal: signal() })
    expect([fake.table.size, journal.left().length]).toEqual([1, 1])
    await lease.release({ signal: signal() })
    expect([fake.table.size, journal.left()]).toEqual([0, []])
  })
})

it('of two protocols the one that was not kept is named', async () => {
  await using fake = await FakeRouter.start({ oneProtocol: true })
  const router = await found(membersAt.upnp(fake))
  await router.open(asking, { signal: signal(), record: memoryJournal() })
  const second = router.open({ ...asking, protocol: 'udp' }, { signal: signal(), record: memoryJournal() })
  await expect(second).rejects.toMatchObject({ message: expect.stringContaining('8888/udp') as string })
})

describe('a gateway is found', () => {
  it('though other devices of the same box answer first', async () => {
    await using home = await opened({ otherDevice: true })
    expect(home.fake.table.size).toBe(1)
    await home.fake.restart()
    await home.lease.renew({ signal: signal() })
    expect(home.fake.table.size).toBe(1)
  })

  it('that answers `upnp:rootdevice` alone, other devices or not', async () => {
    await using home = await opened({ rootDeviceOnly: true, otherDevice: true })
    expect(home.fake.table.size).toBe(1)
  })

  it('once, by its newer version, where it describes two under one name', async () => {
    await using fake = await FakeRouter.start({ twice: true })
    const routers = await membersAt.upnp(fake).discover({ signal: signal(), tools: toolsAtHome() })
    expect(routers.map(({ flavour }) => flavour)).toEqual(['upnp-2'])
  })
})

describe('of several connections', () => {
  const down = { address: '0.0.0.0', status: 'Disconnected' }
  for (const [what, connections, line] of [
    [
      'the one with a public address',
      [down, { address: '100.64.0.9', status: 'Connected' }, { address: '203.0.114.7', status: 'Connected' }],
      '2',
    ],
    [
      'the one that is up, though behind another NAT',
      [
        { address: '192.168.9.9', status: 'Disconnected' },
        { address: '100.64.0.9', status: 'Connected' },
      ],
      '1',
    ],
    ['the last of six', [down, down, down, down, down, { address: '192.168.1.2', status: 'Connected' }], '5'],
    ['the first, where none tells', [down, down], ''],
  ] as const)
    it(`${what} is mapped on`, async () => {
      await using home = await opened({ connections })
      expect(home.fake.count(`AddPortMapping ${line}`)).toBe(1)
    })
})
