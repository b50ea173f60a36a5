/**
 * What others may have made of a machine's network, at random: rulesets of nftables and of both iptables, hooks of
 * netdev, address translation, policy routing, routes, IPsec policies, and what ufw, firewalld and Docker load. Written
 * for IPv4 on the addresses of `engine-verdicts-random.test.ts`; `inFamily` says the same of IPv6.
 */
import fc from 'fast-check'

export type Family = 4 | 6

export interface Wall {
  /** Reads `text`, and replaces what it has loaded before. */
  readonly load: readonly string[]
  readonly text: string
  /** Lines of ip(8): `rule …`, `route …`, `xfrm policy …`, without `add`. */
  readonly routing: readonly string[]
  /** Switches below /proc/sys/net: `ipv4/conf/out/rp_filter=1`. */
  readonly switches: readonly string[]
}

/** 10.A.0.B is fd00:A::B, and so on: the same network twice. */
export function inFamily(family: Family, text: string): string {
  if (family === 4) return text
  return text
    .replace(/\b10\.(\d)\.0\.(\d+):(\d+)/g, '[fd00:$1::$2]:$3')
    .replace(/\b10\.0\.0\.0\/8/g, 'fd00::/16')
    .replace(/\b10\.(\d)\.0\.0\/16/g, 'fd00:$1::/32')
    .replace(/\b10\.(\d)\.0\.0\/24/g, 'fd00:$1::/64')
    .replace(/\b10\.(\d)\.0\.(\d+)\/32/g, 'fd00:$1::$2/128')
    .replace(/\b10\.(\d)\.0\.(\d+)\/31/g, 'fd00:$1::$2/127')
    .replace(/\b10\.(\d)\.0\.(\d+)/g, 'fd00:$1::$2')
    .replace(/\bip (saddr|daddr)/g, 'ip6 $1')
    .replace(/\bip ttl/g, 'ip6 hoplimit')
    .replace(/nat ip to/g, 'nat ip6 to')
    .replace(/\bipv4_addr/g, 'ipv6_addr')
    .replace(/-p icmp\b/g, '-p ipv6-icmp')
}

const target = '10.2.0.2'
/** The plain listener's and those of the rules. */
const ports = '8000-8024'
const xtPorts = '8000:8024'

