/**
 * What nft's JSON says a rule matches (libnftables-json(5)), as functions of a packet. What is not understood
 * answers `maybe`, so that the verdict says "unknown" instead of guessing.
 */
import { canonicalAddress, cidrOrNull, parseCidr, type Cidr } from '../../base/address.ts'
import {
  any,
  destinationIn,
  every,
  interfaceIs,
  isUntracked,
  negate,
  sourceIn,
  truthOf,
  type Match,
  type Packet,
  type Truth,
} from './program.ts'

/** What finds a table's named sets: `@name`. */
export type SetLookup = (name: string) => readonly unknown[] | null

/** How one side of a match compares with one element: a value, a range or a prefix. */
type Field = (value: unknown, packet: Packet) => Truth

const maybe: Match = () => 'maybe'

export function compileMatch(written: unknown, sets: SetLookup): Match {
  const { op, left, right } = asObject(written)
  const ordered = orderedMatch(op, left, right)
  if (ordered) return ordered
  const test = tcpFlags(op, left, right) ?? equalOrIn(left, right, sets)
  const applies = dependency(left)
  // `!`: none of the bits.
  const holds: Match = op === '!=' || op === '!' ? (packet) => negate(test(packet)) : test
  if (!['==', '!=', 'in', '!'].includes(String(op))) return maybe
  return (packet) => every([applies(packet), holds(packet)])
}

/** `tcp dport 80`: null where it holds for more than one port, or asks for something else. */
export function onePort(written: unknown): number | null {
  const { op, left, right } = asObject(written)
  const { protocol, field } = asObject(asObject(left).payload)
  const isPort = (protocol === 'tcp' || protocol === 'udp' || protocol === 'th') && field === 'dport'
  return isPort && op === '==' && typeof right === 'number' ? right : null
}

/** Has this packet what the left side says, and is it equal to, or in, the right side? */
export function compileTest(left: unknown, right: unknown, sets: SetLookup): Match {
  const applies = dependency(left)
  const test = tcpFlags('==', left, right) ?? equalOrIn(left, right, sets)
  return (packet) => every([applies(packet), test(packet)])
}

function equalOrIn(left: unknown, right: unknown, sets: SetLookup): Match {
  const field = compileField(left)
  const elements = elementsOf(right, sets)
  if (elements === null) return isSource(left) ? () => 'some' : maybe
  return (packet) => any(elements.map((element) => field(element, packet)))
}

/**
 * `tcp dport` holds for TCP only, also when it is negated; the same for addresses and their family, and for what
 * conntrack knows of a packet that it was told to leave alone: nothing but that.
 */
function dependency(left: unknown): Match {
  const { '&': masked, concat } = asObject(left)
  if (Array.isArray(masked)) return dependency(masked[0])
  if (Array.isArray(concat)) {
    const parts = concat.map(dependency)
    return (packet) => every(parts.map((part) => part(packet)))
  }
  const { payload, ct, exthdr } = asObject(left)
  if (exthdr) return (packet) => truthOf(packet.family === 6)
  if (ct) return (packet) => (asObject(ct).key === 'state' ? 'yes' : negate(isUntracked(packet)))
  const { protocol } = asObject(payload)
  if (protocol === 'tcp' || protocol === 'udp') return (packet) => truthOf(packet.protocol === protocol)
  if (protocol === 'ip') return (packet) => truthOf(packet.family === 4)
  if (protocol === 'ip6') return (packet) => truthOf(packet.family === 6)
  if (typeof protocol === 'string' && otherProtocols.has(protocol)) return () => 'no'
  return () => 'yes'
}

const otherProtocols = new Set([
  'icmp',
  'icmpv6',
  'igmp',
  'arp',
  'sctp',
  'dccp',
  'udplite',
  'esp',
  'ah',
  'comp',
  'gre',
  'vlan',
])

