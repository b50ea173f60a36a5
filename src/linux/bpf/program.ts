/**
 * The program that carries flows inside the kernel: Linux runs it on each packet that arrives on a device, before the
 * packet filter; there is one for each version of IP. It knows UDP and TCP; how a TCP connection begins and ends it leaves
 * to conntrack. What belongs to no known flow goes its ordinary way untouched. A known one gets its new addresses and
 * leaves at once by the device, and to the neighbour, that the flow's other end is behind.
 *
 * Order is kept. What a relay has not sent on yet must not be overtaken: each packet of a relay's flow that goes the
 * ordinary way, at first or because it is too large, bears a number (its mark), and those after it follow it until the
 * relay says that it has sent that one on. A router has nothing in hand; it looks up the route once a second, and of TCP
 * that packet goes the ordinary way, so that conntrack knows how far the connection is.
 *
 * A flow is carried only while its owner says that it lives; whoever is killed, hangs or is stopped carries nothing a
 * moment later.
 *
 * Of this file alone one may also choose the terms of MIT or GPL-2.0: looking up a route is for such programs alone.
 */
import type { Family } from '../../base/address.ts'
import { familyInet, familyInet6 } from '../libc.ts'
import { Assembly, type Register } from './assembly.ts'
import { etherBytes, layouts, transports, type Layout, type IpTransport } from './layout.ts'
import { loopbackDevice as loopback } from './ways.ts'

/** What the kernel is told of the licence (`license` in bpf(2)). */
export const license = 'Dual MIT/GPL'
/** Others that look at who runs on a device see it, and so does another Naru, which lets it be (onlookers.ts). */
export const name = 'naru_flows'

/** How long a router's flow is carried before its route is looked up, ns. */
const lookEveryNs = 1_000_000_000

/** struct __sk_buff (linux/bpf.h), which only grows at its end. */
const packet = { bytes: 0, kind: 4, mark: 8, vlan: 20, device: 40, data: 76, end: 80, segments: 164 } as const
/** Offsets from the Ethernet header on: RFC 894. */
const etherType = 12
/** Likewise, which IPv4 alone has (RFC 791 §3.1). */
const ipv4 = { versionAndLength: 14, fragment: 20, headerChecksum: 24 } as const
/** Of the two fragment fields, all but "don't fragment", as network order reads. */
const fragmentBits = 0xff3f
/** Of the first fragment, likewise. */
const moreFragments = 0x20
/** RFC 8200 §4.5: its own length, its protocol number, and where it tells where in the whole it belongs. */
const ipv6Fragment = { bytes: 8, protocol: 44, offset: 2, offsetBits: 0xf8ff } as const
/** RFC 8200 §3: in the first half of the first byte. */
const ipv6Version = 0x60
/** From the ports on (RFC 9293 §3.1). */
const tcpFlags = 13
/** Of TCP's flags (RFC 9293 §3.1). */
const [syn, finOrRst] = [0x02, 0x05]
/** struct bpf_fib_lookup: 64 bytes. */
const routeBytes = 64
const route = {
  family: 0,
  protocol: 1,
  sourcePort: 2,
  destinationPort: 4,
  /** The packet's length in, where 0 asks for no MTU; the route's MTU out. */
  length: 6,
  device: 8,
  source: 16,
  destination: 32,
  own: 52,
  neighbour: 58,
} as const
/** Helpers, bpf-helpers(7). */
const helper = {
  find: 1,
  changeChecksum: 11,
  addToSum: 40,
  redirect: 23,
  findRoute: 69,
  coarseNow: 160,
  checkMtu: 163,
} as const
/** Of `changeChecksum`: addresses are in the pseudo header. */
const pseudoHeader = 0x10
/** What a hop less in its time to live adds to a header's checksum, in the wire's own order. */
export const hopChange = 0xfffe
/** The packet goes on as if we were not there (TCX_NEXT). */
const ordinaryWay = -1

/** Registers that calls leave alone. */
const context: Register = 6
const known: Register = 7
const now: Register = 8
const device: Register = 9
const frame: Register = 10

