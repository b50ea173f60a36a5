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
import { Knocker } from './knocker.ts'
import { answering } from './packets.ts'

/** `NARU_CASES=300 NARU_SEED=1 npx vitest run test/lab/firewall-verdicts.test.ts` runs more of them. */
const more = process.env['NARU_CASES']
const seed = process.env['NARU_SEED']
const runs = (usual: number): { numRuns: number; seed?: number } => ({
  numRuns: more ? Number(more) : usual,
  ...(seed && { seed: Number(seed) }),
})
const timeLimitMs = Math.max(120_000, Number(more ?? 0) * 3000)
const ports = [7001, 7002, 7003]
const sources = [client.four, client.other]
const protocols = ['tcp', 'udp'] as const
const told = { allowed: 0, blocked: 0, unknown: 0 }
const emptied = ['raw', 'mangle', 'nat', 'filter'].map((table) => `*${table}\nCOMMIT\n`).join('')

describeWith(
  { root: true, platform: 'linux', commands: ['ip', 'nft', 'iptables-nft'] },
  'the verdict on paper',
  () => {
    let scene: Scene
    let firewall: LabFirewall
    let outsider: Knocker
    const servers: AsyncDisposable[] = []
    beforeAll(async () => {
      scene = new Scene()
      firewall = noFirewall(scene.inside)
      outsider = new Knocker(scene.outside)
      for (const port of ports)
        for (const protocol of protocols) servers.push(await answering(scene.inside, protocol, port))
    })
    afterAll(async () => {
      for (const server of servers) await server[Symbol.asyncDispose]()
      await scene[Symbol.asyncDispose]()
    })

    /** @param word `sure`: it may never say that it does not know. */
    const agree = async (load: string[][], input: string, word: 'sure' | 'honest'): Promise<void> => {
      firewall.run(['nft', 'flush', 'ruleset'])
      firewall.run(['conntrack', '-F'])
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
      const asked = word === 'sure' ? (['tcp'] as const) : protocols
      const each = asked.flatMap((protocol) =>
        ports.flatMap((port) => sources.map((from) => ({ protocol, port, from }))),
      )
      const [said, seen] = await Promise.all([
        Promise.all(
          each.map(async ({ protocol, port, from }) => {
            const asked = {
              protocols: [protocol],
              ports: { first: port, last: port },
              address: null,
              sources: [parseCidr(from)],
            } as const
            const { verdict, sentOn } = answerFor(filter, await packetsOf(asked, firewall.host, signal()))
            // Whether somebody answers there is no question of a filter.
            return sentOn ? 'unknown' : verdict
          }),
        ),
        knocks(each, 250),
      ])
      const agreed = (seen: readonly boolean[]): string[] =>
        each.map(({ protocol, port, from }, at) => {
          const honest = word === 'honest' && said[at] === 'unknown'
          return `${from} → ${port}/${protocol}: ${honest ? 'unknown' : seen[at] ? 'allowed' : 'blocked'}`
        })
      const onPaper = each.map(({ protocol, port, from }, at) => `${from} → ${port}/${protocol}: ${said[at]}`)
      for (const verdict of said) told[verdict]++
      if (agreed(seen).join() === onPaper.join()) return
      // A busy machine is given more time.
      firewall.run(['conntrack', '-F'])
      expect(onPaper).toEqual(agreed(await knocks(each, 3000)))
    }

    const knocks = (
      each: readonly { protocol: 'tcp' | 'udp'; port: number; from: string }[],
      waitMs: number,
    ): Promise<boolean[]> =>
      Promise.all(each.map((one) => outsider.isAnswered({ ...one, address: own.four, waitMs })))

    it(
      'agrees with the kernel on filters of nft',
      () =>
        fc.assert(
          fc.asyncProperty(nftRuleset, (ruleset) => agree([['nft', '-f', '-']], ruleset, 'sure')),
          runs(6),
        ),
      timeLimitMs,
    )

    it(
      'agrees with the kernel on filters of iptables',
      () =>
        fc.assert(
          fc.asyncProperty(iptablesRules, (saved) => agree([['iptables-nft-restore']], saved, 'sure')),
          runs(5),
        ),
      timeLimitMs,
    )

    it.each([
      ['nft', [['nft', '-f', '-']], wideRuleset],
      ['iptables over nft', [['iptables-nft-restore']], wideTables],
      ['iptables of old', [['iptables-legacy-restore']], wideTables],
    ] as const)(
      'is never wrong about whatever %s can ask',
      async (_, load, any) => {
        Object.assign(told, { allowed: 0, blocked: 0, unknown: 0 })
        await fc.assert(
          fc.asyncProperty(any, (text) =>
            agree(
              load.map((argv) => [...argv]),
              text,
              'honest',
            ).finally(() => {
              if (load[0][0].includes('legacy')) firewall.run(['iptables-legacy-restore'], emptied)
            }),
          ),
          runs(4),
        )
        if (more) process.stderr.write(`${JSON.stringify(told)}\n`)
        expect(told.allowed + told.blocked).toBeGreaterThan(0)
      },
      timeLimitMs,
    )
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
    'limit rate over 1000/second burst 9999 packets',
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
/** What comes in, and two chains that it may go through. Answers pass. */
function nftChains(of: Readonly<Record<'input' | 'one' | 'two' | 'policy', string>>): string {
  return `  chain two {
    ${of.two}
  }
  chain one {
    ${of.one}
  }
  chain input {
    type filter hook input priority 0; policy ${of.policy};
    ct state established accept
    ${of.input}
  }`
}

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
${nftChains({ input, one, two, policy })}
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

/** Whatever else may stand in a rule; what no paper can tell is to be said unknown. */
const wideMatch = fc.oneof(
  { weight: 3, arbitrary: nftMatch },
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      'fib saddr . iif oif missing',
      'fib saddr . iif oif exists',
      'fib saddr type unicast',
      'fib daddr . iif type != local',
      'socket transparent 1',
      'socket transparent 0',
      'tcp option maxseg exists',
      'tcp option maxseg missing',
      'tcp option maxseg size > 1000',
      'tcp option sack-perm exists',
      'meta length > 1000',
      'meta length < 1000',
      'exthdr frag exists',
      'exthdr hbh missing',
      'ip frag-off & 0x1fff != 0',
      'ip frag-off & 0x1fff == 0',
      'ip dscp cs1',
      'ip dscp cs0',
      'ip version 4',
      'ip ttl 64',
      'ip ttl < 64',
      'ip saddr 10.1.0.3-10.1.0.9',
      'ip saddr & 255.255.255.254 == 10.1.0.2',
      'ip saddr . ip daddr { 10.1.0.3 . 10.1.0.1 }',
      'meta l4proto . th dport { tcp . 7001, udp . 7002 }',
      'meta l4proto . ip saddr { udp . 10.1.0.3 }',
      'iifname . ip saddr { "eth0" . 10.1.0.3 }',
      'iif "eth0"',
      'meta iifgroup 0',
      'meta iiftype ether',
      'meta iifkind "veth"',
      'meta protocol { ip, ip6 }',
      'meta protocol ip6',
      'ether type ip',
      'ether saddr 02:00:00:00:00:01',
      'meta ipsec exists',
      'meta ipsec missing',
      'meta hour "00:00"-"23:59"',
      'meta pkttype unicast',
      'meta pkttype != { broadcast, multicast }',
      'meta mark & 7 == 7',
      'meta mark 7',
      'meta mark != 7',
      'ct mark 7',
      'ct mark != 7',
      'ct mark and 7 == 0',
      'ct label 3',
      'ct zone 0',
      'ct zone 7',
      'ct helper "ftp"',
      'ct state untracked',
      'ct state { new, untracked }',
      'ct state != { established, related }',
      'ct state & (established | related) == 0',
      'ct status assured',
      'ct status confirmed',
      'ct status != dnat',
      'ct status snat',
      'ct direction reply',
      'ct original ip saddr 10.1.0.3',
      'ct original ip daddr 10.1.0.1',
      'ct protocol tcp',
      'ct expiration > 1s',
      'ct packets > 100',
      'meta l4proto { tcp, udp } ct original proto-dst 7001',
      'meta l4proto { tcp, udp } ct original proto-dst != 7001',
      '@th,16,16 7001',
      '@nh,96,32 0x0a010003',
      'tcp flags syn',
      'tcp flags syn / syn,ack',
      'tcp flags & (syn | ack) != syn',
      'tcp flags { syn, syn | ack }',
      'tcp flags fin',
      'tcp flags != syn',
      'tcp flags ! syn',
      'tcp sport 1024-65535',
      'tcp sport < 1024',
      'tcp sport { 20, 53 }',
      'udp sport 53',
      'udp length < 100',
      'udp dport 7001-7002',
      'th dport != { 7002, 7003 }',
      'th dport < 7002',
      'osf name "Linux"',
      'osf name "Windows"',
      'numgen inc mod 1 0',
      'limit name "lim_over"',
      'limit name "lim_below"',
      'quota name "quo_over"',
      'quota name "quo_below"',
      'counter name "cnt"',
      'ct count over 9999',
      'limit rate 9999/second burst 9999 packets',
      'quota over 9999 mbytes',
      'quota 9999 mbytes',
      'add @seen { ip saddr }',
      'update @pace { ip saddr limit rate over 9999/second burst 9999 packets }',
      'update @pace { ip saddr limit rate 9999/second burst 9999 packets }',
      'add @conns { ip saddr ct count over 9999 }',
      'meter m { ip saddr limit rate over 9999/second burst 9999 packets }',
      'ip saddr @timed',
      'ip saddr != @timed',
      'ip saddr @nets',
      'ip saddr . th dport @pairs',
      'icmp type echo-request',
      'meta skuid 0',
      'rt classid 7',
      'log',
      'log group 1',
      'meta nftrace set 1',
      'ct mark set 7',
      'meta mark set 7',
      'meta mark set ct mark',
      'meta priority set 1',
      'ip dscp set cs1',
    ),
  },
)
const wideLine = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.array(wideMatch, { minLength: 1, maxLength: 2 }), fc.oneof(verdict, fc.constant('accept')))
      .map(([matches, what]) => [...matches, what].join(' ')),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'ip saddr vmap { 10.1.0.2 : accept, 10.1.0.3 : drop }',
      'ip saddr vmap @verdicts',
      'ip saddr . tcp dport vmap { 10.1.0.3 . 7001-7002 : drop }',
      'meta l4proto vmap { tcp : jump two, udp : goto two }',
      'tcp dport vmap { 7001-7002 : continue, 7003 : drop }',
      'ct state vmap { new : jump two, established : accept }',
      'iifname vmap { "lo" : accept, "eth0" : jump two }',
      'reject with tcp reset',
      'tcp dport 7001 reject with tcp reset',
      'reject with icmpx admin-prohibited',
      'reject with icmp host-unreachable',
      'jump one',
      'goto two',
      'ip saddr 10.1.0.3 jump one',
      'accept',
    ),
  },
)
/** nft takes no extension header (of IPv6) beside a word of IPv4. */
const isRefused = (line: string): boolean =>
  line.includes('exthdr') && /\b(?:ip|icmp|nfproto ipv4)\b/.test(line)

