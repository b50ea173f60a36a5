/** Where things lie in a packet and in what is kept of its flow, for each version of IP. */
import type { Family } from '../../base/address.ts'

/** Bytes of an Ethernet header (RFC 894). */
export const etherBytes = 14

/** Offsets from the Ethernet header on: RFC 791 §3.1, RFC 8200 §3. */
const headers = {
  4: {
    /** As network order reads on a little-endian machine; what Node runs on with koffi is one. */
    etherType: 0x0008,
    addressBytes: 4,
    headerBytes: 20,
    /** How many of them the header's length field does not count. */
    uncounted: 0,
    length: 16,
    timeToLive: 22,
    protocol: 23,
    source: 26,
    destination: 30,
  },
  6: {
    etherType: 0xdd86,
    addressBytes: 16,
    headerBytes: 40,
    uncounted: 40,
    length: 18,
    timeToLive: 21,
    protocol: 20,
    source: 22,
    destination: 38,
  },
} as const

export const transports = {
  // Zero means that there is no checksum (RFC 768).
  udp: { number: 17, headerBytes: 8, checksumAt: 6, checksumFlags: 0x20 },
  tcp: { number: 6, headerBytes: 20, checksumAt: 16, checksumFlags: 0 },
} as const
export type IpTransport = keyof typeof transports

/** Bytes of each packet that are not counted: of TCP the headers count too, as conntrack counts them. */
export function leftOutBytes(family: Family, transport: IpTransport): number {
  return transport === 'udp' ? headers[family].headerBytes + transports.udp.headerBytes : 0
}

export type Layout = ReturnType<typeof layoutOf>

function layoutOf(family: Family) {
  const header = headers[family]
  const { addressBytes, headerBytes } = header
  /** Source and destination address, source and destination port, all as they are on the wire, and the protocol. */
  const key = {
    source: 0,
    destination: addressBytes,
    ports: 2 * addressBytes,
    protocol: 2 * addressBytes + 4,
    bytes: 2 * addressBytes + 8,
  } as const
  const after = 2 * addressBytes + 4
  return {
    family,
    wire: { ...header, ports: etherBytes + headerBytes },
    key,
    /** What is kept of a flow. */
    flow: {
      /** Addresses and ports that its packets get, as on the wire. */
      source: 0,
      destination: addressBytes,
      ports: 2 * addressBytes,
      /** Where they leave; 0 while it is not known. */
      device: after,
      /** When it was looked last where a router sends them, ns. */
      lookedAt: after + 4,
      /** What that changes in checksums (RFC 1624): by the addresses, by the ports, and in the IP header. */
      addressChange: after + 12,
      portChange: after + 16,
      /** The Ethernet header: to whom, from whom. */
      neighbour: after + 20,
      own: after + 26,
      /** 0: as a relay sends anew, the way that it was told; 1: as a router hands on, by the route that it looks up. */
      routed: after + 32,
      /** What was carried: packets, and bytes but for so many of headers a packet. */
      packets: after + 36,
      carried: after + 44,
      headerBytes: after + 52,
      owner: after + 56,
      /** Of the protocol's checksum: where it is, and whether zero means that there is none. */
      checksumAt: after + 60,
      checksumFlags: after + 64,
      /** Set once either end has said that it is over: all else goes the ordinary way. */
      over: after + 68,
      /** The device that its packets come in by: what comes by another is not believed to be the flow's (RFC 3704). */
      arrives: after + 72,
      headerChange: after + 76,
      /** Most bytes of a packet that fit where they leave; 0 where that has to be asked. */
      mtu: after + 80,
      /** A relay's: not 0 while they are carried. */
      carrying: after + 84,
      /** A relay's: the number of the last one that went the ordinary way. */
      number: after + 88,
      bytes: after + 92,
    },
  } as const
}

export const layouts: Readonly<Record<Family, Layout>> = { 4: layoutOf(4), 6: layoutOf(6) }

/** By the flow's key, the number of the last packet that its owner has sent on. */
export const sentOnBytes = 4

/** By the owner's number, until when it lives, ns of the monotonic clock. */
export const beatSizes = { key: 4, value: 8 } as const
