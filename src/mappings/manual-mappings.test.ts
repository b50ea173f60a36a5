import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { here, membersAt, toolsAtHome } from '../../test/fakes/at-home.ts'
import { FakeRunner } from '../../test/fakes/host.ts'
import { FakeRouter, type Quirks } from '../../test/fakes/router.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { RouterCheckWish, RouterDesk } from '../model/router.ts'
import { parseRule } from '../model/rule-file.ts'
import type { RouterMember } from '../routers/contract.ts'
import { manualMappings, type ManualMappingsDeps } from './manual-mappings.ts'

const signal = AbortSignal.timeout(60_000)

const refused = (): Promise<void> => Promise.reject(new Error('refused'))

async function desk(
  quirks: Quirks = {},
  deps: Partial<ManualMappingsDeps> = {},
): Promise<{ fake: FakeRouter; desk: RouterDesk; routers: readonly RouterMember[] } & AsyncDisposable> {
  const fake = await FakeRouter.start(quirks)
  const routers = Object.values(membersAt).map((make) => make(fake))
  return {
    fake,
    routers,
    desk: manualMappings({ ...toolsAtHome(), routers, probe: refused, ...deps }),
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  }
}

const rule: RouterCheckWish = {
  name: 'web',
  protocols: ['tcp'],
  ports: { first: 8888, last: 8888 },
  externalPort: null,
  allow: [],
}

it('info tells one box with all it speaks, and what is above it', async () => {
  await using at = await desk()
  expect(await at.desk.info({ signal })).toMatchObject([
    {
      address: here,
      protocols: ['pcp', 'upnp-2', 'nat-pmp'],
      model: 'RT-FAKE',
      maker: 'ASUSTeK',
      // It says http://192.168.50.1/, which is not the address that answered.
      page: null,
      externalAddress: '203.0.114.7',
      above: 'public',
    },
  ])
  at.fake.externalAddress = '100.64.1.2'
  expect(await at.desk.info({ signal })).toMatchObject([{ above: 'carrier-grade-nat' }])
})

it('info asks the next hop what is above a router that does not tell its address', async () => {
  for (const [hop, above] of [
    ['192.168.1.1', 'nat'],
    ['100.64.7.1', 'carrier-grade-nat'],
    ['203.0.114.1', 'unknown'],
  ] as const) {
    const runner = new FakeRunner(() => `PING 192.0.2.1\nFrom ${hop} icmp_seq=1 Time to live exceeded\n`)
    await using at = await desk({ emptyExternalAddress: true }, { host: { ...toolsAtHome().host, runner } })
    at.fake.externalAddress = '0.0.0.0'
    const [box] = await at.desk.info({ signal })
    expect([box?.externalAddress, box?.above]).toEqual([null, above])
    if (above !== 'unknown') expect(box?.aboveText.en).toContain(hop)
  }
})

it('adds, lists with ours marked, and removes; another’s only when forced', async () => {
  await using at = await desk()
  const added = await at.desk.add(
    { name: 'hand', protocols: ['tcp', 'udp'], externalPort: 7000, internalPort: 70, internalAddress: null },
    { signal },
  )
  expect(added).toMatchObject([{ externalPort: 7000 }, { externalPort: 7000 }])
  at.fake.table.set('tcp 1', {
    protocol: 'tcp',
    externalPort: 1,
    internalAddress: '10.0.0.9',
    internalPort: 1,
    description: 'game',
    leaseSeconds: 60,
  })
  expect(await at.desk.list({ signal })).toMatchObject([
    { externalPort: 1, rule: null, here: false, leaseSecondsLeft: 60 },
    { protocol: 'tcp', externalPort: 7000, rule: 'hand', here: true, leaseSecondsLeft: null },
    { protocol: 'udp', externalPort: 7000, rule: 'hand', here: true },
  ])
  await at.desk.remove({ protocol: 'tcp', externalPort: 7000 }, { signal })
  await expect(at.desk.remove({ protocol: 'tcp', externalPort: 7000 }, { signal })).rejects.toMatchObject({
    code: 'ROUTER_MAPPING_UNKNOWN',
  })
  await expect(at.desk.remove({ protocol: 'tcp', externalPort: 1 }, { signal })).rejects.toMatchObject({
    code: 'ROUTER_NOT_OURS',
  })
  await at.desk.remove({ protocol: 'tcp', externalPort: 1 }, { signal, force: true })
  expect([...at.fake.table.keys()]).toEqual(['udp 7000'])
})

it('a mapping that the router has no words for is its rule’s, by what that rule holds', async () => {
  const udp = parseRule('game', { listen: '19132-19140/udp', target: '10.0.0.2:19132', publish: true })
  const held = { hop: 'router', member: 'pcp', state: 'ok', data: { externalPort: 20_000 } }
  const rules = (): ReturnType<NonNullable<ManualMappingsDeps['rules']>> =>
    Promise.resolve([{ rule: udp, hops: [held as unknown as HopStatus] }])
  await using at = await desk({}, { rules })
  const row = (externalPort: number, internalPort: number, internalAddress: string): void => {
    const words = { description: 'PCP MAP e8d3', leaseSeconds: 60 }
    const key = { protocol: 'udp', externalPort } as const
    at.fake.table.set(`udp ${externalPort}`, { ...key, internalAddress, internalPort, ...words })
  }
  row(20_002, 19_134, here)
  row(20_003, 19_134, here)
  row(20_004, 19_136, '10.0.0.9')
  expect((await at.desk.list({ signal })).map(({ externalPort, rule }) => [externalPort, rule])).toEqual([
    [20_002, 'game'],
    [20_003, null],
    [20_004, null],
  ])
})

