/**
 * Rules for iptables-restore and ip6tables-restore: one file for both, as each passes over the lines of the other
 * (`-4`, `-6`, iptables(8)). Who is turned away is dropped in mangle, before the forward: what nat only does not send on
 * would reach whoever listens on that port of this machine.
 */
import { formatCidr, formatEndpoint } from '../../base/address.ts'
import { formatPortRange, portCount, type Protocol } from '../../base/port.ts'
import type { Rule } from '../../model/rule.ts'
import { inOrder, isOpen, ofFamily } from '../shared/access.ts'
import { kernelForward, type KernelForward } from '../shared/kernel.ts'
import type { Writing } from '../shared/writing.ts'

export function write(rules: readonly Rule[], writing: Writing): string {
  const forwards = rules.flatMap((rule) => kernelForward(rule, writing) ?? [])
  const guards = forwards.map(guard)
  const lines = [
    '# Forwards of Naru: iptables-restore --noflush FILE, and ip6tables-restore --noflush FILE.',
    '# They need net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1) and a FORWARD chain that lets them pass.',
    ...(guards.some((guarding) => guarding !== null)
      ? [
          '*mangle',
          ...guards.flatMap((one) => one?.chain ?? []),
          ...guards.flatMap((one) => one?.lines ?? []),
          'COMMIT',
        ]
      : []),
    '*nat',
    ...forwards.flatMap((forward) =>
      forward.listen.protocols.map((one) => line(forward, one, targetOf(forward))),
    ),
    ...forwards.flatMap((forward) => forward.listen.protocols.flatMap((one) => outward(forward, one))),
    'COMMIT',
  ]
  return `${lines.join('\n')}\n`
}

/** A chain of its own for who may come in, null where everybody may: RETURN leaves what others have in PREROUTING to them. */
function guard(forward: KernelForward, index: number): { chain: string; lines: string[] } | null {
  const { rule, listen, family } = forward
  const { entries, otherwise } = ofFamily(inOrder(rule), family)
  if (isOpen({ entries, otherwise })) return null
  // A chain's name has at most 28 characters, a rule's 40.
  const name = `naru-${rule.name.slice(0, 16)}-${index + 1}`
  const arriving = ['-m conntrack --ctstate NEW', `-j ${name}`]
  return {
    chain: `:${name} - [0:0]`,
    lines: [
      ...entries.map(
        ({ action, cidr }) =>
          `-${family} -A ${name} -s ${formatCidr(cidr)} -j ${action === 'allow' ? 'RETURN' : 'DROP'}`,
      ),
      ...(otherwise === 'deny' ? [`-${family} -A ${name} -j DROP`] : []),
      ...listen.protocols.map((protocol) => line(forward, protocol, arriving)),
    ],
  }
}

function line({ rule, listen, family }: KernelForward, protocol: Protocol, then: readonly string[]): string {
  const any = listen.address === null || /^(?:0\.0\.0\.0|::)$/.test(listen.address)
  return [
    `-${family} -A PREROUTING`,
    ...(any ? [] : [`-d ${listen.address}`]),
    `-p ${protocol} -m ${protocol} --dport ${formatPortRange(listen.ports).replace('-', ':')}`,
    '-m addrtype --dst-type LOCAL',
    `-m comment --comment "naru:${rule.name}"`,
    ...then,
  ].join(' ')
}

function targetOf({ listen, to }: KernelForward): string[] {
  const count = portCount(listen.ports)
  const shifted = count > 1 && portCount(to.ports) > 1 && to.ports.first !== listen.ports.first
  const ports = formatPortRange(to.ports)
  if (isHere(to.host)) return [`-j REDIRECT --to-ports ${ports}`]
  if (count > 1 && portCount(to.ports) > 1 && !shifted) return [`-j DNAT --to-destination ${to.host}`]
  const base = shifted ? `/${listen.ports.first}` : ''
  return [`-j DNAT --to-destination ${formatEndpoint(to.host, ports)}${base}`]
}

function outward({ rule, to, family, listen }: KernelForward, protocol: Protocol): string[] {
  if (rule.source === 'keep' || isHere(to.host)) return []
  return [
    `-${family} -A POSTROUTING -d ${to.host} -p ${protocol} -m ${protocol} --dport ${formatPortRange(to.ports).replace('-', ':')} -m conntrack --ctstate DNAT --ctorigdstport ${formatPortRange(listen.ports).replace('-', ':')} -j MASQUERADE`,
  ]
}

function isHere(host: string): boolean {
  return host === '127.0.0.1' || host === '::1'
}