const pick = fc.constantFrom
const verdict = pick('accept', 'drop', 'reject', 'counter accept', 'counter', 'return', 'log accept')
const inputMatch = pick(
  '',
  `tcp dport ${ports}`,
  `udp dport ${ports}`,
  `meta l4proto { tcp, udp } th dport ${ports}`,
  `ip saddr 10.1.0.3 tcp dport ${ports}`,
  'ip saddr 10.1.0.3',
  'ip saddr { 10.1.0.3, 10.1.0.2 }',
  'ip saddr @bans',
  'ip saddr @timed',
  'iifname "out" ip saddr @bans',
  'ip saddr != 10.1.0.2',
  'iifname "out"',
  'iifname "in"',
  'iifname "lo"',
  'iifname != "lo"',
  'ct state new',
  'ct state invalid,untracked',
  'ct direction original',
  'ct status dnat',
  `meta l4proto { tcp, udp } ct original proto-dst ${ports}`,
  'ip daddr 10.1.0.1',
  'ip ttl 64',
  'fib daddr type local',
  'meta pkttype host',
  // Unsaid, a burst is five packets: of knocks that come at once it would take some, and never the same.
  'limit rate over 10000/second burst 9999 packets',
  'quota over 1000 mbytes',
  'quota over 1 bytes',
  'add @seen { ip saddr }',
  'update @pace { ip saddr limit rate over 9999/second burst 9999 packets }',
  'ct count over 0',
  'ct count over 9999',
  'meta mark 7',
  'ct mark 7',
  'fib saddr . iif oif missing',
  'socket transparent 1',
  'tcp option maxseg exists',
  'meta length > 1000',
  'exthdr hbh missing',
  'ip dscp cs0',
  'meta nfproto ipv4',
  'meta iiftype ether',
  'meta ipsec missing',
  'ct helper "ftp"',
  'ct original ip saddr 10.1.0.3',
  'ct label 3',
  'ct zone 7',
  'ct status confirmed',
  'ct protocol tcp',
  'ct packets > 9999',
  'tcp flags syn / syn,ack',
  'tcp sport 1024-65535',
  'ether saddr 02:00:00:00:00:01',
  'iifname . ip saddr { "out" . 10.1.0.3 }',
  'limit name "much"',
  'quota name "much"',
)
const forwardMatch = pick(
  '',
  `ip daddr ${target}`,
  'iifname "out" oifname "in"',
  'iifname "out" ip saddr @bans',
  'ip saddr 10.1.0.3',
  'ct status dnat',
  'ct state new',
  'tcp dport 80',
  'udp dport 80',
  'add @seen { ip saddr }',
)
const outputMatch = pick(
  '',
  `ip daddr ${target}`,
  `ip daddr ${target} tcp dport 80`,
  'oifname "in"',
  'udp dport 80',
  `tcp sport ${ports}`,
  `udp sport ${ports} ip daddr 10.1.0.3`,
  'meta skuid 0 ct state new',
  'meta skuid != 0',
)
const outputVerdict = pick('accept', 'drop', 'reject', 'counter', 'meta mark set 7')
const sides = pick(
  'filter hook postrouting priority 0;\n    ip daddr 10.1.0.3 drop',
  `filter hook postrouting priority 0;\n    ip daddr ${target} udp dport 80 drop`,
  'filter hook prerouting priority -300;\n    ip saddr 10.1.0.3 notrack',
  'filter hook prerouting priority -300;\n    notrack',
  `filter hook output priority -300;\n    ip daddr ${target} notrack`,
  'filter hook prerouting priority -300;\n    ip saddr 10.1.0.3 drop',
  'filter hook prerouting priority -150;\n    ip saddr 10.1.0.3 meta mark set 7',
  'filter hook prerouting priority -150;\n    ip saddr 10.1.0.3 ct mark set 7',
  `filter hook prerouting priority -150;\n    ip daddr ${target} drop`,
  'filter hook prerouting priority -300;\n    counter',
  `route hook output priority -150;\n    ip daddr ${target} meta mark set 7`,
  `nat hook prerouting priority -100;\n    ip saddr 10.1.0.3 tcp dport ${ports} redirect to :9`,
  `nat hook prerouting priority -100;\n    tcp dport ${ports} dnat ip to 10.2.0.3:81`,
  `nat hook prerouting priority -100;\n    udp dport ${ports} ip saddr 10.1.0.2 dnat ip to 10.2.0.3:81`,
  'nat hook prerouting priority -100;\n    tcp dport 7999 dnat ip to 10.2.0.3:81',
  `nat hook output priority -100;\n    ip daddr ${target} tcp dport 80 dnat ip to 10.2.0.3:81`,
  `nat hook output priority -100;\n    ip daddr ${target} udp dport 80 dnat ip to 10.2.0.3:81`,
  'nat hook postrouting priority 100;\n    oifname "in" masquerade',
  `nat hook postrouting priority 100;\n    ip daddr ${target} snat ip to 10.2.0.9`,
  'filter hook prerouting priority -300;\n    ip saddr 10.1.0.3 ct zone set 7',
  'filter hook prerouting priority -300;\n    ct zone set 7',
  'filter hook output priority -300;\n    ct zone set 7',
  'filter hook prerouting priority -150;\n    ip ttl set 1',
  'filter hook forward priority -150;\n    ip ttl set 1',
  'filter hook forward priority -150;\n    tcp flags syn tcp option maxseg size set 500',
  'filter hook postrouting priority -150;\n    ip dscp set cs1',
  `filter hook prerouting priority -300;\n    tcp dport ${ports} tcp dport set 9`,
  `filter hook prerouting priority -150;\n    tcp dport ${ports} tproxy to :9`,
  'filter hook prerouting priority -150;\n    ct mark set 7',
  'filter hook input priority -150;\n    ct label set 3',
  `nat hook prerouting priority -110;\n    udp dport ${ports} dnat ip to 10.2.0.3:81`,
  // On loopback the listener would see another client than the one who knocks: 127.0.0.1 is masked as 10.1.0.1.
  'nat hook postrouting priority 100;\n    oifname != "lo" meta l4proto { tcp, udp } masquerade to :40000-49999',
  'nat hook postrouting priority 100;\n    oifname "out" masquerade',
)
const netdev = pick(
  'ingress device "out" priority 0;\n    ip saddr 10.1.0.3 drop',
  `ingress device "out" priority 0;\n    tcp dport ${ports} drop`,
  `egress device "in" priority 0;\n    ip daddr ${target} udp dport 80 drop`,
  'ingress device "in" priority 0;\n    counter',
)

