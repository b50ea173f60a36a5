import { expect, it } from 'vitest'
import { isLinkChange, isTableLoss } from './netlink-monitor.ts'
import { changedAlong, forwarding6, inOrder, isOurSwitch, wantedSettings, type ProcSys } from './proc-sys.ts'

/** Switches as a map, as /proc/sys has them. */
function fake(values: Record<string, string>): ProcSys {
  return {
    read: (key) => values[key] ?? null,
    write: (key, value) => void (values[key] = value),
    names: (folder) => [
      ...new Set(
        Object.keys(values)
          .filter((key) => key.startsWith(`${folder}/`))
          .map((key) => key.slice(folder.length + 1).split('/')[0] as string),
      ),
    ],
  }
}

const machine = fake({
  'net/netfilter/nf_conntrack_acct': '1',
  'net/ipv4/ip_forward': '0',
  'net/ipv4/conf/all/route_localnet': '0',
  'net/ipv4/conf/all/forwarding': '0',
  'net/ipv4/conf/default/forwarding': '0',
  'net/ipv4/conf/lo/forwarding': '0',
  'net/ipv4/conf/eth0/forwarding': '0',
  'net/ipv4/conf/virbr0/forwarding': '1',
  [forwarding6]: '0',
  'net/ipv6/conf/eth0/forwarding': '1',
  'net/ipv6/conf/eth0/accept_ra': '1',
})

it('turns IPv4 on for the interfaces that do not forward yet, and leaves ip_forward alone', () => {
  expect(wantedSettings(machine, { ip4: true, ip6: false }).map(({ key }) => key)).toEqual([
    'net/ipv4/conf/all/route_localnet',
    'net/ipv4/conf/eth0/forwarding',
  ])
})

it('notes what the kernel changes along with IPv6’s one switch, and puts it back after that', () => {
  const wanted = wantedSettings(machine, { ip4: false, ip6: true })
  expect(wanted.map(({ key }) => key)).toEqual(['net/ipv6/conf/eth0/accept_ra', forwarding6])
  expect(wanted.flatMap((one) => changedAlong(machine, one))).toEqual(['net/ipv6/conf/eth0/forwarding'])
  expect(inOrder(['net/ipv6/conf/eth0/accept_ra', 'net/ipv6/conf/eth0/forwarding', forwarding6])).toEqual([
    forwarding6,
    'net/ipv6/conf/eth0/forwarding',
    'net/ipv6/conf/eth0/accept_ra',
  ])
})

it.each([
  ['net/ipv4/conf/eth0/forwarding', '0'],
  ['net/ipv4/conf/eth0.100/forwarding', '0'],
  ['net/ipv4/conf/all/route_localnet', '0'],
  ['net/ipv6/conf/default/accept_ra', '1'],
  ['net/netfilter/nf_conntrack_acct', '0'],
])('believes a journal that %s was %s', (key, value) => {
  expect(isOurSwitch(key, value)).toBe(true)
})

it.each([
  ['../../tmp/cron', '* * * * * root'],
  ['../../tmp/cron', '0'],
  ['net/ipv4/conf/../../../tmp/forwarding', '0'],
  ['net/ipv4/conf/../forwarding', '0'],
  ['net/ipv4/conf/eth0/forwarding', '0\n1'],
  ['net/ipv4/conf/all/forwarding', '0'],
  ['net/ipv4/ip_forward', '0'],
  ['net/ipv4/conf/eth0/rp_filter', '0'],
  ['kernel/core_pattern', '0'],
])('writes nothing where a journal says that %s was %j', (key, value) => {
  expect(isOurSwitch(key, value)).toBe(false)
})

it('tells our table and links from what else is said', () => {
  expect(isTableLoss('delete table inet naru')).toBe(true)
  for (const other of [
    'delete table inet naru_guard_1_2_0',
    'delete table ip naru',
    '# delete table inet naru',
  ])
    expect(isTableLoss(other)).toBe(false)
  expect(isLinkChange('3: wg0: <POINTOPOINT,NOARP,UP> mtu 1420')).toBe(true)
  expect(isLinkChange('inet all forwarding on ')).toBe(true)
  expect(isLinkChange('Deleted 3: wg0: <POINTOPOINT> mtu 1420')).toBe(false)
})
