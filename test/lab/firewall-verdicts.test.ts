/**
 * What the program says of a packet is what the kernel does with it: random filters of nft and iptables, the same
 * packets sent for real and on paper. The seed is printed by what fails.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { answerFor, packetsOf, readFilter } from '../../src/host/simulate/index.ts'
import { parseCidr } from '../../src/base/address.ts'
import { client, own, Scene, signal } from '../conformance/firewall/suite.ts'
import { describeWith } from '../needs.ts'
import { noFirewall, type LabFirewall } from './firewalls.ts'
import { answering, knock } from './packets.ts'

const ports = [7001, 7002, 7003]
const sources = [client.four, client.other]

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft', 'iptables-nft'] },
  'the verdict on paper',
  () => {
    let scene: Scene
    let firewall: LabFirewall
    const servers: AsyncDisposable[] = []
    beforeAll(async () => {
      scene = new Scene()
      firewall = noFirewall(scene.inside)
      for (const port of ports) servers.push(await answering(scene.inside, 'tcp', port))
    })
    afterAll(async () => {
      for (const server of servers) await server[Symbol.asyncDispose]()
      await scene[Symbol.asyncDispose]()
    })

    const agree = async (load: string[][], input: string): Promise<void> => {
      firewall.run(['nft', 'flush', 'ruleset'])
      for (const argv of load) {
        try {
          firewall.run(argv, input)
        } catch (error) {
          // Such as `meta l4proto udp tcp dport 7001`: nft itself takes no rule that can hold for nothing.
          fc.pre(!String(error).includes('conflicting protocols'))
          throw error
        }
      }
      const filter = await readFilter({ runner: firewall.host.runner, signal: signal() })
      const each = ports.flatMap((port) => sources.map((from) => ({ port, from })))
      const said: string[] = []
      for (const { port, from } of each) {
        const asked = {
          protocols: ['tcp'],
          ports: { first: port, last: port },
          address: null,
          sources: [parseCidr(from)],
        } as const
        const { verdict } = answerFor(filter, await packetsOf(asked, firewall.host, signal()))
        said.push(`${from} → ${port}: ${verdict}`)
      }
      const expected: string[] = []
      for (const { port, from } of each) {
        const arrived = await knock(scene.outside, {
          protocol: 'tcp',
          address: own.four,
          port,
          from,
          waitMs: 250,
        })
        expected.push(`${from} → ${port}: ${arrived === 'in' ? 'allowed' : 'blocked'}`)
      }
      expect(said).toEqual(expected)
    }

    it('agrees with the kernel on filters of nft', async () => {
      await fc.assert(
        fc.asyncProperty(nftRuleset, (ruleset) => agree([['nft', '-f', '-']], ruleset)),
        { numRuns: 6 },
      )
    }, 120_000)

    it('agrees with the kernel on filters of iptables', async () => {
      await fc.assert(
        fc.asyncProperty(iptablesRules, (saved) => agree([['iptables-nft-restore']], saved)),
        { numRuns: 5 },
      )
    }, 120_000)
  },
)

const port = fc.constantFrom(...ports)
const verdict = fc.constantFrom('accept', 'drop', 'reject', 'return', 'counter')

const nftMatch = fc.oneof(
  port.map((one) => `tcp dport ${one}`),
  port.map((one) => `tcp dport != ${one}`),
  fc.subarray(ports, { minLength: 1 }).map((some) => `tcp dport { ${some.join(', ')} }`),
  fc.constantFrom(...sources).map((one) => `ip saddr ${one}`),
  fc.constantFrom(...sources).map((one) => `ip saddr != ${one}`),
  fc.constantFrom(
    'ip saddr 10.1.0.2/31',
    'ip saddr @some',
    'tcp dport 7002-7003',
    'tcp dport > 7001',
    'iifname "eth0"',
    'iifname "lo"',
    'iifname != "eth*"',
    'ct state new',
    'ct state established,related',
    'ct state invalid',
    'meta l4proto udp',
    'ip protocol tcp',
    'meta nfproto ipv6',
    'fib daddr type local',
    'tcp flags & (fin | syn | rst | ack) == syn',
    'tcp flags & (fin | syn | rst | ack) != syn',
    'ip daddr 10.1.0.1',
    'ip daddr 10.1.0.0/24',
    'ip saddr . tcp dport { 10.1.0.2 . 7001, 10.1.0.3 . 7002 }',
    'meta mark 0',
    'limit rate over 1000/second',
  ),
)
const nftRule = fc.oneof(
  fc
    .tuple(fc.array(nftMatch, { maxLength: 2 }), verdict)
    .map(([matches, what]) => [...matches, what].join(' ')),
  fc
    .tuple(nftMatch, fc.constantFrom('jump one', 'goto one', 'jump two', 'goto two'))
    .map((words) => words.join(' ')),
  fc.constant('tcp dport vmap { 7001 : drop, 7002 : accept, 7003 : jump two }'),
  fc.constant('ct state vmap { established : accept, related : accept, invalid : drop }'),
)
const nftRules = (rule: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(rule, { maxLength: 5 }).map((rules) => rules.join('\n    '))
/** Answers have to pass, or a real connection tells nothing: they do in a chain that comes first and marks nothing. */
const nftRuleset = fc
  .tuple(
    nftRules(nftRule),
    nftRules(nftRule.filter((rule) => !/one/.test(rule))),
    nftRules(nftRule.filter((rule) => !/one|two/.test(rule))),
    fc.constantFrom('accept', 'drop'),
    fc.constantFrom('accept', 'drop'),
  )
  .map(
    ([input, one, two, policy, second]) => `table inet t {
  set some { type ipv4_addr; elements = { 10.1.0.3 }; }
  chain two {
    ${two}
  }
  chain one {
    ${one}
  }
  chain input {
    type filter hook input priority 0; policy ${policy};
    ct state established accept
    ${input}
  }
}
table ip u {
  chain later {
    type filter hook input priority 10; policy ${second};
    ct state established accept
    tcp dport 7001-7002 accept
  }
}
`,
  )

