import { expect, it } from 'vitest'
import type { Interface, Route } from '../../host/contract.ts'
import { chooseAddress } from './target.ts'

const link = (name: string, address: string, bits: number): Interface => ({
  name,
  kind: 'ethernet',
  up: true,
  mac: null,
  index: 1,
  addresses: [{ family: address.includes(':') ? 6 : 4, address, bits }],
})
const interfaces = [link('eth0', '192.168.1.10', 24), link('br-0123456789ab', '172.18.0.1', 16)]
const via = (gateway: string): Route => ({
  family: gateway.includes(':') ? 6 : 4,
  interface: 'eth0',
  gateway,
  source: null,
  metric: 0,
})
/** By default over .1, 10.8.0.0/16 over .8, and no IPv6 at all. */
const network = {
  defaultRoutes: () => Promise.resolve([via('192.168.1.1')]),
  routeTo: (address: string) =>
    Promise.resolve(
      address.includes(':') ? null : via(address.startsWith('10.8.') ? '192.168.1.8' : '192.168.1.1'),
    ),
}

async function choose(family: 4 | 6, ...addresses: string[]): Promise<string> {
  const near = { interfaces, network, signal: AbortSignal.timeout(5000) }
  const chosen = await chooseAddress(addresses, family, () => Promise.resolve(near))
  return chosen.address ?? chosen.why.en
}

it.each([
  ['the only one', ['203.0.113.9'], '203.0.113.9'],
  [
    'one on a link of this machine, before one that only others reach',
    ['10.99.0.5', '172.18.0.4'],
    '172.18.0.4',
  ],
  ['one that has a route of its own, before the default route', ['203.0.113.9', '10.8.0.5'], '10.8.0.5'],
  ['one of this family, where there is no way to the other', ['2001:db8::9', '203.0.113.9'], '203.0.113.9'],
])('takes %s', async (_, addresses, chosen) => {
  expect(await choose(4, ...addresses)).toBe(chosen)
})

it.each([
  ['on loopback', ['127.0.0.1'], 'loopback'],
  ['on loopback among others', ['192.168.1.20', '127.0.1.1'], 'loopback'],
  ['link-local alone', ['fe80::7%eth0'], 'link-local'],
  ['of the other family', ['2001:db8::9'], 'no IPv4 address'],
  ['nowhere', [], 'no IPv4 address'],
  ['of which each may answer', ['203.0.113.9', '203.0.113.10'], 'several addresses'],
  ['on two links', ['172.18.0.4', '192.168.1.20'], 'several addresses'],
  ['without a way', ['2001:db8::9', '2001:db8::10', '203.0.113.9', '203.0.113.8'], 'several addresses'],
])('leaves a target %s to user space', async (_, addresses, why) => {
  expect(await choose(4, ...addresses)).toContain(why)
})
