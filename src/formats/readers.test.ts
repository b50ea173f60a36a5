import { describe, expect, it } from 'vitest'
import { importRules, mostImportBytes } from './index.ts'
import { prefixesOf } from './rinetd.ts'
import { formatCidr } from '../base/address.ts'

const byName = (text: string): Record<string, unknown> =>
  Object.fromEntries(importRules(text).rules.map(({ name, rule }) => [name, rule]))

describe('rinetd.conf', () => {
  const text = `# comment
allow 192.168.2.*
deny 192.168.2.1?
0.0.0.0 80 10.1.1.2 http
allow 192.168.2.7
127.0.0.1 4000/udp 127.0.0.1 22/udp [timeout=1200,src=10.0.0.1]
::1 80/tcp fe80::1 8080
0.0.0.0 81/udp 10.0.0.1 80
www.example.org 82 10.0.0.1 80
logfile /var/log/rinetd.log
`
  it('is read with who may come in', () => {
    const { format, rules, losses } = importRules(text, { file: 'rinetd.conf' })
    expect(format).toBe('rinetd')
    expect(Object.fromEntries(rules.map(({ name, rule }) => [name, rule]))).toEqual({
      'port-80': { listen: '0.0.0.0:80', target: '10.1.1.2:80', allow: ['192.168.2.7'] },
      'port-4000-udp': {
        listen: '127.0.0.1:4000/udp',
        target: '127.0.0.1:22',
        allow: ['192.168.2.0/24'],
        deny: Array.from({ length: 10 }, (_, index) => `192.168.2.${10 + index}`),
        timeouts: { udp: '20m' },
      },
      'port-80-2': expect.objectContaining({ listen: '[::1]:80', target: '[fe80::1]:8080' }) as unknown,
    })
    expect(losses.map(({ place, what, leftOut }) => [place?.line, what, leftOut])).toEqual([
      [6, 'src=10.0.0.1', false],
      [8, '0.0.0.0 81/udp 10.0.0.1 80', true],
      [9, 'www.example.org 82 10.0.0.1 80', true],
      [10, 'logfile /var/log/rinetd.log', false],
    ])
  })

  it.each([
    ['*', '0.0.0.0/0 ::/0'],
    ['10.*', '10.0.0.0/8'],
    ['192.168.2.*', '192.168.2.0/24'],
    ['10.0.*.*', '10.0.0.0/16'],
    ['10.0.0.25?', '10.0.0.250 10.0.0.251 10.0.0.252 10.0.0.253 10.0.0.254 10.0.0.255'],
    ['10.20*', '10.20.0.0/16 10.200.0.0/16'],
    ['fe80:*', 'fe80::/16'],
    ['2001:618:*', '2001:618::/32'],
  ])('a pattern %s is %s', (pattern, prefixes) => {
    const found = prefixesOf(pattern)?.map(formatCidr).join(' ')
    if (pattern === '10.20*') expect(found).toContain('10.20.0.0/16 10.200.0.0/16')
    else expect(found).toBe(prefixes)
  })

  it('localhost is this machine; another name is left out', () => {
    const { format, rules, losses } = importRules('localhost 81 10.0.0.2 http\nactivemq 82 10.0.0.2 80\n')
    expect([format, rules.map(({ rule }) => rule)]).toEqual([
      'rinetd',
      [{ listen: '127.0.0.1:81', target: '10.0.0.2:80' }],
    ])
    expect(losses).toMatchObject([{ leftOut: true, place: { line: 2 } }])
  })

  it('a pattern that no prefix says keeps its forward out', () => {
    expect(prefixesOf('2001:618:*:e43f')).toBe(null)
    expect(prefixesOf('10.1?')).toBe(null)
    const { rules, losses } = importRules('0.0.0.0 80 10.0.0.1 80\ndeny 2001:618:*:e43f\n')
    expect([rules, losses[0]?.leftOut]).toEqual([[], true])
  })
})