/** What a part of the program is written with. */
interface Terms {
  readonly program: Assembly
  readonly layout: Layout
  readonly stack: Readonly<Record<'key' | 'owner' | 'mtu' | 'over' | 'fragment' | 'route', number>>
}

/** Descriptors of what it knows: flows, up to which number each owner has sent on, until when each owner lives, ns. */
export interface Maps {
  readonly flows: number
  readonly sentOn: number
  readonly beats: number
}

export function carryFlows(family: Family, { flows, sentOn, beats }: Maps): Uint8Array {
  const program = new Assembly().calculateBy('move', context, 1)
  const layout = layouts[family]
  const { key, flow } = layout
  const at = -key.bytes
  const stack = {
    key: at,
    owner: at - 4,
    mtu: at - 8,
    over: at - 12,
    fragment: at - 16,
    route: at - 24 - routeBytes,
  }
  const terms: Terms = { program, layout, stack }
  findFlow(terms, flows)
  askOwner(terms, beats)
  program
    .load(4, 3, known, flow.routed)
    .jumpIf('equal', 3, 0, 'relayed')
    .calculateBy('move', 3, now)
    .load(8, 4, known, flow.lookedAt)
    .calculateBy('subtract', 3, 4)
    .jumpIf('above', 3, lookEveryNs, 'look')
    .jump('carried')
  askWhatIsSentOn(terms, sentOn)
  program.label('carried')
  askDevice(terms)
  count(terms)
  readdress(terms)
  leave(terms)
  look(terms)
  end(terms, flows)
  follow(terms)
  return program.label('pass').calculate('move', 0, ordinaryWay).exit().bytes()
}

/** r1 is where the packet's headers begin; who has not those of the transport passes. */
function readPacket({ program, layout }: Terms, transport: IpTransport = 'udp'): Assembly {
  return program
    .load(4, 1, context, packet.data)
    .load(4, 2, context, packet.end)
    .calculateBy('move', 3, 1)
    .calculate('add', 3, layout.wire.ports + transports[transport].headerBytes)
    .jumpIfBy('above', 3, 2, 'pass')
}

/**
 * A packet for this machine, without options, that may still travel; `known` is its flow. Of a datagram in fragments the
 * first alone tells whose it is; it goes the ordinary way, as all of them do.
 */
function findFlow(terms: Terms, flows: number): void {
  const { program, layout, stack } = terms
  const { family, wire, key, flow } = layout
  readPacket(terms).load(2, 3, 1, etherType).jumpIf('notEqual', 3, wire.etherType, 'pass')
  program.storeNumber(4, frame, stack.fragment, 0)
  if (family === 4) isIpv4(terms)
  else isIpv6(program)
  program
    .load(1, 3, 1, wire.timeToLive)
    .jumpIf('below', 3, 2, 'pass')
    .load(4, 3, context, packet.kind)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(4, 3, context, packet.vlan)
    .jumpIf('notEqual', 3, 0, 'pass')
  copyAddresses(terms, { in: 1, ...wire }, { in: frame, ...keyOnStack(terms) })
  program
    .load(4, 3, 1, wire.ports)
    .store(4, frame, stack.key + key.ports, 3)
    .storeNumber(4, frame, stack.over, 0)
    .load(1, 4, 1, wire.protocol)
  if (family === 6) readFragment(terms)
  program
    .store(4, frame, stack.key + key.protocol, 4)
    .jumpIf('equal', 4, transports.udp.number, 'find')
    .jumpIf('notEqual', 4, transports.tcp.number, 'pass')
  readPacket(terms, 'tcp')
    .load(1, 3, 1, wire.ports + tcpFlags)
    .calculateBy('move', 4, 3)
    .calculate('and', 4, syn)
    .jumpIf('notEqual', 4, 0, 'pass')
    .calculate('and', 3, finOrRst)
    .store(4, frame, stack.over, 3)
    .label('find')
  find(program, flows, stack.key, 'pass')
    .calculateBy('move', known, 0)
    .load(4, 3, known, flow.over)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(4, 3, frame, stack.over)
    .jumpIf('notEqual', 3, 0, 'over')
    .load(4, 3, frame, stack.fragment)
    .jumpIf('notEqual', 3, 0, 'follow')
}

