/**
 * One forward as elements of the table's maps: a rule and the address of its target go in, what to add comes out.
 * Pure and the same each time, so that what was added can be compared with what is wanted, and taken out again.
 */
import { createHash } from 'node:crypto'
import { familyOf, type Family } from '../../base/address.ts'
import { portCount, type PortRange, type Protocol } from '../../base/port.ts'
import type { Json } from '../../model/hop.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Limits, Rule } from '../../model/rule.ts'
import { deniedSources } from './sources.ts'

/** How the target finds its way back: by answering this machine, or the client itself through this machine. */
export type WayBack = 'hide' | 'keep'

export interface Aim {
  readonly rule: Rule
  readonly address: string
  readonly ports: PortRange
  readonly wayBack: WayBack
}

export interface Element {
  readonly set: string
  readonly key: Json
  /** Null in a set, which has keys alone. */
  readonly value: Json
}

/** What one map element cannot say: limits and UDP's patience. */
export interface Terms {
  readonly chain: string
  readonly family: Family
  readonly rules: readonly Json[]
  /** Counters of what each limit turned away, by reason. */
  readonly counters: readonly string[]
  /** A set in which the kernel counts connections of each source. */
  readonly sources: string | null
  /** Seconds that a UDP session may be silent, or null. */
  readonly udpSeconds: number | null
}

export interface Compiled {
  readonly elements: readonly Element[]
  readonly terms: Terms | null
}

/** Which ours an element is: the same key in the same map is the same element. */
export function elementId({ set, key }: Pick<Element, 'set' | 'key'>): string {
  return `${set} ${JSON.stringify(key)}`
}

export function listenFamily(listen: InetListen): Family {
  return familyOf(listen.address as string)
}

export function compile(aim: Aim): Compiled {
  const listen = aim.rule.listen as InetListen
  const terms = compileTerms(aim.rule, listen)
  return {
    elements: listen.protocols.flatMap((protocol) => [
      ...destinations(aim, listen, protocol),
      ...denials(aim.rule, listen, protocol),
      ...(terms && hasTerms(aim.rule, protocol) ? [termsElement(terms.chain, listen, protocol)] : []),
      ...waysBack(aim, listen, protocol),
    ]),
    terms,
  }
}

/** Ports that keep their number are one interval; ports that move are one element each. */
function destinations({ address, ports }: Aim, listen: InetListen, protocol: Protocol): Element[] {
  const family = listenFamily(listen)
  if (portCount(listen.ports) > 1 && listen.ports.first === ports.first && listen.ports.last === ports.last) {
    return [{ set: `span${family}`, key: listenKey(listen, protocol), value: address }]
  }
  const exact = isAnyAddress(listen)
    ? { set: `port${family}`, head: [protocol] }
    : { set: `at${family}`, head: [listen.address, protocol] }
  return portsOf(listen.ports).map((port) => ({
    set: exact.set,
    key: { concat: [...exact.head, port] },
    value: { concat: [address, ports.first + Math.min(port - listen.ports.first, portCount(ports) - 1)] },
  }))
}

function denials({ allow, deny }: Rule, listen: InetListen, protocol: Protocol): Element[] {
  const family = listenFamily(listen)
  return deniedSources(allow, deny, family).map(([first, last]) => ({
    set: `deny${family}`,
    key: {
      concat: [...listenKey(listen, protocol).concat, first === last ? first : { range: [first, last] }],
    },
    value: null,
  }))
}

/**
 * conntrack keeps the port that the client asked for, whatever the destination became. What asks for it by TCP and
 * belongs to no connection is a stray.
 */
function waysBack({ wayBack }: Aim, listen: InetListen, protocol: Protocol): Element[] {
  const set = `back${listenFamily(listen)}_${protocol}`
  const value = { jump: { target: wayBack } }
  const ports = portsOf(listen.ports)
  const back = ports.map((port) => ({ set, key: port, value }))
  return protocol === 'tcp' ? [...back, ...ports.map((key) => ({ set: 'asked', key, value: null }))] : back
}

