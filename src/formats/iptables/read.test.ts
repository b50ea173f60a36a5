import { expect, it } from 'vitest'
import { importRules } from '../index.ts'

const nat = (...lines: string[]): ReturnType<typeof importRules> =>
  importRules(
    ['*nat', ':PREROUTING ACCEPT [0:0]', ...lines, 'COMMIT', '*filter', ':FORWARD ACCEPT', 'COMMIT', ''].join(
      '\n',
    ),
  )
const to = (port: number, target: string, more = ''): string =>
  `-A PREROUTING -p tcp --dport ${port}${more} -j DNAT --to-destination ${target}`

it.each([
  ['-A PREROUTING -p tcp --dport 25 -j DNAT --to 10.0.0.2:25', '10.0.0.2:25'],
  ['-A PREROUTING -p tcp --dport 25 -j DNAT --to-dest 10.0.0.2:26', '10.0.0.2:26'],
  ['-A PREROUTING -d 10.0.0.1 --proto tcp --dpor=25 --ju REDIRECT --to-port 8025', '10.0.0.1:8025'],
  ['-I PREROUTING -ptcp --destination-port 25 -j DNAT --to=10.0.0.2', '10.0.0.2:25'],
  ['-I PREROUTING 1 --match tcp -p tcp --dp 25 -jDNAT --to-destination 10.0.0.2:25', '10.0.0.2:25'],
])('options may be shortened: %s', (line, target) => {
  const { rules, losses } = nat(line)
  expect([rules.map(({ rule }) => rule.target), losses]).toEqual([[target], []])
})

it.each([
  ['-m iprange --src-range 10.0.0.1-10.0.0.9'],
  ['-m set --match-set friends src'],
  ['-m mac --mac-source 00:11:22:33:44:55'],
  ['-m connlimit --connlimit-upto 5'],
  ['! -p udp -m mark --mark 0x1'],
])('a forward that asks %s is left out, as a rule cannot ask it', (more) => {
  const { rules, losses } = nat(to(80, '10.0.0.2:80', ` ${more}`), to(81, '10.0.0.2:80'))
  expect(rules.map(({ rule }) => rule.listen)).toEqual(['0.0.0.0:81'])
  expect(losses).toMatchObject([{ leftOut: true, place: { line: 3 } }])
})

it.each([
  // As the kernel leads them: by their distance from the base, else to the first, unless they are of the range.
  ['7001:7003', '80-82/7001', '80-82'],
  ['7002', '80-82/7001', '81'],
  ['7005', '80-82/7001', '81'],
  ['7001:7003', '7000-7010', '7001-7003'],
  ['7001:7003', '80-82', '80'],
  ['7001:7003', '80-82/7002', null],
  ['7001:7009', '80-82/7001', null],
  ['7001:7003', '7002-7010', null],
  ['7001', '80-82 --random', null],
  ['7001', '80 --random', '80'],
])('ports %s to the range %s are led to %s', (asked, range, target) => {
  const line = `-A PREROUTING -p tcp --dport ${asked} -j DNAT --to-destination 10.0.0.2:${range}`
  const { rules, losses } = nat(line)
  expect(rules.map(({ rule }) => rule.target)).toEqual(target === null ? [] : [`10.0.0.2:${target}`])
  expect(losses.map(({ leftOut }) => leftOut)).toEqual(target === null ? [true] : [])
})

it.each([
  ['iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.2:80', 2],
  ['\nsudo /sbin/iptables -t nat -I PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 81', 3],
  ['IPT=/sbin/ip6tables\n  "${IPT}" -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to fd00::2', 3],
  ['iptables-restore <<EOF\n*nat\n-A PREROUTING -p tcp --dport 80 -j REDIRECT\nCOMMIT\nEOF', 2],
  ['*nat\nCOMMIT\niptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT', 4],
])('a script is known as one, and nothing is taken from it: %s', (lines, line) => {
  expect(() => importRules(`#!/bin/sh\n${lines}\n`)).toThrow(
    `:${line}:1: this is a script, which is not run to see what it does: import what \`iptables-save\` prints`,
  )
})

it.each(['-A PREROUTING -p tcp --dport 80 -j REDIRECT', '*nat\nCOMMIT\n-A PREROUTING -p tcp -j REDIRECT'])(
  'a rule outside of any table is none, as iptables-restore has it: %s',
  (text) => {
    expect(() => importRules(text, { from: 'iptables' })).toThrow('it stands in no table')
  },
)