function isIpv4({ program, stack }: Terms): void {
  program
    .load(1, 3, 1, ipv4.versionAndLength)
    .jumpIf('notEqual', 3, 0x45, 'pass')
    .load(2, 3, 1, ipv4.fragment)
    .calculate('and', 3, fragmentBits)
    .store(4, frame, stack.fragment, 3)
    .jumpIf('equal', 3, 0, 'whole')
    .jumpIf('notEqual', 3, moreFragments, 'pass')
    .label('whole')
}

/** r4 becomes what it carries where that is in fragments: RFC 8200 §4.5. */
function readFragment(terms: Terms): void {
  const { program, stack, layout } = terms
  const { ports } = layout.wire
  program.jumpIf('notEqual', 4, ipv6Fragment.protocol, 'whole')
  readPacket(terms, 'tcp')
    .load(2, 3, 1, ports + ipv6Fragment.offset)
    .calculate('and', 3, ipv6Fragment.offsetBits)
    .jumpIf('notEqual', 3, 0, 'pass')
    .storeNumber(4, frame, stack.fragment, 1)
    .load(4, 3, 1, ports + ipv6Fragment.bytes)
    .store(4, frame, stack.key + layout.key.ports, 3)
    .load(1, 4, 1, ports)
    .label('whole')
}

/** Who has other options has another protocol (RFC 8200 §4). */
function isIpv6(program: Assembly): void {
  program.load(1, 3, 1, etherBytes).calculate('and', 3, 0xf0).jumpIf('notEqual', 3, ipv6Version, 'pass')
}

/** r0 is what the map holds at the key on the stack. */
function find(program: Assembly, map: number, at: number, orElse: string): Assembly {
  return program
    .map(1, map)
    .calculateBy('move', 2, frame)
    .calculate('add', 2, at)
    .call(helper.find)
    .jumpIf('equal', 0, 0, orElse)
}

function askOwner({ program, layout: { flow }, stack }: Terms, beats: number): void {
  program
    .call(helper.coarseNow)
    .calculateBy('move', now, 0)
    .load(4, 3, known, flow.owner)
    .store(4, frame, stack.owner, 3)
  find(program, beats, stack.owner, 'follow').load(8, 3, 0, 0).jumpIfBy('above', now, 3, 'follow')
}

/** Whoever goes the ordinary way is not overtaken: until all those are sent on, the next one follows them. */
function askWhatIsSentOn({ program, layout: { flow }, stack }: Terms, sentOn: number): void {
  program.label('relayed').load(4, 3, known, flow.carrying).jumpIf('notEqual', 3, 0, 'carried')
  find(program, sentOn, stack.key, 'follow')
    .load(4, 3, 0, 0)
    .load(4, 4, known, flow.number)
    .jumpIfBy('notEqual', 3, 4, 'follow')
    .storeNumber(4, known, flow.carrying, 1)
}

/** This packet of a flow goes the ordinary way; so will those after it, for so long. */
function follow({ program, layout: { flow } }: Terms): void {
  program
    .jump('pass')
    .label('follow')
    .load(4, 3, known, flow.routed)
    .jumpIf('notEqual', 3, 0, 'pass')
    .storeNumber(4, known, flow.carrying, 0)
    .load(4, 3, known, flow.number)
    .calculate('add', 3, 1)
    .store(4, known, flow.number, 3)
    .store(4, context, packet.mark, 3)
}

