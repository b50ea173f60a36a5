import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { silent } from '../../../test/fakes/host.ts'
import type { Runner } from '../contract.ts'
import { createHost } from '../index.ts'
import { kindOfAdapter, parseIpconfig } from './ipconfig.ts'
import { parseNetConnections, parseNetstat, parseTasklist } from './netstat.ts'
import { parseArp, parseNetRoutes, parseRoutePrint } from './routes.ts'

const signal = AbortSignal.timeout(10_000)

const ipconfigEnglish = `
Windows IP Configuration

   Host Name . . . . . . . . . . . . : DESKTOP-1
   Primary Dns Suffix  . . . . . . . :
   Node Type . . . . . . . . . . . . : Hybrid

Ethernet adapter Ethernet:

   Connection-specific DNS Suffix  . : lan
   Description . . . . . . . . . . . : Realtek PCIe GbE Family Controller
   Physical Address. . . . . . . . . : E8-6A-64-97-3E-66
   DHCP Enabled. . . . . . . . . . . : Yes
   Link-local IPv6 Address . . . . . : fe80::946d:de21:8740:68fe%5(Preferred)
   IPv4 Address. . . . . . . . . . . : 192.168.1.10(Preferred)
   Subnet Mask . . . . . . . . . . . : 255.255.255.0
   Lease Obtained. . . . . . . . . . : Monday, November 2, 2026 9:00:00 AM
   Default Gateway . . . . . . . . . : fe80::1%5
                                       192.168.1.1
   DHCP Server . . . . . . . . . . . : 192.168.1.1
   DNS Servers . . . . . . . . . . . : 192.168.1.1
                                       8.8.8.8
   NetBIOS over Tcpip. . . . . . . . : Enabled

Ethernet adapter VMware Network Adapter VMnet8:

   Description . . . . . . . . . . . : VMware Virtual Ethernet Adapter for VMnet8
   Physical Address. . . . . . . . . : 00-50-56-C0-00-08
   IPv4 Address. . . . . . . . . . . : 192.168.79.1(Preferred)
   Default Gateway . . . . . . . . . :

Wireless LAN adapter Wi-Fi:

   Media State . . . . . . . . . . . : Media disconnected
   Description . . . . . . . . . . . : Intel(R) Wi-Fi 6 AX201 160MHz
`

const ipconfigKorean = `
Windows IP 구성

   호스트 이름 . . . . . . . . : E485
   주 DNS 접미사 . . . . . . . :
   노드 유형 . . . . . . . . . : 혼성

이더넷 어댑터 이더넷:

   미디어 상태 . . . . . . . . : 미디어 연결 끊김
   연결별 DNS 접미사. . . . :
   설명. . . . . . . . . . . . : Realtek PCIe GbE Family Controller
   물리적 주소 . . . . . . . . : E8-6A-64-97-3E-66

무선 LAN 어댑터 Wi-Fi:

   연결별 DNS 접미사. . . . :
   설명. . . . . . . . . . . . : Qualcomm Atheros QCA9377 Wireless Network Adapter
   물리적 주소 . . . . . . . . : F8-A2-D6-00-11-22
   링크-로컬 IPv6 주소 . . . . : fe80::ccb6:1421:71d3:dfd7%20(기본 설정)
   IPv4 주소 . . . . . . . . . : 192.168.0.19(기본 설정)
   서브넷 마스크 . . . . . . . : 255.255.255.0
   임대 시작 날짜. . . . . . . : 2026년 11월 2일 월요일 오전 9:00:00
   기본 게이트웨이 . . . . . . : 192.168.0.1
   DHCP 서버 . . . . . . . . . : 192.168.0.1
   DNS 서버. . . . . . . . . . : 168.126.63.1
                                 168.126.63.2

이더넷 어댑터 vEthernet (Default Switch):

   설명. . . . . . . . . . . . : Hyper-V Virtual Ethernet Adapter
   IPv4 주소 . . . . . . . . . : 172.17.131.1(기본 설정)
   기본 게이트웨이 . . . . . . :
`

const netstatKorean = `
활성 연결

  프로토콜  로컬 주소              외부 주소              상태            PID
  TCP    0.0.0.0:80             0.0.0.0:0              LISTENING       4
  TCP    0.0.0.0:8888           0.0.0.0:0              LISTENING       9132
  TCP    127.0.0.1:6278         0.0.0.0:0              LISTENING       9132
  TCP    192.168.0.19:50123     142.250.206.3:443      ESTABLISHED     5120
  TCP    [::]:80                [::]:0                 LISTENING       4
  TCP    [::1]:49670            [::]:0                 LISTENING       8120
  UDP    0.0.0.0:5353           *:*                                    2204
  UDP    [fe80::ccb6:1421:71d3:dfd7%20]:1900  *:*                      3344
`