/** The elements that may stand on the right; null where they cannot be read. */
export function elementsOf(right: unknown, sets: SetLookup): readonly unknown[] | null {
  if (typeof right === 'string' && right.startsWith('@')) return sets(right.slice(1))
  if (Array.isArray(right)) return right as unknown[]
  const { set } = asObject(right)
  return set === undefined ? [right] : Array.isArray(set) ? (set as unknown[]) : [set]
}

function compileField(left: unknown): Field {
  const { concat } = asObject(left)
  if (Array.isArray(concat)) return concatField(concat.map(compileField))
  const one = singleField(asObject(left))
  return (value, packet) => one(unwrapped(value), packet)
}

/** Elements with a timeout, counter or comment are wrapped. */
function unwrapped(value: unknown): unknown {
  const { elem } = asObject(value)
  return elem === undefined ? value : (asObject(elem).val ?? null)
}

function concatField(fields: readonly Field[]): Field {
  return (value, packet) => {
    const parts = asObject(unwrapped(value)).concat
    if (!Array.isArray(parts) || parts.length !== fields.length) return 'maybe'
    return every(fields.map((field, index) => field(parts[index], packet)))
  }
}

function singleField(left: Record<string, unknown>): Field {
  if (left.payload) return payloadField(asObject(left.payload))
  if (left.meta) return metaField(String(asObject(left.meta).key))
  if (left.ct) return connectionField(asObject(left.ct))
  if (left.fib) return routeField(asObject(left.fib))
  if (left['&']) return maskedField(left['&'])
  // The first packet of a connection has no extension header: `exists`, a field of one, `missing`.
  if (left.exthdr) return (value) => truthOf(value === false)
  return () => 'maybe'
}

/** `ct status & dnat == dnat`, and marks: of a mark of 0 every mask leaves 0. */
function maskedField(masked: unknown): Field {
  const [left, mask] = Array.isArray(masked) ? (masked as unknown[]) : []
  const { ct, meta } = asObject(left)
  const key = asObject(ct ?? meta).key
  if (key === 'mark') return markField
  if (key !== 'status' || typeof mask !== 'string') return () => 'maybe'
  const holds: Match =
    mask === 'dnat' ? ({ rewritten }) => truthOf(rewritten) : () => (isLater(mask) ? 'no' : 'maybe')
  return (value, packet) => (value === mask ? holds(packet) : negate(holds(packet)))
}

/** What a connection's first packet is not yet. */
const isLater = (status: string): boolean =>
  ['confirmed', 'assured', 'seen-reply', 'dying', 'expected'].includes(status)

function payloadField({ protocol, field }: Record<string, unknown>): Field {
  const name = String(field)
  switch (protocol) {
    case 'tcp':
    case 'udp':
    case 'th':
      return portField(name)
    case 'ip':
    case 'ip6':
      if (name === 'saddr') return addressField(sourceIn)
      if (name === 'daddr') return addressField(destinationIn)
      return name === 'protocol' || name === 'nexthdr' ? protocolField : () => 'maybe'
    default:
      return typeof protocol === 'string' && otherProtocols.has(protocol) ? () => 'no' : () => 'maybe'
  }
}

function portField(name: string): Field {
  if (name === 'dport') return (value, packet) => numberIs(packet.port, value)
  return name === 'sport' ? (value) => ephemeral(value) : () => 'maybe'
}

/** A client's own port is one of the high ones; which, nobody knows before. */
export function ephemeral(value: unknown): Truth {
  const [low, high] = rangeOf(value) ?? [Number.NaN, Number.NaN]
  if (Number.isNaN(low)) return 'maybe'
  if (low <= 1024 && high >= 65_535) return 'yes'
  return low === high || high < 1024 ? 'no' : 'maybe'
}

function numberIs(number: number, value: unknown): Truth {
  const range = rangeOf(value)
  return range ? truthOf(number >= range[0] && number <= range[1]) : 'maybe'
}