/** Elsewhere than on loopback, which it never leaves, the packet must fit: several that travel as one, each of them. */
function askDevice({ program, layout: { flow }, stack }: Terms): void {
  program
    .load(4, 3, context, packet.device)
    .load(4, 4, known, flow.arrives)
    .jumpIfBy('notEqual', 3, 4, 'follow')
    .load(4, device, known, flow.device)
    .jumpIf('equal', device, 0, 'pass')
    .jumpIf('equal', device, loopback, 'carry')
    .load(4, 3, context, packet.segments)
    .jumpIf('above', 3, 1, 'ask')
    .load(4, 3, context, packet.bytes)
    .load(4, 4, known, flow.mtu)
    .jumpIf('equal', 4, 0, 'ask')
    .calculate('add', 4, etherBytes)
    .jumpIfBy('above', 3, 4, 'follow')
    .jump('carry')
    .label('ask')
    .storeNumber(4, frame, stack.mtu, 0)
    .calculateBy('move', 1, context)
    .calculateBy('move', 2, device)
    .calculateBy('move', 3, frame)
    .calculate('add', 3, stack.mtu)
    .calculate('move', 4, 0)
    .calculate('move', 5, 1)
    .call(helper.checkMtu)
    .jumpIf('notEqual', 0, 0, 'follow')
    .label('carry')
}

/** Several datagrams or segments that travel as one are counted as what they are. */
function count(terms: Terms): void {
  const { wire, flow } = terms.layout
  const program = readPacket(terms).load(2, 3, 1, wire.length).swap16(3)
  if (wire.uncounted > 0) program.calculate('add', 3, wire.uncounted)
  program
    .load(4, 4, known, flow.headerBytes)
    .calculateBy('subtract', 3, 4)
    .atomicAdd(known, flow.carried, 3)
    .load(4, 3, context, packet.segments)
    .jumpIf('notEqual', 3, 0, 'several')
    .calculate('move', 3, 1)
    .label('several')
    .atomicAdd(known, flow.packets, 3)
}

function readdress(terms: Terms): void {
  const { program, layout } = terms
  const { family, wire, flow } = layout
  changeChecksum(terms, flow.addressChange, pseudoHeader)
  if (family === 6) keepSum(terms)
  changeChecksum(terms, flow.portChange, 0)
  readPacket(terms)
  if (family === 4) changeHeaderChecksum(terms)
  copyAddresses(terms, { in: known, ...flow }, { in: 1, ...wire })
  program.load(4, 3, known, flow.ports).store(4, 1, wire.ports, 3)
}

/** HC' = ~(~HC + ~m + m'), RFC 1624 §3. */
function changeHeaderChecksum({ program, layout: { flow } }: Terms): void {
  program
    .load(2, 3, 1, ipv4.headerChecksum)
    .calculate('xor', 3, 0xffff)
    .load(4, 4, known, flow.headerChange)
    .calculateBy('add', 3, 4)
  for (let fold = 0; fold < 2; fold++)
    program
      .calculateBy('move', 4, 3)
      .calculate('shiftRight', 4, 16)
      .calculate('and', 3, 0xffff)
      .calculateBy('add', 3, 4)
  program.calculate('xor', 3, 0xffff).store(2, 1, ipv4.headerChecksum, 3)
}

/**
 * A card may have told the sum of the whole packet (CHECKSUM_COMPLETE), which new addresses and their checksum leave as
 * it was. The kernel thinks of IPv4, whose header has a checksum too, and takes the change out once more: it comes back.
 */
function keepSum({ program, layout: { flow } }: Terms): void {
  program.calculateBy('move', 1, context).load(4, 2, known, flow.addressChange).call(helper.addToSum)
}

function changeChecksum({ program, layout: { flow } }: Terms, change: number, flags: number): void {
  program
    .calculateBy('move', 1, context)
    .load(4, 2, known, flow.checksumAt)
    .calculate('move', 3, 0)
    .load(4, 4, known, change)
    .load(4, 5, known, flow.checksumFlags)
    .calculate('add', 5, flags)
    .call(helper.changeChecksum)
}

/** Within loopback the packet is where it has to be. Who hands on as a router takes one from the time to live. */
function leave({ program, layout: { wire, flow } }: Terms): void {
  program.jumpIf('equal', device, loopback, 'pass')
  copy(program, 2, 12, { from: known, at: flow.neighbour }, { to: 1, at: 0 })
  program
    .load(4, 3, known, flow.routed)
    .jumpIf('equal', 3, 0, 'send')
    .load(1, 3, 1, wire.timeToLive)
    .calculate('subtract', 3, 1)
    .store(1, 1, wire.timeToLive, 3)
    .label('send')
    .calculateBy('move', 1, device)
    .calculate('move', 2, 0)
    .call(helper.redirect)
    .exit()
}

