import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { assert, integer, property, string, uint8Array } from 'fast-check'
import { expect, it } from 'vitest'
import { silent } from '../../../test/fakes/host.ts'
import { describeWith } from '../../../test/needs.ts'
import { NaruError } from '../../base/errors.ts'
import type { Host, SocketEntry } from '../contract.ts'
import { parseCapabilities } from '../facts.ts'
import { createHost } from '../index.ts'
import { createRunner } from '../runner.ts'
import { longestPrefix } from '../longest-prefix.ts'
import { kindOf } from './kinds.ts'
import { parseNameServers } from './network.ts'
import { parseRoutes4, parseRoutes6 } from './proc-routes.ts'
import { parseTable } from './proc-sockets.ts'
import { parseDiag } from './sock-diag.ts'
import { parseSs, type SsSocket } from './ss.ts'

const signal = AbortSignal.timeout(15_000)

describeWith({ platform: 'linux' }, 'the Linux host', () => {
  const host = createHost()

  it('sees our own TCP and UDP sockets with our pid', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await Promise.all([once(server, 'listening'), once(socket, 'listening')])
    const tcpPort = (server.address() as AddressInfo).port
    const list = await host.sockets.list({ signal })
    const tcp = list.find((entry) => entry.protocol === 'tcp' && entry.port === tcpPort)
    const udp = list.find((entry) => entry.protocol === 'udp' && entry.port === socket.address().port)
    expect(tcp).toMatchObject({ address: '127.0.0.1', state: 'listening', process: { pid: process.pid } })
    expect(udp).toMatchObject({ address: '127.0.0.1', state: 'listening', process: { pid: process.pid } })
    expect(await host.sockets.owner('tcp', tcpPort, { signal })).toContain(`(pid ${process.pid})`)
    expect(await host.sockets.owner('udp', tcpPort === 9 ? 10 : 9, { signal })).toBeNull()
    const client = connect(tcpPort, '127.0.0.1')
    await once(client, 'connect')
    const { localPort } = client
    expect(await host.sockets.owner('tcp', localPort as number, { signal })).toContain(`(pid ${process.pid})`)
    client.destroy()
    server.close()
    socket.close()
  })

  it('tells a dual-stack wildcard from one that takes IPv6 alone', async () => {
    const both = createServer().listen(0, '::')
    const only = createServer().listen({ port: 0, host: '::', ipv6Only: true })
    await Promise.all([once(both, 'listening'), once(only, 'listening')])
    const list = await host.sockets.list({ signal })
    const flag = (server: typeof both): unknown =>
      list.find(({ port, family }) => family === 6 && port === (server.address() as AddressInfo).port)?.v6only
    expect([flag(both), flag(only)]).toEqual([false, true])
    both.close()
    only.close()
  })

  it('is told the same by the kernel, by ss and by the tables', async () => {
    const server = createServer((socket) => socket.resume()).listen(0, '::1')
    const dual = createServer((socket) => socket.resume()).listen(0, '::')
    const udp = createSocket('udp6').bind(0, '::1')
    await Promise.all([once(server, 'listening'), once(dual, 'listening'), once(udp, 'listening')])
    const { port } = server.address() as AddressInfo
    const dualPort = (dual.address() as AddressInfo).port
    const accepted = [once(server, 'connection'), once(dual, 'connection')]
    const [six, mapped] = [connect(port, '::1'), connect(dualPort, '127.0.0.1')]
    await Promise.all([once(six, 'connect'), once(mapped, 'connect'), ...accepted])
    const ports = new Set([`tcp ${port}`, `tcp ${dualPort}`, `udp ${udp.address().port}`])
    // A number that is ours at one address may be a stranger's at another, or left by one that is gone.
    const ours = async (from: Host): Promise<readonly SocketEntry[]> =>
      (await from.sockets.list({ signal, all: true }))
        .filter((one) => one.process?.pid === process.pid)
        .filter((one) => [one.port, one.peer?.port].some((at) => ports.has(`${one.protocol} ${at}`)))
        .toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))
    const noSs = {
      run: () => Promise.reject(new NaruError('COMMAND_MISSING', { command: 'ss' })),
      hold: silent,
    }
    const byKernel = await ours(host)
    expect(byKernel).toHaveLength(7)
    expect(await ours(createHost({ runner: createRunner() }))).toEqual(byKernel)
    // The tables alone do not tell v6only.
    expect(await ours(createHost({ runner: noSs }))).toEqual(
      byKernel.map((one) => ({ ...one, v6only: null })),
    )
    for (const one of [six, mapped]) one.destroy()
    for (const one of [server, dual, udp]) one.close()
  })

  it('shows connections only when all is asked for', async () => {
    const server = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect(port, '127.0.0.1')
    await once(client, 'connect')
    const open = (await host.sockets.list({ signal, all: true })).filter(
      (entry) => entry.state === 'established' && entry.peer?.port === port,
    )
    expect(open).toHaveLength(1)
    expect((await host.sockets.list({ signal })).every((entry) => entry.state === 'listening')).toBe(true)
    client.destroy()
    server.close()
  })

  it('knows its loopback and the way to it', async () => {
    const loopback = (await host.network.interfaces({ signal })).find(({ kind }) => kind === 'loopback')
    expect(loopback?.addresses.map(({ address }) => address)).toContain('127.0.0.1')
    expect(await host.network.routeTo('127.0.0.1', { signal })).toMatchObject({
      interface: 'lo',
      gateway: null,
    })
  })

  it('keeps its facts until they are refreshed', async () => {
    const facts = await host.facts()
    expect(facts.tools).toHaveProperty('ip')
    expect(await host.facts()).toBe(facts)
    expect(await host.facts({ refresh: true })).not.toBe(facts)
  })

  it('reads a table of 5,000 sockets whole', () => {
    const line = (n: number): string =>
      `${n}: 0100007F:${(n + 1024).toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 ${n + 1} 1 0 100 0 0 10 0`
    const table = Array.from({ length: 5000 }, (_, n) => line(n)).join('\n')
    expect(parseTable('tcp', 4, table)).toHaveLength(5000)
  })
})