export function rangeOf(value: unknown): readonly [number, number] | null {
  if (typeof value === 'number') return [value, value]
  const { range } = asObject(value)
  if (!Array.isArray(range)) return null
  const [low, high] = range as unknown[]
  return typeof low === 'number' && typeof high === 'number' ? [low, high] : null
}

function addressField(inside: (packet: Packet, prefix: Cidr) => Truth): Field {
  return (value, packet) => {
    const prefixes = prefixesOf(value)
    return prefixes ? any(prefixes.map((prefix) => inside(packet, prefix))) : 'maybe'
  }
}

/** `10.0.0.1`, `{ prefix }`, or `{ range }` (covered by its widest prefixes). */
function prefixesOf(value: unknown): readonly Cidr[] | null {
  if (typeof value === 'string') return only(cidrOrNull(value))
  const { prefix, range } = asObject(value)
  if (Array.isArray(range)) return rangePrefixes(String(range[0]), String(range[1]))
  const { addr, len } = asObject(prefix)
  return typeof addr === 'string' && typeof len === 'number' ? only(cidrOrNull(`${addr}/${len}`)) : null
}

function only(cidr: Cidr | null): readonly Cidr[] | null {
  return cidr && [cidr]
}

/** The prefixes that together are an IPv4 range; an IPv6 range only where it is a single address. */
export function rangePrefixes(first: string, last: string): readonly Cidr[] | null {
  if (!canonicalAddress(first) || !canonicalAddress(last)) return null
  if (first === last) return only(cidrOrNull(first))
  if (first.includes(':')) return null
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const prefixes: Cidr[] = []
  const end = number(last)
  for (let at = number(first); at <= end && prefixes.length < 64;) {
    let bits = 32
    while (bits > 0 && at % 2 ** (33 - bits) === 0 && at + 2 ** (33 - bits) - 1 <= end) bits--
    prefixes.push(
      parseCidr(`${[24, 16, 8, 0].map((shift) => Math.floor(at / 2 ** shift) % 256).join('.')}/${bits}`),
    )
    at += 2 ** (32 - bits)
  }
  return prefixes
}

const protocolNumbers: Readonly<Record<string, number>> = { tcp: 6, udp: 17 }

const protocolField: Field = (value, packet) =>
  typeof value === 'string'
    ? truthOf(value === packet.protocol)
    : numberIs(protocolNumbers[packet.protocol] ?? 0, value)

function metaField(key: string): Field {
  switch (key) {
    case 'l4proto':
      return protocolField
    case 'nfproto':
      return (value, packet) => truthOf(value === `ipv${packet.family}`)
    case 'protocol':
      return (value, packet) => truthOf(value === (packet.family === 4 ? 'ip' : 'ip6'))
    case 'iif':
    case 'iifname':
      return (value, packet) => interfaceIs(packet.from, String(value))
    case 'oif':
    case 'oifname':
      return (value, packet) => interfaceIs(packet.to, String(value))
    case 'mark':
      return markField
    case 'pkttype':
      return (value) => truthOf(value === 'host' || value === 'unicast')
    default:
      return () => 'maybe'
  }
}

const markField: Field = (value, packet) => (packet.mark === null ? 'maybe' : numberIs(packet.mark, value))

function connectionField({ key, dir }: Record<string, unknown>): Field {
  switch (key) {
    case 'state':
      return (value, packet) => stateIs(String(value), packet)
    case 'ip saddr':
    case 'ip6 saddr':
      return dir === 'original' ? addressField(sourceIn) : () => 'maybe'
    case 'status':
      return (value, packet) => truthOf(value === 'dnat' && packet.rewritten)
    case 'direction':
      return (value) => truthOf(value === 'original' || value === 0)
    case 'proto-dst':
      return (value, packet) => numberIs(packet.originalPort, value)
    case 'mark':
      return markField
    case 'helper':
      return () => 'no'
    default:
      return () => 'maybe'
  }
}

