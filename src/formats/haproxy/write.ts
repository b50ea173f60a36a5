/** Rules as `listen` sections; by server name, as a `frontend` and a `backend` a name. */
import { familyOf, formatCidr, formatEndpoint, type Cidr } from '../../base/address.ts'
import { formatPortRange, portCount, type PortRange } from '../../base/port.ts'
import { say } from '../../base/text.ts'
import type { Listen } from '../../model/listen.ts'
import type { Rule, TargetChoice } from '../../model/rule.ts'
import { inOrder, type AccessEntry } from '../shared/access.ts'
import type { Writing } from '../shared/writing.ts'
import { neverMs } from './settings.ts'

export function write(rules: readonly Rule[], writing: Writing): string {
  const sections = rules.map((rule) => sectionOf(rule, writing))
  return `${['# Forwards of Naru for HAProxy 2.2 or later.', ...sections].join('\n\n')}\n`
}

function sectionOf(rule: Rule, writing: Writing): string {
  const { name, targets } = rule
  if (targets.every((target) => target.name === null))
    return section(`listen ${name}`, [...frontLines(rule), ...backLines(rule, targets)])
  writing.lose(rule, 'serverName', say('by TLS server name; the Host of plain HTTP is not looked at'))
  const names = [...new Set(targets.map((target) => target.name))].toSorted(byPrecedence)
  const routes = names.map((server, index) =>
    server === null
      ? `default_backend ${name}:${index + 1}`
      : `use_backend ${name}:${index + 1} if { ${asksFor(server)} }`,
  )
  const front = section(`frontend ${name}`, [
    ...frontLines(rule),
    'tcp-request inspect-delay 5s',
    'tcp-request content accept if { req.ssl_hello_type 1 }',
    ...routes,
  ])
  const backs = names.map((server, index) =>
    section(`backend ${name}:${index + 1}`, [
      'mode tcp',
      ...backLines(
        rule,
        targets.filter((target) => target.name === server),
      ),
    ]),
  )
  return [front, ...backs].join('\n\n')
}

function section(head: string, lines: readonly string[]): string {
  return [head, ...lines.map((line) => `    ${line}`)].join('\n')
}

/** Exact names, then wildcards, the longest first, then the rest: haproxy takes the first that matches. */
function byPrecedence(a: string | null, b: string | null): number {
  const rank = (name: string | null): number =>
    name === null ? -1000 : name.startsWith('*') ? name.length - 500 : 0
  return rank(b) - rank(a)
}

function asksFor(name: string): string {
  return name.startsWith('*.') ? `req.ssl_sni -i -m end ${name.slice(1)}` : `req.ssl_sni -i ${name}`
}

function frontLines(rule: Rule): string[] {
  const { limits, timeouts, acceptProxy } = rule
  // "connection" is before the PROXY header, where the source is the proxy.
  const layer = acceptProxy.length > 0 ? 'session' : 'connection'
  return [
    'mode tcp',
    `bind ${bindOf(rule.listen)}`,
    ...(limits.connections === null ? [] : [`maxconn ${limits.connections}`]),
    ...(limits.newPerSecond === null ? [] : [`rate-limit sessions ${limits.newPerSecond}`]),
    `timeout client ${timeOf(timeouts.idleMs)}`,
    ...keepalive('cli', rule),
    ...(acceptProxy.length === 0
      ? []
      : runs(acceptProxy.map((cidr): AccessEntry => ({ action: 'allow', cidr }))).map(
          ({ cidrs }) => `tcp-request connection expect-proxy layer4 if ${from(cidrs, rule)}`,
        )),
    ...(limits.perSource === null
      ? []
      : [
          'stick-table type ipv6 size 100k expire 30s store conn_cur',
          `tcp-request ${layer} track-sc0 src`,
          `tcp-request ${layer} reject if { sc0_conn_cur gt ${limits.perSource} }`,
        ]),
    ...accessLines(rule, layer),
  ]
}

function accessLines(rule: Rule, layer: string): string[] {
  const { entries, otherwise } = inOrder(rule)
  const lines = runs(entries).map(
    ({ action, cidrs }) =>
      `tcp-request ${layer} ${action === 'allow' ? 'accept' : 'reject'} if ${from(cidrs, rule)}`,
  )
  return otherwise === 'deny' ? [...lines, `tcp-request ${layer} reject`] : lines
}