const netstatGerman = `
Aktive Verbindungen

  Proto  Lokale Adresse         Remoteadresse          Status           PID
  TCP    0.0.0.0:135            0.0.0.0:0              ABHÖREN         1060
  TCP    192.168.1.10:50001     1.1.1.1:443            HERGESTELLT     5120
`

const routeEnglish = `===========================================================================
Interface List
 16...00 15 5d 00 13 15 ......Hyper-V Virtual Ethernet Adapter #2
  4...00 e0 4c 23 1a cf ......Realtek PCIe GBE Family Controller
  1...........................Software Loopback Interface 1
===========================================================================

IPv4 Route Table
===========================================================================
Active Routes:
Network Destination        Netmask          Gateway       Interface  Metric
          0.0.0.0          0.0.0.0      192.168.0.1     192.168.0.19    281
        10.0.75.0    255.255.255.0         On-link         10.0.75.1    271
      192.168.0.0    255.255.255.0         On-link      192.168.0.19    281
===========================================================================
Persistent Routes:
  Network Address          Netmask  Gateway Address  Metric
          0.0.0.0          0.0.0.0      192.168.0.1  Default
===========================================================================

IPv6 Route Table
===========================================================================
Active Routes:
 If Metric Network Destination      Gateway
  4    281 ::/0                     fe80::1
  1    331 ::1/128                  On-link
  4    281 2001:db8:1:2:3:4:5:6/128
                                    On-link
===========================================================================
`

const routeKorean = routeEnglish
  .replaceAll('On-link', '연결됨')
  .replace(
    'Network Destination        Netmask          Gateway       Interface  Metric',
    '네트워크 대상        네트워크 마스크       게이트웨이       인터페이스    메트릭',
  )
  .replace('Active Routes:', '활성 경로:')
  .replace('Persistent Routes:', '영구 경로:')
  .replace('192.168.0.1  Default', '192.168.0.1    기본값')

describe('ipconfig', () => {
  it('is read in English', () => {
    const [ethernet, vmnet, wifi] = parseIpconfig(ipconfigEnglish)
    expect(ethernet).toEqual({
      name: 'Ethernet',
      description: 'Realtek PCIe GbE Family Controller',
      mac: 'e8:6a:64:97:3e:66',
      addresses: ['fe80::946d:de21:8740:68fe%5', '192.168.1.10'],
      gateways: ['fe80::1%5', '192.168.1.1'],
      nameServers: ['192.168.1.1', '8.8.8.8'],
      connected: true,
    })
    expect([vmnet, wifi].map((adapter) => kindOfAdapter(adapter!))).toEqual(['vm', 'wifi'])
    expect(wifi?.connected).toBe(false)
  })

  it('is read in Korean', () => {
    const [ethernet, wifi, hyperv] = parseIpconfig(ipconfigKorean)
    expect(ethernet).toMatchObject({ name: '이더넷', connected: false, addresses: [] })
    expect(wifi).toEqual({
      name: 'Wi-Fi',
      description: 'Qualcomm Atheros QCA9377 Wireless Network Adapter',
      mac: 'f8:a2:d6:00:11:22',
      addresses: ['fe80::ccb6:1421:71d3:dfd7%20', '192.168.0.19'],
      gateways: ['192.168.0.1'],
      nameServers: ['168.126.63.1', '168.126.63.2'],
      connected: true,
    })
    expect(kindOfAdapter(hyperv!)).toBe('vm')
  })
})

describe('netstat', () => {
  it('is read in Korean', () => {
    const rows = parseNetstat(netstatKorean)
    expect(rows).toHaveLength(8)
    expect(rows.filter(({ state }) => state === 'listening')).toHaveLength(7)
    expect(rows[3]).toEqual({
      protocol: 'tcp',
      family: 4,
      address: '192.168.0.19',
      port: 50_123,
      peer: { address: '142.250.206.3', port: 443 },
      state: 'established',
      pid: 5120,
    })
    expect(rows.at(-1)).toMatchObject({ protocol: 'udp', family: 6, port: 1900, pid: 3344 })
  })

  it('knows a listener also where the word for it is translated', () => {
    expect(parseNetstat(netstatGerman).map(({ state }) => state)).toEqual(['listening', 'established'])
  })

  it('is read without pids, as wine prints it', () => {
    const text =
      '  TCP    127.0.0.1:42093        127.0.0.1:45151        ESTABLISHED\r\n  UDP    0.0.0.0:46627          *:*\r\n'
    expect(parseNetstat(text)).toMatchObject([
      { state: 'established', pid: null },
      { state: 'listening', pid: null },
    ])
  })

  it('gives way to PowerShell’s JSON, one object or many', () => {
    const one =
      '{"LocalAddress":"0.0.0.0","LocalPort":8888,"RemoteAddress":"0.0.0.0","RemotePort":0,"State":2,"OwningProcess":9132}'
    expect(parseNetConnections('tcp', one)).toEqual([
      {
        protocol: 'tcp',
        family: 4,
        address: '0.0.0.0',
        port: 8888,
        peer: null,
        state: 'listening',
        pid: 9132,
      },
    ])
    expect(parseNetConnections('udp', `[${one},${one}]`)).toHaveLength(2)
    expect(parseNetConnections('tcp', '')).toEqual([])
  })
})

