/** Where the kernel would send a packet: by which device, to which neighbour, from which address of ours (rtnetlink(7)). */
import { transports, type IpTransport } from './layout.ts'
import { attributesIn, familyIn, Netlink, type Attribute } from './netlink.ts'

/** What goes from one endpoint to another: four or sixteen bytes of address and two of port, as on the wire. */
export interface Trip {
  readonly protocol: IpTransport
  /** Null is wherever. */
  readonly from: Uint8Array | null
  readonly to: Uint8Array
}

/** Ethernet addresses; both are zeros on loopback. */
export interface Way {
  readonly device: number
  readonly neighbour: Uint8Array
  readonly own: Uint8Array
  /** Most bytes of a packet; 0 where it is not told. */
  readonly mtu: number
}

export function sameWay(one: Way, other: Way): boolean {
  const equal = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, at) => byte === b[at])
  const alike = one.device === other.device && one.mtu === other.mtu
  return alike && equal(one.neighbour, other.neighbour) && equal(one.own, other.own)
}

const ask = { link: 18, route: 26, neighbour: 30 } as const
const answer = { link: 16, route: 24, neighbour: 28 } as const
const attribute = {
  linkAddress: 1,
  linkMtu: 4,
  destination: 1,
  source: 2,
  device: 4,
  gateway: 5,
  metrics: 8,
  gatewayOfOtherFamily: 18,
  encapsulation: 21,
  protocol: 27,
  sourcePort: 28,
  destinationPort: 29,
  neighbourAddress: 2,
} as const
/** RTAX_MTU. */
const metricMtu = 2
/** Of a neighbour: use it, that is, ask whether it is still there once that is not sure. */
const use = 1
const routeType = { unicast: 1, local: 2 } as const
/** ARPHRD_ETHER. */
const ethernet = 1
/** NUD_REACHABLE, STALE, DELAY, PROBE, NOARP and PERMANENT: its address is known. */
const reachable = 0xde
/** The loopback device has this number in each network namespace. */
export const loopbackDevice = 1
const loopback: Way = { device: loopbackDevice, neighbour: new Uint8Array(6), own: new Uint8Array(6), mtu: 0 }

const freshMs = 1000
const mostKept = 4096

export class Ways {
  readonly #netlink = new Netlink('route')
  readonly #kept = new Map<string, { way: Way | null; at: number }>()

  /**
   * The way of a trip as it was up to a second ago. Its neighbour is used by this, as by a packet.
   * @returns null where there is none over Ethernet or loopback, or its neighbour is not known, or the address is of a
   * link that it does not name, or something wraps its packets.
   */
  find({ protocol, from, to }: Trip, nowMs: number): Way | null {
    const key = `${protocol} ${from?.join('.')} ${to.join('.')}`
    const kept = this.#kept.get(key)
    if (kept && nowMs - kept.at < freshMs) return kept.way
    if (this.#kept.size >= mostKept) this.#kept.clear()
    const way = this.#find({ protocol, from, to })
    this.#kept.set(key, { way, at: nowMs })
    return way
  }

  close(): void {
    this.#netlink.close()
  }

  #find(trip: Trip): Way | null {
    const route = isLinkLocal(trip.to) ? null : this.#route(trip)
    if (!route || route.device === loopbackDevice) return route && loopback
    const { device, next } = route
    const link = this.#link(device)
    const neighbour = link && this.#neighbour(device, next)
    return link && neighbour && { device, neighbour, own: link.own, mtu: route.mtu || link.mtu }
  }

  /** struct rtmsg: family, lengths of destination and source, …, and its type in byte 7. Ports choose among several ways. */
  #route({ protocol, from, to }: Trip): { device: number; next: Uint8Array; mtu: number } | null {
    const address = to.subarray(0, -2)
    const bits = 8 * address.length
    const body = Uint8Array.of(familyIn(address), bits, from ? bits : 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    const source: Attribute[] = from
      ? [
          [attribute.source, from.subarray(0, -2)],
          [attribute.sourcePort, from.subarray(-2)],
        ]
      : []
    const told = this.#netlink.ask(ask.route, body, [
      [attribute.destination, address],
      [attribute.protocol, Uint8Array.of(transports[protocol].number)],
      [attribute.destinationPort, to.subarray(-2)],
      ...source,
    ])
    if (told?.type !== answer.route) return null
    if (told.body[7] === routeType.local) return { device: loopbackDevice, next: address, mtu: 0 }
    const { attributes } = told
    const device = wordIn(attributes.get(attribute.device))
    if (told.body[7] !== routeType.unicast || device === 0) return null
    if (attributes.has(attribute.encapsulation) || attributes.has(attribute.gatewayOfOtherFamily)) return null
    const metrics = attributesIn(attributes.get(attribute.metrics) ?? new Uint8Array(0))
    return { device, next: attributes.get(attribute.gateway) ?? address, mtu: wordIn(metrics.get(metricMtu)) }
  }

  /** struct ifinfomsg: family, the device's kind in bytes 2 and 3, its number in 4 to 7. */
  #link(device: number): Pick<Way, 'own' | 'mtu'> | null {
    const told = this.#netlink.ask(ask.link, withDevice(16, device), [])
    const kind = told ? (told.body[2] as number) | ((told.body[3] as number) << 8) : -1
    if (told?.type !== answer.link || kind !== ethernet) return null
    const own = six(told.attributes.get(attribute.linkAddress))
    return own && { own, mtu: wordIn(told.attributes.get(attribute.linkMtu)) }
  }

  /** struct ndmsg: family, the device's number in bytes 4 to 7, its state in 8 and 9, flags in 10. */
  #neighbour(device: number, next: Uint8Array): Uint8Array | null {
    const body = withDevice(12, device)
    body[0] = familyIn(next)
    const told = this.#netlink.ask(ask.neighbour, body, [[attribute.destination, next]])
    if (told?.type !== answer.neighbour || ((told.body[8] as number) & reachable) === 0) return null
    body[10] = use
    this.#netlink.tell(answer.neighbour, body, [[attribute.destination, next]])
    return six(told.attributes.get(attribute.neighbourAddress))
  }
}

function withDevice(bytes: number, device: number): Uint8Array {
  const body = new Uint8Array(bytes)
  new DataView(body.buffer).setInt32(4, device, true)
  return body
}

/** RFC 4291 §2.5.6. */
const isLinkLocal = (address: Uint8Array): boolean =>
  address.length === 16 && address[0] === 0xfe && ((address[1] as number) & 0xc0) === 0x80

const six = (bytes: Uint8Array | undefined): Uint8Array | null => (bytes?.length === 6 ? bytes : null)
const wordIn = (bytes: Uint8Array | undefined): number =>
  bytes?.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : 0
