/** Packets as no socket would send them, and TCP segments that arrive, in a host of the lab (raw(7)). */
import { createRequire } from 'node:module'
import { addressBytes } from '../../src/base/address.ts'
import { enter } from './enter.ts'
import type { LabHost } from './namespaces.ts'

export const flag = { fin: 1, syn: 2, rst: 4, push: 8, ack: 16, urgent: 32 } as const

export interface Segment {
  readonly from: string
  readonly fromPort: number
  readonly to: string
  readonly toPort: number
  readonly flags: number
  readonly sequence?: number
  readonly acknowledged?: number
  readonly bytes?: string
}

const [inet, rawSocket, protocolTcp, protocolUdp, protocolRaw, dontWait] = [2, 3, 6, 17, 255, 0x40]

export class RawTcp implements Disposable {
  readonly #out: number
  readonly #in: number

  constructor(host: LabHost) {
    using _inside = enter(host)
    this.#out = calls().socket(inet, rawSocket, protocolRaw)
    this.#in = calls().socket(inet, rawSocket, protocolTcp)
    if (this.#out < 0 || this.#in < 0) throw new Error('no raw socket')
  }

  send(segment: Segment): void {
    const packet = packetOf(segment)
    const address = Buffer.alloc(16)
    address.writeUInt16LE(inet, 0)
    address.set(addressBytes(segment.to), 4)
    calls().sendto(this.#out, packet, packet.length, 0, address, address.length)
  }

  /** Those that came since the last time. */
  received(): Segment[] {
    const segments: Segment[] = []
    const into = Buffer.alloc(65_536)
    for (;;) {
      const length = calls().recv(this.#in, into, into.length, dontWait)
      if (length < 40) return segments
      const tcp = into.subarray((into[0]! & 15) * 4, length)
      segments.push({
        from: into.subarray(12, 16).join('.'),
        to: into.subarray(16, 20).join('.'),
        fromPort: tcp.readUInt16BE(0),
        toPort: tcp.readUInt16BE(2),
        sequence: tcp.readUInt32BE(4),
        acknowledged: tcp.readUInt32BE(8),
        flags: tcp[13]!,
        bytes: tcp.subarray((tcp[12]! >> 4) * 4).toString('latin1'),
      })
    }
  }

  [Symbol.dispose](): void {
    calls().close(this.#out)
    calls().close(this.#in)
  }
}

export interface RawDatagram {
  readonly from: string
  /** May be 0, which no socket has. */
  readonly fromPort: number
  readonly to: string
  readonly toPort: number
  readonly bytes: string
  /** Who gets it on the link, where no route leads to `to`. @default `to` */
  readonly via?: string
}

export function sendRawDatagram(
  host: LabHost,
  { from, fromPort, to, toPort, bytes, via = to }: RawDatagram,
): void {
  using _inside = enter(host)
  const fd = calls().socket(inet, rawSocket, protocolRaw)
  const udp = Buffer.alloc(8 + bytes.length)
  udp.writeUInt16BE(fromPort, 0)
  udp.writeUInt16BE(toPort, 2)
  udp.writeUInt16BE(udp.length, 4)
  udp.write(bytes, 8, 'latin1')
  const address = Buffer.alloc(16)
  address.writeUInt16LE(inet, 0)
  address.set(addressBytes(via), 4)
  // Without a checksum: IPv4 takes it (RFC 768).
  const packet = inIp(from, to, protocolUdp, udp)
  calls().sendto(fd, packet, packet.length, 0, address, address.length)
  calls().close(fd)
}

function inIp(from: string, to: string, protocol: number, payload: Buffer): Buffer {
  const ip = Buffer.alloc(20)
  ip[0] = 0x45
  ip.writeUInt16BE(20 + payload.length, 2)
  ip[8] = 64
  ip[9] = protocol
  ip.set([...addressBytes(from), ...addressBytes(to)], 12)
  return Buffer.concat([ip, payload])
}

function packetOf({
  from,
  fromPort,
  to,
  toPort,
  flags,
  sequence = 1,
  acknowledged = 0,
  bytes = '',
}: Segment): Buffer {
  const tcp = Buffer.alloc(20 + bytes.length)
  tcp.writeUInt16BE(fromPort, 0)
  tcp.writeUInt16BE(toPort, 2)
  tcp.writeUInt32BE(sequence >>> 0, 4)
  tcp.writeUInt32BE(acknowledged >>> 0, 8)
  tcp[12] = 5 << 4
  tcp[13] = flags
  tcp.writeUInt16BE(500, 14)
  tcp.write(bytes, 20, 'latin1')
  const ends = Buffer.from([...addressBytes(from), ...addressBytes(to)])
  const pseudo = Buffer.concat([ends, Buffer.from([0, protocolTcp, tcp.length >> 8, tcp.length & 255])])
  tcp.writeUInt16BE(checksum(Buffer.concat([pseudo, tcp])), 16)
  return inIp(from, to, protocolTcp, tcp)
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return ~sum & 0xffff
}

interface Calls {
  socket(family: number, type: number, protocol: number): number
  sendto(fd: number, from: Buffer, length: number, flags: number, to: Buffer, toLength: number): number
  recv(fd: number, into: Buffer, length: number, flags: number): number
  close(fd: number): number
}

let made: Calls | undefined

function calls(): Calls {
  return (made ??= make())
}

function make(): Calls {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  const library = koffi.load('libc.so.6')
  return {
    socket: library.func('int socket(int, int, int)'),
    sendto: library.func('int64_t sendto(int, const void *, int64_t, int, const void *, int)'),
    recv: library.func('int64_t recv(int, void *, int64_t, int)'),
    close: library.func('int close(int)'),
  }
}
