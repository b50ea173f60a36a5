/**
 * The addresses to give to others: from a rule, what its hops say and where this machine is found, to the lines that
 * CLI, API and page show. An address is told only as far as each hop on its way is open.
 */
import { addressRange, familyOf, formatEndpoint, isPublic, type Cidr } from '../base/address.ts'
import { formatPortRange, type PortRange } from '../base/port.ts'
import type { HopStatus, RuleAddress } from '../model/naru-api.ts'
import type { Hop } from '../model/hop.ts'
import type { InetListen } from '../model/listen.ts'
import { inRows, mappedBy } from '../model/mapped.ts'
import type { Rule } from '../model/rule.ts'
import { webScheme } from '../model/web-port.ts'
import type { LanView } from './lan.ts'

export interface AddressOptions {
  readonly hops: readonly HopStatus[]
  readonly place: LanView
  /** Port of the built-in sample page, which is known to be web. */
  readonly samplePort: number | null
}

type Scope = RuleAddress['scope']

export function addressesOf(rule: Rule, options: AddressOptions): RuleAddress[] {
  const { listen } = rule
  if (!stands('relay', options.hops, false)) return []
  if (listen.kind === 'unix') return [{ scope: 'machine', text: formatUnix(listen.path) }]
  const scheme = webScheme(rule, options.samplePort)
  const found = [...near(listen, options), ...throughRouter(rule, options.hops)]
  const told = found.filter(({ scope }) => isLetIn(scope, rule.allow))
  const lines = told.map(({ scope, host, ports }) => ({ scope, text: written(host, ports, scheme) }))
  return lines.filter(({ text }, at) => lines.findIndex((other) => other.text === text) === at)
}

interface Found {
  readonly scope: Scope
  readonly host: string
  readonly ports: PortRange
}

const formatUnix = (path: string): string => `unix:${path}`

/** What is listened on, as this machine and its network find it. */
function near({ address, ports }: InetListen, { hops, place }: AddressOptions): Found[] {
  const isWild = address === null || address === '0.0.0.0' || address === '::'
  const own = isWild ? place.addresses.filter((one) => address !== wildOfOther(one)) : [address]
  const machine = address === '::' ? '::1' : isWild ? '127.0.0.1' : null
  const others = own.map((host) => ({ scope: scopeOf(host), host, ports }))
  const open = stands('firewall', hops, true)
  return [
    ...(machine === null ? [] : [{ scope: 'machine' as const, host: machine, ports }]),
    ...others.filter(({ scope }) => scope === 'machine' || open),
  ]
}

/** The wildcard that an address is not covered by. */
function wildOfOther(address: string): string {
  return address.includes(':') ? '0.0.0.0' : '::'
}

function scopeOf(address: string): Scope {
  if (addressRange(address) === 'loopback') return 'machine'
  return isPublic(address) ? 'internet' : 'lan'
}

/** What the router says that it opened; ports of one address in a row are one line. */
function throughRouter({ listen }: Rule, hops: readonly HopStatus[]): Found[] {
  const router = hops.find(({ hop }) => hop === 'router')
  if (listen.kind === 'unix' || !router || !stands('router', hops, false) || !stands('firewall', hops, true))
    return []
  const byHost = new Map<string, number[]>()
  for (const { address, port } of mappedBy(router.data)) {
    if (address === null || isInside(address)) continue
    byHost.set(address, [...(byHost.get(address) ?? []), port])
  }
  // The last one is what is given to others: more of them have IPv4.
  const hosts = [...byHost].toSorted(([a], [b]) => familyOf(b) - familyOf(a))
  return hosts.flatMap(([host, ports]) =>
    inRows(ports).map((range) => ({ scope: 'internet' as const, host, ports: range })),
  )
}

/** @param absent what holds where the rule has no such hop */
function stands(hop: Hop, hops: readonly HopStatus[], absent: boolean): boolean {
  const found = hops.filter((one) => one.hop === hop)
  return found.length === 0 ? absent : found.every(({ state }) => state === 'ok' || state === 'warning')
}

const inside = new Set(['loopback', 'private', 'uniqueLocal', 'linkLocal', 'carrierGradeNat', 'unspecified'])

/** The internet does not find it. */
function isInside(address: string): boolean {
  return inside.has(addressRange(address))
}

/** An allow-list that lets nobody of that place in makes an address there useless. */
function isLetIn(scope: Scope, allow: readonly Cidr[]): boolean {
  if (allow.length === 0) return true
  return allow.some(({ address, bits }) => {
    const range = bits === 0 ? 'unicast' : addressRange(address)
    if (scope === 'machine') return bits === 0 || range === 'loopback'
    return scope === 'lan' ? range !== 'loopback' : !inside.has(range)
  })
}

function written(host: string, ports: PortRange, scheme: string | null): string {
  const endpoint = formatEndpoint(host, formatPortRange(ports))
  return scheme === null || ports.first !== ports.last ? endpoint : `${scheme}://${endpoint}`
}
