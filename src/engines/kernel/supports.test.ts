import { expect, it } from 'vitest'
import type { Facts } from '../../model/facts.ts'
import { parseRule } from '../../model/rule-file.ts'
import { verbatim } from '../../base/text.ts'
import type { Interface } from '../../host/contract.ts'
import type { Others } from '../../host/simulate/others.ts'
import { noOfSessions } from './masquerade.ts'
import { obstacleOn, supports } from './supports.ts'

const facts: Facts = {
  platform: 'linux',
  arch: 'x64',
  kernel: '6.1.0-13-amd64',
  privileged: true,
  capabilities: ['CAP_NET_ADMIN'],
  firstUnprivilegedPort: 1024,
  tools: { nft: '/usr/sbin/nft', conntrack: '/usr/sbin/conntrack', ip: '/usr/sbin/ip' },
}
const plain = { listen: '0.0.0.0:8888', target: '10.0.0.2:80' }
const ask = (rule: object, machine: Partial<Facts> = {}): string => {
  const { ok, why } = supports(parseRule('web', { ...plain, ...rule }), { ...facts, ...machine })
  return `${ok ? 'yes' : 'no'}: ${why.en}`
}

it('says yes to what nftables can enforce', () => {
  for (const rule of [
    {},
    { listen: '0.0.0.0:8888/tcp+udp', timeouts: { udp: '30s' } },
    { listen: '[2001:db8::1]:80', target: '[2001:db8::2]:80' },
    { target: 'app.example.org:80' },
    { target: 'docker:web:80' },
    { source: 'keep', allow: ['10.0.0.0/8'] },
  ])
    expect(ask(rule)).toBe('yes: nftables carries it in the kernel')
})

it.each([
  [{ listen: 8888 }, 'listen on 0.0.0.0'],
  [{ listen: '127.0.0.1:8888' }, 'loopback'],
  [{ listen: '[::]:8888', target: '[2001:db8::2]:80' }, 'link-local'],
  [{ target: '127.0.0.1:80' }, 'route_localnet'],
  [{ target: '80' }, 'route_localnet'],
  [{ target: '[2001:db8::2]:80' }, 'IPv4 into IPv6'],
  [{ target: 'unix:/run/app.sock' }, 'Unix sockets'],
  [{ listen: '0.0.0.0:9/udp', target: '255.255.255.255:9' }, 'broadcast'],
  [{ target: '127.255.255.255:9' }, 'broadcast'],
  [{ listen: '0.0.0.0:5353/udp', target: '224.0.0.251:5353' }, 'multicast'],
  [{ source: 'proxy-v2' }, 'PROXY headers'],
  [{ limits: { bandwidth: '10mbit' } }, 'bandwidth'],
  [{ limits: { connections: 5 } }, 'conntrack'],
  [{ limits: { perSource: 1 } }, 'conntrack'],
  [{ limits: { newPerSecond: 3 } }, 'first packets'],
  [{ timeouts: { idle: '5m' } }, 'idle'],
])('says no to %j, and why', (rule, why) => {
  expect(ask(rule)).toMatch(/^no: /)
  expect(ask(rule)).toContain(why)
})

it.each([
  [{ platform: 'darwin' }, 'Linux only'],
  [{ capabilities: [] }, 'CAP_NET_ADMIN'],
  [{ tools: { nft: '/usr/sbin/nft' } }, 'conntrack is not installed'],
  [{ kernel: '5.4.0' }, 'older than 5.11'],
] as const)('says no on a machine with %j', (machine, why) => {
  expect(ask({}, machine)).toContain(why)
})

const bridge = (name: string, address: string): Interface =>
  ({ name, up: true, addresses: [{ address, family: 4, bits: 24 }] }) as unknown as Interface

it.each([
  ['a rule of UDP whose clients are hidden', {}, true],
  ['one of both', { listen: '0.0.0.0:53/tcp+udp' }, true],
  ['a name as its target', { target: 'dns.example.org:53' }, true],
  ['the word of its user that they are hidden', { source: 'relay', target: '172.17.0.2:53' }, true],
  ['a target whose gateway this machine is', { target: '172.17.0.2:53' }, false],
  ['a target that sees its clients', { source: 'keep' }, false],
  ['a guest, before it is resolved', { target: 'docker:dns:53' }, false],
  ['TCP', { listen: '0.0.0.0:53' }, false],
  ['the word of its user that this engine is to carry it', { engine: 'kernel' }, false],
])('leaves UDP to others where one client could take all sessions: %s', async (_, rule, isLeft) => {
  const cards = [bridge('eth0', '10.0.0.1'), bridge('docker0', '172.17.0.1')]
  const dns = parseRule('dns', { listen: '0.0.0.0:53/udp', target: '10.0.0.2:53', ...rule })
  const why = await noOfSessions(dns, () => Promise.resolve(cards))
  expect(why?.en ?? 'none').toMatch(isLeft ? /one client could take them all/ : /^none$/)
})

it('refuses by its name for what is so now, not a second ago', async () => {
  const others = {
    ask: () => Promise.resolve(verbatim('a firewall that was there')),
    askAnew: () => Promise.resolve(null),
  } as unknown as Others
  const obstacle = obstacleOn(others, () => Promise.resolve([]), { noOf: () => Promise.resolve(null) })
  const rule = { listen: '0.0.0.0:8888', target: '10.0.0.2:80' }
  expect(await obstacle(parseRule('web', { ...rule, engine: 'kernel' }))).toBeNull()
  expect((await obstacle(parseRule('web', rule)))?.en).toBe('a firewall that was there')
})
