/**
 * A line of socat a port, as a shell script that runs them all. socat(1). Words are only ever ports, addresses, host
 * names and plain paths (others are left out before), so that nothing in them means anything to the shell or to socat.
 */
import { familyOf, formatCidr, formatEndpoint } from '../base/address.ts'
import { portCount, type Protocol } from '../base/port.ts'
import { say } from '../base/text.ts'
import type { Rule } from '../model/rule.ts'
import type { Target } from '../model/target.ts'
import type { WritableFormat } from './contract.ts'
import { inOrder, type OrderedAccess } from './shared/access.ts'
import { carriesNothing } from './shared/capabilities.ts'
import type { Writing } from './shared/writing.ts'

/** A process a port. */
const mostPorts = 256

export const socat: WritableFormat = {
  id: 'socat',
  title: say('socat, a shell script'),
  carries: {
    ...carriesNothing,
    udp: true,
    range: say`a process a port, up to ${mostPorts}`,
    unixListen: true,
    unixTarget: true,
    nameTarget: true,
    allow: say('one prefix'),
    'limits.connections': true,
    'timeouts.connect': true,
    'timeouts.idle': true,
    'timeouts.udp': true,
    'timeouts.keepalive': true,
  },
  write,
}

function write(rules: readonly Rule[], writing: Writing): string {
  const lines = [
    '#!/bin/sh',
    '# Forwards of Naru with socat: runs until it is stopped; what is connected then goes on to its end.',
  ]
  lines.push('pids=', "trap 'kill $pids' EXIT", "trap 'exit 0' INT TERM")
  for (const rule of rules) {
    const commands = commandsOf(rule, writing)
    if (commands.length > 0)
      lines.push(`# ${rule.name}`, ...commands.flatMap((command) => [`${command} &`, 'pids="$pids $!"']))
  }
  return `${[...lines, 'wait'].join('\n')}\n`
}

function commandsOf(rule: Rule, writing: Writing): string[] {
  const { listen, targets } = rule
  const to = targets[0]?.to
  if (!to || to.kind === 'guest') return []
  const access = inOrder(rule)
  if (access.entries.length > 1) {
    writing.leaveOut(rule, 'allow', say('socat asks for one prefix'))
    return []
  }
  if (listen.kind === 'unix')
    return [`socat UNIX-LISTEN:${listen.path},fork,unlink-early${most(rule)} ${dial(to, 0, 'tcp', rule)}`]
  const count = portCount(listen.ports)
  if (count > mostPorts) {
    writing.leaveOut(rule, 'range', say`${count} ports would be ${count} processes`)
    return []
  }
  return listen.protocols.flatMap((protocol) =>
    Array.from({ length: count }, (_, index) => {
      const silence = silenceSeconds(rule, protocol)
      const bound = listenAddress(rule, protocol, listen.ports.first + index, access)
      return `socat ${silence > 0 ? `-T ${silence} ` : ''}${bound} ${dial(to, index, protocol, rule)}`
    }),
  )
}

function silenceSeconds({ timeouts }: Rule, protocol: Protocol): number {
  return Math.ceil((protocol === 'udp' ? timeouts.udpMs : timeouts.idleMs) / 1000)
}

/** One socket of both families where no address is said; one family where only its clients may come in. */
function listenAddress(rule: Rule, protocol: Protocol, port: number, { entries }: OrderedAccess): string {
  const address = rule.listen.kind === 'inet' ? rule.listen.address : null
  const only = entries[0]?.cidr
  const family = address === null ? (only?.family ?? null) : familyOf(address)
  const kind = `${protocol.toUpperCase()}${family === 4 ? 4 : 6}-LISTEN:${port}`
  const bind = address === null ? '' : `,bind=${family === 6 ? `[${address}]` : address}`
  const both = family === null ? ',ipv6only=0' : family === 6 ? ',ipv6only=1' : ''
  const range = only ? `,range=${rangeOf(formatCidr(only), only.bits)}` : ''
  const keep = protocol === 'tcp' ? keepalive(rule) : ''
  return `${kind}${bind}${both},reuseaddr,fork${range}${most(rule)}${keep}`
}

/** socat wants a length behind each address, and brackets around those of IPv6. */
function rangeOf(cidr: string, bits: number): string {
  const [address = ''] = cidr.split('/')
  return `${address.includes(':') ? `[${address}]` : address}/${bits}`
}

function most({ limits }: Rule): string {
  return limits.connections === null ? '' : `,max-children=${limits.connections}`
}

function keepalive({ timeouts: { keepaliveMs } }: Rule): string {
  return keepaliveMs === 0 ? '' : `,keepalive,keepidle=${Math.ceil(keepaliveMs / 1000)}`
}

function dial(to: Exclude<Target, { kind: 'guest' }>, index: number, protocol: Protocol, rule: Rule): string {
  if (to.kind === 'unix') return `UNIX-CONNECT:${to.path}`
  const port = to.ports.first + (portCount(to.ports) === 1 ? 0 : index)
  const wait =
    protocol === 'tcp' ? `,connect-timeout=${rule.timeouts.connectMs / 1000}${keepalive(rule)}` : ''
  return `${protocol.toUpperCase()}:${formatEndpoint(to.host, port)}${wait}`
}
