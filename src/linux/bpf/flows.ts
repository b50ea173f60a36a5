/** The flows of one owner, on its own thread: what arrives how, how it leaves, and how much was carried. */
import { addressBytes, type Family } from '../../base/address.ts'
import { Descriptor } from '../libc.ts'
import { Calls } from './calls.ts'
import {
  beatSizes,
  layouts,
  leftOutBytes,
  sentOnBytes,
  transports,
  type Layout,
  type IpTransport,
} from './layout.ts'
import { Onlookers, type Role } from './onlookers.ts'
import { Conntrack } from './conntrack.ts'
import { hopChange } from './program.ts'
import { loopbackDevice, Ways, type Way } from './ways.ts'

/** An owner that says nothing for so long carries nothing more, ms. */
const aliveMs = 3000

/** Four or sixteen bytes of address and two of port, as on the wire. */
export type WireEndpoint = Uint8Array

export function endpointOnWire(address: string, port: number): WireEndpoint {
  return Uint8Array.of(...addressBytes(address), port >> 8, port & 0xff)
}

type FromTo = readonly [from: WireEndpoint, to: WireEndpoint]

/** What arrives as client → listen leaves as upstream → target, and the other way round; all of one version of IP. */
export interface Pair {
  readonly protocol: IpTransport
  readonly client: WireEndpoint
  readonly listen: WireEndpoint
  readonly upstream: WireEndpoint
  readonly target: WireEndpoint
}

/** Numbers by which another thread joins. */
export interface Share {
  readonly flows: Readonly<Record<Family, number>>
  readonly sentOn: Readonly<Record<Family, number>>
  readonly beats: number
  /** The programs, by the numbers that everybody knows them by. */
  readonly programs: readonly number[]
  readonly owner: number
}

/** What there is of each direction: from the client, and from the target. */
export interface Ends<T> {
  readonly there: T
  readonly back: T
}

export interface OffloadedPair {
  readonly packets: number
  /** Of a datagram's payload; of a segment with its headers. */
  readonly bytes: number
}

/** One owner's flows, on its own thread. */
export class Flows {
  readonly #calls = new Calls()
  readonly #ways = new Ways()
  readonly #onlookers: Onlookers
  readonly #conntrack = new Conntrack()
  readonly #flows: Readonly<Record<Family, Descriptor>>
  readonly #sentOn: Readonly<Record<Family, Descriptor>>
  readonly #beats: Descriptor
  readonly #owner: number
  readonly #hold: (device: number) => void
  /** Devices that were asked for. */
  readonly #held = new Set<number>()
  #begun = 0

  /** @param hold asks for the program to be held on a device: `Offload.hold` */
  constructor({ flows, sentOn, beats, programs, owner }: Share, hold: (device: number) => void) {
    this.#hold = hold
    this.#onlookers = new Onlookers(programs)
    this.#flows = { 4: Descriptor.borrow(flows[4]), 6: Descriptor.borrow(flows[6]) }
    this.#sentOn = { 4: Descriptor.borrow(sentOn[4]), 6: Descriptor.borrow(sentOn[6]) }
    this.#beats = Descriptor.borrow(beats)
    this.#owner = owner
  }

