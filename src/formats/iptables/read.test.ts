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