it('who is taken away without a port is let in by no forward behind it', () => {
  const { rules } = nat(
    '-A PREROUTING -s 10.9.0.0/16 -j RETURN',
    to(80, '10.0.0.2:80'),
    to(81, '10.0.0.2:81', ' ! -s 10.8.0.0/16'),
  )
  expect(rules.map(({ rule }) => rule.deny)).toEqual([['10.9.0.0/16'], ['10.8.0.0/16', '10.9.0.0/16']])
  const set = nat('-A PREROUTING -m set --match-set bans src -j RETURN', to(80, '10.0.0.2:80'))
  expect([set.rules, set.losses.some(({ leftOut }) => leftOut)]).toEqual([[], true])
})

it.each([
  ['another destination', '-s 10.9.0.0/16 -p tcp --dport 80', ' -d 203.0.113.1'],
  ['several ports', '-s 10.9.0.0/16 -p tcp -m multiport --dports 79,80', ''],
  ['a range of ports', '-s 10.9.0.0/16 -p tcp --dport 1:65535', ''],
  ['no port', '-s 10.9.0.0/16', ''],
])('who is taken away by a line with %s stays away', (_, away, more) => {
  const { rules } = nat(`-A PREROUTING ${away} -j RETURN`, to(80, '10.0.0.2:80', more))
  expect(rules.map(({ rule }) => rule.deny)).toEqual([['10.9.0.0/16']])
})

it.each([
  '-p tcp',
  '-p tcp --dport 1:1023',
  '-p tcp --dport 79:80 -m set --match-set bans src',
  '-s 10.9.0.0/16 -p tcp --dport 1:100 -m geoip --source-country KR',
])('a forward of which a line before takes what no rule can say (%s) is left out', (away) => {
  const { rules, losses } = nat(`-A PREROUTING ${away} -j ACCEPT`, to(80, '10.0.0.2:80'))
  expect([rules, losses.some(({ leftOut, place }) => leftOut && place?.line === 4)]).toEqual([[], true])
})

it('a line for other traffic takes nobody away', () => {
  const { rules } = nat(
    '-A PREROUTING -s 10.9.0.0/16 -p udp --dport 80 -j RETURN',
    '-A PREROUTING -s 10.9.0.0/16 -p tcp --dport 81:90 -j RETURN',
    '-A PREROUTING -s 10.9.0.0/16 -d 203.0.113.2 -p tcp --dport 80 -j RETURN',
    to(80, '10.0.0.2:80', ' -d 203.0.113.1'),
  )
  expect(rules.map(({ rule }) => rule.deny)).toEqual([undefined])
})

it('a chain that is jumped to for more ports or sources keeps its forwards', () => {
  const { rules } = nat(
    '-A PREROUTING -s 10.0.0.0/8 -p tcp -m multiport --dports 80,90:99 -j X',
    to(80, '10.0.0.2:80', ' -s 10.9.0.0/16').replace('PREROUTING', 'X'),
    to(95, '10.0.0.2:95').replace('PREROUTING', 'X'),
    to(70, '10.0.0.2:70').replace('PREROUTING', 'X'),
  )
  expect(rules.map(({ rule }) => [rule.listen, rule.allow])).toEqual([
    ['0.0.0.0:80', ['10.9.0.0/16']],
    ['0.0.0.0:95', ['10.0.0.0/8']],
  ])
})

it('a port whose traffic goes to several targets is left out whole', () => {
  for (const part of [' -m statistic --mode random --probability 0.5', ' -i eth1', ' -s 10.0.0.0/8']) {
    const { rules, losses } = nat(to(80, '10.0.0.2:80', part), to(80, '10.0.0.3:80'))
    expect([part, rules]).toEqual([part, []])
    expect(losses.map(({ place, leftOut }) => [place?.line, leftOut])).toEqual([
      [3, true],
      [4, true],
    ])
  }
})

it('who is not taken away by a line before is let in', () => {
  const { rules } = nat(
    '-A PREROUTING -p tcp --dport 79:80 ! -s 10.9.0.0/16 -j ACCEPT',
    to(80, '10.0.0.2:80'),
  )
  expect(rules.map(({ rule }) => rule.allow)).toEqual([['10.9.0.0/16']])
})

it('a RETURN comes back to the chain that jumped, and not out of the table', () => {
  const { rules } = nat(
    '-A PREROUTING -p tcp -j X',
    '-A X -s 10.9.0.0/16 -j RETURN',
    to(80, '10.0.0.2:80').replace('PREROUTING', 'X'),
    to(80, '10.0.0.2:80'),
    '-A PREROUTING -p tcp -g Y',
    to(81, '10.0.0.2:81'),
    '-A Y -p tcp --dport 82 -j RETURN',
    to(82, '10.0.0.2:82'),
  )
  expect(rules.map(({ rule }) => rule)).toEqual([
    { listen: '0.0.0.0:80', target: '10.0.0.2:80', source: 'keep' },
  ])
})

