/**
 * One forward as elements of the table's maps: a rule and the address of its target go in, what to add comes out.
 * Pure and the same each time, so that what was added can be compared with what is wanted, and taken out again.
 */
import { familyOf, type Family } from '../../base/address.ts'
import { portCount, type PortRange, type Protocol } from '../../base/port.ts'
import type { Json } from '../../model/hop.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Rule } from '../../model/rule.ts'
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

/** How long a UDP session may be silent, which no element of a map can say: a chain that sets it. */
export interface Patience {
  readonly chain: string
  readonly family: Family
  readonly seconds: number
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
  const patience = patienceOf(aim.rule, listen)
  return {
    elements: listen.protocols.flatMap((protocol) => [
      ...destinations(aim, listen, protocol),
      ...denials(aim.rule, listen, protocol),
      ...(patience && protocol === 'udp' ? [patienceElement(patience, listen)] : []),
      ...waysBack(aim, listen, protocol),
    ]),
    patience,
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

/** Ten thousand rules of one patience are ten thousand elements and one chain. */
function patienceOf({ timeouts }: Rule, listen: InetListen): Patience | null {
  if (!listen.protocols.includes('udp')) return null
  const family = listenFamily(listen)
  const seconds = Math.max(1, Math.ceil(timeouts.udpMs / 1000))
  return { chain: `udp${family}-${seconds}s`, family, seconds }
}

function patienceElement({ chain }: Patience, listen: InetListen): Element {
  const key = listenKey(listen, 'udp')
  return { set: `terms${listenFamily(listen)}`, key, value: { jump: { target: chain } } }
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
