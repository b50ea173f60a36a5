/** Writes PROXY headers: who called and whom, in front of what is carried. */
import { addressBytes, familyOf } from '../../base/address.ts'
import { crc32c } from './crc32c.ts'
import { signatureV2, tlvCrc32c, type Peer, type Tlv } from './header.ts'

/** Section 2.1: at most 107 bytes. Null peers (a Unix client) are UNKNOWN. */
export function writeProxyV1(source: Peer | null, destination: Peer | null): Buffer {
  const family = sharedFamily(source, destination)
  if (!source || !destination || family === null) return Buffer.from('PROXY UNKNOWN\r\n', 'latin1')
  const { address: from, port: fromPort } = source
  const { address: to, port: toPort } = destination
  return Buffer.from(`PROXY TCP${family} ${onWire(from)} ${onWire(to)} ${fromPort} ${toPort}\r\n`, 'latin1')
}

/** A zone (`fe80::2%eth0`) says something to this machine alone; haproxy and nginx end a connection that has one. */
function onWire(address: string): string {
  return address.split('%')[0] as string
}

export interface ProxyV2Options {
  readonly transport: 'stream' | 'datagram'
  readonly tlvs?: readonly Tlv[]
  /** Appends PP2_TYPE_CRC32C over the whole header. @default false */
  readonly checksum?: boolean
}

/** Section 2.2. Null peers are AF_UNSPEC. */
export function writeProxyV2(source: Peer | null, destination: Peer | null, options: ProxyV2Options): Buffer {
  const { transport, tlvs = [], checksum = false } = options
  const family = sharedFamily(source, destination)
  const known = source !== null && destination !== null && family !== null
  const kind = known ? (family === 4 ? 0x10 : 0x20) | (transport === 'stream' ? 1 : 2) : 0
  const addresses = known ? addressBlock(source, destination) : Buffer.alloc(0)
  const extra = tlvs.map(tlvBytes)
  if (checksum) extra.push(tlvBytes({ type: tlvCrc32c, value: new Uint8Array(4) }))
  const rest = Buffer.concat([addresses, ...extra])
  const head = Buffer.from([0x21, kind, rest.length >> 8, rest.length & 0xff])
  const header = Buffer.concat([signatureV2, head, rest])
  if (checksum) header.writeUInt32BE(crc32c(header), header.length - 4)
  return header
}

/**
 * What a proxy says that speaks for itself: section 2.2's LOCAL. Version 1 has but UNKNOWN for that, which Postfix warns
 * of and Varnish takes for junk, so there it names its own two ends, as haproxy's checks do.
 * Health checks say it, so that a target which wants a header logs no error.
 */
export function writeProxyOwn(version: 1 | 2, own: Peer | null, target: Peer | null): Buffer {
  if (version === 1) return writeProxyV1(own, target)
  return Buffer.concat([signatureV2, Buffer.from([0x20, 0, 0, 0])])
}

function addressBlock(source: Peer, destination: Peer): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  return Buffer.concat([addressBytes(source.address), addressBytes(destination.address), ports])
}

function tlvBytes({ type, value }: Tlv): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value])
}

function sharedFamily(source: Peer | null, destination: Peer | null): 4 | 6 | null {
  if (source === null || destination === null) return null
  const family = familyOf(source.address)
  return family === familyOf(destination.address) ? family : null
}