const withFilter = (policy: string, ...lines: string[]): ReturnType<typeof importRules> =>
  importRules(
    [
      '*nat',
      to(80, '10.0.0.2:8080'),
      'COMMIT',
      '*filter',
      `:FORWARD ${policy} [0:0]`,
      ':INPUT DROP [0:0]',
      '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
      '-A FORWARD -p tcp ! --syn -m state --state NEW -j DROP',
      ...lines,
      'COMMIT',
      '',
    ].join('\n'),
  )

it.each([
  ['everybody', 'ACCEPT', ['-A FORWARD -p udp -j DROP'], {}],
  ['whom it names', 'DROP', ['-A FORWARD -s 10.9.0.0/16 -j ACCEPT'], { allow: ['10.9.0.0/16'] }],
  [
    'whom it names for the target and its port',
    'DROP',
    [
      '-A FORWARD -s 10.7.0.0/16 -p tcp --dport 80 -j ACCEPT',
      '-A FORWARD -s 10.8.0.0/16 -d 10.0.0.3 -j ACCEPT',
      '-A FORWARD -s 10.9.0.0/16 -d 10.0.0.0/24 -p tcp -m multiport --dports 80,8080 -j ACCEPT',
    ],
    { allow: ['10.9.0.0/16'] },
  ],
  [
    'all but whom it rejects',
    'ACCEPT',
    ['-A FORWARD -s 10.9.0.1 -j REJECT --reject-with tcp-reset'],
    { deny: ['10.9.0.1'] },
  ],
  [
    'whom a chain leaves',
    'ACCEPT',
    [
      '-A FORWARD -j X',
      '-A X -s 10.9.0.0/16 -j RETURN',
      '-A X -m limit --limit 3/min -j LOG',
      '-A X -j DROP',
    ],
    { allow: ['10.9.0.0/16'] },
  ],
  ['what was sent on', 'DROP', ['-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT'], {}],
  ['what asked for the port', 'DROP', ['-A FORWARD -m conntrack --ctorigdstport 80 -j ACCEPT'], {}],
])('FORWARD lets in %s', (_, policy, lines, access) => {
  const { rules, losses } = withFilter(policy, ...lines)
  expect(rules.map(({ rule }) => rule)).toEqual([
    { listen: '0.0.0.0:80', target: '10.0.0.2:8080', ...access, source: 'keep' },
  ])
  expect(losses.filter(({ leftOut }) => leftOut)).toEqual([])
})

it.each([
  ['nobody', 'DROP', []],
  ['another port', 'DROP', ['-A FORWARD -p tcp --dport 80 -j ACCEPT']],
  ['friends of a set', 'DROP', ['-A FORWARD -m set --match-set friends src -j ACCEPT']],
  ['none of a set', 'ACCEPT', ['-A FORWARD -m set --match-set bans src -j DROP']],
  ['few at a time', 'ACCEPT', ['-A FORWARD -m connlimit --connlimit-above 5 -j REJECT']],
  ['whom another program passes', 'ACCEPT', ['-A FORWARD -j NFQUEUE --queue-num 0']],
])('a forward to which FORWARD lets pass %s is left out with its line', (_, policy, lines) => {
  const { rules, losses } = withFilter(policy, ...lines)
  expect([rules, losses.filter(({ leftOut }) => leftOut).map(({ place }) => place?.line)]).toEqual([[], [2]])
})

it('tables that are not in the text are named, and one that cannot be printed lets nobody in', () => {
  const alone = `*nat\n${to(80, '10.0.0.2:80')}\nCOMMIT\n`
  expect(importRules(alone)).toMatchObject({ rules: [{}], losses: [{ what: '*nat', leftOut: false }] })
  const hidden = importRules(`${alone}# Table \`filter' is incompatible, use 'nft' tool.\n`)
  expect([hidden.rules, hidden.losses[0]?.leftOut]).toEqual([[], true])
})

it('of a line for two ports the one that is left out is said', () => {
  const { rules, losses } = withFilter(
    'ACCEPT',
    '-A FORWARD -m conntrack --ctorigdstport 443 -j DROP',
    'COMMIT',
    '*nat',
    to(1, '10.0.0.3:1').replace('--dport 1', '-m multiport --dports 8,443'),
  )
  expect(rules.map(({ rule }) => rule.listen)).toEqual(['0.0.0.0:80', '0.0.0.0:8'])
  expect(losses.filter(({ leftOut }) => leftOut).map(({ what }) => what.slice(0, 10))).toEqual(['443 of -A '])
})

it.each(['raw', 'mangle'])('who is dropped in %s before the forward stays out', (table) => {
  const { rules } = importRules(
    `*nat\n${to(80, '10.0.0.2:80')}\n${to(81, '10.0.0.2:80')}\nCOMMIT\n*${table}\n-A PREROUTING -s 10.9.0.0/16 -p tcp --dport 80 -j DROP\nCOMMIT\n`,
  )
  expect(rules.map(({ rule }) => rule.deny)).toEqual([['10.9.0.0/16'], undefined])
})

