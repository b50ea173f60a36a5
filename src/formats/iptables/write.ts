/**
 * Rules for iptables-restore and ip6tables-restore: one file for both, as each passes over the lines of the other
 * (`-4`, `-6`, iptables(8)). Who is turned away is said before the forward.
 */
import { formatCidr, formatEndpoint } from '../../base/address.ts'
import { formatPortRange, portCount, type Protocol } from '../../base/port.ts'
import type { Rule } from '../../model/rule.ts'
import { inOrder, ofFamily } from '../contract/access.ts'
import { kernelForward, type KernelForward } from '../contract/kernel.ts'
import type { Writing } from '../contract/writing.ts'

export function write(rules: readonly Rule[], writing: Writing): string {
  const forwards = rules.flatMap((rule) => kernelForward(rule, writing) ?? [])
  const lines = [
    '# Forwards of Naru: iptables-restore --noflush FILE, and ip6tables-restore --noflush FILE.',
    '# They need net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1) and a FORWARD chain that lets them pass.',
    '*nat',
    ...forwards.flatMap((forward) => forward.listen.protocols.flatMap((one) => inward(forward, one))),
    ...forwards.flatMap((forward) => forward.listen.protocols.flatMap((one) => outward(forward, one))),
    'COMMIT',
  ]
  return `${lines.join('\n')}\n`
}

function inward(forward: KernelForward, protocol: Protocol): string[] {
  const { rule, listen, family } = forward
  const { entries, otherwise } = ofFamily(inOrder(rule), family)
  const where =
    listen.address === null || /^(?:0\.0\.0\.0|::)$/.test(listen.address) ? [] : [`-d ${listen.address}`]
  const line = (source: string[], target: string[]): string =>
    [
      `-${family} -A PREROUTING`,
      ...source,
      ...where,
      `-p ${protocol} -m ${protocol} --dport ${formatPortRange(listen.ports).replace('-', ':')}`,
      '-m addrtype --dst-type LOCAL',
      `-m comment --comment "naru:${rule.name}"`,
      ...target,
    ].join(' ')
  const taken = targetOf(forward)
  const away = ['-j RETURN']
  return [
    ...entries.map(({ action, cidr }) => line([`-s ${formatCidr(cidr)}`], action === 'allow' ? taken : away)),
    ...(otherwise === 'allow' ? [line([], taken)] : []),
  ]
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
