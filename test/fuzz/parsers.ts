/**
 * Everything that reads what others wrote: strangers on the network, routers, guests, other programs' files and
 * output, our own file and API. Each with real inputs to begin from. A new parser is a line here.
 */
import { NaruError } from '../../src/base/errors.ts'
import { jsonProblem } from '../../src/base/json.ts'
import { checkHost, checkOrigin, checkToken, isApi } from '../../src/api/server/guard.ts'
import { parseEventKey } from '../../src/api/protocol/wire.ts'
import { parseProfiles, parseZones } from '../../src/doctor/checks/firewall-profile.ts'
import { parseGsettings, parsePmset, parsePowercfg } from '../../src/doctor/checks/machine-sleeps.ts'
import { parseExcludedRanges } from '../../src/doctor/checks/reserved-range.ts'
import { parseFirewallProducts } from '../../src/doctor/checks/security-suite.ts'
import { formatLine, readLines } from '../../src/instance/journal-lines.ts'
import { parseFlow } from '../../src/engines/kernel/flows.ts'
import { importRules } from '../../src/formats/index.ts'
import { Container } from '../../src/guests/docker/engine-api.ts'
import {
  parseAddresses as parseLibvirtAddresses,
  parseDomains,
  parseInterfaces,
} from '../../src/guests/libvirt/output.ts'
import { parseArguments } from '../../src/guests/qemu/find.ts'
import { parseNetwork, parseUserNet } from '../../src/guests/qemu/monitor.ts'
import { parseMessage } from '../../src/guests/qemu/qmp.ts'
import {
  parseAddresses as parseBoxAddresses,
  parseList,
  parseMachine,
} from '../../src/guests/virtualbox/vm-info.ts'
import { parseInventory, parseVmrunList, parseVmx } from '../../src/guests/vmware/tools.ts'
import {
  parseArp as parseDarwinArp,
  parseLsof,
  parseRouteGet,
  parseWifiDevices,
} from '../../src/host/darwin/parse.ts'
import { readIpSets, readSaved } from '../../src/host/simulate/iptables.ts'
import { readListing, readNft } from '../../src/host/simulate/nft-ruleset.ts'
import { objectsIn } from '../../src/linux/nft.ts'
import { parseNameServers } from '../../src/host/linux/network.ts'
import { parseRoutes4, parseRoutes6 } from '../../src/host/linux/proc-routes.ts'
import { parseTable } from '../../src/host/linux/proc-sockets.ts'
import { parseDiag } from '../../src/host/linux/sock-diag.ts'
import { parseSs } from '../../src/host/linux/ss.ts'
import { parseBindingAnswer } from '../../src/host/stun.ts'
import { parseIpconfig } from '../../src/host/windows/ipconfig.ts'
import { parseNetConnections, parseNetstat, parseTasklist } from '../../src/host/windows/netstat.ts'
import { parseArp, parseNetRoutes, parseRoutePrint } from '../../src/host/windows/routes.ts'
import { importFormats } from '../../src/model/import-export.ts'
import { parseListen } from '../../src/model/listen.ts'
import { parseMappingTag } from '../../src/model/mapping.ts'
import { parseBandwidth } from '../../src/model/rate.ts'
import { readRule } from '../../src/model/rule-file.ts'
import { parseTag } from '../../src/model/tag.ts'
import { parseTarget } from '../../src/model/target.ts'
import { parseCidr } from '../../src/base/address.ts'
import { parseDuration } from '../../src/base/duration.ts'
import { parsePortRange } from '../../src/base/port.ts'
import { RuleInputSchema } from '../../src/api/protocol/schemas.ts'
import { AskedName } from '../../src/relay/asked-name.ts'
import { parseHosts } from '../../src/relay/hosts-file.ts'
import { unwrapDatagram } from '../../src/engines/sockets/proxy-datagram.ts'
import { readProxyHeader } from '../../src/relay/proxy/read.ts'
import { writeProxyV1, writeProxyV2 } from '../../src/relay/proxy/write.ts'
import { parseAddressAnswer, parseMapAnswer as parseNatPmpAnswer } from '../../src/routers/nat-pmp/codec.ts'
import { isNatPmpOnly, parseAnnounceAnswer, parseMapAnswer } from '../../src/routers/pcp/codec.ts'
import { parseDescription } from '../../src/routers/upnp/description.ts'
import { parseListing } from '../../src/routers/upnp/listing.ts'
import { parseSoapAnswer } from '../../src/routers/upnp/soap.ts'
import { parseNotice, parseSearchAnswer } from '../../src/routers/upnp/ssdp.ts'
import { parseXml } from '../../src/routers/upnp/xml.ts'
import { parseUfwRules } from '../../src/firewalls/linux/ufw-rules.ts'
import { parseZone } from '../../src/firewalls/linux/firewalld-zones.ts'
import { parseApps } from '../../src/firewalls/macos/application-firewall.ts'
import { readDocument } from '../../src/stores/file/document.ts'
import { description } from '../fakes/router.ts'