it.each([
  ['a forward of one interface', ['-A PREROUTING -i lan -p tcp --dport 80 -j DNAT --to 10.0.0.2:80']],
  ['one that an interface is taken from', ['-A PREROUTING -i wan -j RETURN', to(80, '10.0.0.2:80')]],
  ['one onto a loopback service', ['-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080']],
  ['one sent to loopback', [to(80, '127.0.0.1:8080')]],
])('%s is there, switched off, and named', (_, lines) => {
  const { rules, losses } = nat(...lines)
  expect(rules.map(({ rule }) => [rule.listen, rule.enabled])).toEqual([['0.0.0.0:80', false]])
  expect(losses).toMatchObject([{ rule: 'port-80', leftOut: true, place: { line: 3 } }])
})

it('a forward that FORWARD lets pass from one interface is switched off', () => {
  const { rules, losses } = withFilter('DROP', '-A FORWARD -i lan -s 10.9.0.0/16 -j ACCEPT')
  expect(rules.map(({ rule }) => [rule.allow, rule.enabled])).toEqual([[['10.9.0.0/16'], false]])
  expect(losses).toContainEqual(expect.objectContaining({ leftOut: true, rule: 'port-80' }))
})

it('a bridge whose network is known decides by that network', () => {
  const { rules, losses } = importRules(`*raw
-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
COMMIT
*nat
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
`)
  expect(rules.map(({ rule }) => rule)).toEqual([
    { listen: '0.0.0.0:8080', target: '172.17.0.2:80', deny: ['172.17.0.0/16'], source: 'keep' },
  ])
  expect(losses.filter(({ leftOut }) => leftOut)).toEqual([])
})

it('each family is held against its own tables', () => {
  const of = (six: string, goal: string, policy: string): string =>
    `# Generated by ip${six}tables-save v1.8.9\n*filter\n:FORWARD ${policy} [0:0]\nCOMMIT\n*nat\n${to(80, goal)}\nCOMMIT\n`
  const { rules } = importRules(of('', '10.0.0.2:80', 'DROP') + of('6', '[fd00::2]:80', 'ACCEPT'))
  expect(rules.map(({ rule }) => rule.listen)).toEqual(['[::]:80'])
})

const service = (...endpoints: string[]): string[] => [
  '-A PREROUTING -j KUBE-SERVICES',
  '-A POSTROUTING -j KUBE-POSTROUTING',
  '-A KUBE-SERVICES -d 10.96.12.34/32 -p tcp -m comment --comment "default/web cluster IP" --dport 80 -j KUBE-SVC',
  '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  '-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web" -m tcp --dport 30905 -j KUBE-EXT',
  '-A KUBE-EXT -j KUBE-MARK-MASQ',
  '-A KUBE-EXT -j KUBE-SVC',
  '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
  '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
  '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
  ...endpoints.map((_, index) =>
    index + 1 < endpoints.length
      ? `-A KUBE-SVC -m statistic --mode random --probability 0.5 -j KUBE-SEP-${index}`
      : `-A KUBE-SVC -j KUBE-SEP-${index}`,
  ),
  ...endpoints.flatMap((at, index) => [
    `-A KUBE-SEP-${index} -s ${at}/32 -j KUBE-MARK-MASQ`,
    `-A KUBE-SEP-${index} -p tcp -m tcp -j DNAT --to-destination ${at}:80`,
  ]),
]

it('a node port of Kubernetes is masqueraded by its mark; cluster addresses are not ours', () => {
  const { rules, losses } = nat(...service('10.244.0.5'))
  expect(rules.map(({ rule }) => rule)).toEqual([
    { listen: '0.0.0.0:30905', target: '10.244.0.5:80', source: 'relay' },
  ])
  expect(losses.filter(({ leftOut }) => leftOut)).toHaveLength(1)
  expect(nat(...service('10.244.0.5', '10.244.1.7')).rules).toEqual([])
})

it('thousands of forwards, each let pass by a line of its own, are all read', () => {
  const machines = Array.from({ length: 8000 }, (_, at) => `10.7.${at >> 8}.${at & 255}`)
  const text = [
    '*filter',
    ':FORWARD DROP [0:0]',
    ...machines.map((one) => `-A FORWARD -d ${one}/32 -p tcp -m tcp --dport 80 -j ACCEPT`),
    'COMMIT',
    '*nat',
    ...machines.map((one, at) => to(2000 + at, `${one}:80`)),
    'COMMIT',
  ]
  const { rules, losses } = importRules(`${text.join('\n')}\n`)
  expect([rules.length, losses.filter(({ leftOut }) => leftOut)]).toEqual([machines.length, []])
})