const xtMatch = fc.oneof(
  port.map((one) => `-p tcp -m tcp --dport ${one}`),
  port.map((one) => `-p tcp -m tcp ! --dport ${one}`),
  fc.constantFrom(...sources).map((one) => `-s ${one}`),
  fc.constantFrom(...sources).map((one) => `! -s ${one}`),
  fc.constantFrom(
    '-s 10.1.0.2/31',
    '-i eth0',
    '-i lo',
    '! -i eth+',
    '-p tcp -m multiport --dports 7001,7003',
    '-p tcp -m tcp --dport 7002:7003',
    '-m conntrack --ctstate NEW',
    '-m conntrack --ctstate RELATED,ESTABLISHED',
    '-m conntrack --ctstate INVALID',
    '-p udp',
    '-d 10.1.0.1',
    '-m addrtype --dst-type LOCAL',
    '-m addrtype ! --dst-type LOCAL',
    '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN',
    '-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN',
    '-m iprange --src-range 10.1.0.3-10.1.0.9',
    '-m mark --mark 0',
    '-m comment --comment "a \\"quoted\\" word"',
  ),
)
const xtRule = (targets: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(xtMatch, fc.constantFrom(...targets)).map(([match, target]) => `${match} ${target}`)
const verdicts = ['-j ACCEPT', '-j DROP', '-j REJECT', '-j RETURN', '-j LOG']
const xtRules = (chain: string, targets: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(xtRule(targets), { maxLength: 5 })
    .map((rules) => rules.map((rule) => `-A ${chain} ${rule}\n`).join(''))
const iptablesRules = fc
  .tuple(
    xtRules('INPUT', [...verdicts, '-j one', '-g one', '-j two']),
    xtRules('one', [...verdicts, '-j two', '-g two']),
    xtRules('two', verdicts),
    fc.constantFrom('ACCEPT', 'DROP'),
  )
  .map(
    ([input, one, two, policy]) => `*filter
:INPUT ${policy} [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:one - [0:0]
:two - [0:0]
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
${input}${one}${two}COMMIT
`,
  )