const linesOf = (match: fc.Arbitrary<string>, what: fc.Arbitrary<string>, maxLength: number) =>
  fc
    .array(
      fc.tuple(match, what).map((parts) => parts.join(' ')),
      { maxLength },
    )
    .map((lines) => lines.join('\n    '))
const policy = pick('accept', 'accept', 'drop')
/** @param tenths of all cases that have it */
const maybe = <T>(what: fc.Arbitrary<T>, tenths: number): fc.Arbitrary<T | null> =>
  fc.oneof({ arbitrary: what, weight: tenths }, { arbitrary: fc.constant(null), weight: 10 - tenths })

const chain = (name: string, kind: string, rules: string): string =>
  `  chain ${name} {\n    type ${kind}\n    ${rules}\n  }\n`
const filter = (hook: string, policy: string, rules: string, established: boolean): string =>
  chain(
    hook,
    `filter hook ${hook} priority 0; policy ${policy};`,
    `${established ? 'ct state established,related accept\n    ' : ''}${rules}`,
  )
const sets = `  set bans { type ipv4_addr; flags interval; elements = { 10.1.0.3, 10.9.0.0/16 }; }
  set timed { type ipv4_addr; flags timeout; elements = { 10.1.0.3 timeout 1h }; }
  set seen { type ipv4_addr; size 9999; flags dynamic,timeout; timeout 1h; }
  set pace { type ipv4_addr; size 9999; flags dynamic; }
  limit much { rate over 10000/second burst 9999 packets; }
  quota much { over 1000 mbytes; }
`

type Ruleset = Pick<Wall, 'load' | 'text'>

const nftables: fc.Arbitrary<Ruleset> = fc
  .record({
    input: maybe(fc.tuple(policy, linesOf(inputMatch, verdict, 4)), 8),
    forward: maybe(fc.tuple(policy, linesOf(forwardMatch, verdict, 3)), 5),
    output: maybe(
      fc.tuple(pick('accept', 'accept', 'accept', 'drop'), linesOf(outputMatch, outputVerdict, 2)),
      5,
    ),
    established: fc.boolean(),
    side: maybe(sides, 4),
    netdev: maybe(netdev, 1),
  })
  .map(({ input, forward, output, established, side, netdev }) => ({
    load: ['nft', '-f', '-'],
    text: [
      `table inet theirs {\n${sets}`,
      input && filter('input', ...input, established),
      forward && filter('forward', ...forward, established),
      output && filter('output', ...output, established),
      side && chain('side', side.split('\n    ')[0] as string, side.split('\n    ')[1] as string),
      '}\n',
      netdev && `table netdev theirs {\n${chain('card', `filter hook ${netdev}`, '')}}\n`,
    ]
      .filter(Boolean)
      .join(''),
  }))

