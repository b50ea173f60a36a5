import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describeWith } from '../../../test/needs.ts'
import { createRunner } from '../runner.ts'
import { kindOfDevice, parseArp, parseLsof, parseRouteGet, parseWifiDevices } from './parse.ts'

describe('macOS', () => {
  it('tells listeners from lsof', () => {
    const text =
      'p812\ncnginx\nf6\ntIPv4\nPTCP\nn*:80\nTST=LISTEN\nf7\ntIPv6\nPTCP\nn[::1]:6278\nTST=LISTEN\np900\ncChrome\nf20\ntIPv4\nPTCP\nn192.168.1.7:52345->142.250.1.1:443\nTST=ESTABLISHED\nf21\ntIPv6\nPUDP\nn*:5353\nf22\ntIPv4\nPUDP\nn*:*\n'
    expect(
      parseLsof(text).map(({ protocol, family, address, port, state, process }) => [
        protocol,
        family,
        address,
        port,
        state,
        process?.name,
      ]),
    ).toEqual([
      ['tcp', 4, '0.0.0.0', 80, 'listening', 'nginx'],
      ['tcp', 6, '::1', 6278, 'listening', 'nginx'],
      ['tcp', 4, '192.168.1.7', 52_345, 'established', 'Chrome'],
      ['udp', 6, '::', 5353, 'listening', 'Chrome'],
    ])
  })

  it('tells the gateway from route', () => {
    const text = `   route to: default
destination: default
       mask: default
    gateway: 192.168.1.1
  interface: en1
      flags: <UP,GATEWAY,DONE,STATIC,PRCLONING>
 recvpipe  sendpipe  ssthresh  rtt,msec    rttvar  hopcount      mtu     expire
       0         0         0         0         0         0      1500         0
`
    expect(parseRouteGet(text, 4)).toEqual({
      family: 4,
      interface: 'en1',
      gateway: '192.168.1.1',
      source: null,
      metric: 0,
    })
    expect(parseRouteGet('route: writing to routing socket: not in table\n', 4)).toBeNull()
    expect(parseRouteGet('    gateway: fe80::1%en0\n  interface: en0\n', 6)).toMatchObject({
      gateway: 'fe80::1%en0',
    })
    expect(parseRouteGet('    gateway: index: 5 en0\n  interface: en0\n', 4)).toMatchObject({ gateway: null })
  })

  it('tells neighbours and kinds of devices', () => {
    const arp =
      '? (192.168.1.1) at 20:c0:47:c2:a8:3 on en0 ifscope [ethernet]\n? (192.168.1.9) at (incomplete) on en0 ifscope [ethernet]\n? (224.0.0.251) at 1:0:5e:0:0:fb on en0 ifscope permanent [ethernet]\n'
    expect(parseArp(arp)).toEqual([{ address: '192.168.1.1', mac: '20:c0:47:c2:a8:03', interface: 'en0' }])
    const wifi = parseWifiDevices(
      'Hardware Port: Ethernet\nDevice: en0\nEthernet Address: a\n\nHardware Port: Wi-Fi\nDevice: en1\n',
    )
    expect(['en0', 'en1', 'utun3', 'vmnet8', 'lo0', 'awdl0'].map((name) => kindOfDevice(name, wifi))).toEqual(
      ['ethernet', 'wifi', 'vpn', 'vm', 'loopback', 'other'],
    )
  })

  it('no parser throws on any text', () => {
    assert(
      property(string({ unit: 'grapheme' }), (text) => {
        parseLsof(`p1\nf1\nPTCP\nn${text}\n${text}`)
        parseRouteGet(text, 4)
        parseArp(`? (${text}) at ${text} on en0`)
        parseWifiDevices(text)
      }),
    )
  })
})

describeWith({ commands: ['lsof'] }, 'lsof itself', () => {
  it('shows our own listener in the form we read', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const argv = [
      'lsof',
      '-nP',
      '-a',
      '-p',
      String(process.pid),
      '-iTCP',
      '-sTCP:LISTEN',
      '-F',
      'pcfntPT',
    ] as const
    const { stdout } = await createRunner().run([...argv], { signal: AbortSignal.timeout(10_000) })
    expect(parseLsof(stdout)).toContainEqual(
      expect.objectContaining({ protocol: 'tcp', family: 4, address: '127.0.0.1', port, state: 'listening' }),
    )
    server.close()
  })
})
