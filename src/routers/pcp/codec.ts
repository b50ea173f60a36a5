/**
 * PCP on the wire (RFC 6887 §7, §11, §13): MAP and ANNOUNCE requests to bytes, answers from bytes. An answer that is
 * not one is undefined; nothing here throws.
 */
import { addressBytes, addressFromBytes, familyOf, unmapped, type Cidr } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'

export const pcpPort = 5351
/** Where servers announce a restart, on 224.0.0.1 and ff02::1 (§14.1.1). */
export const announcementPort = 5350

export const nonceBytes = 12
const [headerBytes, mapBytes, longest] = [24, 36, 1100]
const opcodes = { announce: 0, map: 1 } as const
const optionCodes = { thirdParty: 1, preferFailure: 2, filter: 3 } as const
const protocolNumbers = { tcp: 6, udp: 17 } as const

/** §7.4. */
export const results = [
  'SUCCESS',
  'UNSUPP_VERSION',
  'NOT_AUTHORIZED',
  'MALFORMED_REQUEST',
  'UNSUPP_OPCODE',
  'UNSUPP_OPTION',
  'MALFORMED_OPTION',
  'NETWORK_FAILURE',
  'NO_RESOURCES',
  'UNSUPP_PROTOCOL',
  'USER_EX_QUOTA',
  'CANNOT_PROVIDE_EXTERNAL',
  'ADDRESS_MISMATCH',
  'EXCESSIVE_REMOTE_PEERS',
] as const
export type Result = (typeof results)[number] | 'UNKNOWN'

export interface MapWish {
  readonly nonce: Uint8Array
  readonly protocol: Protocol
  readonly internalPort: number
  /** Suggested; 0 leaves it to the server. */
  readonly externalPort: number
  /** Suggested; null leaves it to the server. */
  readonly externalAddress: string | null
  /** Refuse rather than give another port (§13.2). */
  readonly preferFailure: boolean
  /** Let in only these (§13.3); prefixes of the other family are not sent. */
  readonly filters: readonly Cidr[]
  /** Map for this address in place of our own (§13.1); null is our own. */
  readonly thirdParty: string | null
}

interface Answered {
  readonly result: Result
  /** Seconds since the server's state was made. */
  readonly epoch: number
  /** Of the mapping; where it is refused, how long that will stay so. */
  readonly lifetimeSeconds: number
}

export interface PcpMapAnswer extends Answered {
  readonly internalPort: number
  readonly externalPort: number
  readonly externalAddress: string | null
}

export function announceRequest(clientAddress: string): Uint8Array {
  return header(opcodes.announce, 0, clientAddress, headerBytes)
}

/** Lifetime 0 deletes (§15). */
export function mapRequest(clientAddress: string, wish: MapWish, lifetimeSeconds: number): Uint8Array {
  const options = optionsOf(clientAddress, wish)
  const bytes = header(opcodes.map, lifetimeSeconds, clientAddress, headerBytes + mapBytes + options.length)
  const view = new DataView(bytes.buffer)
  bytes.set(wish.nonce, headerBytes)
  view.setUint8(headerBytes + 12, protocolNumbers[wish.protocol])
  view.setUint16(headerBytes + 16, wish.internalPort)
  view.setUint16(headerBytes + 18, wish.externalPort)
  const anyAddress = familyOf(clientAddress) === 4 ? '0.0.0.0' : '::'
  bytes.set(wide(wish.externalAddress ?? anyAddress), headerBytes + 20)
  bytes.set(options, headerBytes + mapBytes)
  return bytes
}

/** What a server answers to ANNOUNCE, or sends by itself (§14.1). */
export function parseAnnounceAnswer(bytes: Uint8Array): Answered | undefined {
  return parseHeader(opcodes.announce, bytes)
}

