/** Many mappings read back at once: one question where the router has a list, and never believed against its table. */
import { expect, it } from 'vitest'
import { found, here, membersAt } from '../../../test/fakes/at-home.ts'
import { FakeRouter, type Quirks } from '../../../test/fakes/router.ts'
import { parseListing } from './listing.ts'

const signal = (): AbortSignal => AbortSignal.timeout(20_000)

function row(externalPort: number, description = 'naru:web@me'): Parameters<FakeRouter['table']['set']>[1] {
  return {
    protocol: 'tcp',
    externalPort,
    internalAddress: here,
    internalPort: 80,
    description,
    leaseSeconds: 3600,
  }
}

const ports = Array.from({ length: 50 }, (_, at) => 9000 + at)

async function readAll(quirks: Quirks): Promise<{ fake: FakeRouter; right: boolean; asked: number }> {
  await using fake = await FakeRouter.start(quirks)
  for (const port of ports) if (port !== 9007) fake.table.set(`tcp ${port}`, row(port))
  const router = await found(membersAt.upnp(fake))
  const look = async (): Promise<boolean> => {
    const seen = await Promise.all(
      ports.map((externalPort) => router.lookup({ protocol: 'tcp', externalPort }, { signal: signal() })),
    )
    return seen.every((one, at) =>
      ports[at] === 9007 ? one === null : one !== null && one !== 'unknown' && one.internalPort === 80,
    )
  }
  const first = await look()
  const before = fake.count('GetSpecificPortMappingEntry') + fake.count('GetListOfPortMappings')
  const second = await look()
  const asked = fake.count('GetSpecificPortMappingEntry') + fake.count('GetListOfPortMappings') - before
  return { fake, right: first && second, asked }
}

it('fifty are one question, and one more for the row that is not there', async () => {
  expect(await readAll({})).toMatchObject({ right: true, asked: 2 })
  expect(await readAll({ list: 'cdata' })).toMatchObject({ right: true, asked: 2 })
})

it('a router without a list, or with one that leaves rows out, is asked for each', async () => {
  expect(await readAll({ list: 'none' })).toMatchObject({ right: true, asked: 50 })
  expect(await readAll({ list: 'partial' })).toMatchObject({ right: true, asked: 50 })
  expect(await readAll({ versionOne: true })).toMatchObject({ right: true, asked: 50 })
})

it('the whole table is one answer where the router has that, with every machine’s rows', async () => {
  await using fake = await FakeRouter.start()
  for (const port of ports) fake.table.set(`tcp ${port}`, row(port, port === 9000 ? '<a> & "b"' : 'game'))
  const list = await (await found(membersAt.upnp(fake))).mappings({ signal: signal() })
  expect(list).toHaveLength(50)
  expect(list?.[0]).toMatchObject({ description: '<a> & "b"', leaseSecondsLeft: 3600, ours: false })
  expect(fake.count('GetGenericPortMappingEntry')).toBe(0)
})

it('what another machine wrote into its description makes no rows of its own', async () => {
  await using fake = await FakeRouter.start({ list: 'cdata' })
  const forged = `x</p:NewDescription></p:PortMappingEntry><p:PortMappingEntry><p:NewExternalPort>9999</p:NewExternalPort><p:NewDescription>`
  fake.table.set('tcp 9000', row(9000, forged))
  const list = await (await found(membersAt.upnp(fake))).mappings({ signal: signal() })
  expect(list?.map(({ externalPort }) => externalPort)).toEqual([9000])
})

it('what is no list is not one', () => {
  expect(parseListing('')).toEqual([])
  expect(parseListing('<PortMappingList/>')).toEqual([])
  for (const broken of ['x', '<a/>', '<PortMappingList>', '<!DOCTYPE a []><PortMappingList/>'])
    expect(parseListing(broken) ?? [], broken).toEqual([])
})