const wideLines = (without: RegExp): fc.Arbitrary<string> =>
  fc
    .array(
      wideLine.filter((line) => !without.test(line) && !isRefused(line)),
      { maxLength: 4 },
    )
    .map((lines) => lines.join('\n    '))
/** What happens to packets before a filter of INPUT sees them. */
const early = fc.constantFrom(
  'filter hook prerouting priority -300;\n    notrack',
  'filter hook prerouting priority -300;\n    udp dport 7001 notrack',
  'filter hook prerouting priority -300;\n    ip saddr 10.1.0.3 ct zone set 7',
  'filter hook prerouting priority -300;\n    tcp dport 7001 tcp dport set 9',
  'filter hook prerouting priority -300;\n    udp dport 7001 ip daddr set 10.1.0.9',
  'filter hook prerouting priority -300;\n    ip saddr 10.1.0.3 drop',
  'filter hook prerouting priority -150;\n    ip saddr 10.1.0.3 ct mark set 7',
  'filter hook prerouting priority -150;\n    ip saddr 10.1.0.3 meta mark set 7',
  'filter hook prerouting priority -150;\n    ct mark set 7',
  'filter hook prerouting priority -150;\n    meta mark set ct mark',
  'filter hook prerouting priority -150;\n    ip ttl set 1',
  'filter hook prerouting priority -150;\n    tcp dport 7001 tproxy to :7002 accept',
  'filter hook prerouting priority -150; policy drop;\n    tcp dport 7001-7002 accept',
  'filter hook prerouting priority -10; policy drop;\n    ct status dnat accept',
  'filter hook input priority -150;\n    ip saddr 10.1.0.3 ct mark set 7',
  'filter hook input priority 300;\n    ct mark 7 drop',
  'nat hook prerouting priority -100;\n    tcp dport 7001 redirect to :7002',
  'nat hook prerouting priority -100;\n    tcp dport 7001 redirect to :9-19',
  'nat hook prerouting priority -100;\n    tcp dport { 7001, 7003 } redirect to :tcp dport map { 7001 : 7003, 7003 : 9 }',
  'nat hook prerouting priority -100;\n    tcp dport 7001 dnat ip to 10.1.0.2-10.1.0.3',
  'nat hook prerouting priority -100;\n    tcp dport 7001 dnat ip to 10.1.0.1:7002',
  'nat hook prerouting priority -100;\n    tcp dport 7001 dnat ip to 10.1.0.1:9-12',
  'nat hook prerouting priority -100;\n    dnat ip to ip saddr map { 10.1.0.3 : 10.1.0.9 }',
  'nat hook prerouting priority -100;\n    tcp dport 7001 dnat ip to numgen inc mod 2 map { 0 : 10.1.0.8, 1 : 10.1.0.9 }',
  'nat hook prerouting priority -100;\n    dnat ip to ip saddr . tcp dport map { 10.1.0.3 . 7001 : 10.1.0.1 . 9 }',
  'nat hook prerouting priority -100;\n    udp dport 7001 return',
  'nat hook input priority 100;\n    ip saddr 10.1.0.3 snat ip to 10.1.0.9',
)
/** A zone is of both ways, or what comes after the first packet is of no connection. */
const zoneOfAnswers = `  chain answers {
    type filter hook output priority -300;
    ip daddr 10.1.0.3 ct zone set 7
  }
`
const wideRuleset = fc
  .record({
    input: wideLines(/^$/),
    one: wideLines(/one/),
    two: wideLines(/one|two/),
    policy: fc.constantFrom('accept', 'drop'),
    early: fc.array(early, { maxLength: 2 }),
    card: fc.constantFrom(
      '',
      '',
      '',
      'tcp dport 7001 drop',
      'udp dport 7001 fwd to "lo"',
      'ip saddr 10.1.0.3 drop',
    ),
    dormant: fc.constantFrom('', '', '', '', 'flags dormant'),
  })
  .map(
    ({ input, one, two, policy, early, card, dormant }) => `table inet t {
  ${dormant}
  set some { type ipv4_addr; elements = { 10.1.0.3 }; }
  set timed { type ipv4_addr; flags timeout; elements = { 10.1.0.3 timeout 1h }; }
  set nets { type ipv4_addr; flags interval; auto-merge; elements = { 10.1.0.3, 10.1.0.8/29 }; }
  set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.1.0.3 . 7001-7002 }; }
  set seen { type ipv4_addr; size 9999; flags dynamic,timeout; timeout 1h; }
  set pace { type ipv4_addr; size 9999; flags dynamic; }
  set conns { type ipv4_addr; size 9999; flags dynamic; }
  map verdicts { type ipv4_addr : verdict; elements = { 10.1.0.3 : drop }; }
  limit lim_over { rate over 9999/second burst 9999 packets; }
  limit lim_below { rate 9999/second burst 9999 packets; }
  quota quo_over { over 9999 mbytes; }
  quota quo_below { 9999 mbytes; }
  counter cnt { }
${nftChains({ input, one, two, policy })}
${early.some((text) => text.includes('ct zone set')) ? zoneOfAnswers : ''}${early
      .map((text, at) => {
        const [kind = '', rules = ''] = text.split('\n')
        return `  chain early${at} {\n    type ${kind}\n${/ct status|policy drop/.test(text) ? '    ct state established accept\n' : ''}${rules}\n  }\n`
      })
      .join('')}}
${card && `table netdev t {\n  chain card {\n    type filter hook ingress device "eth0" priority 0;\n    ${card}\n  }\n}\n`}`,
  )