describe('an ASUS list', () => {
  const list =
    '<HTTP Server>80,8080:8090>192.168.50.10>>TCP>203.0.113.5><게임>25565>192.168.50.20>25565>BOTH>><VPN>>192.168.50.1>>OTHER>'
  const expected = {
    'HTTP-Server': { listen: 80, target: '192.168.50.10:80', allow: ['203.0.113.5'] },
    'HTTP-Server-2': { listen: '8080-8090', target: '192.168.50.10:8080-8090', allow: ['203.0.113.5'] },
    'port-25565': { listen: '25565/tcp+udp', target: '192.168.50.20:25565' },
  }
  it.each([
    ['nvram get', list],
    ['nvram show', `http_enable=0\nvts_enable_x=1\nvts_rulelist=${list}\nwl_ssid=a<b>c\n`],
    ['the page', JSON.stringify({ vts_rulelist: list.replaceAll('<', '&#60').replaceAll('>', '&#62') })],
  ])('is read as %s prints it', (_, text) => {
    const { format, losses } = importRules(text)
    expect(format).toBe('asus')
    expect(byName(text)).toEqual(expected)
    expect(losses.map(({ what }) => what)).toEqual(['<VPN>>192.168.50.1>>OTHER>'])
  })

  it.each([
    [`nvram set vts_enable_x=1 ; nvram set vts_rulelist='<a>80>10.0.0.2>81>TCP' ; nvram commit`, 80],
    [`ssh admin@10.0.0.1 'nvram set vts_rulelist="<a>80>10.0.0.2>81>TCP>"; service restart_firewall'`, 80],
    [`nvram set vts_rulelist="$(nvram get vts_rulelist)<a>80>10.0.0.2>81>TCP>"`, 80],
    ['vts_rulelist=%3Ca%20b%3E80%3A90%3E10.0.0.2%3E81%3ETCP%3E', '80-90'],
  ])('is read as a script or a form has it: %s', (text, listen) => {
    const { rules, losses } = importRules(text)
    expect([rules.map(({ rule }) => rule), losses]).toEqual([[{ listen, target: '10.0.0.2:81' }], []])
  })

  it('says where it breaks', () => {
    expect(() => importRules('vts_rulelist=<a>80>1.2.3.4<b>81', { file: 'n' })).toThrow('n:1:14')
  })
})