/**
 * Clients by their address. HAProxy takes IPv6 clients of 6to4 for the IPv4 address within, and IPv4 clients for IPv6
 * ones of ::ffff:0:0/96: neither is meant (`alsoMatched`).
 * @param cidrs of one family
 */
function from(cidrs: readonly Cidr[], { listen, acceptProxy }: Rule): string {
  const asked = `{ src ${cidrs.map(formatCidr).join(' ')} }`
  const isIPv4 = cidrs.some(({ family }) => family === 4)
  const onlyIPv4 = listen.kind === 'inet' && listen.address !== null && familyOf(listen.address) === 4
  if (isIPv4) return onlyIPv4 && acceptProxy.length === 0 ? asked : `${asked} !{ src 2002::/16 ::/96 }`
  return cidrs.some(({ address }) => address === '::') ? `${asked} !{ src ::ffff:0:0/96 }` : asked
}

/** Neighbours of one family that say the same are one line. */
function runs(entries: readonly AccessEntry[]): { action: AccessEntry['action']; cidrs: Cidr[] }[] {
  const result: { action: AccessEntry['action']; cidrs: Cidr[] }[] = []
  for (const { action, cidr } of entries) {
    const last = result.at(-1)
    // A line of haproxy has 64 words where nothing else is configured.
    const isSame = last?.action === action && last.cidrs[0]?.family === cidr.family
    if (last && isSame && last.cidrs.length < 50) last.cidrs.push(cidr)
    else result.push({ action, cidrs: [cidr] })
  }
  return result
}

function backLines(rule: Rule, targets: readonly TargetChoice[]): string[] {
  const { timeouts, balance, source } = rule
  const how = { 'round-robin': 'roundrobin', 'least-connections': 'leastconn', 'source-hash': 'source' }[
    balance
  ]
  return [
    `balance ${how}`,
    `timeout connect ${timeOf(timeouts.connectMs)}`,
    `timeout server ${timeOf(timeouts.idleMs)}`,
    ...keepalive('srv', rule),
    ...(source === 'keep' ? ['source 0.0.0.0 usesrc clientip'] : []),
    ...targets.map((target, index) => `server t${index + 1} ${serverOf(target, rule)}`),
  ]
}

function keepalive(side: 'cli' | 'srv', { timeouts: { keepaliveMs } }: Rule): string[] {
  if (keepaliveMs === 0) return [`no option ${side}tcpka`]
  return [`option ${side}tcpka`, `${side}tcpka-idle ${Math.ceil(keepaliveMs / 1000)}s`]
}

function serverOf({ to, weight, backup }: TargetChoice, { listen, health, source }: Rule): string {
  if (to.kind === 'guest') throw new RangeError('guests are left out before')
  const range = listen.kind === 'inet' ? listen.ports : null
  const address = to.kind === 'unix' ? `unix@${to.path}` : formatEndpoint(to.host, portsTo(to.ports, range))
  const checked = to.kind === 'inet' && portCount(to.ports) > 1 ? ` port ${to.ports.first}` : ''
  return [
    address,
    ...(weight === 1 ? [] : [`weight ${weight}`]),
    ...(backup ? ['backup'] : []),
    ...(source === 'proxy-v1' ? ['send-proxy'] : source === 'proxy-v2' ? ['send-proxy-v2'] : []),
    ...(health ? [`check inter ${health.everyMs}ms rise ${health.rise} fall ${health.fall}${checked}`] : []),
    ...(to.kind === 'inet' ? ['init-addr last,libc,none'] : []),
  ].join(' ')
}

/** A range goes to a range by its distance. */
function portsTo(ports: PortRange, listen: PortRange | null): string {
  if (portCount(ports) === 1 || listen === null) return String(ports.first)
  const shift = ports.first - listen.first
  return `${shift < 0 ? '-' : '+'}${Math.abs(shift)}`
}

function bindOf(listen: Listen): string {
  if (listen.kind === 'unix') return `unix@${listen.path}`
  const ports = formatPortRange(listen.ports)
  if (listen.address === null) return `:::${ports} v4v6`
  if (listen.address === '::') return `:::${ports} v6only`
  return `${listen.address}:${ports}`
}

/** haproxy warns of a timeout that is 0, so never is as long as it can count. */
function timeOf(ms: number): string {
  return ms === 0 ? `${neverMs / 86_400_000}d` : `${ms}ms`
}
