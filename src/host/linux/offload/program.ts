/**
 * The program that carries flows inside the kernel: Linux runs it on each packet that arrives on a device, before the
 * packet filter. It knows UDP and TCP over IPv4; how a TCP connection begins and ends it leaves to conntrack. What
 * belongs to no known flow goes its ordinary way untouched. A known one gets its new addresses and leaves at once by
 * the device, and to the neighbour, that the flow's other end is behind.
 *
 * Once a second a packet of each flow goes the ordinary way all the same: so the filter's word still counts, and
 * neither conntrack nor the neighbour is forgotten. A flow is carried only while its owner says that it lives; whoever
 * is killed, hangs or is stopped carries nothing a moment later.
 *
 * Of this file alone one may also choose the terms of MIT or GPL-2.0: looking up a route is for such programs alone.
 */
import { Assembly, type Register } from './assembly.ts'
import { loopbackDevice as loopback } from './ways.ts'

/** What the kernel is told of the licence (`license` in bpf(2)). */
export const license = 'Dual MIT/GPL'

/** A flow's key: source and destination address, source and destination port, all as they are on the wire, and the protocol. */
export const key = { source: 0, destination: 4, ports: 8, protocol: 12, bytes: 16 } as const

/** What the program is told of a protocol, flow by flow. */
export const protocols = {
  udp: { number: 17, checksumAt: 40, checksumFlags: 0x20, headerBytes: 28 },
  // Its headers count, as conntrack counts them.
  tcp: { number: 6, checksumAt: 50, checksumFlags: 0, headerBytes: 0 },
} as const

/** What is kept of a flow. */
export const flow = {
  /** Addresses and ports that its packets get, as on the wire. */
  source: 0,
  destination: 4,
  ports: 8,
  /** Where they leave; 0 while it is not known. */
  device: 12,
  /** When one went the ordinary way last, ns. */
  ordinaryAt: 16,
  /** What that changes in checksums (RFC 1624): by the addresses, by the ports, and in the IP header. */
  addressChange: 24,
  portChange: 28,
  /** The Ethernet header: to whom, from whom. */
  neighbour: 32,
  own: 38,
  /** 0: as a relay sends anew, the way that it was told; 1: as a router hands on, by the route that it looks up. */
  routed: 44,
  /** What was carried: packets, and bytes but for so many of headers a packet. */
  packets: 48,
  carried: 56,
  headerBytes: 64,
  owner: 68,
  /** Of the protocol's checksum: where it is, and whether zero means that there is none (RFC 768). */
  checksumAt: 72,
  checksumFlags: 76,
  /** Set once either end has said that it is over: all else goes the ordinary way. */
  over: 80,
  /** The device that its packets come in by: what comes by another is not believed to be the flow's (RFC 3704). */
  arrives: 84,
  headerChange: 88,
  /** Most bytes of a packet that fit where they leave; 0 where that has to be asked. */
  mtu: 92,
  bytes: 96,
} as const

export const flowSizes = { key: key.bytes, value: flow.bytes } as const
/** By the owner's number, until when it lives, ns of the monotonic clock. */
export const beatSizes = { key: 4, value: 8 } as const

/** How long a flow is carried before a packet goes the ordinary way, ns. */
const ordinaryEveryNs = 1_000_000_000

/** struct __sk_buff (linux/bpf.h), which only grows at its end. */
const packet = { bytes: 0, kind: 4, vlan: 20, device: 40, data: 76, end: 80, segments: 164 } as const
/** Offsets from the Ethernet header on: RFC 894, RFC 791 §3.1, RFC 768. */
const wire = {
  etherType: 12,
  versionAndLength: 14,
  length: 16,
  fragment: 20,
  timeToLive: 22,
  protocol: 23,
  headerChecksum: 24,
  source: 26,
  destination: 30,
  ports: 34,
  udpEnd: 42,
  tcpFlags: 47,
  tcpEnd: 54,
} as const
const etherBytes = wire.versionAndLength
/** Of TCP's flags (RFC 9293 §3.1). */
const [syn, finOrRst] = [0x02, 0x05]
/** struct bpf_fib_lookup: 64 bytes. */
const routeBytes = 64
const route = {
  family: 0,
  protocol: 1,
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
  redirect: 23,
  findRoute: 69,
  coarseNow: 160,
  checkMtu: 163,
} as const
/** Of `changeChecksum`: addresses are in the pseudo header. */
const pseudoHeader = 0x10
/** As network order reads on a little-endian machine; what Node runs on with koffi is one. */
const [ipv4, fragmentBits] = [0x0008, 0xff3f]
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
const stack = { key: -16, owner: -20, mtu: -24, over: -28, route: -96 } as const

