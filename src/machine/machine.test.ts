import { describe, expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { silent } from '../../test/fakes/host.ts'
import type { Host, Interface, SocketEntry } from '../host/contract.ts'
import { parseListen } from '../model/listen.ts'
import { createMachine, facingLan, type MachineDeps } from './machine.ts'
import { natAbove } from '../model/nat-above.ts'

const signal = AbortSignal.timeout(10_000)

function card(name: string, kind: Interface['kind'], ...addresses: string[]): Interface {
  const entries = addresses.map((address) => ({
    family: address.includes(':') ? (6 as const) : (4 as const),
    address,
    bits: 24,
  }))
  return { name, kind, up: true, mac: null, index: 1, addresses: entries }
}

const interfaces = [
  card('lo', 'loopback', '127.0.0.1'),
  card('eth0', 'ethernet', '192.168.1.10', '2001:4860::10'),
  card('docker0', 'container', '172.17.0.1'),
  card('wg0', 'vpn', '10.8.0.2'),
]

function socket(more: Partial<SocketEntry>): SocketEntry {
  return {
    protocol: 'tcp',
    family: 4,
    address: '0.0.0.0',
    port: 80,
    peer: null,
    state: 'listening',
    v6only: null,
    process: null,
    ...more,
  }
}

function machineWith(
  sockets: readonly SocketEntry[],
  more: Partial<MachineDeps> = {},
): ReturnType<typeof createMachine> {
  const route = {
    family: 4 as const,
    interface: 'eth0',
    gateway: '192.168.1.1',
    source: '192.168.1.10',
    metric: 0,
  }
  const host: Host = {
    facts: () =>
      Promise.resolve({
        platform: 'linux',
        arch: 'x64',
        kernel: '6',
        privileged: false,
        capabilities: [],
        firstUnprivilegedPort: 1024,
        tools: {},
      }),
    runner: { run: () => Promise.reject(new Error('no command is to be run')), hold: silent },
    network: {
      interfaces: () => Promise.resolve(interfaces),
      defaultRoutes: () => Promise.resolve([route]),
      routeTo: () => Promise.resolve(null),
      nameServers: () => Promise.reject(new Error('no resolv.conf')),
      neighbours: () => Promise.resolve([]),
    },
    sockets: { list: () => Promise.resolve(sockets), owner: () => Promise.resolve(null) },
  }
  return createMachine({
    host,
    routers: [],
    guests: () => Promise.resolve([]),
    clock: systemClock,
    log: silentLog,
    askStun: () => Promise.reject(new Error('the internet was asked without the user’s word')),
    rules: () => Promise.resolve([{ name: 'web', listen: parseListen('8888'), pid: 7 }]),
    ...more,
  })
}

describe('naru ip', () => {
  it('names the interface that faces the LAN, the gateway, and says what it could not read', async () => {
    const told = await machineWith([]).addresses({ signal })
    expect(told.interfaces.filter(({ facesLan }) => facesLan).map(({ name }) => name)).toEqual(['eth0'])
    expect(told.gateways).toEqual([
      { family: 4, address: '192.168.1.1', interface: 'eth0', source: '192.168.1.10' },
    ])
    expect(told.publicAddresses).toEqual([
      { seenBy: 'interface', by: 'eth0', address: '2001:4860::10', reachable: true },
    ])
    expect(told.notes.map(({ en }) => en)).toEqual([
      expect.stringContaining('could not read the name servers'),
    ])
    expect(told.nat).toBe('unknown')
  })

  it('asks the internet only with the user’s word', async () => {
    const asked = machineWith([], { askStun: () => Promise.resolve({ server: 's', address: '8.8.4.4' }) })
    expect((await asked.addresses({ signal, mayAskInternet: true })).publicAddresses.at(-1)).toMatchObject({
      seenBy: 'stun',
    })
  })

  it('takes no VPN for the LAN, even where it has the only default route', () => {
    const vpn = { family: 4 as const, interface: 'wg0', gateway: null, source: null, metric: 0 }
    expect(facingLan(interfaces, [vpn])).toBe('eth0')
    expect(facingLan([card('wg0', 'vpn', '10.8.0.2')], [vpn])).toBeNull()
  })

  it.each([
    [{ own: ['8.8.4.4'], routers: [], stun: null }, 'none'],
    [
      { own: ['192.168.1.2'], routers: [{ externalAddress: '8.8.4.4', above: 'public' }], stun: null },
      'one-router',
    ],
    [
      { own: ['192.168.1.2'], routers: [{ externalAddress: '192.168.0.2', above: 'unknown' }], stun: null },
      'two-routers',
    ],
    [{ own: ['192.168.1.2'], routers: [{ externalAddress: null, above: 'nat' }], stun: null }, 'two-routers'],
    [
      { own: ['192.168.1.2'], routers: [{ externalAddress: '100.70.1.2', above: 'unknown' }], stun: null },
      'carrier-grade',
    ],
    [
      { own: ['192.168.1.2'], routers: [{ externalAddress: '8.8.4.4', above: 'public' }], stun: '9.9.9.9' },
      'carrier-grade',
    ],
    [{ own: ['100.70.1.2'], routers: [], stun: null }, 'carrier-grade'],
    [{ own: ['192.168.1.2'], routers: [], stun: '9.9.9.9' }, 'unknown'],
  ] as const)('tells the NAT above from %j', (evidence, nat) => {
    expect(natAbove(evidence).nat).toBe(nat)
  })
})

describe('naru ports', () => {
  const sockets = [
    socket({ port: 8888, process: { pid: 7, name: 'node' } }),
    socket({ port: 443, address: '127.0.0.1', process: { pid: 3, name: 'nginx' } }),
    socket({ port: 5432, address: '172.17.0.1' }),
    socket({ port: 53, protocol: 'udp', address: '10.8.0.2' }),
    socket({ port: 22, family: 6, address: '::', v6only: false }),
    socket({ port: 40_000, state: 'established', peer: { address: '1.1.1.1', port: 443 } }),
  ]

  it('says who can get there, which service it is and which rule it belongs to', async () => {
    const { rows, unseen } = await machineWith(sockets).ports({ signal })
    expect(
      rows.map(({ port, reach, service, belongsTo }) => [port, reach, service, belongsTo?.name]),
    ).toEqual([
      [22, 'lan', 'ssh', undefined],
      [53, 'vpn', 'domain', undefined],
      [443, 'machine', 'https', undefined],
      [5432, 'guests', 'postgresql', undefined],
      [8888, 'lan', 'ddi-tcp-1', 'web'],
    ])
    expect(rows[0]?.bothFamilies).toBe(true)
    expect(unseen?.en).toContain('sudo')
  })

  it('filters and sorts, and shows connections when all is wanted', async () => {
    const machine = machineWith(sockets)
    const ports = async (options: object): Promise<number[]> =>
      (await machine.ports({ signal, ...options })).rows.map(({ port }) => port)
    expect(await ports({ find: 'NGINX' })).toEqual([443])
    expect(await ports({ protocol: 'udp' })).toEqual([53])
    expect(await ports({ all: true, port: 443 })).toEqual([443, 40_000])
    expect((await ports({ sort: 'process' })).slice(0, 2)).toEqual([443, 8888])
    expect((await ports({ sort: 'pid' })).slice(0, 2)).toEqual([443, 8888])
  })
})