function stateIs(state: string, packet: Packet): Truth {
  const untracked = isUntracked(packet)
  return state === 'untracked' ? untracked : state === 'new' ? negate(untracked) : 'no'
}

/** `fib daddr type local`; and reverse path filters, which a routable source passes. */
function routeField({ result, flags }: Record<string, unknown>): Field {
  const asks = (Array.isArray(flags) ? flags : [flags]) as unknown[]
  if (result === 'type' && asks.includes('daddr'))
    return (value, packet) => truthOf(value === (packet.local ? 'local' : 'unicast'))
  if (result === 'type') return (value) => truthOf(value === 'unicast')
  return (value) => (value === false || value === 0 || value === 'missing' ? 'no' : 'maybe')
}

const flagBits: Readonly<Record<string, number>> = {
  fin: 1,
  syn: 2,
  rst: 4,
  psh: 8,
  ack: 16,
  urg: 32,
  ecn: 64,
  cwr: 128,
}
const synBit = 2

/** The first packet of a TCP connection carries SYN alone. `in` and `!` ask for any of the bits, the others for all. */
function tcpFlags(op: unknown, left: unknown, right: unknown): Match | null {
  const masked = asObject(left)['&']
  const [field, mask] = Array.isArray(masked) ? (masked as unknown[]) : [left, null]
  const { protocol, field: name } = asObject(asObject(field).payload)
  if (protocol !== 'tcp' || name !== 'flags') return null
  const { set } = asObject(right)
  const asked = (Array.isArray(set) ? (set as unknown[]) : [right]).map(bitsOf)
  const carried = synBit & (mask === null ? 255 : (bitsOf(mask) ?? 255))
  const holds = (bits: number | null): Truth => {
    if (bits === null) return 'maybe'
    return truthOf(op === 'in' || op === '!' ? (bits & carried) !== 0 : bits === carried)
  }
  return (packet) => (packet.protocol === 'tcp' ? any(asked.map(holds)) : 'no')
}

function bitsOf(value: unknown): number | null {
  if (typeof value === 'number') return value
  if (typeof value === 'string') return flagBits[value] ?? null
  const parts = Array.isArray(value) ? value : asObject(value)['|']
  if (!Array.isArray(parts)) return null
  return (parts as unknown[]).reduce<number | null>((sum, part) => {
    const bit = bitsOf(part)
    return sum === null || bit === null ? null : sum | bit
  }, 0)
}

/** `<`, `>` and the like on ports; `&` masks on marks. */
function orderedMatch(op: unknown, left: unknown, right: unknown): Match | null {
  if (typeof op !== 'string' || !['<', '>', '<=', '>='].includes(op) || typeof right !== 'number') return null
  const { protocol, field } = asObject(asObject(left).payload)
  if (field !== 'dport') return maybe
  const applies = dependency({ payload: { protocol } })
  return (packet) => {
    if (applies(packet) === 'no') return 'no'
    const { port } = packet
    return truthOf(
      op === '<' ? port < right : op === '>' ? port > right : op === '<=' ? port <= right : port >= right,
    )
  }
}

/** Whether a match asks who sends. */
export function asksSource(written: unknown): boolean {
  const { op, left, right } = asObject(written)
  if (isSource(left)) return true
  const key = asObject(asObject(left).meta).key
  // Everybody but this machine itself is no list.
  return op === '!=' && (key === 'iifname' || key === 'iif') && right !== 'lo'
}

/** `ip saddr`, `ether saddr`, `ct original ip saddr`, masked, or as a part of a concatenation. */
export function isSource(left: unknown): boolean {
  const { payload, ct, concat, '&': masked } = asObject(left)
  const parts = concat ?? masked
  if (Array.isArray(parts)) return (parts as unknown[]).some(isSource)
  const { key, dir } = asObject(ct)
  if (dir === 'original' && String(key).endsWith('saddr')) return true
  return asObject(payload).field === 'saddr'
}

export function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}
