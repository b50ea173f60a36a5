import { expect, it } from 'vitest'
import type { GuestMember } from '../guests/contract.ts'
import type { Host } from '../host/contract.ts'
import { resolveGuest } from './guest-addresses.ts'

function hostWith(...own: readonly string[]): Host {
  const addresses = own.map((address) => ({ address }))
  return { network: { interfaces: () => Promise.resolve([{ addresses }]) } } as unknown as Host
}
const plainHost = hostWith('192.168.1.5', 'fe80::5', '2001:db8::5')

function resolve(
  addresses: readonly string[],
  more: object = {},
  host: Host = plainHost,
): Promise<readonly string[]> {
  const member = {
    kind: 'virtualbox',
    resolve: () => Promise.resolve({ addresses, ttlMs: 1, ...more }),
  } as unknown as GuestMember
  return resolveGuest(member, 'win10', { host, signal: AbortSignal.timeout(5000) }).then(
    (found) => found.addresses,
  )
}

it.each([
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:10.0.0.9',
  '224.0.0.251',
  '255.255.255.255',
  'ff02::1',
  '192.168.1.5',
  '2001:db8::5',
  'fe80::5%eth0',
  'localhost',
  '169.254.169.254',
  '169.254.170.2',
  'fd00:ec2::254',
  '100.100.100.200',
])('a guest that reports %s is not dialled there', async (address) => {
  await expect(resolve([address])).rejects.toMatchObject({ code: 'GUEST_NO_ADDRESS' })
  expect(await resolve([address, '192.168.56.10'])).toEqual(['192.168.56.10'])
})

it('a guest’s own addresses are dialled, of both families', async () => {
  const own = ['192.168.56.10', '10.0.2.15', '2001:db8::9', 'fe80::9%vboxnet0']
  expect(await resolve(own)).toEqual(own)
})

it('where the hypervisor says that a guest shares this machine’s network, it is dialled here', async () => {
  expect(await resolve(['127.0.0.1', '::1'], { sharesNetwork: true })).toEqual(['127.0.0.1', '::1'])
})

it('a guest beside this machine on a link without DHCP is dialled, and what tells a cloud’s credentials is not', async () => {
  const host = hostWith('169.254.7.1')
  expect(await resolve(['169.254.169.254', '169.254.7.9'], {}, host)).toEqual(['169.254.7.9'])
})