it('check: listed and leading here is open; leading elsewhere is wrong, with the row to type', async () => {
  await using at = await desk()
  const row = {
    protocol: 'tcp',
    externalPort: 8888,
    internalAddress: here,
    internalPort: 8888,
    description: 'by hand',
    leaseSeconds: 0,
  } as const
  at.fake.table.set('tcp 8888', { ...row })
  expect(await at.desk.check(rule, { signal })).toMatchObject({ state: 'open', steps: null })
  at.fake.table.set('tcp 8888', { ...row, internalAddress: '10.0.0.9' })
  expect(await at.desk.check(rule, { signal })).toMatchObject({
    state: 'wrong',
    steps: { maker: 'asus', rows: [[{ value: 'web' }, {}, { value: '8888' }, {}, { value: here }]] },
  })
})

it('check: every port and protocol of the rule counts, and another row is told from one that is off', async () => {
  await using at = await desk()
  const row = { internalAddress: here, description: 'by hand', leaseSeconds: 0 }
  const typed = (protocol: 'tcp' | 'udp', port: number, inside = port): void =>
    void at.fake.table.set(`${protocol} ${port}`, {
      ...row,
      protocol,
      externalPort: port,
      internalPort: inside,
    })
  const both = { ...rule, protocols: ['tcp', 'udp'], ports: { first: 8888, last: 8889 } } as const
  for (const port of [8888, 8889]) typed('tcp', port)
  typed('udp', 8888)
  const some = await at.desk.check(both, { signal })
  expect(some).toMatchObject({ state: 'unknown', steps: { maker: 'asus' } })
  expect(some.evidence.map(({ en }) => en)).toContain('upnp-2 does not list port 8889/udp')
  typed('udp', 8889, 80)
  const wrong = await at.desk.check(both, { signal })
  expect(wrong.state).toBe('wrong')
  expect(wrong.evidence.map(({ en }) => en)).toContain(
    `the router's list: 8889/udp → ${here}:80, not ${here}:8889`,
  )
  typed('udp', 8889)
  expect(await at.desk.check(both, { signal })).toMatchObject({ state: 'open', steps: null })
})

it('check: not listed proves nothing, a connection that comes back from the router proves it', async () => {
  const arrivals = new Set<(client: string) => void>()
  const onOpened: ManualMappingsDeps['onOpened'] = (_, told) => {
    arrivals.add(told)
    return { [Symbol.dispose]: () => arrivals.delete(told) }
  }
  const from = (client: string) => (): Promise<void> => {
    for (const told of arrivals) told(client)
    return Promise.resolve()
  }
  await using silent = await desk({}, { onOpened })
  expect(await silent.desk.check(rule, { signal })).toMatchObject({ state: 'unknown' })
  await using turns = await desk({}, { onOpened, probe: from(`${here}:50123`) })
  expect(await turns.desk.check(rule, { signal })).toMatchObject({ state: 'open' })
  // Somebody else at the same moment proves nothing; what answers may be the router's own page.
  await using other = await desk({}, { onOpened, probe: from('192.168.0.7:50123') })
  expect(await other.desk.check(rule, { signal })).toMatchObject({ state: 'unknown' })
  expect(arrivals.size).toBe(0)
})

it('what PCP or NAT-PMP mapped by hand is remembered, listed and removed, also by the next one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'naru-hand-'))
  const byHandPath = join(folder, 'state', 'by-hand')
  const wish = { protocols: ['tcp'], internalPort: 70, internalAddress: null } as const
  for (const quirks of [{ noUpnp: true }, { noUpnp: true, natPmpOnly: true }]) {
    await using at = await desk(quirks, { byHandPath })
    const [added] = await at.desk.add({ ...wish, name: 'hand', externalPort: 7000 }, { signal })
    expect(added).toMatchObject({ externalPort: 7000 })
    expect(at.fake.table.size).toBe(1)
    const next = manualMappings({ ...toolsAtHome(), routers: at.routers, probe: refused, byHandPath })
    expect(await next.list({ signal })).toMatchObject([
      { protocol: 'tcp', externalPort: 7000, internalPort: 70, rule: 'hand', here: true },
    ])
    await next.remove({ protocol: 'tcp', externalPort: 7000 }, { signal })
    expect(at.fake.table.size).toBe(0)
    await expect(next.remove({ protocol: 'tcp', externalPort: 7000 }, { signal })).rejects.toMatchObject({
      code: 'ROUTER_NO_LIST',
    })
  }
  await rm(folder, { recursive: true })
})