export interface Parser {
  readonly name: string
  readonly seeds: readonly Buffer[]
  /** Takes any bytes; throws nothing but NaruError. */
  readonly read: (bytes: Buffer) => unknown
  /** Inputs grow up to this many bytes. @default 65536 */
  readonly longest?: number
}

type Seed = string | Uint8Array

function parser(
  name: string,
  seeds: readonly Seed[],
  read: (bytes: Buffer) => unknown,
  longest?: number,
): Parser {
  const buffers = seeds.map((seed) => (typeof seed === 'string' ? Buffer.from(seed) : Buffer.from(seed)))
  return { name, seeds: buffers, read, ...(longest === undefined ? {} : { longest }) }
}

/** For those that take text. */
function textParser(
  name: string,
  seeds: readonly Seed[],
  read: (text: string) => unknown,
  longest?: number,
): Parser {
  return parser(name, seeds, (bytes) => read(bytes.toString('utf8')), longest)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const far = { address: '203.0.113.7', port: 40_000 }
const near = { address: '198.51.100.1', port: 443 }
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** A ClientHello of one extension, the name `a.example.org`, in a record. */
const hello = hex(
  `16 03 01 00 47 01 00 00 43 03 03 ${'01'.repeat(32)} 00 00 02 13 01 01 00 00 18 ` +
    '00 00 00 14 00 12 00 00 0f 61 2e 65 78 61 6d 70 6c 65 2e 6f 72 67 2e 61 62',
)
const request =
  '\r\nPOST http://shop.example.org:8080/a HTTP/1.1\r\nAccept: */*\r\nhOsT: \tShop.Example.org:8080 \r\nCookie: a=b\r\n\r\nbody'

/** In pieces, as segments come, and as much of them as a reader wants. */
function askedInPieces(bytes: Buffer): void {
  const asked = new AskedName()
  const step = Math.max(1, bytes.length >> 8)
  for (let at = 1; at < bytes.length + step; at += step)
    if (asked.look(bytes.subarray(0, Math.min(at, bytes.length))).state !== 'more') return
}

const wish = {
  nonce: Buffer.alloc(12, 7),
  protocol: 'tcp',
  internalPort: 8888,
  externalPort: 8888,
  externalAddress: null,
  preferFailure: false,
  filters: [],
  thirdParty: null,
} as const
const pcpAnswer = hex(
  `02 81 00 00 00 00 0e 10 00 00 00 05 ${'00'.repeat(12)} ${'07'.repeat(12)} 06 00 00 00 22 b8 22 b8 ${'00'.repeat(10)} ffff cb007107`,
)
const transaction = Buffer.alloc(12, 9)
const stunAnswer = hex(`01 01 00 0c 21 12 a4 42 ${'09'.repeat(12)} 00 20 00 08 00 01 11 2b ea 12 d5 45`)

const soap = (inside: string): string =>
  `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>${inside}</s:Body></s:Envelope>`
const rows =
  '<p:PortMappingList xmlns:p="urn:schemas-upnp-org:gw:WANIPConnection"><p:PortMappingEntry><p:NewRemoteHost></p:NewRemoteHost><p:NewExternalPort>80</p:NewExternalPort><p:NewProtocol>TCP</p:NewProtocol><p:NewInternalPort>80</p:NewInternalPort><p:NewInternalClient>192.168.0.9</p:NewInternalClient><p:NewEnabled>1</p:NewEnabled><p:NewDescription>a &amp; b</p:NewDescription><p:NewLeaseTime>3600</p:NewLeaseTime></p:PortMappingEntry></p:PortMappingList>'

/** Maps and lists where a key should stand. */
const yamlKeys = `rules:
  {{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{ a }}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}: 1
  ? [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ b ]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
  : { ? { ? *a : 2 } : 3 }
`
const yaml = `rules:
  web: # a comment
    listen: 8888
    target: 192.168.79.128:80
    publish: { firewall: auto, router: auto }
    allow: [192.168.0.0/16, "2001:db8::/32"]
    limits: { connections: 1000, perSource: 50, bandwidth: 100mbit }
    timeouts: &t { connect: 5s, idle: 0 }
  two:
    listen: 0.0.0.0:9000-9100/tcp+udp
    targets: [{ to: 10.0.0.2:80, weight: 2, name: a.example.org }, { to: docker:web:80, backup: true }]
    timeouts: *t
names: [home.example.org]
`
const rule = {
  listen: '8888',
  targets: [{ to: '10.0.0.2:80', weight: 2 }],
  allow: ['10.0.0.0/8'],
  limits: { perSource: 5 },
}

/** What each import reads, as its programs write it. */
const imports: Record<(typeof importFormats)[number], string> = {
  netsh:
    'Listen on ipv4:             Connect to ipv4:\r\n\r\nAddress         Port        Address         Port\r\n--------------- ----------  --------------- ----------\r\n0.0.0.0         8888        192.168.79.128  80\r\n',
  asus: 'vts_rulelist=<web>8888>192.168.1.20>80>TCP>1.2.3.4<two>9000:9100>192.168.1.21>>BOTH>\nvts_enable_x=1\n',
  iptables:
    '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p tcp -m tcp --dport 8888 -s 10.0.0.0/255.0.0.0 -m comment --comment "a b" -j DNAT --to-destination 10.0.0.2:80\n-A PREROUTING -p udp -m multiport --dports 53,5353:5360 -j DNAT --to-destination 10.0.0.3\nCOMMIT\n',
  compose:
    'services:\n  web:\n    image: nginx\n    ports: ["8080:80", "127.0.0.1:9000-9005:9000-9005/udp", { target: 80, published: "${PORT:-8081}" }]\n    networks: { lan: { ipv4_address: 10.5.0.2 } }\n',
  haproxy:
    'global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 5s\nfrontend f\n  bind 0.0.0.0:443 accept-proxy\n  tcp-request inspect-delay 5s\n  acl a req_ssl_sni -i a.example.org\n  tcp-request connection reject if { src 10.0.0.0/8 }\n  use_backend b if a\n  default_backend c\nbackend b\n  server one 10.0.0.2:443 check send-proxy\nbackend c\n  balance leastconn\n  server two 10.0.0.3:443 weight 5 backup\n',
  nginx:
    'stream {\n  map $ssl_preread_server_name $up { a.example.org 10.0.0.2:443; default two; }\n  upstream two { least_conn; server 10.0.0.3:443 weight=2; server unix:/run/a backup; }\n  server { listen 443; ssl_preread on; allow 10.0.0.0/8; deny all; proxy_pass $up; proxy_timeout 1h; }\n  server { listen 53 udp; proxy_pass "10.0.0.4:53"; }\n}\n',
  rinetd:
    'allow 192.168.2.*\ndeny 192.168.2.1?\n0.0.0.0 80 10.1.1.2 http\n127.0.0.1 4000/udp 127.0.0.1 22/udp [timeout=1200,src=10.0.0.1]\n',
}

const ipconfig =
  '\r\nWindows IP Configuration\r\n\r\n   Host Name . . . . . . . . . . . . : PC\r\n\r\nEthernet adapter Ethernet:\r\n\r\n   Connection-specific DNS Suffix  . : lan\r\n   Physical Address. . . . . . . . . : E8-6A-64-97-3E-66\r\n   IPv4 Address. . . . . . . . . . . : 192.168.1.10(Preferred)\r\n   Subnet Mask . . . . . . . . . . . : 255.255.255.0\r\n   Default Gateway . . . . . . . . . : fe80::1%5\r\n                                       192.168.1.1\r\n'
const routePrint =
  'IPv4 Route Table\r\n===========================================================================\r\nActive Routes:\r\nNetwork Destination        Netmask          Gateway       Interface  Metric\r\n          0.0.0.0          0.0.0.0      192.168.1.1     192.168.1.10     25\r\n        127.0.0.0        255.0.0.0         On-link         127.0.0.1    331\r\n'
const savedRules =
  '*filter\n:INPUT DROP [0:0]\n:ufw-user-input - [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT ! -s 10.0.0.0/8 -i eth+ -p tcp -m multiport --dports 22,80:90 -m set --match-set s src -j ufw-user-input\n-A ufw-user-input -m iprange --src-range 10.0.0.1-10.0.0.9 -m comment --comment "it\\"s" -j REJECT\nCOMMIT\n'
const nft =
  '{"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"family":"inet","name":"f","handle":1}},{"chain":{"family":"inet","table":"f","name":"in","handle":1,"type":"filter","hook":"input","prio":0,"policy":"drop"}},{"set":{"family":"inet","name":"s","table":"f","type":"ipv4_addr","handle":2,"elem":["10.0.0.1",{"prefix":{"addr":"10.1.0.0","len":16}},{"range":["10.2.0.1","10.2.0.9"]}]}},{"rule":{"family":"inet","table":"f","chain":"in","handle":3,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@s"}},{"match":{"op":"in","left":{"ct":{"key":"state"}},"right":["established","related"]}},{"accept":null}]}}]}'

const journal = formatLine({
  op: 'intend',
  id: 1,
  rule: 'web',
  hop: 'router',
  member: 'upnp',
  effect: { externalPort: 8888 },
  at: 1_700_000_000_000,
})

const tokens = { token: 'abcdefghijklmnop', readToken: 'ponmlkjihgfedcba', pageKey: 'key' }

/** What a request says of itself, a line each. */
function enterDoor(text: string): void {
  const [method = '', address = '', host, origin, site, authorization, last = ''] = text.split('\n')
  const [path = '', query = ''] = address.split('?')
  const headers = new Map(Object.entries({ host, origin, 'sec-fetch-site': site, authorization }))
  const asked = {
    method,
    path,
    header: (name: string) => headers.get(name),
    query: (name: string) => new URLSearchParams(query).get(name) ?? undefined,
  }
  parseEventKey(last)
  checkHost(asked)
  checkOrigin(asked)
  if (isApi(path)) checkToken(asked, tokens)
}

/** Each of them by itself: what one refuses, another takes. */
function readWords(text: string): void {
  for (const read of [
    parseListen,
    parseTarget,
    parseCidr,
    parseDuration,
    parseBandwidth,
    parsePortRange,
    parseTag,
    parseMappingTag,
  ])
    try {
      read(text)
    } catch (error) {
      if (!(error instanceof NaruError)) throw error
    }
}

export const parsers: readonly Parser[] = [
  parser('host', [request, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'], askedInPieces),
  parser('hello', [hello], askedInPieces),
  parser(
    'proxy',
    [
      writeProxyV1(far, near),
      writeProxyV2(far, near, {
        transport: 'stream',
        checksum: true,
        tlvs: [{ type: 5, value: Buffer.from('id') }],
      }),
    ],
    readProxyHeader,
  ),
  parser('proxy datagram', [writeProxyV2(far, near, { transport: 'datagram' })], (bytes) =>
    unwrapDatagram(bytes, 'required'),
  ),
  textParser('xml', [description(2), soap(rows)], parseXml),
  textParser('description', [description(1), description(2)], (text) =>
    parseDescription(text, new URL('http://192.168.0.1:5000/d.xml')),
  ),
  textParser(
    'soap',
    [
      soap(
        `<u:GetListOfPortMappingsResponse xmlns:u="x"><NewPortListing><![CDATA[${rows}]]></NewPortListing></u:GetListOfPortMappingsResponse>`,
      ),
      soap('<s:Fault><detail><UPnPError><errorCode>725</errorCode></UPnPError></detail></s:Fault>'),
    ],
    (text) => parseSoapAnswer(text, 'GetListOfPortMappings'),
  ),
  textParser('listing', [rows], parseListing),
  parser(
    'ssdp',
    [
      'HTTP/1.1 200 OK\r\nLOCATION: http://192.168.0.1:5000/d.xml\r\nST: upnp:rootdevice\r\nUSN: uuid:1\r\nBOOTID.UPNP.ORG: 7\r\n\r\n',
      'NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\nNT: upnp:rootdevice\r\n\r\n',
    ],
    (bytes) => [parseSearchAnswer(bytes), parseNotice(bytes)],
  ),
  parser(
    'nat-pmp',
    [hex('00 80 00 00 00 00 00 05 cb 00 71 07'), hex('00 82 00 00 00 00 00 05 22 b8 22 b8 00 00 0e 10')],
    (bytes) => [parseAddressAnswer(bytes), parseNatPmpAnswer(bytes, 'tcp', 8888)],
  ),
  parser('pcp', [pcpAnswer], (bytes) => [
    parseMapAnswer(bytes, wish),
    parseAnnounceAnswer(bytes),
    isNatPmpOnly(bytes),
  ]),
  parser('stun', [stunAnswer], (bytes) => parseBindingAnswer(bytes, transaction)),
  ...importFormats.map((from) =>
    parser(`import ${from}`, [imports[from]], (bytes) => importRules(bytes, { from })),
  ),
  parser('import', Object.values(imports), (bytes) => importRules(bytes)),
  textParser('naru.yaml', [yaml, yamlKeys], readDocument, 16_384),
  textParser('json', [JSON.stringify({ rule, deep: [[[{ a: [] }]]], '\u2028"\\': -1.5e-3 })], jsonProblem),
  textParser('a rule', [JSON.stringify(rule)], (text) => [
    RuleInputSchema.safeParse(jsonOf(text)),
    readRule('web', jsonOf(text)),
  ]),
  textParser(
    'docker',
    [
      JSON.stringify({
        Id: 'a',
        Name: '/web',
        State: { Running: true },
        NetworkSettings: {
          Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] },
          Networks: { bridge: { IPAddress: '172.17.0.2' } },
        },
        Config: { Labels: {} },
      }),
    ],
    (text) => Container.safeParse(jsonOf(text)),
  ),
  textParser(
    'qemu',
    [
      'Hub -1 (n0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]   8               * 18222       10.0.2.15    22     0     0\r\n',
      'net0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56\r\n \\ n0: index=0,type=user,net=10.0.2.0,restrict=off\r\n',
    ],
    (text) => [parseUserNet(text), parseNetwork(text)],
  ),
  textParser(
    'virtualbox',
    [
      '"win10" {5ac9ae1e-8d02-4d0c-9d31-1f0a3f0c7a6d}\n',
      'name="win10"\nVMState="running"\nnic1="nat"\nForwarding(0)="naru,tcp,,8888,,80"\nmacaddress1="080027000001"\n',
      '/VirtualBox/GuestInfo/Net/0/V4/IP\nValue: 10.0.2.15\n',
    ],
    (text) => [parseList(text), parseMachine(text), parseBoxAddresses(text)],
  ),
  textParser(
    'vmware',
    [
      'Total running VMs: 1\n/vm/win10.vmx\n',
      'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nethernet0.generatedAddress = "00:0c:29:00:00:01"\n',
    ],
    (text) => [parseVmrunList(text), parseInventory(text), parseVmx(text)],
  ),
  textParser(
    'libvirt',
    [
      ' Id   Name    State\n-----------------------\n 1    web     running\n',
      ' vnet0      52:54:00:9a:1b:2c    ipv4         192.168.122.45/24\n',
      "<domain><devices><interface type='network'><mac address='52:54:00:9a:1b:2c'/><source network='default'/><target dev='vnet0'/></interface></devices></domain>",
    ],
    (text) => [parseDomains(text), parseLibvirtAddresses(text), parseInterfaces(text)],
  ),
  textParser(
    'windows network',
    [
      ipconfig,
      routePrint,
      'Interface: 192.168.1.10 --- 0x5\r\n  Internet Address      Physical Address      Type\r\n  192.168.1.1           e8-6a-64-97-3e-01     dynamic\r\n',
      '[{"DestinationPrefix":"0.0.0.0/0","NextHop":"192.168.1.1","ifIndex":5,"RouteMetric":0}]',
    ],
    (text) => [parseIpconfig(text), parseRoutePrint(text), parseArp(text), parseNetRoutes(text)],
  ),
  textParser(
    'windows sockets',
    [
      '  Proto  Local Address          Foreign Address        State           PID\r\n  TCP    0.0.0.0:135            0.0.0.0:0              LISTENING       1100\r\n  UDP    [::1]:1900             *:*                                    4400\r\n',
      '"System Idle Process","0","Services","0","8 K"\r\n',
      '[{"LocalAddress":"::","LocalPort":80,"State":2,"OwningProcess":4}]',
    ],
    (text) => [parseNetstat(text), parseTasklist(text), parseNetConnections('tcp', text)],
  ),
  textParser(
    'macos',
    [
      'p1\ncnode\nf3\nPTCP\nn*:80\nTST=LISTEN\n',
      '   route to: default\n    gateway: 192.168.1.1\n  interface: en0\n',
      '? (192.168.1.1) at e8:6a:64:97:3e:1 on en0 ifscope [ethernet]\n',
      'Hardware Port: Wi-Fi\nDevice: en0\n',
      '1 :  /Applications/a.app \n \t ( Allow incoming connections ) \n',
    ],
    (text) => [
      parseLsof(text),
      parseRouteGet(text, 4),
      parseDarwinArp(text),
      parseWifiDevices(text),
      parseApps(text),
    ],
  ),
  textParser(
    'linux network',
    [
      'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n',
      '20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n',
      'nameserver 192.168.1.1\nsearch lan\n',
      '127.0.0.1\tlocalhost\n::1 ip6-localhost # yes\n',
    ],
    (text) => [parseRoutes4(text), parseRoutes6(text), parseNameServers(text), parseHosts(text)],
  ),
  textParser(
    'linux sockets',
    [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n',
      'tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:(("sshd",pid=7,fd=3))\n',
    ],
    (text) => [parseTable('tcp', 4, text), parseTable('udp', 6, text), parseSs(text)],
  ),
  parser(
    'sock_diag',
    [
      Buffer.alloc(88, 1),
      hex(`48 00 00 00 14 00 02 00 ${'00'.repeat(8)} 02 0a 00 00 1f 90 ${'00'.repeat(50)}`),
    ],
    (bytes) => parseDiag(bytes, 'tcp', []),
  ),
  textParser('iptables-save', [savedRules], (text) =>
    readSaved(text, 'iptables-nft', 'ip', new Map([['s', ['10.0.0.1']]])),
  ),
  textParser('ipset', ['create s hash:net family inet\nadd s 10.0.0.0/8\n'], readIpSets),
  textParser('nft', [nft], (text) => readNft(objectsIn(text) ?? [], readListing(text))),
  textParser(
    'ufw',
    [
      '### tuple ### allow tcp 8888 0.0.0.0/0 any 10.0.0.0/8 in comment=6e617275\n-A ufw-user-input -p tcp --dport 8888 -s 10.0.0.0/8 -j ACCEPT\n',
    ],
    (text) => parseUfwRules(text, 4),
  ),
  textParser(
    'firewalld',
    [
      'public (active)\n  target: default\n  interfaces: eth0\n  services: ssh\n  ports: 80/tcp 1000-2000/udp\n  rich rules: \n\trule family="ipv4" source address="10.0.0.0/8" port port="8888" protocol="tcp" accept\n',
    ],
    (text) => parseZone('public', text),
  ),
  textParser(
    'conntrack',
    [
      'tcp      6 431999 ESTABLISHED src=192.168.1.7 dst=192.168.1.1 sport=40000 dport=8888 packets=3 bytes=180 src=10.0.0.2 dst=192.168.1.1 sport=80 dport=40000 packets=2 bytes=120 [ASSURED] mark=0 use=1 id=77\n',
      'udp      17 29 src=::1 dst=::1 sport=1 dport=2 [UNREPLIED] src=::1 dst=::1 sport=2 dport=1 id=8 \n',
    ],
    (text) => text.split('\n').map(parseFlow),
  ),
  textParser(
    'checks',
    [
      'public (active)\n  target: default\n  interfaces: eth0 eth1\n  ports: 80/tcp 1000-2000/udp\n\nwork\n  interfaces: \n',
      '{"networks":[{"InterfaceAlias":"Ethernet","NetworkCategory":"Public"}],"profiles":[{"Name":"Public","Enabled":true}]}',
      '[{"displayName":"Windows Defender","productState":397568}]',
      '    Current AC Power Setting Index: 0x00000708\r\n    Current DC Power Setting Index: 0x00000384\r\n',
      'AC Power:\n sleep                10\n',
      "org.gnome.settings-daemon.plugins.power sleep-inactive-ac-type 'suspend'\norg.gnome.settings-daemon.plugins.power sleep-inactive-ac-timeout 1200\n",
      'Start Port    End Port\r\n----------    --------\r\n      5357        5357\r\n     50000       50059     *\r\n',
    ],
    (text) => [
      parseZones(text),
      parseProfiles(text),
      parseFirewallProducts(text),
      parsePowercfg(text),
      parsePmset(text),
      parseGsettings(text),
      parseExcludedRanges(text),
    ],
  ),
  parser('journal', [Buffer.from(journal + journal), Buffer.from(`${journal.slice(11)}\0\0`)], readLines),
  textParser(
    'qmp',
    [
      '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}',
      '{"return": "net0: type=user\\r\\n"}',
      '{"error": {"class": "GenericError", "desc": "no"}}',
      '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}',
    ],
    (text) => parseMessage(text, '/run/a.sock'),
  ),
  textParser(
    'qemu arguments',
    [
      'qemu-system-x86_64\0-name\0guest=web,debug-threads=on\0-netdev\0user,id=n0,hostfwd=tcp:127.0.0.1:8080-:80\0-qmp\0unix:/run/a.sock,server=on,wait=off\0-chardev\0socket,id=m,path=/run/b.sock\0-mon\0chardev=m,mode=control\0',
    ],
    (text) => parseArguments(text.split('\0')),
  ),
  textParser(
    'door',
    [
      'GET\n/api/doctor?about=10.0.0.1:80&names=a\n127.0.0.1:6278\nhttp://127.0.0.1:6278\nsame-origin\nBearer abcdefghijklmnop\n1700000000000.17',
      'POST\n/api/rules\n[::1]:6278\n\nnone\nBearer x\n1.1',
    ],
    enterDoor,
  ),
  textParser(
    'words',
    [
      '0.0.0.0:9000-9100/tcp+udp',
      'unix:/run/web.sock',
      '[2001:db8::1]:443',
      'docker:web:80',
      '10.0.0.0/8',
      '1h30m',
      '100mbit',
      '1000-2000',
      'naru:web:0123456789abcdef',
      'naru web 10.0.0.2:80 #3',
    ],
    readWords,
  ),
]
