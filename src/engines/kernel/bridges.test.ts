import { expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { systemClock } from '../../base/clock.ts'
import type { Interface } from '../../host/contract.ts'
import { Bridges } from './bridges.ts'

const bridge = (name: string, own: object = {}): object => ({
  ifname: name,
  linkinfo: { info_kind: 'bridge', info_data: { nf_call_iptables: 0, nf_call_ip6tables: 0, ...own } },
})
const port = (master: string, hairpin: boolean): object => ({
  ifname: `${master}p`,
  master,
  linkinfo: { info_kind: 'veth', info_slave_kind: 'bridge', info_slave_data: { hairpin } },
})
const cards = ['eth0 10.0.0.1', 'br0 10.7.0.1', 'br0 fd07::1'].map((line) => {
  const [name, address = ''] = line.split(' ')
  return { name, up: true, addresses: [{ address, family: address.includes(':') ? 6 : 4, bits: 24 }] }
}) as unknown as Interface[]

/** @param switches of IPv4 and IPv6; null where br_netfilter is not there */
async function noOf(
  address: string,
  links: unknown,
  switches: readonly [string | null, string | null],
  byDefault = 'eth0',
): Promise<string> {
  const host = fakeHost({ run: () => (typeof links === 'string' ? links : JSON.stringify(links)) })
  const network = {
    ...host.network,
    defaultRoutes: () => Promise.resolve([{ family: 4, interface: byDefault } as never]),
  }
  const bridges = new Bridges(
    { runner: host.runner, network },
    {
      clock: systemClock,
      settings: { read: (key) => (key.endsWith('ip6tables') ? switches[1] : switches[0]) },
      interfaces: () => Promise.resolve(cards),
    },
  )
  return (await bridges.noOf(address))?.en ?? 'none'
}

const off = [bridge('br0'), port('br0', false)]

it.each([
  ['there is no br_netfilter', '10.7.0.2', off, [null, null]],
  ['no bridge asks the filters', '10.7.0.2', off, ['0', '0']],
  ['the other family is asked about', '10.7.0.2', off, ['0', '1']],
  ['the target is on no bridge', '10.0.0.2', off, ['1', '1']],
  ['the target is far, by no bridge', '192.0.2.1', off, ['1', '1']],
  ['each port is in hairpin mode', '10.7.0.2', [bridge('br0'), port('br0', true)], ['1', '1']],
  ['nobody is on the bridge yet', '10.7.0.2', [bridge('br0')], ['1', '1']],
  ['what ip prints cannot be read', '10.7.0.2', 'Option "-j" is unknown', ['1', '1']],
  ['what ip prints is of another day', '10.7.0.2', [null, 7, { linkinfo: [] }, { ifname: 3 }], ['1', '1']],
] as const)('nothing is in the way where %s', async (_, address, links, switches) => {
  expect(await noOf(address, links, switches)).toBe('none')
})

it.each([
  ['the machine says so for all', '10.7.0.2', off, ['1', '0']],
  ['it says so itself', '10.7.0.2', [bridge('br0', { nf_call_iptables: 1 }), port('br0', false)], ['0', '0']],
  ['it is IPv6', 'fd07::2', off, ['0', '1']],
] as const)(
  'a bridge that asks the filters carries nobody back to himself, where %s',
  async (_, to, links, on) => {
    expect(await noOf(to, links, on)).toMatch(/^br0 gives iptables what it bridges/)
  },
)

it('likewise where the way to others leads over the bridge', async () => {
  expect(await noOf('192.0.2.1', off, ['1', '1'], 'br0')).toMatch(/^br0 /)
})