const wideXt = fc.oneof(
  { weight: 3, arbitrary: xtMatch },
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      '-m helper --helper ftp',
      '-m socket',
      '-m socket --transparent',
      '-m socket --nowildcard',
      '-m recent --rcheck --name x --rsource',
      '-m recent --update --seconds 30 --hitcount 6 --name x --rsource',
      '-m recent ! --rcheck --name x --rsource',
      '-m recent --set --name x --rsource',
      '-m hashlimit --hashlimit-above 9999/sec --hashlimit-burst 9999 --hashlimit-mode srcip --hashlimit-name x',
      '-m hashlimit --hashlimit-upto 9999/sec --hashlimit-burst 9999 --hashlimit-mode srcip --hashlimit-name x',
      '-m connlimit --connlimit-above 9999',
      '-m connlimit --connlimit-upto 9999',
      '-m u32 --u32 "0x0=0x1"',
      '-m cgroup --cgroup 1',
      '-m time --timestart 00:00 --timestop 23:59',
      '-m time ! --weekdays Mon',
      '-m quota --quota 999999',
      '-m connbytes --connbytes 1000: --connbytes-dir both --connbytes-mode bytes',
      '-m dscp --dscp 0x01',
      '-m dscp ! --dscp 0x01',
      '-m tos --tos 0x08',
      '-p tcp -m tcpmss --mss 1:100',
      '-p tcp -m tcpmss --mss 1000:9000',
      '-m policy --dir in --pol none',
      '-m policy --dir in --pol ipsec',
      '-m devgroup --src-group 0x0',
      '-m connlabel --label 3',
      '-m length --length 1000:',
      '-m length --length 0:1000',
      '-m mac --mac-source 02:00:00:00:00:01',
      '-m mac ! --mac-source 02:00:00:00:00:01',
      '-m ttl --ttl-lt 9',
      '-m ttl --ttl-eq 64',
      '-m string --string ferry --algo bm',
      '-p tcp -m tcp --sport 1024:65535',
      '-p tcp -m tcp ! --sport 1024:65535',
      '-p udp -m udp --sport 53',
      '-p udp -m udp --dport 7001:7002',
      '-p tcp -m multiport --ports 7001,7002',
      '-p udp -m multiport ! --dports 7001',
      '-p tcp -m multiport --sports 1:1023',
      '-f',
      '! -f',
      '! -p tcp',
      '-p icmp',
      '-p all',
      '-p tcp -m tcp --tcp-flags ALL SYN',
      '-p tcp -m tcp --tcp-flags ALL NONE',
      '-p tcp -m tcp --tcp-flags SYN,ACK NONE',
      '-p tcp -m tcp --tcp-option 2',
      '-p tcp -m tcp ! --syn',
      '-m conntrack --ctstate UNTRACKED',
      '-m conntrack --ctstate NEW,UNTRACKED',
      '-m conntrack ! --ctstate NEW',
      '-m conntrack --ctstate DNAT',
      '-m conntrack --ctstate SNAT',
      '-m conntrack --ctstatus NONE',
      '-m conntrack --ctstatus CONFIRMED',
      '-m conntrack ! --ctstatus CONFIRMED',
      '-m conntrack --ctorigsrc 10.1.0.3',
      '-m conntrack --ctorigdst 10.1.0.1',
      '-m conntrack --ctreplsrc 10.1.0.1',
      '-p tcp -m conntrack --ctorigdstport 7001',
      '-m conntrack --ctproto tcp',
      '-m conntrack --ctdir ORIGINAL',
      '-m conntrack --ctdir REPLY',
      '-m conntrack --ctexpire 1:9',
      '-m connmark --mark 0x7',
      '-m connmark ! --mark 0x7',
      '-m mark --mark 0x7/0x7',
      '-m mark ! --mark 0x7',
      '-m mark --mark 0x0/0x7',
      '-m addrtype --src-type UNICAST',
      '-m addrtype ! --src-type LOCAL',
      '-m addrtype --dst-type BROADCAST,MULTICAST',
      '-m addrtype --dst-type LOCAL --limit-iface-in',
      '-m pkttype --pkt-type unicast',
      '-m pkttype ! --pkt-type broadcast',
      '-m iprange ! --src-range 10.1.0.3-10.1.0.9',
      '-m iprange --dst-range 10.1.0.1-10.1.0.9',
      '-m limit --limit 9999/sec --limit-burst 9999',
      '-d 10.1.0.9',
      '! -d 10.1.0.1',
      '-d 224.0.0.0/4',
    ),
  },
)
const wideXtRules = (chain: string, targets: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(
      fc.tuple(wideXt, fc.constantFrom(...targets)).map((parts) => parts.join(' ')),
      { maxLength: 5 },
    )
    .map((rules) => rules.map((rule) => `-A ${chain} ${rule}\n`).join(''))
const wideVerdicts = [
  ...verdicts,
  '-j ACCEPT',
  '-j CONNMARK --set-xmark 0x7/0xffffffff',
  '-j NFLOG --nflog-group 1',
]
const wideEarly = fc.constantFrom(
  '',
  '',
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n',
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -j NOTRACK\nCOMMIT\n',
  // Of its answers, too, or what comes after the first packet is of no connection.
  '*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j CT --zone 7\n-A OUTPUT -d 10.1.0.3/32 -j CT --zone 7\nCOMMIT\n',
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j DROP\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j MARK --set-xmark 0x7/0xffffffff\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CONNMARK --set-xmark 0x7/0xffffffff\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j TTL --ttl-set 1\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j TEE --gateway 10.1.0.2\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n:DIVERT - [0:0]\n-A PREROUTING -p tcp -m socket -j DIVERT\n-A DIVERT -j MARK --set-xmark 0x1/0xffffffff\n-A DIVERT -j ACCEPT\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 7001 -j TPROXY --on-port 7002 --on-ip 0.0.0.0\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 7001 -j REDIRECT --to-ports 7002\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 7001 -j REDIRECT --to-ports 9-19\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 7001 -j DNAT --to-destination 10.1.0.8-10.1.0.9:7001\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 7001 -j DNAT --to-destination 10.1.0.1:9-19\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp -m udp --dport 7001 -j DNAT --to-destination :9\nCOMMIT\n',
  '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 10.1.0.1/32 -j NETMAP --to 10.1.0.8/32\nCOMMIT\n',
)
const wideTables = fc
  .tuple(
    wideXtRules('INPUT', [...wideVerdicts, '-j one', '-g one', '-j two']),
    wideXtRules('one', [...wideVerdicts, '-j two', '-g two']),
    wideXtRules('two', wideVerdicts),
    fc.constantFrom('ACCEPT', 'DROP'),
    wideEarly,
  )
  .map(
    ([input, one, two, policy, early]) => `*filter
:INPUT ${policy} [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:one - [0:0]
:two - [0:0]
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
${input}${one}${two}COMMIT
${early}`,
  )