/** @param flows descriptor of the map of flows. @param beats of the map that says until when each owner lives, ns. */
export function carryFlows(flows: number, beats: number): Uint8Array {
  const program = new Assembly().calculateBy('move', context, 1)
  findFlow(program, flows)
  askOwner(program, beats)
  program
    .calculateBy('move', 3, now)
    .load(8, 4, known, flow.ordinaryAt)
    .calculateBy('subtract', 3, 4)
    .jumpIf('above', 3, ordinaryEveryNs, 'ordinary')
  askDevice(program)
  count(program)
  readdress(program)
  leave(program)
  goOrdinarily(program)
  end(program, flows)
  return program.label('pass').calculate('move', 0, ordinaryWay).exit().bytes()
}

/** r1 is where the packet's headers begin; who is too short passes. */
function readPacket(program: Assembly, end: number = wire.udpEnd): Assembly {
  return program
    .load(4, 1, context, packet.data)
    .load(4, 2, context, packet.end)
    .calculateBy('move', 3, 1)
    .calculate('add', 3, end)
    .jumpIfBy('above', 3, 2, 'pass')
}

/** A whole IPv4 packet for this machine, without options, that may still travel; `known` is its flow. */
function findFlow(program: Assembly, flows: number): void {
  readPacket(program)
    .load(2, 3, 1, wire.etherType)
    .jumpIf('notEqual', 3, ipv4, 'pass')
    .load(1, 3, 1, wire.versionAndLength)
    .jumpIf('notEqual', 3, 0x45, 'pass')
    .load(2, 3, 1, wire.fragment)
    .calculate('and', 3, fragmentBits)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(1, 3, 1, wire.timeToLive)
    .jumpIf('below', 3, 2, 'pass')
    .load(4, 3, context, packet.kind)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(4, 3, context, packet.vlan)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(4, 3, 1, wire.source)
    .store(4, frame, stack.key + key.source, 3)
    .load(4, 3, 1, wire.destination)
    .store(4, frame, stack.key + key.destination, 3)
    .load(4, 3, 1, wire.ports)
    .store(4, frame, stack.key + key.ports, 3)
    .storeNumber(4, frame, stack.over, 0)
    .load(1, 4, 1, wire.protocol)
    .store(4, frame, stack.key + key.protocol, 4)
    .jumpIf('equal', 4, protocols.udp.number, 'find')
    .jumpIf('notEqual', 4, protocols.tcp.number, 'pass')
  readPacket(program, wire.tcpEnd)
    .load(1, 3, 1, wire.tcpFlags)
    .calculateBy('move', 4, 3)
    .calculate('and', 4, syn)
    .jumpIf('notEqual', 4, 0, 'pass')
    .calculate('and', 3, finOrRst)
    .store(4, frame, stack.over, 3)
    .label('find')
  find(program, flows, stack.key)
    .calculateBy('move', known, 0)
    .load(4, 3, known, flow.over)
    .jumpIf('notEqual', 3, 0, 'pass')
    .load(4, 3, frame, stack.over)
    .jumpIf('notEqual', 3, 0, 'over')
}

/** r0 is what the map holds at the key on the stack; what is not there passes. */
function find(program: Assembly, map: number, at: number): Assembly {
  return program
    .map(1, map)
    .calculateBy('move', 2, frame)
    .calculate('add', 2, at)
    .call(helper.find)
    .jumpIf('equal', 0, 0, 'pass')
}

function askOwner(program: Assembly, beats: number): void {
  program
    .call(helper.coarseNow)
    .calculateBy('move', now, 0)
    .load(4, 3, known, flow.owner)
    .store(4, frame, stack.owner, 3)
  find(program, beats, stack.owner).load(8, 3, 0, 0).jumpIfBy('above', now, 3, 'pass')
}

/** Elsewhere than on loopback, which it never leaves, the packet must fit: several that travel as one, each of them. */
function askDevice(program: Assembly): void {
  program
    .load(4, 3, context, packet.device)
    .load(4, 4, known, flow.arrives)
    .jumpIfBy('notEqual', 3, 4, 'pass')
    .load(4, device, known, flow.device)
    .jumpIf('equal', device, 0, 'pass')
    .jumpIf('equal', device, loopback, 'carry')
    .load(4, 3, context, packet.segments)
    .jumpIf('above', 3, 1, 'ask')
    .load(4, 3, context, packet.bytes)
    .load(4, 4, known, flow.mtu)
    .calculate('add', 4, etherBytes)
    .jumpIfBy('below', 3, 4, 'carry')
    .label('ask')
    .storeNumber(4, frame, stack.mtu, 0)
    .calculateBy('move', 1, context)
    .calculateBy('move', 2, device)
    .calculateBy('move', 3, frame)
    .calculate('add', 3, stack.mtu)
    .calculate('move', 4, 0)
    .calculate('move', 5, 1)
    .call(helper.checkMtu)
    .jumpIf('notEqual', 0, 0, 'pass')
    .label('carry')
}

