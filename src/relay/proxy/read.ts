/**
 * Reads PROXY headers off the front of a stream or a datagram, however the bytes come in. Bounded: 107 bytes for
 * version 1, 4 KiB for version 2, and nothing is believed that is not written exactly as the specification says.
 */
import { addressFromBytes, canonicalAddress, familyOf } from '../../base/address.ts'
import { crc32c } from './crc32c.ts'
import { beginsLikeProxy, signatureV2, tlvCrc32c, type Peer, type ProxyHeader, type Tlv } from './header.ts'

export type ProxyRead =
  /** All bytes so far fit; call again with these and more. */
  | { readonly state: 'more' }
  /** `why` is for the log. */
  | { readonly state: 'bad'; readonly why: string }
  /** What follows the first `length` bytes is the client's. */
  | { readonly state: 'done'; readonly length: number; readonly header: ProxyHeader }

/** Section 2.1: the longest line is 107 bytes with its CRLF. */
const longestV1 = 107
/** The 16 bytes in front, addresses, and TLVs such as a client certificate's names. */
const longestV2 = 4096

export function readProxyHeader(bytes: Uint8Array): ProxyRead {
  const beginning = beginsLikeProxy(bytes)
  if (beginning === 'no') return bad('no PROXY header')
  if (beginning === 'maybe') return { state: 'more' }
  return bytes[0] === signatureV2[0]
    ? readV2(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    : readV1(bytes)
}

function readV1(bytes: Uint8Array): ProxyRead {
  const line = Buffer.from(bytes.subarray(0, longestV1)).toString('latin1')
  const end = line.indexOf('\r\n')
  if (end === -1) return bytes.length >= longestV1 ? bad('a line longer than 107 bytes') : { state: 'more' }
  const header = parseV1(line.slice(0, end))
  return header ? { state: 'done', length: end + 2, header } : bad('a malformed version 1 line')
}

function parseV1(line: string): ProxyHeader | null {
  const unknown: ProxyHeader = { version: 1, source: null, destination: null, transport: null, tlvs: [] }
  // The rest of an UNKNOWN line is to be ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return unknown
  const [, protocol, from = '', to = '', fromPort = '', toPort = '', ...rest] = line.split(' ')
  const family = protocol === 'TCP4' ? 4 : protocol === 'TCP6' ? 6 : null
  if (family === null || rest.length > 0) return null
  const source = parsePeer(from, fromPort, family)
  const destination = parsePeer(to, toPort, family)
  return source && destination && { ...unknown, source, destination, transport: 'stream' }
}

function parsePeer(text: string, portText: string, family: 4 | 6): Peer | null {
  const address = canonicalAddress(text)
  if (address === null || familyOf(address) !== family || text.includes('%')) return null
  if (!/^(0|[1-9]\d{0,4})$/.test(portText) || Number(portText) > 65_535) return null
  return { address, port: Number(portText) }
}

function readV2(bytes: Buffer): ProxyRead {
  if (bytes.length < 16) return { state: 'more' }
  const command = bytes.readUInt8(12)
  if (command !== 0x20 && command !== 0x21) return bad('an unknown version or command')
  const length = 16 + bytes.readUInt16BE(14)
  if (length > longestV2) return bad(`a header of ${length} bytes`)
  const kind = readKind(bytes.readUInt8(13))
  if (kind === null) return bad('an unknown address family or transport')
  if (length < 16 + kind.addressBytes) return bad('a header shorter than its addresses')
  if (bytes.length < length) return { state: 'more' }
  const header = bytes.subarray(0, length)
  const tlvs = readTlvs(header, 16 + kind.addressBytes)
  if (tlvs === null) return bad('a malformed TLV')
  if (!checksumHolds(header, tlvs)) return bad('a wrong checksum')
  // LOCAL: whatever addresses there are must be ignored.
  const said = command === 0x21 ? readPeers(header, kind.addressBytes) : { source: null, destination: null }
  const transport = command === 0x21 ? kind.transport : null
  const plain = tlvs.map(({ type, value }) => ({ type, value }))
  return { state: 'done', length, header: { version: 2, ...said, transport, tlvs: plain } }
}

interface Kind {
  readonly addressBytes: number
  readonly transport: ProxyHeader['transport']
}

/** The family in the high half, the transport in the low one. Unix addresses are passed over. */
function readKind(byte: number): Kind | null {
  const sizes = [0, 12, 36, 216]
  const transports = [null, 'stream', 'datagram'] as const
  const addressBytes = sizes[byte >> 4]
  const transport = transports[byte & 15]
  if (addressBytes === undefined || transport === undefined) return null
  return addressBytes === 0 || transport === null
    ? { addressBytes: 0, transport: null }
    : { addressBytes, transport }
}

function readPeers(header: Buffer, addressBytes: number): Pick<ProxyHeader, 'source' | 'destination'> {
  if (addressBytes !== 12 && addressBytes !== 36) return { source: null, destination: null }
  const width = addressBytes === 12 ? 4 : 16
  const peer = (at: number, portAt: number): Peer => ({
    address: addressFromBytes(header.subarray(at, at + width)),
    port: header.readUInt16BE(portAt),
  })
  const ports = 16 + 2 * width
  return { source: peer(16, ports), destination: peer(16 + width, ports + 2) }
}

function readTlvs(header: Buffer, from: number): (Tlv & { at: number })[] | null {
  const tlvs: (Tlv & { at: number })[] = []
  for (let at = from; at < header.length;) {
    if (at + 3 > header.length) return null
    const end = at + 3 + header.readUInt16BE(at + 1)
    if (end > header.length) return null
    tlvs.push({
      type: header.readUInt8(at),
      value: Uint8Array.from(header.subarray(at + 3, end)),
      at: at + 3,
    })
    at = end
  }
  return tlvs
}

/** Section 2.2.4: computed with the checksum's own bytes as zero; a header without one holds. */
function checksumHolds(header: Buffer, tlvs: readonly (Tlv & { at: number })[]): boolean {
  const tlv = tlvs.find(({ type }) => type === tlvCrc32c)
  if (!tlv) return true
  if (tlv.value.length !== 4) return false
  const blank = Buffer.from(header)
  blank.fill(0, tlv.at, tlv.at + 4)
  return crc32c(blank) === header.readUInt32BE(tlv.at)
}

function bad(why: string): ProxyRead {
  return { state: 'bad', why }
}