describe('a Compose file', () => {
  const text = `services:
  web:
    image: nginx
    ports:
      - "8080:80"
      - 127.0.0.1:9000-9001:9000-9001/udp
      - "3000"
      - "8000-9000:80"
      - "\${PORT:-8081}:80"
  db:
    container_name: pg
    ports:
      - { target: 5432, published: "5433", host_ip: "::1", protocol: tcp, mode: host }
  dns:
    network_mode: host
    ports: ["53:53"]
  idle:
    image: redis
`
  it('becomes rules to its containers', () => {
    const { format, rules, losses } = importRules(text)
    expect(format).toBe('compose')
    expect(Object.fromEntries(rules.map(({ name, rule }) => [name, rule]))).toEqual({
      web: { listen: 8080, target: 'docker:web:80' },
      'web-2': { listen: '127.0.0.1:9000-9001/udp', target: 'docker:web:9000-9001' },
      db: { listen: '[::1]:5433', target: 'docker:pg:5432' },
    })
    expect(losses.map(({ place, leftOut }) => [place?.line, leftOut])).toEqual([
      [7, true],
      [8, true],
      [9, true],
      [15, false],
    ])
  })

  it('is read with its aliases and merges, as Compose has it', () => {
    const shared = `x-base: &base
  ports: ["18081:80"]
x-ports: &ports ["18080:80", "18443:443"]
x-one: &one "18085:85"
services:
  web: { <<: *base, image: nginx }
  list: { image: nginx, ports: *ports }
  api: &api
    container_name: api
    ports: ["18082:8080"]
  api2:
    <<: [{ container_name: second }, *api]
    ports: ["18083:8080"]
  whole: *api
  item: { image: x, ports: [*one] }
`
    expect(byName(shared)).toEqual({
      web: { listen: 18081, target: 'docker:web:80' },
      list: { listen: 18080, target: 'docker:list:80' },
      'list-2': { listen: 18443, target: 'docker:list:443' },
      api: { listen: 18082, target: 'docker:api:8080' },
      api2: { listen: 18083, target: 'docker:second:8080' },
      item: { listen: 18085, target: 'docker:item:85' },
    })
    expect(importRules(shared).losses).toMatchObject([{ leftOut: true, what: '18082' }])
    expect(() => importRules('services:\n  a: &a\n    <<: *a\n    ports: ["80:80"]\n')).toThrow(
      'this alias stands in what it names',
    )
  })

  it('publishes what its networks publish, on their address', () => {
    const bridge = 'com.docker.network.bridge'
    const text = `services:
  web: { image: x, ports: ["80:80", "10.0.0.1:81:81"] }
  db: { image: x, networks: [inner], ports: ["82:82"] }
  both: { image: x, networks: { inner: {}, local: {} }, ports: ["83:83"] }
  routed: { image: x, networks: [routed], ports: ["84:84"] }
  none: { image: x, network_mode: none, ports: ["85:85"] }
  joined: { image: x, network_mode: "service:web", ports: ["86:86"] }
  two: { image: x, networks: [local, other], ports: ["87:87"] }
  away: { image: x, ports: !reset ["88:88"] }
networks:
  default: { driver_opts: { ${bridge}.host_binding_ipv4: 127.0.0.1 } }
  inner: { internal: true }
  local: { driver_opts: { ${bridge}.host_binding_ipv4: 127.0.0.2 } }
  other: { driver_opts: { ${bridge}.host_binding_ipv4: 127.0.0.3 } }
  routed: { driver_opts: { ${bridge}.gateway_mode_ipv4: routed } }
`
    const { rules, losses } = importRules(text)
    expect(rules.map(({ name, rule }) => [name, rule.listen])).toEqual([
      ['web', '127.0.0.1:80'],
      ['web-2', '10.0.0.1:81'],
      ['both', '127.0.0.2:83'],
    ])
    expect(losses.map(({ what, leftOut }) => [what, leftOut])).toEqual([
      ['db: 82:82', true],
      ['routed: 84:84', true],
      ['none: 85:85', true],
      ['joined: 86:86', true],
      ['two: 87:87', true],
    ])
  })

  it('says what of it is not followed, each with its line', () => {
    const { losses } = importRules(`include: [other.yaml]
services:
  base:
    profiles: [never]
    ports: ["18090:80"]
  web:
    extends: { service: base, file: other.yaml }
    ports: ["18091:81"]
---
services:
  more: { ports: ["80:80"] }
`)
    expect(losses.map(({ place, what }) => [place?.line, what])).toEqual([
      [1, 'include'],
      [4, 'base: profiles'],
      [7, 'extends'],
      [9, '---'],
    ])
  })

  it('that extends a service of another file is switched off: that one may say that nothing is published', () => {
    const { rules, losses } = importRules(
      'services:\n  web:\n    extends: { service: base, file: other.yaml }\n    ports: ["18091:81"]\n',
    )
    expect(rules).toMatchObject([{ name: 'web', rule: { listen: 18091, enabled: false } }])
    expect(losses).toMatchObject([{ rule: 'web', leftOut: true, place: { line: 3 } }])
  })

  it('that extends a service of its own publishes the ports of both', () => {
    const text = `services:
  a: { image: nginx, ports: ["1:1", "2:2"] }
  b: { extends: a, ports: ["3:3"] }
  c: { extends: { service: b }, ports: !override ["4:4"] }
  host: { image: nginx, network_mode: host }
  quiet: { extends: host, ports: ["5:5"] }
  x: { extends: y, ports: ["6:6"] }
  y: { extends: x, ports: ["7:7"] }
`
    const { rules } = importRules(text, { from: 'compose' })
    const open = rules.filter(({ rule }) => rule.enabled !== false)
    expect(open.map(({ rule: { listen, target } }) => [listen, target])).toEqual([
      [1, 'docker:a:1'],
      [2, 'docker:a:2'],
      [3, 'docker:b:3'],
      [4, 'docker:c:4'],
    ])
    // Two that extend each other: no Compose takes it.
    expect(rules).toHaveLength(8)
  })

  it.each([
    'services: { web: { image: nginx, ports: ["8080:80"] } }',
    '{"services":{"web":{"ports":["8080:80"]}}}',
    '{\n  "services": {\n    "web": { "ports": ["8080:80"] }\n  }\n}',
  ])('is known in one line and as JSON: %s', (text) => {
    expect(importRules(text)).toMatchObject({ format: 'compose', rules: [{ name: 'web' }] })
  })

  it('that is broken or a bomb is refused with its place', () => {
    expect(() => importRules('services:\n  a:\n    ports: ["80:80"\n', { file: 'c.yaml' })).toThrow(
      /c\.yaml:\d+:\d+/,
    )
    const bomb = `x: &a [1,2,3,4,5,6,7,8,9]
y: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
z: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
services:
  a: { x: *c }
  b:
    ports: [*c]
`
    expect(() => importRules(bomb)).toThrow('aliases')
  })
})

it.each(['vts_enable_x=0\nvts_rulelist=', '{"vts_enable_x":"0","x":"1",\n"vts_rulelist":"'])(
  'what the router had switched off is not open: %s',
  (head) => {
    const { rules, losses } = importRules(`${head}<web>8888>192.168.1.20>80>TCP>\n`)
    expect(rules.map(({ rule }) => [rule.listen, rule.enabled])).toEqual([[8888, false]])
    expect(losses).toMatchObject([{ rule: 'web', leftOut: true }])
  },
)

describe('any file', () => {
  it('that is nothing we know is refused, and so is one that is too large', () => {
    expect(() => importRules('hello\n', { file: 'x' })).toThrow('cannot tell what x is')
    expect(() => importRules(Buffer.alloc(mostImportBytes + 1, 32))).toThrow('4194305 bytes')
  })

  it('that puts two forwards on one port keeps the first and names the second', () => {
    const { rules, losses } = importRules('0.0.0.0 80 10.0.0.1 80\n0.0.0.0 80 10.0.0.2 80\n')
    expect(rules).toHaveLength(1)
    expect(losses).toMatchObject([{ place: { line: 2, column: 1 }, leftOut: true, what: '0.0.0.0:80' }])
  })
})
