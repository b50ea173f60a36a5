import { expect, it } from 'vitest'
import { importRules } from '../index.ts'

const nat = (...lines: string[]): ReturnType<typeof importRules> =>
  importRules(['*nat', ':PREROUTING ACCEPT [0:0]', ...lines, 'COMMIT', ''].join('\n'))
const to = (port: number, target: string, more = ''): string =>
  `-A PREROUTING -p tcp --dport ${port}${more} -j DNAT --to-destination ${target}`

it.each([
  ['-A PREROUTING -p tcp --dport 25 -j DNAT --to 10.0.0.2:25', '10.0.0.2:25'],
  ['-A PREROUTING -p tcp --dport 25 -j DNAT --to-dest 10.0.0.2:26', '10.0.0.2:26'],
  ['-A PREROUTING --proto tcp --dpor=25 --ju REDIRECT --to-port 8025', '127.0.0.1:8025'],
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

it('who is taken away without a port is let in by no forward behind it', () => {
  const { rules } = nat(
    '-A PREROUTING -s 10.9.0.0/16 -j RETURN',
    to(80, '10.0.0.2:80'),
    to(81, '10.0.0.2:81', ' ! -s 10.8.0.0/16'),
  )
  expect(rules.map(({ rule }) => rule.deny)).toEqual([['10.9.0.0/16'], ['10.9.0.0/16', '10.8.0.0/16']])
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
  '-p tcp --dport 79:80 ! -s 10.9.0.0/16',
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