describeWith({}, 'the parsers of the Linux host', () => {
  it('read a socket table, and nothing from what is none', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 40155 1 0 100 0 0 10 0',
      '   1: 0A01A8C0:0016 0201A8C0:D431 01 00000000:00000000 02:000A7214 00000000     0        0 39901 4 0 20 4 31 10 -1',
      '   2: 0A01A8C0:22B8 0501A8C0:C350 03 00000000:00000000 00:00000000 00000000     0        0 0 1 0',
    ].join('\n')
    expect(parseTable('tcp', 4, text)).toEqual([
      {
        protocol: 'tcp',
        family: 4,
        address: '127.0.0.1',
        port: 8080,
        peer: null,
        state: 'listening',
        inode: 40155,
      },
      {
        protocol: 'tcp',
        family: 4,
        address: '192.168.1.10',
        port: 22,
        peer: { address: '192.168.1.2', port: 54321 },
        state: 'established',
        inode: 39901,
      },
      {
        protocol: 'tcp',
        family: 4,
        address: '192.168.1.10',
        port: 8888,
        peer: { address: '192.168.1.5', port: 50000 },
        state: 'syn-received',
        inode: 0,
      },
    ])
    const six =
      '0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1 0'
    expect(parseTable('tcp', 6, six)[0]).toMatchObject({ address: '::1', port: 8080 })
  })

  it('read what ss prints: wildcards of one family and of both, scopes, mapped addresses', () => {
    const text = [
      'tcp   LISTEN    0      128          0.0.0.0:2024       0.0.0.0:*     ino:1066 sk:23a2 cgroup:/ <->       ',
      'udp   UNCONN    0      0      127.0.0.53%lo:53         0.0.0.0:*     uid:101 ino:2001 sk:1 cgroup:/a b <->',
      'tcp   LISTEN    0      511                *:8080             *:*     users:(("node",pid=1,fd=2)) ino:3001 sk:2 v6only:0 <->',
      'tcp   LISTEN    0      511             [::]:8081          [::]:*     ino:3002 sk:3 v6only:1 <->',
      'udp   UNCONN    0      0   [fe80::1]%eth0:546           [::]:*     ino:3003 sk:4 v6only:1 <->',
      'tcp   ESTAB     0      0  [::ffff:10.0.0.1]:8080 [::ffff:10.0.0.2]:5555 timer:(keepalive,1min,0) ino:3004 sk:5 <->',
      'tcp   TIME-WAIT 0      0       127.0.0.1:5000     127.0.0.1:80    timer:(timewait,2.008ms,0) ino:0 sk:6',
      'tcp   LISTEN    0      1                 *:90               *:*     ino:7 sk:7',
      'RTNETLINK answers: nothing',
    ].join('\n')
    expect(
      parseSs(text).map((one) => [
        one.protocol,
        one.family,
        one.address,
        one.port,
        one.peer?.address ?? null,
        one.state,
        one.inode,
        one.v6only,
      ]),
    ).toEqual([
      ['tcp', 4, '0.0.0.0', 2024, null, 'listening', 1066, null],
      ['udp', 4, '127.0.0.53', 53, null, 'listening', 2001, null],
      ['tcp', 6, '::', 8080, null, 'listening', 3001, false],
      ['tcp', 6, '::', 8081, null, 'listening', 3002, true],
      ['udp', 6, 'fe80::1', 546, null, 'listening', 3003, null],
      ['tcp', 6, '::ffff:10.0.0.1', 8080, '::ffff:10.0.0.2', 'established', 3004, null],
      ['tcp', 4, '127.0.0.1', 5000, '127.0.0.1', 'other', 0, null],
      ['tcp', 4, '0.0.0.0', 90, null, 'listening', 7, null],
    ])
  })

  it('read what sock_diag answers, whole messages alone, and never beyond its end', () => {
    const answer = Buffer.from(
      // nlmsghdr: 84 bytes, type 20; inet_diag_msg: AF_INET6, TCP_LISTEN, port 80, ::, inode 7; v6only is 1
      `54000000 1400 0200 00000000 00000000 0a0a0000 0050 0000 ${'00'.repeat(32)} 00000000 ${'ff'.repeat(8)}
       ${'00'.repeat(16)} 07000000 0500 0b00 01000000 14000000 0300 0200 00000000 00000000 00000000`.replaceAll(
        /\s/g,
        '',
      ),
      'hex',
    )
    answer.writeUInt32LE(96, 0)
    const whole: SsSocket[] = []
    expect(parseDiag(answer, 'tcp', whole)).toBe('done')
    expect(whole).toEqual([
      {
        protocol: 'tcp',
        family: 6,
        address: '::',
        port: 80,
        peer: null,
        state: 'listening',
        inode: 7,
        v6only: true,
      },
    ])
    assert(
      property(uint8Array({ maxLength: 200 }), integer({ min: 0, max: 116 }), (noise, cut) => {
        parseDiag(Buffer.concat([answer.subarray(0, cut), noise]), 'tcp', [])
      }),
    )
    expect(parseDiag(answer.subarray(0, 90), 'tcp', [])).toBe('error')
  })

  it('never throw on a damaged table', () => {
    assert(
      property(string({ unit: 'grapheme' }), (text) => {
        for (const protocol of ['tcp', 'udp'] as const) parseTable(protocol, 4, `x\n${text}`)
        parseTable('tcp', 6, text)
        parseRoutes4(text)
        parseRoutes6(text)
        parseSs(`tcp LISTEN 0 1 ${text}`)
        parseNameServers(text)
        parseCapabilities(text)
      }),
    )
  })

  it('find the longest prefix in the route tables', () => {
    const routes = parseRoutes4(
      [
        'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
        'eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
        'eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0',
      ].join('\n'),
    )
    expect(longestPrefix('1.1.1.1', routes)).toMatchObject({
      interface: 'eth0',
      gateway: '192.168.1.1',
      metric: 100,
    })
    expect(longestPrefix('192.168.1.7', routes)).toMatchObject({ gateway: null })
    const six = parseRoutes6(
      '00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0',
    )
    expect(longestPrefix('2001:db8::1', six)).toMatchObject({ gateway: 'fe80::1', metric: 1024 })
  })

  it('read capabilities by their bits', () => {
    expect(parseCapabilities('Name:\tnode\nCapEff:\t0000000000001400\n')).toEqual([
      'CAP_NET_BIND_SERVICE',
      'CAP_NET_ADMIN',
    ])
    expect(parseCapabilities('CapEff:\t0000000000000000')).toEqual([])
  })

  it('tell a VPN, a VM’s and a container’s adapter from a card', () => {
    const kind = (device: Parameters<typeof kindOf>[0]): string => kindOf(device, [device, { ifname: 'br0' }])
    expect(kind({ ifname: 'enp3s0', link_type: 'ether' })).toBe('ethernet')
    expect(kind({ ifname: 'wlp2s0', link_type: 'ether' })).toBe('wifi')
    expect(kind({ ifname: 'wg0', link_type: 'none', linkinfo: { info_kind: 'wireguard' } })).toBe('vpn')
    expect(kind({ ifname: 'home', linkinfo: { info_kind: 'tun', info_data: { type: 'tun' } } })).toBe('vpn')
    expect(
      kind({ ifname: 'vm7', master: 'br0', linkinfo: { info_kind: 'tun', info_data: { type: 'tap' } } }),
    ).toBe('vm')
    expect(kind({ ifname: 'docker0', linkinfo: { info_kind: 'bridge' } })).toBe('container')
    expect(kind({ ifname: 'virbr0', linkinfo: { info_kind: 'bridge' } })).toBe('vm')
    expect(kind({ ifname: 'br0', link_type: 'ether', linkinfo: { info_kind: 'bridge' } })).toBe('ethernet')
    expect(kind({ ifname: 'eth0', link_type: 'ether', linkinfo: { info_kind: 'veth' } })).toBe('ethernet')
  })
})