  /** Says that this owner lives: at least once a second. */
  beat(): void {
    const { key: at, value } = this.#calls
    new DataView(at.buffer, at.byteOffset).setUint32(0, this.#owner, true)
    value.setBigUint64(0, process.hrtime.bigint() + BigInt(aliveMs) * 1_000_000n, true)
    this.#calls.update(this.#beats, beatSizes)
  }

  /**
   * Both ways as they were within the last second. @param as a relay sends from addresses of ours. @returns null where
   * one is not known, or one alone is loopback, which has no way out or in, or they are not of one version of IP, or
   * somebody else has a say in what goes there.
   */
  ways({ protocol, client, listen, upstream, target }: Pair, as: Role, nowMs: number): Ends<Way> | null {
    if ([listen, upstream, target].some(({ length }) => length !== client.length)) return null
    const way = (from: WireEndpoint, to: WireEndpoint): Way | null =>
      this.#ways.find({ protocol, from: as === 'relay' ? from : null, to }, nowMs)
    const there = way(upstream, target)
    const back = way(listen, client)
    if (!there || !back || (there.device === loopbackDevice) !== (back.device === loopbackDevice)) return null
    return this.watched(as, [there.device, back.device], nowMs) ? null : { there, back }
  }

  /** Whether somebody else has a say in what comes in by these devices. */
  watched(as: Role, devices: Iterable<number>, nowMs: number): boolean {
    return this.#onlookers.any(as, devices, nowMs)
  }

  /** Whether somebody's NAT gives its packets other addresses than a relay's sockets know. */
  isRewritten({ protocol, client, listen, upstream, target }: Pair): boolean {
    const arriving = this.#conntrack.isRewritten(protocol, 'reply', [listen, client])
    return arriving || this.#conntrack.isRewritten(protocol, 'original', [upstream, target])
  }

  /** @param as a relay leaves by these ways; a router by the routes that the kernel finds. @returns null where there is no room. */
  carry(pair: Pair, ways: Ends<Way>, as: Role): CarriedPair | null {
    const { protocol, client, listen, upstream, target } = pair
    const layout = layoutFor(client)
    // Packets come in where those of the other direction leave.
    const arriving = { there: ways.back.device, back: ways.there.device }
    const leaving = as === 'relay' ? ways : { there: null, back: null }
    const there = this.#add(
      layout,
      protocol,
      [client, listen],
      [upstream, target],
      arriving.there,
      leaving.there,
    )
    const back =
      there && this.#add(layout, protocol, [target, upstream], [listen, client], arriving.back, leaving.back)
    if (!back) {
      if (there) this.#read(layout, 'take', there)
      return null
    }
    for (const device of [arriving.there, arriving.back]) {
      if (!this.#held.has(device)) this.#hold(device)
      this.#held.add(device)
    }
    const keyOfWay = { there, back }
    return new CarriedPair(
      (how, which) => this.#read(layout, how, keyOfWay[which]),
      (which, number) => this.#sendOn(layout, keyOfWay[which], number),
    )
  }

  /** @returns its key, or null where there is no room. */
  #add(
    layout: Layout,
    protocol: IpTransport,
    was: FromTo,
    becomes: FromTo,
    arrives: number,
    way: Way | null,
  ): Uint8Array | null {
    const { family, wire, key, flow } = layout
    const { value } = this.#calls
    const at = keyOf(layout, protocol, ...was)
    const bytes = new Uint8Array(value.buffer, value.byteOffset, flow.bytes).fill(0)
    bytes.set(keyOf(layout, protocol, ...becomes).subarray(0, key.protocol))
    const { checksumAt, checksumFlags } = transports[protocol]
    value.setUint32(flow.checksumAt, wire.ports + checksumAt, true)
    value.setUint32(flow.checksumFlags, checksumFlags, true)
    value.setUint32(flow.headerBytes, leftOutBytes(family, protocol), true)
    const addressChange = change(was, becomes, 0, wire.addressBytes)
    value.setUint32(flow.addressChange, addressChange, true)
    value.setUint32(flow.headerChange, addressChange + (way ? 0 : hopChange), true)
    value.setUint32(flow.portChange, change(was, becomes, wire.addressBytes, 2), true)
    value.setUint32(flow.owner, this.#owner, true)
    value.setUint32(flow.arrives, arrives, true)
    value.setUint32(flow.routed, way ? 0 : 1, true)
    if (way) {
      value.setUint32(flow.device, way.device, true)
      bytes.set(way.neighbour, flow.neighbour)
      bytes.set(way.own, flow.own)
      value.setUint32(flow.mtu, way.mtu, true)
    }
    value.setUint32(flow.number, this.#firstNumber(), true)
    this.#calls.key.set(at)
    return this.#calls.update(this.#flows[family], sizesOf(layout)) < 0 ? null : at
  }

  /** Far from the last flow's, whose packets may still be on their way; below what else marks are taken for. */
  #firstNumber(): number {
    return (this.#begun = (this.#begun + 1) & 0x1fff) << 16
  }

  close(): void {
    this.#ways.close()
    this.#onlookers.close()
    this.#conntrack.close()
  }

  /** All up to `number` are sent on. */
  #sendOn(layout: Layout, at: Uint8Array, number: number): void {
    this.#calls.key.set(at)
    this.#calls.value.setUint32(0, number, true)
    this.#calls.update(this.#sentOn[layout.family], { key: layout.key.bytes, value: sentOnBytes })
  }

  #read(layout: Layout, how: 'find' | 'take', at: Uint8Array): OffloadedPair {
    const { family, flow } = layout
    this.#calls.key.set(at)
    const { value } = this.#calls
    if (this.#calls[how](this.#flows[family], sizesOf(layout)) < 0) return nothing
    const carried = {
      packets: Number(value.getBigUint64(flow.packets, true)),
      bytes: Number(value.getBigUint64(flow.carried, true)),
    }
    if (how === 'take') this.#calls.take(this.#sentOn[family], { key: layout.key.bytes, value: sentOnBytes })
    return carried
  }
}

const nothing: OffloadedPair = { packets: 0, bytes: 0 }

/** Both directions of one pair. What is told is what was carried since it was told last. */
export class CarriedPair {
  readonly #read: (how: 'find' | 'take', which: 'there' | 'back') => OffloadedPair
  readonly #told = { there: nothing, back: nothing }
  /** A relay's: all that came the ordinary way, up to the one of this number, has been sent on. */
  readonly sentOn: (which: 'there' | 'back', number: number) => void