/**
 * A router looks up the route, which may have changed: of what has its new destination, but not yet its new source, as
 * where it is not carried. This packet of TCP goes the ordinary way.
 */
function look(terms: Terms): void {
  const { program, layout, stack } = terms
  const { family, key, flow } = layout
  program.label('look').store(8, known, flow.lookedAt, now)
  const { route: at } = stack
  for (let byte = 0; byte < routeBytes; byte += 8) program.storeNumber(8, frame, at + byte, 0)
  program
    .storeNumber(1, frame, at + route.family, family === 4 ? familyInet : familyInet6)
    .storeNumber(2, frame, at + route.length, 1)
    .load(1, 3, frame, stack.key + key.protocol)
    .store(1, frame, at + route.protocol, 3)
    .load(4, 3, context, packet.device)
    .store(4, frame, at + route.device, 3)
  const { addressBytes } = layout.wire
  copy(
    program,
    4,
    addressBytes,
    { from: frame, at: stack.key + key.source },
    { to: frame, at: at + route.source },
  )
  copy(
    program,
    4,
    addressBytes,
    { from: known, at: flow.destination },
    { to: frame, at: at + route.destination },
  )
  program
    .load(2, 3, frame, stack.key + key.ports)
    .store(2, frame, at + route.sourcePort, 3)
    .load(2, 3, known, flow.ports + 2)
    .store(2, frame, at + route.destinationPort, 3)
    .storeNumber(4, known, flow.device, 0)
    .calculateBy('move', 1, context)
    .calculateBy('move', 2, frame)
    .calculate('add', 2, at)
    .calculate('move', 3, routeBytes)
    .calculate('move', 4, 0)
    .call(helper.findRoute)
    .jumpIf('notEqual', 0, 0, 'pass')
  copy(program, 2, 6, { from: frame, at: at + route.neighbour }, { to: known, at: flow.neighbour })
  copy(program, 2, 6, { from: frame, at: at + route.own }, { to: known, at: flow.own })
  program
    .load(2, 3, frame, at + route.length)
    .store(4, known, flow.mtu, 3)
    .load(4, 3, frame, at + route.device)
    .store(4, known, flow.device, 3)
    .load(1, 3, frame, stack.key + key.protocol)
    .jumpIf('equal', 3, transports.udp.number, 'carried')
}

/** Neither direction is carried any more: conntrack has to see how it ends. */
function end(terms: Terms, flows: number): void {
  const { program, layout, stack } = terms
  const { key, flow } = layout
  program.jump('pass').label('over').storeNumber(4, known, flow.over, 1)
  const { source, destination } = keyOnStack(terms)
  copyAddresses(terms, { in: known, ...flow }, { in: frame, source: destination, destination: source })
  program
    .load(2, 3, known, flow.ports + 2)
    .store(2, frame, stack.key + key.ports, 3)
    .load(2, 3, known, flow.ports)
    .store(2, frame, stack.key + key.ports + 2, 3)
  find(program, flows, stack.key, 'pass').storeNumber(4, 0, flow.over, 1)
}

/** Where both addresses lie. */
interface Addresses {
  readonly in: Register
  readonly source: number
  readonly destination: number
}

function copyAddresses({ program, layout }: Terms, from: Addresses, to: Addresses): void {
  for (const which of ['source', 'destination'] as const)
    copy(
      program,
      4,
      layout.wire.addressBytes,
      { from: from.in, at: from[which] },
      { to: to.in, at: to[which] },
    )
}

function keyOnStack({ layout: { key }, stack }: Terms): Omit<Addresses, 'in'> {
  return { source: stack.key + key.source, destination: stack.key + key.destination }
}

/** `piece` bytes at a time, as they lie even at both places. */
function copy(
  program: Assembly,
  piece: 2 | 4,
  bytes: number,
  from: { from: Register; at: number },
  to: { to: Register; at: number },
): void {
  for (let byte = 0; byte < bytes; byte += piece)
    program.load(piece, 3, from.from, from.at + byte).store(piece, to.to, to.at + byte, 3)
}
