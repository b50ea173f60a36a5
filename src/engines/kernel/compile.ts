/**
 * One forward as elements of the table's maps: a rule and the address of its target go in, what to add comes out.
 * Pure and the same each time, so that what was added can be compared with what is wanted, and taken out again.
 */
import { familyOf, type Family } from '../../base/address.ts'
import { portCount, type PortRange, type Protocol } from '../../base/port.ts'
import type { Json } from '../../model/hop.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Rule } from '../../model/rule.ts'
import { denyRanges } from './deny-ranges.ts'

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
  /** When the rule is over, ms since the Unix epoch: nothing leads on after it, also where no Naru lives. @default never */
  readonly ends?: number
}

/** How long a UDP session may be silent, which no element of a map can say: a chain that sets it and goes on to `way`. */
export interface Patience {
  readonly chain: string
  readonly family: Family
  readonly seconds: number
  readonly way: WayBack
}

export interface Compiled {
  readonly elements: readonly Element[]
  readonly patience: Patience | null
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
  const patience = patienceOf(aim, listen)
  return {
    elements: listen.protocols.flatMap((protocol) => [
      ...destinations(aim, listen, protocol).map((element) => endingWith(aim.rule, element)),
      ...denials(aim.rule, listen, protocol),
      ...wayBack(aim, listen, protocol, patience),
    ]),
    patience,
  }
}

/** The kernel counts nanoseconds in 64 bits, 584 years; people write the year 9999 for never. */
const lastEnd = Date.UTC(2200)

const endingWith = ({ until }: Rule, element: Element): Element =>
  until === null || until > lastEnd ? element : { ...element, ends: until }

/**
 * Ports that keep their number are one interval, and so are ports that all become one. Ports that move along are one
 * element each: nft calculates with no port, and of a target's range it takes the first that is free, not the one as far
 * on (the kernel's NF_NAT_RANGE_PROTO_OFFSET has no word in nft's language).
 */
function destinations({ address, ports }: Aim, listen: InetListen, protocol: Protocol): Element[] {
  const family = listenFamily(listen)
  const key = listenKey(listen, protocol)
  if (portCount(listen.ports) > 1 && listen.ports.first === ports.first && listen.ports.last === ports.last)
    return [{ set: `span${family}`, key, value: address }]
  if (portCount(listen.ports) > 1 && portCount(ports) === 1)
    return [{ set: `into${family}`, key, value: { concat: [address, ports.first] } }]
  return portsOf(listen.ports).map((port) => ({
    ...place(listen, protocol, port),
    value: { concat: [address, ports.first + Math.min(port - listen.ports.first, portCount(ports) - 1)] },
  }))
}

/** One port is looked up by its hash. */
function place({ address }: InetListen, protocol: Protocol, port: number): Pick<Element, 'set' | 'key'> {
  const family = familyOf(address as string)
  return isAny(address as string)
    ? { set: `port${family}`, key: { concat: [protocol, port] } }
    : { set: `at${family}`, key: { concat: [address, protocol, port] } }
}

function denials({ allow, deny }: Rule, listen: InetListen, protocol: Protocol): Element[] {
  const family = listenFamily(listen)
  return denyRanges(allow, deny, family).map(([first, last]) => ({
    set: `deny${family}`,
    key: {
      concat: [...listenKey(listen, protocol).concat, first === last ? first : { range: [first, last] }],
    },
    value: null,
  }))
}

/** Whoever hides and has no patience of its own needs no element: that is what becomes of any other of ours. */
function wayBack(
  { wayBack: way }: Aim,
  listen: InetListen,
  protocol: Protocol,
  patience: Patience | null,
): Element[] {
  const chain = protocol === 'udp' && patience ? patience.chain : way
  if (chain === 'hide') return []
  const value = { goto: { target: chain } }
  const { first, last } = listen.ports
  const family = listenFamily(listen)
  if (first !== last) return [{ set: `back_span${family}`, key: listenKey(listen, protocol), value }]
  const { set, key } = place(listen, protocol, first)
  return [{ set: `back_${set}`, key, value }]
}

/** Ten thousand rules of one patience are ten thousand elements and one chain. */
/** Conntrack keeps time in 32 bits of a clock of 1000 Hz at most: 24 days. */
const mostSeconds = 2_147_483

function patienceOf({ rule: { timeouts }, wayBack: way }: Aim, listen: InetListen): Patience | null {
  if (!listen.protocols.includes('udp')) return null
  const family = listenFamily(listen)
  const seconds = Math.min(Math.max(1, Math.ceil(timeouts.udpMs / 1000)), mostSeconds)
  return { chain: `udp${family}-${seconds}s-${way}`, family, seconds, way }
}

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'

export function isAnyAddress({ address }: InetListen): boolean {
  return isAny(address as string)
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