  constructor(
    read: (how: 'find' | 'take', which: 'there' | 'back') => OffloadedPair,
    sentOn: (which: 'there' | 'back', number: number) => void,
  ) {
    this.#read = read
    this.sentOn = sentOn
  }

  look(): Ends<OffloadedPair> {
    return { there: this.#since('find', 'there'), back: this.#since('find', 'back') }
  }

  /** From now on its packets go the ordinary way. Once. */
  close(): Ends<OffloadedPair> {
    return { there: this.#since('take', 'there'), back: this.#since('take', 'back') }
  }

  #since(how: 'find' | 'take', which: 'there' | 'back'): OffloadedPair {
    const before = this.#told[which]
    const now = this.#read(how, which)
    // It is gone: nothing more is to be told.
    if (now.packets < before.packets) return nothing
    this.#told[which] = now
    return { packets: now.packets - before.packets, bytes: now.bytes - before.bytes }
  }
}

const addressIn = (endpoint: WireEndpoint): Uint8Array => endpoint.subarray(0, -2)

const layoutFor = (endpoint: WireEndpoint): Layout => layouts[endpoint.length === 6 ? 4 : 6]

/** Of the map of flows. */
export function sizesOf({ key, flow }: Layout): { key: number; value: number } {
  return { key: key.bytes, value: flow.bytes }
}

function keyOf({ key }: Layout, protocol: IpTransport, from: WireEndpoint, to: WireEndpoint): Uint8Array {
  const out = new Uint8Array(key.bytes)
  out[key.protocol] = transports[protocol].number
  out.set(addressIn(from), key.source)
  out.set(addressIn(to), key.destination)
  out.set(from.subarray(-2), key.ports)
  out.set(to.subarray(-2), key.ports + 2)
  return out
}

/** RFC 1624: what `bytes` bytes at `at` of both endpoints add to a checksum as they change, in the wire's own order. */
function change(was: FromTo, becomes: FromTo, at: number, bytes: number): number {
  const word = (of: WireEndpoint, offset: number): number =>
    (of[offset] as number) | ((of[offset + 1] as number) << 8)
  let sum = 0
  for (let offset = at; offset < at + bytes; offset += 2) {
    for (const endpoint of becomes) sum += word(endpoint, offset)
    for (const endpoint of was) sum += 0xffff - word(endpoint, offset)
  }
  return sum
}
