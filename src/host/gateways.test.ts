/** Which address of ours a router is asked from: what a card may have several of. */
import { describe, expect, it } from 'vitest'
import { FakeRunner } from '../../test/fakes/host.ts'
import type { Interface, InterfaceAddress, Network, Route } from './contract.ts'
import { gateways, realNetworks } from './gateways.ts'
import { linuxNetwork } from './linux/network.ts'
import { bestFirst } from './ranking.ts'

const signal = AbortSignal.timeout(5000)

function networkOf(addresses: readonly InterfaceAddress[], route: Partial<Route>): Network {
  const adapter: Interface = { name: 'eth0', kind: 'ethernet', up: true, mac: null, index: 2, addresses }
  const routes: Route[] = [
    { family: 4, interface: 'eth0', gateway: '192.168.77.1', source: null, metric: 0, ...route },
  ]
  return {
    interfaces: () => Promise.resolve([adapter]),
    defaultRoutes: () => Promise.resolve(bestFirst(routes, [adapter])),
    routeTo: () => Promise.resolve(null),
    nameServers: () => Promise.resolve([]),
    neighbours: () => Promise.resolve([]),
  }
}

const four = (address: string, bits = 24): InterfaceAddress => ({ family: 4, address, bits })
const six = (address: string, more: Partial<InterfaceAddress> = {}): InterfaceAddress => ({
  family: 6,
  address,
  bits: 64,
  ...more,
})

async function sourceOf(addresses: readonly InterfaceAddress[], route: Partial<Route> = {}): Promise<string> {
  const [way] = await gateways(networkOf(addresses, route), signal)
  return way?.source ?? 'none'
}

describe('of several addresses on one card', () => {
  it('the one on the gateway’s network faces it, whatever comes first', async () => {
    expect(await sourceOf([four('10.9.0.5'), four('169.254.3.4', 16), four('192.168.77.10')])).toBe(
      '192.168.77.10',
    )
  })

  it('the one that the route names counts more', async () => {
    const both = [four('192.168.77.5'), four('192.168.77.10')]
    expect(await sourceOf(both, { source: '192.168.77.10' })).toBe('192.168.77.10')
  })

  it('every network is searched once, a link-local one where there is no other', async () => {
    const all = [four('169.254.3.4', 16), four('10.9.0.5'), four('192.168.77.5'), four('192.168.77.10')]
    const searched = async (addresses: readonly InterfaceAddress[]): Promise<string[]> =>
      (await realNetworks(networkOf(addresses, {}), signal)).map(({ address }) => address)
    expect(await searched(all)).toEqual(['10.9.0.5', '192.168.77.5'])
    expect(await searched([four('169.254.3.4', 16)])).toEqual(['169.254.3.4'])
  })

  it('by IPv6 it is the stable one that lives longest, never one of a day, at its end or not ours yet', async () => {
    const route = { family: 6, gateway: 'fe80::1', source: '2600:77::a' } as const
    const stable = six('2600:77::10', { validSeconds: 3600 })
    const others = [
      six('2600:77::a', { passing: 'temporary' }),
      six('2600:77::b', { passing: 'deprecated' }),
      six('2600:77::c', { passing: 'tentative' }),
      six('fe80::2'),
      six('fd00::9'),
    ]
    expect(await sourceOf([...others, stable], route)).toBe('2600:77::10')
    const longer = six('2600:78::10', { validSeconds: 86_400 })
    expect(await sourceOf([...others, stable, longer], route)).toBe('2600:78::10')
    expect(await sourceOf(others.slice(0, 3), route)).toBe('2600:77::a')
    expect(await sourceOf([six('2600:77::c', { passing: 'tentative' })], route)).toBe('none')
  })
})

it('`ip` is asked once by all who look at once', async () => {
  const asked: string[] = []
  const runner = new FakeRunner((argv) => (asked.push(argv.join(' ')), '[]'))
  const network = linuxNetwork(runner, '/nowhere')
  await Promise.all(
    Array.from({ length: 100 }, () => [
      network.interfaces({ signal }),
      network.defaultRoutes({ signal }),
    ]).flat(),
  )
  expect(asked.toSorted()).toEqual([
    'ip -j -4 route show default',
    'ip -j -6 route show default',
    'ip -j -d address show',
  ])
})

it('`ip` tells which addresses pass', async () => {
  const told = [
    {
      ifname: 'eth0',
      flags: ['UP'],
      addr_info: [
        { local: '2600:77::a', prefixlen: 64, temporary: true, valid_life_time: 600 },
        { local: '2600:77::b', prefixlen: 64, temporary: true, deprecated: true, valid_life_time: 300 },
        { local: '2600:77::c', prefixlen: 64, tentative: true, valid_life_time: 4_294_967_295 },
        { local: '2600:77::d', prefixlen: 64, valid_life_time: 4_294_967_295 },
      ],
    },
  ]
  const runner = new FakeRunner(() => JSON.stringify(told))
  const [adapter] = await linuxNetwork(runner, '/nowhere').interfaces({ signal })
  expect(adapter?.addresses).toEqual([
    six('2600:77::a', { passing: 'temporary', validSeconds: 600 }),
    six('2600:77::b', { passing: 'deprecated', validSeconds: 300 }),
    six('2600:77::c', { passing: 'tentative' }),
    six('2600:77::d'),
  ])
})
