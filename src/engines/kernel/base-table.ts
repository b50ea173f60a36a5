/**
 * The table itself: chains that look into maps, and no rule a forward, so that the cost is the same for one and for
 * ten thousand. It is made once, by whichever Naru comes first, and shared; what varies are elements of its maps.
 *
 * A connection's first packet alone passes here: `admit` turns away, `carry` sets the new destination, `way_back` hides
 * the client where the way back asks for it. Everything after it is conntrack's, so a changed element never touches a
 * connection that is there. That is why what chooses is of type nat, which the kernel asks once a connection. Of type
 * filter is what must see every packet, also one that belongs to no connection: the guard (guard.ts), and what keeps a
 * stray segment from ending a connection of ours.
 */
import type { Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { asked, guardChains, guardSets, notOurs } from './guard.ts'

export const tableName = 'naru'

/** Changes with the layout: a table of another layout is not ours to fill. */
export const layout = 'layout_6'

/** A table outlives its makers, and no start of the machine: one of an earlier start came back with a saved ruleset. */
export const startMark = (boot: string): string => `start/${boot}`

/**
 * Sets without `interval` are hashes; those with it are concatenations (pipapo). A plain interval set is avoided: nft
 * reads all of it before each change (52 ms against 12 ms with 10,000 elements). Whatever rules have thousands of is in
 * hashes: 10,000 elements take 0.1 s there and 2 s in a pipapo. So do they in a plain set of ports, which the kernel
 * keeps as a bitmap with a list beside it (0.5 s): there is none.
 */
/** @param boot which start of the machine this is, as /proc/sys/kernel/random/boot_id says it */
// oxlint-disable-next-line max-lines-per-function -- the text of one table
export function baseTable(boot: string): string {
  return `create table inet ${tableName}
table inet ${tableName} {
  counter ${layout} {
  }
  counter ${startMark(boot)} {
  }
${setsOf(4)}
${setsOf(6)}
  set hairpin { type ifname . ifname; }
${guardSets}
${straySets}

  chain refused {
    meta l4proto tcp reject with tcp reset
    drop
  }
  chain admit {
    ip daddr . meta l4proto . th dport . ip saddr @deny4 goto refused
    ip6 daddr . meta l4proto . th dport . ip6 saddr @deny6 goto refused
  }

  chain carry {
    fib daddr type != local return
    jump admit
    tcp flags & (fin | syn | rst | ack) != syn return
    ct label set ${asked}
    dnat ip to ip daddr . meta l4proto . th dport map @at4
    dnat ip to meta l4proto . th dport map @port4
    dnat ip to ip daddr . meta l4proto . th dport map @span4
    meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @into4
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6
    dnat ip6 to meta l4proto . th dport map @port6
    dnat ip6 to ip6 daddr . meta l4proto . th dport map @span6
    meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @into6
    ct label set ${notOurs} comment "another's chain may send it on"
  }
  chain carry_arriving { type nat hook prerouting priority -100; policy accept; jump carry
  }
  chain carry_local { type nat hook output priority -100; policy accept; jump carry
  }

  chain hide {
    jump expect
    masquerade
  }
  chain keep {
    jump expect
    fib saddr type local masquerade
    iifname . oifname @hairpin masquerade
  }
  chain way_back { type nat hook postrouting priority 100; policy accept;
    ct status & dnat != dnat return
    ct label ${notOurs} return
    ct label != ${asked} return
${waysBack(4, 'tcp')}
${waysBack(4, 'udp')}
${waysBack(6, 'tcp')}
${waysBack(6, 'udp')}
    goto hide
  }

${patienceWithStreams(4)}
${patienceWithStreams(6)}
  chain expect {
    meta l4proto != tcp return
    meta nfproto ipv4 meta l4proto tcp ct timeout set "tcp4"
    meta nfproto ipv6 meta l4proto tcp ct timeout set "tcp6"
    update @ends4 { ip daddr . th dport }
    update @ends6 { ip6 daddr . th dport }
    meta l4proto tcp update @asked { ct original proto-dst }
  }
  chain strays {
    meta l4proto != tcp return
    ip saddr . th sport @ends4 drop
    ip6 saddr . th sport @ends6 drop
    fib daddr type local th dport @asked drop
  }
  chain arriving { type filter hook input priority -1; policy accept;
    ct state invalid jump strays
  }
${guardChains('ct state invalid jump strays')}
}
`
}

/**
 * Where our TCP connections lead, and the ports that clients asked for. A segment from or to one of them that conntrack
 * takes for no part of a connection (out of its window) is not translated: this machine, or the client, would answer
 * it by RST, and that ends the connection. Connections outlive their rule, so these are kept as long as the table.
 */
const straySets = `  set asked { type inet_service; flags dynamic; size 65535; }
  set ends4 { type ipv4_addr . inet_service; flags dynamic; size 65535; }
  set ends6 { type ipv6_addr . inet_service; flags dynamic; size 65535; }`

/**
 * Who began and says no more soon makes room: hidden clients share this machine's ports towards a target, and a flood of
 * first segments takes them. Both ends repeat theirs at shorter intervals at first (RFC 6298 §2).
 */
const halfOpenSeconds = 10

/**
 * Who has ended one way may say as much as it likes the other way, for as long as a connection may that has ended
 * neither (nf_conntrack_tcp_timeout_established, 5 days). conntrack alone would forget it after one or two minutes.
 */
function patienceWithStreams(family: Family): string {
  const seconds = 432_000
  return `  ct timeout tcp${family} { protocol tcp; l3proto ${family === 4 ? 'ip' : 'ip6'}
    policy = { syn_sent : ${halfOpenSeconds}, syn_recv : ${halfOpenSeconds}, fin_wait : ${seconds}, close_wait : ${seconds} }
  }`
}

function setsOf(family: Family): string {
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const listen = `${address} . inet_proto . inet_service`
  return `  map port${family} { type inet_proto . inet_service : ${address} . inet_service; flags timeout; counter; }
  map at${family} { type ${listen} : ${address} . inet_service; flags timeout; counter; }
  map span${family} { type ${listen} : ${address}; flags interval,timeout; counter; }
  map into${family} { type ${listen} : ${address} . inet_service; flags interval,timeout; counter; }
  set deny${family} { type ${listen} . ${address}; flags interval; counter; }
  map back_port${family} { type inet_proto . inet_service : verdict; }
  map back_at${family} { type ${listen} : verdict; }
  map back_span${family} { type ${listen} : verdict; flags interval; }`
}

/** conntrack keeps the address and the port that the client asked for, whatever the destination became. */
function waysBack(family: Family, protocol: Protocol): string {
  const address = `ct original ${family === 4 ? 'ip' : 'ip6'} daddr`
  const end = `meta l4proto . ct original proto-dst`
  return [
    `${address} . ${end} vmap @back_at${family}`,
    `${end} vmap @back_port${family}`,
    `${address} . ${end} vmap @back_span${family}`,
  ]
    .map((look) => `    meta nfproto ipv${family} meta l4proto ${protocol} ${look}`)
    .join('\n')
}