/** True for NAT-PMP's "unsupported version" (RFC 6886 §3.5) in answer to PCP: speak NAT-PMP instead (§9). */
export function isNatPmpOnly(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes.length <= 64 && bytes[0] === 0 && bytes[2] === 0 && bytes[3] === 1
}

/** The answer to the mapping with that nonce, protocol and internal port; another's is none. */
export function parseMapAnswer(bytes: Uint8Array, wish: MapWish): PcpMapAnswer | undefined {
  const answered = parseHeader(opcodes.map, bytes)
  if (!answered) return undefined
  const refused = { ...answered, internalPort: wish.internalPort, externalPort: 0, externalAddress: null }
  // Servers that did not understand the request echo what they please (§8.3): the header alone tells why.
  if (bytes.length < headerBytes + mapBytes) return answered.result === 'SUCCESS' ? undefined : refused
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const same =
    wish.nonce.every((byte, at) => bytes[headerBytes + at] === byte) &&
    view.getUint8(headerBytes + 12) === protocolNumbers[wish.protocol] &&
    view.getUint16(headerBytes + 16) === wish.internalPort
  if (!same) return undefined
  if (answered.result !== 'SUCCESS') return refused
  const external = bytes.subarray(headerBytes + 20, headerBytes + 36)
  return {
    ...answered,
    internalPort: wish.internalPort,
    externalPort: view.getUint16(headerBytes + 18),
    externalAddress: addressOf(external),
  }
}

/** None where it is all zero, as `::` or as `::ffff:0.0.0.0`. */
function addressOf(bytes: Uint8Array): string | null {
  const address = unmapped(addressFromBytes(bytes))
  return address === '0.0.0.0' || address === '::' ? null : address
}

/** §8.3: version 2, the R bit, our opcode, a multiple of four, at most 1100 bytes. */
function parseHeader(opcode: number, bytes: Uint8Array): Answered | undefined {
  if (bytes.length < headerBytes || bytes.length > longest || bytes.length % 4 !== 0) return undefined
  if (bytes[0] !== 2 || bytes[1] !== (0x80 | opcode)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    result: results[view.getUint8(3)] ?? 'UNKNOWN',
    lifetimeSeconds: view.getUint32(4),
    epoch: view.getUint32(8),
  }
}

function header(opcode: number, lifetimeSeconds: number, client: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  bytes[0] = 2
  bytes[1] = opcode
  new DataView(bytes.buffer).setUint32(4, lifetimeSeconds)
  bytes.set(wide(client), 8)
  return bytes
}

function optionsOf(clientAddress: string, wish: MapWish): Uint8Array {
  const family = familyOf(clientAddress)
  const parts: Uint8Array[] = []
  if (wish.thirdParty !== null) parts.push(option(optionCodes.thirdParty, wide(wish.thirdParty)))
  if (wish.preferFailure) parts.push(option(optionCodes.preferFailure, new Uint8Array(0)))
  for (const filter of wish.filters) if (filter.family === family) parts.push(filterOption(filter))
  return Uint8Array.from(parts.flatMap((part) => [...part]))
}

/** §13.3: prefix length in bits of the 128-bit address, port 0 for every port. */
function filterOption({ family, address, bits }: Cidr): Uint8Array {
  const data = new Uint8Array(20)
  data[1] = family === 4 ? bits + 96 : bits
  data.set(wide(address), 4)
  return option(optionCodes.filter, data)
}

/** §7.3; every option we send is a multiple of four long. */
function option(code: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + data.length)
  bytes[0] = code
  new DataView(bytes.buffer).setUint16(2, data.length)
  bytes.set(data, 4)
  return bytes
}

/** 16 bytes, IPv4 as `::ffff:a.b.c.d` (§5). */
function wide(address: string): Uint8Array {
  const bytes = addressBytes(address)
  if (bytes.length === 16) return bytes
  const mapped = new Uint8Array(16)
  mapped.set([0xff, 0xff], 10)
  mapped.set(bytes, 12)
  return mapped
}