const xtInput = pick(
  `-p tcp -m tcp --dport ${xtPorts} -j ACCEPT`,
  `-p udp -m multiport --dports ${xtPorts} -j ACCEPT`,
  '-s 10.1.0.3/32 -j DROP',
  `-s 10.1.0.3/32 -p tcp -m tcp --dport ${xtPorts} -j REJECT`,
  '-i out -j DROP',
  '-i lo -j ACCEPT',
  '-p udp -j DROP',
  '-m addrtype --dst-type LOCAL -j ACCEPT',
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-m conntrack --ctstate INVALID -j DROP',
  '-m mark --mark 7 -j DROP',
  '-s 10.1.0.3/32 -p tcp -m connlimit --connlimit-above 0 -j DROP',
  `-p tcp -m tcp --dport ${xtPorts} -m limit --limit 9999/sec --limit-burst 9999 -j ACCEPT`,
  '-m recent --rcheck --name seen -j DROP',
  '-m recent ! --rcheck --name seen -j ACCEPT',
  '-m helper --helper ftp -j ACCEPT',
  '-m policy --dir in --pol none -j ACCEPT',
  '-m devgroup --src-group 0x0 -j ACCEPT',
  '-m time --timestart 00:00 --timestop 23:59:59 -j ACCEPT',
  '-m string --string elsewhere --algo bm -j DROP',
  '-m conntrack --ctorigsrc 10.1.0.3 -j DROP',
  `-p tcp -m conntrack --ctorigdstport ${xtPorts} -j ACCEPT`,
  '-m connmark --mark 7 -j DROP',
  '-m iprange --src-range 10.1.0.3-10.1.0.9 -j REJECT',
  '-m mac --mac-source 02:00:00:00:00:01 -j DROP',
  '-m hashlimit --hashlimit-above 9999/sec --hashlimit-burst 9999 --hashlimit-mode srcip --hashlimit-name x -j DROP',
)
const xtForward = pick(
  '-j DROP',
  '-i out -o in -j ACCEPT',
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  '-s 10.1.0.3/32 -j DROP',
)
const xtOutput = pick(
  `-d ${target}/32 -p tcp -m tcp --dport 80 -j DROP`,
  '-m owner --uid-owner 0 -m conntrack --ctstate NEW -o in -j REJECT',
  '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
)
const xtTables = pick(
  '',
  '',
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j CT --notrack\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j MARK --set-xmark 0x7/0xffffffff\nCOMMIT\n',
  `*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -p tcp -m tcp --dport ${xtPorts} -j DNAT --to-destination 10.2.0.3:81\nCOMMIT\n`,
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.1.0.3/32 -j CT --zone 7\nCOMMIT\n',
  '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j CT --notrack\nCOMMIT\n',
  '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CONNMARK --set-xmark 0x7/0xffffffff\nCOMMIT\n',
  '*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu\nCOMMIT\n',
  `*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d ${target}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.2.0.3:81\nCOMMIT\n`,
)
const xtPolicy = pick('ACCEPT', 'ACCEPT', 'DROP')
const appended = (chain: string, lines: readonly string[]): string =>
  lines.map((line) => `-A ${chain} ${line}\n`).join('')

const iptables: fc.Arbitrary<Ruleset> = fc
  .record({
    load: pick('iptables-nft-restore', 'iptables-legacy-restore'),
    policies: fc.tuple(xtPolicy, xtPolicy),
    input: fc.array(xtInput, { maxLength: 4 }),
    forward: fc.array(xtForward, { maxLength: 2 }),
    output: fc.array(xtOutput, { maxLength: 1 }),
    more: xtTables,
  })
  .map(({ load, policies, input, forward, output, more }) => ({
    load: [load],
    text: `*filter
:INPUT ${policies[0]} [0:0]
:FORWARD ${policies[1]} [0:0]
:OUTPUT ACCEPT [0:0]
${appended('INPUT', input)}${appended('FORWARD', forward)}${appended('OUTPUT', output)}COMMIT
${more}`,
  }))

const allowed = fc.subarray(
  [
    `-p tcp -m tcp --dport ${xtPorts} -j ACCEPT`,
    `-s 10.1.0.2/32 -p tcp -m multiport --dports ${xtPorts} -j ACCEPT`,
    `-p udp -m multiport --dports ${xtPorts} -j ACCEPT`,
    '-s 10.1.0.3/32 -j DROP',
  ],
  { maxLength: 2 },
)
/** As `ufw enable` with its defaults. */
const ufw: fc.Arbitrary<Ruleset> = allowed.map((lines) => ({
  load: ['iptables-nft-restore'],
  text: `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
:ufw-not-local - [0:0]
:ufw-user-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -j DROP
${appended('ufw-user-input', lines)}COMMIT
`,
}))
/** As Docker with a published port and a bridge of its own. */
const docker: Ruleset = {
  load: ['iptables-nft-restore'],
  text: `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.7.0.0/24 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 7080 -j DNAT --to-destination 10.7.0.2:80
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`,
}
/** As firewalld's public zone. */
const firewalld: fc.Arbitrary<Ruleset> = fc
  .subarray([`tcp dport ${ports} accept`, `udp dport ${ports} accept`, 'ip saddr 10.1.0.3 reject'])
  .map((lines) => ({
    load: ['nft', '-f', '-'],
    text: `table inet firewalld {
  chain filter_INPUT {
    type filter hook input priority 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_INPUT_ZONES { iifname "out" goto filter_IN_public; }
  chain filter_IN_public {
    ${lines.join('\n    ')}
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    reject with icmpx admin-prohibited
  }
}
`,
  }))

