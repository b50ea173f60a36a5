/** Rules as a `stream` block: a `server` a protocol and family, an `upstream` for its targets. */
import { familyOf, formatCidr, formatEndpoint } from '../../base/address.ts'
import { formatPortRange, portCount, type Protocol } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import { formatTarget } from '../../model/target.ts'
import type { Rule, TargetChoice } from '../../model/rule.ts'
import { inOrder } from '../shared/access.ts'
import type { Writing } from '../shared/writing.ts'
import { neverMs } from './words.ts'

export function write(rules: readonly Rule[], writing: Writing): string {
  const blocks = rules.flatMap((rule, index) => blockOf(rule, index + 1, writing) ?? [])
  const head = [
    '# Forwards of Naru for nginx 1.15.10 or later with its stream module (Debian: libnginx-mod-stream).',
    '# Include it beside http { }, not within.',
  ]
  return `${[...head, 'stream {', ...blocks.map((line) => (line === '' ? '' : `    ${line}`)), '}'].join('\n')}\n`
}

function blockOf(rule: Rule, index: number, writing: Writing): string[] | null {
  const { limits, listen } = rule
  const pass = passOf(rule, index, writing)
  if (pass === null) return null
  const zone =
    limits.perSource === null ? [] : [`limit_conn_zone $binary_remote_addr zone=naru_${index}:10m;`]
  const protocols: readonly Protocol[] = listen.kind === 'inet' ? listen.protocols : ['tcp']
  const servers = protocols.flatMap((protocol) => [
    `# naru:${rule.name}`,
    'server {',
    ...serverLines(rule, index, protocol, pass.to).map((line) => `    ${line}`),
    '}',
  ])
  return [...zone, ...pass.before, ...servers, '']
}

/** The word for `proxy_pass`, and what must stand before it. */
function passOf(rule: Rule, index: number, writing: Writing): { to: string; before: string[] } | null {
  const { targets, listen } = rule
  const ranged = listen.kind === 'inet' && portCount(listen.ports) > 1
  const moving = ranged && targets.some(({ to }) => to.kind === 'inet' && portCount(to.ports) > 1)
  if (moving) return rangePass(rule, writing)
  if (targets.every(({ name }) => name === null))
    return { to: `naru_${index}`, before: upstream(`naru_${index}`, rule, targets) }
  writing.lose(rule, 'serverName', say('by TLS server name; the Host of plain HTTP is not looked at'))
  const names = [...new Set(targets.map(({ name }) => name))]
  const map = names.map((name, at) => `    ${name ?? 'default'} naru_${index}_${at + 1};`)
  const groups = names.flatMap((name, at) =>
    upstream(
      `naru_${index}_${at + 1}`,
      rule,
      targets.filter((target) => target.name === name),
    ),
  )
  return {
    to: `$naru_${index}`,
    before: [...groups, `map $ssl_preread_server_name $naru_${index} {`, '    hostnames;', ...map, '}'],
  }
}

/** The port that the client asked for goes into `proxy_pass` itself, so there is one target, by address. */
function rangePass(rule: Rule, writing: Writing): { to: string; before: string[] } | null {
  const [only, another] = rule.targets
  const { listen } = rule
  const leaveOut = (why: Text): null => (writing.leaveOut(rule, 'range', why), null)
  if (!only || another || only.to.kind !== 'inet' || listen.kind !== 'inet')
    return leaveOut(say('a range goes to one target'))
  if (!/^[\d.]+$|:/.test(only.to.host)) return leaveOut(say('a range goes to an address, not to a name'))
  if (only.to.ports.first !== listen.ports.first) return leaveOut(say('a range keeps its ports'))
  return { to: formatEndpoint(only.to.host, '$server_port'), before: [] }
}

function upstream(name: string, { balance }: Rule, targets: readonly TargetChoice[]): string[] {
  const how = {
    'round-robin': [],
    'least-connections': ['    least_conn;'],
    'source-hash': ['    hash $remote_addr;'],
  }
  return [
    `upstream ${name} {`,
    ...how[balance],
    ...targets.map(
      ({ to, weight, backup }) =>
        `    server ${formatTarget(to)}${weight === 1 ? '' : ` weight=${weight}`}${backup ? ' backup' : ''};`,
    ),
    '}',
  ]
}

function serverLines(rule: Rule, index: number, protocol: Protocol, pass: string): string[] {
  const { timeouts, limits, source, acceptProxy, targets } = rule
  const silence = protocol === 'udp' ? timeouts.udpMs : timeouts.idleMs
  const tcp = protocol === 'tcp'
  return [
    ...listens(rule, protocol).map((listen) => `listen ${listen};`),
    ...accessLines(rule),
    ...(tcp && targets.some(({ name }) => name !== null) ? ['ssl_preread on;'] : []),
    ...acceptProxy.map((cidr) => `set_real_ip_from ${formatCidr(cidr)};`),
    ...(limits.perSource === null ? [] : [`limit_conn naru_${index} ${limits.perSource};`]),
    ...(tcp ? [`proxy_connect_timeout ${timeouts.connectMs}ms;`] : []),
    `proxy_timeout ${silence === 0 ? `${neverMs / 86_400_000}d` : `${silence}ms`};`,
    ...(tcp && timeouts.keepaliveMs > 0 ? ['proxy_socket_keepalive on;'] : []),
    ...(source === 'keep' ? ['proxy_bind $remote_addr transparent;'] : []),
    ...(source === 'proxy-v1' && tcp ? ['proxy_protocol on;'] : []),
    `proxy_pass ${pass};`,
  ]
}

function accessLines(rule: Rule): string[] {
  const { entries, otherwise } = inOrder(rule)
  const lines = entries.map(({ action, cidr }) => `${action} ${formatCidr(cidr)};`)
  if (otherwise === 'deny') return [...lines, 'deny all;']
  // A list of IPv6 alone is also held against IPv4 clients of a socket of both.
  const isSix = entries.length > 0 && entries.every(({ cidr }) => cidr.family === 6)
  return isSix ? [...lines, 'allow 0.0.0.0/0;'] : lines
}

/** One listen of both families where no address is said. */
function listens({ listen, timeouts, acceptProxy }: Rule, protocol: Protocol): string[] {
  const options = [
    ...(protocol === 'udp' ? ['udp'] : []),
    ...(acceptProxy.length > 0 ? ['proxy_protocol'] : []),
    ...(protocol === 'udp'
      ? []
      : [
          timeouts.keepaliveMs === 0
            ? 'so_keepalive=off'
            : `so_keepalive=${Math.ceil(timeouts.keepaliveMs / 1000)}s::`,
        ]),
  ]
  const line = (where: string, ...more: string[]): string => [where, ...more, ...options].join(' ')
  if (listen.kind === 'unix') throw new RangeError('Unix listens are left out before')
  const ports = formatPortRange(listen.ports)
  if (listen.address === null) return [line(`[::]:${ports}`, 'ipv6only=off')]
  return [
    line(familyOf(listen.address) === 6 ? `[${listen.address}]:${ports}` : `${listen.address}:${ports}`),
  ]
}