function termsElement(chain: string, listen: InetListen, protocol: Protocol): Element {
  const key = listenKey(listen, protocol)
  return { set: `terms${listenFamily(listen)}`, key, value: { jump: { target: chain } } }
}

function hasTerms({ limits }: Rule, protocol: Protocol): boolean {
  return protocol === 'udp' || hasLimits(limits)
}

function hasLimits({ connections, perSource, newPerSecond }: Limits): boolean {
  return connections !== null || perSource !== null || newPerSecond !== null
}

/**
 * The chain of a rule's limits. UDP rules without limits share one chain for each patience, so that ten thousand of
 * them are ten thousand elements and one chain.
 */
function compileTerms(rule: Rule, listen: InetListen): Terms | null {
  const { limits, timeouts } = rule
  const family = listenFamily(listen)
  const udp = listen.protocols.includes('udp')
  const udpSeconds = udp ? Math.max(1, Math.ceil(timeouts.udpMs / 1000)) : null
  if (!hasLimits(limits)) {
    if (udpSeconds === null) return null
    const rules = [patience(family, udpSeconds)]
    return { chain: patienceName(family, udpSeconds), family, rules, counters: [], sources: null, udpSeconds }
  }
  const { connections, perSource, newPerSecond } = limits
  const chain = `limits-${fingerprint([rule.name, listen, limits, udpSeconds] as unknown as Json)}`
  const sources = perSource === null ? null : `sources-${chain.slice(7)}`
  const saddr: Json = { payload: { protocol: family === 4 ? 'ip' : 'ip6', field: 'saddr' } }
  // As `sourceKey` has it. Neighbours by their link-local addresses are never forwarded (RFC 4291 §2.5.6).
  const counted: Json = family === 4 ? saddr : { '&': [saddr, 'ffff:ffff:ffff:ffff::'] }
  const turnAway = (reason: LimitReason): Json[] => [
    { counter: `${chain}-${reason}` },
    { goto: { target: 'refused' } },
  ]
  const rules: Json[] = []
  if (udpSeconds !== null) rules.push(patience(family, udpSeconds))
  if (connections !== null)
    rules.push([{ 'ct count': { val: connections, inv: true } }, ...turnAway('connections')])
  if (perSource !== null) {
    const stmt = [{ 'ct count': { val: perSource, inv: true } }]
    rules.push([{ set: { op: 'add', elem: counted, set: `@${sources}`, stmt } }, ...turnAway('source')])
  }
  if (newPerSecond !== null) {
    const over = { rate: newPerSecond, burst: newPerSecond, per: 'second', inv: true }
    rules.push([{ limit: over }, ...turnAway('rate')])
  }
  const reasons: [LimitReason, number | null][] = [
    ['connections', connections],
    ['source', perSource],
    ['rate', newPerSecond],
  ]
  const counters = reasons.filter(([, limit]) => limit !== null).map(([reason]) => `${chain}-${reason}`)
  return { chain, family, rules, counters, sources, udpSeconds }
}

export type LimitReason = 'connections' | 'source' | 'rate'

export function patienceName(family: Family, seconds: number): string {
  return `udp${family}-${seconds}s`
}

function patience(family: Family, seconds: number): Json {
  return [
    { match: { op: '==', left: { meta: { key: 'l4proto' } }, right: 'udp' } },
    { 'ct timeout': patienceName(family, seconds) },
  ]
}

export function isAnyAddress({ address }: InetListen): boolean {
  return address === '0.0.0.0' || address === '::'
}

function listenKey(listen: InetListen, protocol: Protocol): { readonly concat: readonly Json[] } {
  const { address, ports } = listen
  const where: Json = isAnyAddress(listen) ? { prefix: { addr: address, len: 0 } } : address
  return {
    concat: [
      where,
      protocol,
      ports.first === ports.last ? ports.first : { range: [ports.first, ports.last] },
    ],
  }
}

export function portsOf({ first, last }: PortRange): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

function fingerprint(of: Json): string {
  return createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 12)
}