describe('routes', () => {
  it.each([
    ['English', routeEnglish],
    ['Korean', routeKorean],
  ])('are read in %s', (_language, text) => {
    expect(parseRoutePrint(text)).toEqual([
      {
        family: 4,
        destination: '0.0.0.0',
        bits: 0,
        gateway: '192.168.0.1',
        via: '192.168.0.19',
        metric: 281,
      },
      { family: 4, destination: '10.0.75.0', bits: 24, gateway: null, via: '10.0.75.1', metric: 271 },
      { family: 4, destination: '192.168.0.0', bits: 24, gateway: null, via: '192.168.0.19', metric: 281 },
      { family: 6, destination: '::', bits: 0, gateway: 'fe80::1', via: '4', metric: 281 },
      { family: 6, destination: '::1', bits: 128, gateway: null, via: '1', metric: 331 },
      { family: 6, destination: '2001:db8:1:2:3:4:5:6', bits: 128, gateway: null, via: '4', metric: 281 },
    ])
  })

  it('are read from Get-NetRoute, the sum of both metrics deciding', () => {
    const json =
      '[{"DestinationPrefix":"0.0.0.0/0","NextHop":"192.168.0.1","InterfaceIndex":4,"RouteMetric":0,"InterfaceMetric":25}]'
    expect(parseNetRoutes(json)).toEqual([
      { family: 4, destination: '0.0.0.0', bits: 0, gateway: '192.168.0.1', via: '4', metric: 25 },
    ])
  })

  it('neighbours are those that are really there', () => {
    const text = `
인터페이스: 192.168.0.19 --- 0x14
  인터넷 주소           물리적 주소           유형
  192.168.0.1           88-36-6c-00-11-22     동적
  192.168.0.255         ff-ff-ff-ff-ff-ff     정적
  224.0.0.22            01-00-5e-00-00-16     정적
`
    expect(parseArp(text)).toEqual([
      { address: '192.168.0.1', mac: '88:36:6c:00:11:22', via: '192.168.0.19' },
    ])
  })
})

describe('the Windows host', () => {
  const answers: Record<string, string> = {
    'netstat -ano': netstatKorean,
    'tasklist /fo csv /nh':
      '"System","4","Services","0","144 K"\r\n"node.exe","9132","Console","1","60,120 K"\r\n',
    'route print': routeKorean,
    'ipconfig /all': ipconfigKorean,
  }
  const runner: Runner = {
    hold: silent,
    run: (argv) => Promise.resolve({ exit: 0, stdout: answers[argv.join(' ')] ?? '', stderr: '' }),
  }
  const host = createHost({ platform: 'win32', runner })

  it('names the process behind a listener, and tells IPv6-only ones', async () => {
    const list = await host.sockets.list({ signal })
    expect(list.find(({ port }) => port === 8888)?.process).toEqual({ pid: 9132, name: 'node.exe' })
    expect(list.find(({ family, port }) => family === 6 && port === 80)?.v6only).toBe(false)
    expect(await host.sockets.owner('tcp', 80, { signal })).toBe('System (pid 4)')
  })

  it('finds the gateway and the way to an address', async () => {
    const [best] = await host.network.defaultRoutes({ signal })
    expect(best).toMatchObject({ family: 4, gateway: '192.168.0.1', source: '192.168.0.19' })
    expect(await host.network.routeTo('10.0.75.9', { signal })).toMatchObject({ gateway: null })
  })

  it('no parser throws on any text', () => {
    assert(
      property(string({ unit: 'grapheme' }), (text) => {
        for (const parse of [
          parseIpconfig,
          parseNetstat,
          parseRoutePrint,
          parseNetRoutes,
          parseArp,
          parseTasklist,
        ]) {
          parse(text)
          parse(`Ethernet adapter x:\n   ${text} . . : ${text}\n  TCP  ${text}`)
        }
      }),
    )
  })
})
