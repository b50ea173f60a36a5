/**
 * A table for `nft -f`, to be loaded as often as one likes: it replaces itself and touches no other. A rule is a chain
 * of its own, so that who may come in is said once. nft(8), NAT STATEMENTS.
 */
import { formatCidr, formatEndpoint } from '../base/address.ts'
import { formatPortRange, portCount, type Protocol } from '../base/port.ts'
import { say } from '../base/text.ts'
import type { Rule } from '../model/rule.ts'
import type { WritableFormat } from './contract.ts'
import { inOrder, ofFamily } from './shared/access.ts'
import { carriesNothing } from './shared/capabilities.ts'
import { kernelForward, type InetTarget, type KernelForward } from './shared/kernel.ts'
import type { Writing } from './shared/writing.ts'

const table = 'inet naru_export'

export const nft: WritableFormat = {
  id: 'nft',
  title: say('nftables, nft -f'),
  carries: {
    ...carriesNothing,
    udp: true,
    range: true,
    targets: say('of one family; none is skipped where it is down'),
    weight: true,
    sourceHash: true,
    allow: true,
    deny: true,
    keep: true,
  },
  write,
}

function write(rules: readonly Rule[], writing: Writing): string {
  const forwards = rules.flatMap((rule) => kernelForward(rule, writing) ?? [])
  const lines = [
    '#!/usr/sbin/nft -f',
    '# Forwards of Naru. They need net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1) and a forward chain that lets them pass.',
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...forwards.flatMap(chainOf),
    '\tchain prerouting {',
    '\t\ttype nat hook prerouting priority dstnat; policy accept;',
    ...forwards.flatMap(arrivals),
    '\t}',
    '\tchain postrouting {',
    '\t\ttype nat hook postrouting priority srcnat; policy accept;',
    ...forwards.flatMap(departures),
    '\t}',
    '}',
  ]
  return `${lines.join('\n')}\n`
}

/** Names of rules may hold what begins no identifier of nft. */
const chainName = ({ name }: Rule): string => `rule_${name}`

const ip = ({ family }: KernelForward): string => (family === 4 ? 'ip' : 'ip6')

function arrivals(forward: KernelForward): string[] {
  const { rule, listen, family } = forward
  const any = listen.address === null || listen.address === '0.0.0.0' || listen.address === '::'
  const where = any ? `meta nfproto ipv${family}` : `${ip(forward)} daddr ${listen.address}`
  return listen.protocols.map(
    (protocol) =>
      `\t\t${where} fib daddr type local ${protocol} dport ${formatPortRange(listen.ports)} jump ${chainName(rule)} comment "naru:${rule.name}"`,
  )
}

function chainOf(forward: KernelForward): string[] {
  const { rule, family, listen } = forward
  const { entries, otherwise } = ofFamily(inOrder(rule), family)
  const forwarding = (source: string): string[] =>
    listen.protocols.map(
      (protocol) =>
        `\t\t${source}${protocol} dport ${formatPortRange(listen.ports)} ${statement(forward, protocol)}`,
    )
  return [
    `\tchain ${chainName(rule)} {`,
    ...entries.flatMap(({ action, cidr }) => {
      const source = `${ip(forward)} saddr ${formatCidr(cidr)} `
      return action === 'deny' ? [`\t\t${source}drop`] : forwarding(source)
    }),
    ...(otherwise === 'allow' ? forwarding('') : ['\t\tdrop']),
    '\t}',
  ]
}

function statement(forward: KernelForward, protocol: Protocol): string {
  const { listen, to, targets } = forward
  const ranged = portCount(listen.ports) > 1 && portCount(to.ports) > 1
  const moved = ranged && to.ports.first !== listen.ports.first
  if (to.host === '127.0.0.1' || to.host === '::1')
    return ranged && !moved
      ? 'redirect'
      : `redirect to :${moved ? portMap(forward, protocol) : to.ports.first}`
  if (targets.length > 1) return `dnat ${ip(forward)} to ${spread(forward, ranged)}`
  if (moved) return `dnat ${ip(forward)} to ${bracketed(to)} : ${portMap(forward, protocol)}`
  return `dnat ${ip(forward)} to ${ranged ? to.host : formatEndpoint(to.host, to.ports.first)}`
}

function bracketed({ host }: InetTarget): string {
  return host.includes(':') ? `[${host}]` : host
}

/** A port each: nft calculates with none, and of a range as target it takes the first that is free. */
function portMap({ listen, to }: KernelForward, protocol: Protocol): string {
  const pairs = Array.from(
    { length: portCount(listen.ports) },
    (_, index) => `${listen.ports.first + index} : ${to.ports.first + index}`,
  )
  return `${protocol} dport map { ${pairs.join(', ')} }`
}

/** Each target has as many numbers as its weight; the number is the next one, or the client's own. */
function spread(forward: KernelForward, ranged: boolean): string {
  const { rule } = forward
  let next = 0
  const parts = rule.targets.map(({ to, weight }) => {
    const first = next
    next += weight
    const key = weight === 1 ? String(first) : `${first}-${next - 1}`
    if (to.kind !== 'inet') return key
    return `${key} : ${ranged ? to.host : `${to.host} . ${to.ports.first}`}`
  })
  const number = rule.balance === 'source-hash' ? `jhash ${ip(forward)} saddr` : 'numgen inc'
  return `${number} mod ${next} map { ${parts.join(', ')} }`
}

function departures(forward: KernelForward): string[] {
  const { rule, targets, listen } = forward
  if (rule.source === 'keep') return []
  return targets
    .filter(({ host }) => host !== '127.0.0.1' && host !== '::1')
    .flatMap(({ host, ports }) =>
      listen.protocols.map(
        (protocol) =>
          `\t\t${ip(forward)} daddr ${host} ${protocol} dport ${formatPortRange(ports)} ct status dnat ct original proto-dst ${formatPortRange(listen.ports)} masquerade`,
      ),
    )
}