const nothing: Ruleset = { load: ['true'], text: '' }

const routingLine = pick(
  'rule iif out to 10.2.0.0/24 prohibit',
  `rule iif lo to ${target} prohibit`,
  `rule to ${target} ipproto tcp dport 80 blackhole`,
  `rule to ${target} ipproto udp dport 80 prohibit`,
  `rule to 10.1.0.0/24 ipproto tcp sport ${ports} blackhole`,
  `rule uidrange 0-0 to ${target} prohibit`,
  `rule uidrange 9-9 to ${target} prohibit`,
  'rule fwmark 7 prohibit',
  'rule from 10.1.0.3 to 10.2.0.0/24 unreachable',
  'rule from 10.2.0.1 prohibit',
  // As wg-quick does: all but its own goes by another table.
  'rule not fwmark 51820 table 200',
  `route blackhole ${target} table 200`,
  'route blackhole 10.1.0.3 table 200',
  `route prohibit ${target}`,
  'route unreachable 10.1.0.3',
  `xfrm policy dir out dst ${target} action block`,
  'xfrm policy dir in src 10.1.0.3 action block',
  'xfrm policy dir fwd src 10.1.0.3 action block',
  'xfrm policy dir out src 10.2.0.9 action block',
  `route ${target} dev in src 10.1.0.1`,
  `route ${target} via 10.2.0.3`,
  'route 10.1.0.3 dev in',
  `route throw ${target}`,
  'rule table main suppress_prefixlength 0',
  `rule oif in to ${target} prohibit`,
  `rule from 10.1.0.3 to ${target} table 200`,
)
const anySwitch = pick(
  'ipv4/conf/all/rp_filter=1',
  'ipv4/conf/out/rp_filter=2',
  'ipv4/conf/all/accept_local=1',
  'ipv4/conf/all/src_valid_mark=1',
  'ipv4/tcp_syncookies=2',
  'ipv4/tcp_fwmark_accept=1',
  'ipv4/fwmark_reflect=1',
  'ipv4/ip_early_demux=0',
  'ipv4/ip_default_ttl=1',
  'netfilter/nf_conntrack_tcp_loose=0',
  'netfilter/nf_conntrack_tcp_be_liberal=1',
  'ipv6/conf/all/hop_limit=1',
)

export const anyWall: fc.Arbitrary<Wall> = fc
  .record({
    ruleset: fc.oneof(
      { arbitrary: nftables, weight: 8 },
      { arbitrary: iptables, weight: 4 },
      { arbitrary: fc.oneof(ufw, firewalld, fc.constant(docker)), weight: 3 },
      { arbitrary: fc.constant(nothing), weight: 7 },
    ),
    routing: fc.oneof(
      { arbitrary: fc.constant([]), weight: 3 },
      {
        // Of two routes to one place the second is refused.
        arbitrary: fc.uniqueArray(routingLine, {
          minLength: 1,
          maxLength: 2,
          selector: (line) => /^route (?:[a-z]+ )?(\S+)/.exec(line)?.[1] ?? line,
        }),
        weight: 1,
      },
    ),
    switches: fc.oneof(
      { arbitrary: fc.constant([]), weight: 3 },
      { arbitrary: fc.uniqueArray(anySwitch, { minLength: 1, maxLength: 2 }), weight: 1 },
    ),
  })
  .map(({ ruleset, ...more }) => ({ ...ruleset, ...more }))
