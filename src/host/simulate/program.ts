/**
 * The machine's packet filters as one program: base chains on hooks, rules that match and act. Readers (nft JSON,
 * iptables-save) fill it in; `walk` sends a packet through it. What a rule says about a packet has four answers,
 * because a question rarely knows everything about the packet.
 */
import { addressBytes, type Cidr, type Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'

/**
 * `some`: true for some of the sources asked about and not for the rest (a ban list, a LAN prefix).
 * `maybe`: the question does not tell, such as an unknown interface or a match we do not understand.
 */
export type Truth = 'yes' | 'no' | 'some' | 'maybe'

export type Match = (packet: Packet) => Truth

/** A new connection (or first datagram) as seen at a hook. */
export interface Packet {
  readonly family: Family
  readonly protocol: Protocol
  readonly port: number
  /** The port it was sent to, before any rewriting. */
  readonly originalPort: number
  /** Where it comes from; null is a stranger, whom no rule names. */
  readonly source: Cidr | null
  /** The addresses it may be for; more than one where any of ours will do. */
  readonly destinations: readonly string[]
  /** Whether those are this machine's own. */
  readonly local: boolean
  /** Interface it came in by; null where that is not known. */
  readonly from: string | null
  /** Interface it leaves by, when it is forwarded. */
  readonly to: string | null
  readonly rewritten: boolean
  /** Conntrack was told to leave it alone (`notrack`): it is no new connection, and no NAT looks at it. Null is perhaps. */
  readonly untracked: boolean | null
  /** Null where some rule may have marked it. */
  readonly mark: 0 | null
}

export type Action =
  | { readonly do: 'accept' | 'drop' | 'reject' | 'return' | 'continue' | 'untrack' | 'unknown' }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  /** New destination; null keeps what there is. `here` is a redirect to this machine. */
  | {
      readonly do: 'rewrite'
      readonly address: string | null
      readonly port: number | null
      readonly here: boolean
    }

export interface FilterRule {
  /** What the owner's tool calls it: an nft handle, or the 1-based position in an iptables chain. */
  readonly handle: number
  /** As the tool prints it. */
  readonly text: string
  readonly comment: string | null
  /** The one port that it is about: packets to others it surely does not match. Null where it may match any. */
  readonly port: number | null
  readonly matches: readonly Match[]
  readonly action: Action
  /** The match holds only below (or above) a rate. */
  readonly limited: boolean
  /**
   * It asks who sends: an address, a set of them, a MAC, a country, hosts seen lately; or it means every interface but
   * one. Where such a rule drops it is somebody's list of who may come, and no opening goes before it.
   */
  readonly bySource: boolean
}

export type FilterOwner = 'nft' | 'iptables-nft' | 'iptables-legacy'
export type FilterHook = 'ingress' | 'prerouting' | 'input' | 'forward'

export interface Chain {
  readonly key: string
  readonly owner: FilterOwner
  readonly family: 'ip' | 'ip6' | 'inet' | 'netdev'
  readonly table: string
  readonly name: string
  readonly base: BaseChain | null
  readonly rules: readonly FilterRule[]
}

export interface BaseChain {
  readonly hook: FilterHook
  readonly priority: number
  readonly policy: 'accept' | 'drop'
  /** Of `ingress` chains. */
  readonly devices: readonly string[]
}

export interface PacketFilter {
  readonly chains: ReadonlyMap<string, Chain>
  /** True where a rule somewhere sets a packet mark. */
  readonly marks: boolean
  /** Parts that are there and could not be read, such as `iptables-legacy`. */
  readonly unread: readonly string[]
}

export const chainKey = (owner: FilterOwner, family: string, table: string, name: string): string =>
  `${owner} ${family} ${table} ${name}`

export function negate(truth: Truth): Truth {
  if (truth === 'yes') return 'no'
  return truth === 'no' || truth === 'some' ? 'yes' : 'maybe'
}

/**
 * All must hold. What asks for a source is at most true of some, whatever else it asks for: a ban on an interface
 * that the question does not tell is a ban all the same, and no opening goes before it.
 */
export function every(truths: Iterable<Truth>): Truth {
  let result: Truth = 'yes'
  for (const truth of truths) {
    if (truth === 'no') return 'no'
    if (truth === 'some' || (truth === 'maybe' && result === 'yes')) result = truth
  }
  return result
}

/** One is enough. */
export function any(truths: Iterable<Truth>): Truth {
  let result: Truth = 'no'
  for (const truth of truths) {
    if (truth === 'yes') return 'yes'
    if (truth === 'maybe' || (truth === 'some' && result === 'no')) result = truth
  }
  return result
}

export const truthOf = (holds: boolean): Truth => (holds ? 'yes' : 'no')

/** Is the source in `prefix`? A stranger is in no prefix but the widest. */
export function sourceIn(packet: Packet, prefix: Cidr): Truth {
  if (packet.family !== prefix.family) return 'no'
  if (prefix.bits === 0) return 'yes'
  if (packet.source === null) return 'some'
  if (packet.source.bits >= prefix.bits)
    return truthOf(shareBits(packet.source.address, prefix.address, prefix.bits))
  return shareBits(packet.source.address, prefix.address, packet.source.bits) ? 'some' : 'no'
}

/** Is the destination in `prefix`? `maybe` where only some of our addresses are. */
export function destinationIn(packet: Packet, prefix: Cidr): Truth {
  if (packet.family !== prefix.family) return 'no'
  if (prefix.bits === 0) return 'yes'
  if (packet.destinations.length === 0) return 'maybe'
  const inside = packet.destinations.filter((one) => shareBits(one, prefix.address, prefix.bits)).length
  return inside === packet.destinations.length ? 'yes' : inside === 0 ? 'no' : 'maybe'
}

/** `eth0`, or `eth*`/`eth+` for every name that begins so. */
export function interfaceIs(name: string | null, pattern: string): Truth {
  if (pattern === '*' || pattern === '+') return 'yes'
  if (name === null) return 'maybe'
  const wild = /[*+]$/.test(pattern)
  return truthOf(wild ? name.startsWith(pattern.slice(0, -1)) : name === pattern)
}

function shareBits(a: string, b: string, bits: number): boolean {
  const [left, right] = [addressBytes(a), addressBytes(b)]
  if (left.length !== right.length) return false
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((left[bit >> 3] ?? 0) & mask) !== ((right[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}

export const isUntracked: Match = ({ untracked }) => (untracked === null ? 'maybe' : truthOf(untracked))