/** Several datagrams or segments that travel as one are counted as what they are. */
function count(program: Assembly): void {
  readPacket(program)
    .load(2, 3, 1, wire.length)
    .swap16(3)
    .load(4, 4, known, flow.headerBytes)
    .calculateBy('subtract', 3, 4)
    .atomicAdd(known, flow.carried, 3)
    .load(4, 3, context, packet.segments)
    .jumpIf('notEqual', 3, 0, 'several')
    .calculate('move', 3, 1)
    .label('several')
    .atomicAdd(known, flow.packets, 3)
}

function readdress(program: Assembly): void {
  changeChecksum(program, flow.addressChange, pseudoHeader)
  changeChecksum(program, flow.portChange, 0)
  // HC' = ~(~HC + ~m + m'), RFC 1624 §3.
  readPacket(program)
    .load(2, 3, 1, wire.headerChecksum)
    .calculate('xor', 3, 0xffff)
    .load(4, 4, known, flow.headerChange)
    .calculateBy('add', 3, 4)
  for (let fold = 0; fold < 2; fold++)
    program
      .calculateBy('move', 4, 3)
      .calculate('shiftRight', 4, 16)
      .calculate('and', 3, 0xffff)
      .calculateBy('add', 3, 4)
  program
    .calculate('xor', 3, 0xffff)
    .store(2, 1, wire.headerChecksum, 3)
    .load(4, 3, known, flow.source)
    .store(4, 1, wire.source, 3)
    .load(4, 3, known, flow.destination)
    .store(4, 1, wire.destination, 3)
    .load(4, 3, known, flow.ports)
    .store(4, 1, wire.ports, 3)
}

function changeChecksum(program: Assembly, change: number, flags: number): void {
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
function leave(program: Assembly): void {
  program.jumpIf('equal', device, loopback, 'pass')
  copy(program, 12, { from: known, at: flow.neighbour }, { to: 1, at: 0 })
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

/** This packet goes the ordinary way. A router looks up its route meanwhile, which may have changed. */
function goOrdinarily(program: Assembly): void {
  program
    .label('ordinary')
    .store(8, known, flow.ordinaryAt, now)
    .load(4, 3, known, flow.routed)
    .jumpIf('equal', 3, 0, 'pass')
  const { route: at } = stack
  for (let byte = 0; byte < routeBytes; byte += 8) program.storeNumber(8, frame, at + byte, 0)
  program
    .storeNumber(1, frame, at + route.family, 2)
    .storeNumber(2, frame, at + route.length, 1)
    .load(1, 3, frame, stack.key + key.protocol)
    .store(1, frame, at + route.protocol, 3)
    .load(4, 3, context, packet.device)
    .store(4, frame, at + route.device, 3)
    .load(4, 3, known, flow.source)
    .store(4, frame, at + route.source, 3)
    .load(4, 3, known, flow.destination)
    .store(4, frame, at + route.destination, 3)
    .storeNumber(4, known, flow.device, 0)
    .calculateBy('move', 1, context)
    .calculateBy('move', 2, frame)
    .calculate('add', 2, at)
    .calculate('move', 3, routeBytes)
    .calculate('move', 4, 0)
    .call(helper.findRoute)
    .jumpIf('notEqual', 0, 0, 'pass')
  copy(program, 6, { from: frame, at: at + route.neighbour }, { to: known, at: flow.neighbour })
  copy(program, 6, { from: frame, at: at + route.own }, { to: known, at: flow.own })
  program
    .load(2, 3, frame, at + route.length)
    .store(4, known, flow.mtu, 3)
    .load(4, 3, frame, at + route.device)
    .store(4, known, flow.device, 3)
}

/** Neither direction is carried any more: conntrack has to see how it ends. */
function end(program: Assembly, flows: number): void {
  program
    .jump('pass')
    .label('over')
    .storeNumber(4, known, flow.over, 1)
    .load(4, 3, known, flow.destination)
    .store(4, frame, stack.key + key.source, 3)
    .load(4, 3, known, flow.source)
    .store(4, frame, stack.key + key.destination, 3)
    .load(2, 3, known, flow.ports + 2)
    .store(2, frame, stack.key + key.ports, 3)
    .load(2, 3, known, flow.ports)
    .store(2, frame, stack.key + key.ports + 2, 3)
  find(program, flows, stack.key).storeNumber(4, 0, flow.over, 1)
}

/** Two bytes at a time, which lie even wherever they lie. */
function copy(
  program: Assembly,
  bytes: number,
  from: { from: Register; at: number },
  to: { to: Register; at: number },
): void {
  for (let byte = 0; byte < bytes; byte += 2)
    program.load(2, 3, from.from, from.at + byte).store(2, to.to, to.at + byte, 3)
}
