/** Many datagrams a call: headers, names, control messages and data as recvmmsg(2) and sendmmsg(2) want them. */
import { Arena, receiveMany, send, sendMany, type Descriptor } from '../../../linux/libc.ts'

/** struct mmsghdr, in words; iovec and cmsghdr have 16 bytes: alike on x86-64 and arm64 (LP64). */
const header = {
  bytes: 64,
  nameLength: 2,
  vector: 4,
  vectorCount: 6,
  control: 8,
  controlLength: 10,
  length: 14,
}
/** Batches that one socket may read in a turn of the loop. */
export const batchesPerTurn = 8
const nameBytes = 32
const controlBytes = 128

/**
 * Up to `count` datagrams with their peers and control messages, laid out for recvmmsg and sendmmsg. The largest
 * datagram is 65,535 bytes; a slot is a bit more, so that slots do not fall on the same cache lines.
 */
export class Datagrams {
  readonly count: number
  readonly arena: Arena
  readonly #names: number
  readonly #controls: number
  readonly #data: number
  /** Some slot's vector was pointed into its middle; such a batch is rare, so all are set right from then on. */
  #moved = false
  /** Some message was made of another slot than its own. */
  #composed = false

  /** Most bytes in a slot. */
  static readonly slotBytes = 65_536
  static readonly #stride = 65_536 + 320

  constructor(count: number) {
    this.count = count
    const vectors = count * header.bytes
    this.#names = vectors + count * 16
    this.#controls = this.#names + count * nameBytes
    this.#data = this.#controls + count * controlBytes
    this.arena = Arena.allocate(this.#data + count * Datagrams.#stride)
    for (let i = 0; i < count; i++) {
      this.#pointer(i * header.bytes, this.#names + i * nameBytes)
      this.#pointer(i * header.bytes + header.vector * 4, vectors + i * 16)
      this.arena.words[i * 16 + header.vectorCount] = 1
      this.#pointer(i * header.bytes + header.control * 4, this.#controls + i * controlBytes)
      this.#pointer(vectors + i * 16, this.dataAt(i))
    }
  }

  #pointer(offset: number, to: number): void {
    Arena.point(this.arena, offset, this.arena, to, 1)
  }

  dataAt(i: number): number {
    return this.#data + i * Datagrams.#stride
  }
  /** Offset of the i-th sockaddr in the arena. */
  nameAt(i: number): number {
    return this.#names + i * nameBytes
  }
  /** Bytes that came in (after `receive`). */
  length(i: number): number {
    return this.arena.words[i * 16 + header.length] as number
  }

  /** Fills slots from `first` on. @returns how many, or an errno below zero. */
  receive(socket: Descriptor, first: number, most: number, withPeer: boolean): number {
    const { words } = this.arena
    for (let i = first; i < first + most; i++) {
      if (this.#composed) this.#vector(i, i, 1)
      if (this.#moved) this.#pointer(this.count * header.bytes + i * 16, this.dataAt(i))
      words[i * 16 + header.nameLength] = withPeer ? nameBytes - 4 : 0
      words[i * 16 + header.controlLength] = controlBytes
      this.#setBytes(i, Datagrams.slotBytes)
    }
    return receiveMany(socket, this.arena, first * header.bytes, most)
  }

  #setBytes(slot: number, bytes: number): void {
    this.arena.words[(this.count * header.bytes + slot * 16 + 8) >> 2] = bytes
  }

  /** The i-th message is made of `slots` slots from `slot` on. */
  #vector(i: number, slot: number, slots: number): void {
    const { arena } = this
    Arena.point(
      arena,
      i * header.bytes + header.vector * 4,
      arena,
      this.count * header.bytes + slot * 16,
      slots * 16,
    )
    arena.words[i * 16 + header.vectorCount] = slots
  }

  /**
   * The i-th message holds `slots` slots from `slot` on as they came in; `sockaddr` (16 or 28 bytes) is where it
   * goes, null the connected peer. More than one slot needs `segment`. A message at or before its slot is safe.
   */
  compose(i: number, slot: number, slots: number, sockaddr: Uint8Array | null): void {
    const { words } = this.arena
    for (let at = slot; at < slot + slots; at++) this.#setBytes(at, this.length(at))
    if (this.#composed || i !== slot || slots !== 1) {
      this.#composed = true
      this.#vector(i, slot, slots)
    }
    if (sockaddr) this.arena.bytes.set(sockaddr, this.nameAt(i))
    words[i * 16 + header.nameLength] = sockaddr ? sockaddr.length : 0
    words[i * 16 + header.controlLength] = 0
  }

  /** The i-th message is a part of one slot. */
  composePart(i: number, slot: number, from: number, bytes: number, sockaddr: Uint8Array): void {
    this.compose(i, slot, 1, sockaddr)
    this.#pointer(this.count * header.bytes + slot * 16, this.dataAt(slot) + from)
    this.#setBytes(slot, bytes)
    this.#moved = true
  }

  /** Adds a control message to the i-th datagram; its data is written at the offset this returns. */
  #addControl(i: number, level: number, type: number, bytes: number): number {
    const { words } = this.arena
    const used = words[i * 16 + header.controlLength] as number
    const at = this.#controls + i * controlBytes + used
    words[at >> 2] = 16 + bytes
    words[(at >> 2) + 1] = 0
    words[(at >> 2) + 2] = level
    words[(at >> 2) + 3] = type
    words[i * 16 + header.controlLength] = used + 16 + ((bytes + 7) & ~7)
    return at + 16
  }

  /** The i-th datagram leaves from `address`: 4 or 16 network-order bytes. */
  from(i: number, address: Uint8Array): void {
    if (address.length === 4) {
      const at = this.#addControl(i, 0, 8, 12)
      this.arena.words[at >> 2] = 0
      this.arena.bytes.set(address, at + 4)
      this.arena.words[(at >> 2) + 2] = 0
    } else {
      const at = this.#addControl(i, 41, 50, 20)
      this.arena.bytes.set(address, at)
      this.arena.words[(at >> 2) + 4] = 0
    }
  }

  /** The kernel cuts the i-th slot into datagrams of `bytes` (UDP_SEGMENT, since Linux 4.18). */
  segment(i: number, bytes: number): void {
    const at = this.#addControl(i, 17, 103, 2)
    this.arena.view.setUint16(at, bytes, true)
  }

  /** Sends slots from `first` on. @returns how many went, or an errno below zero where the first did not. */
  send(socket: Descriptor, first: number, count: number): number {
    return sendMany(socket, this.arena, first * header.bytes, count)
  }

  /** Sends the i-th slot, or a part of it, to the connected peer. Cheaper than sendmmsg for one. */
  sendOne(socket: Descriptor, i: number, from: number, bytes: number): number {
    return send(socket, this.arena, this.dataAt(i) + from, bytes)
  }

  /**
   * The address of ours that the i-th datagram came to, as `from` takes it: of an IPv4 broadcast the one that the
   * system would answer from. Null where it is not told, or where none is ours (IPv6 multicast). Copied.
   */
  localAddress(i: number): Uint8Array | null {
    const { bytes, words } = this.arena
    const four = this.#findControl(i, 0, 8)
    if (four > 0) return words[(four + 4) >> 2] === 0 ? null : bytes.slice(four + 4, four + 8)
    const six = this.#findControl(i, 41, 50)
    return six === 0 || bytes[six] === 0xff ? null : bytes.slice(six, six + 16)
  }

  /** Whether `address`, which `localAddress` gave, is the i-th datagram's too. */
  cameTo(i: number, address: Uint8Array): boolean {
    const { bytes } = this.arena
    const four = this.#findControl(i, 0, 8)
    const at = four > 0 ? four + 4 : this.#findControl(i, 41, 50)
    if (at === 0 || (four > 0 ? 4 : 16) !== address.length) return false
    for (let b = 0; b < address.length; b++) if (bytes[at + b] !== address[b]) return false
    return true
  }

  /** Both came to one address, also as far as they were sent to many. */
  sameDestination(a: number, b: number): boolean {
    const { bytes } = this.arena
    const four = this.#findControl(a, 0, 8)
    const from = four > 0 ? four + 4 : this.#findControl(a, 41, 50)
    const other = four > 0 ? this.#findControl(b, 0, 8) + 4 : this.#findControl(b, 41, 50)
    const length = four > 0 ? 8 : 16
    for (let i = 0; i < length; i++) if (bytes[from + i] !== bytes[other + i]) return false
    return true
  }

  /** Sent to a broadcast or multicast address: every socket on the port has a copy of its own. */
  isForMany(i: number): boolean {
    const { bytes, words } = this.arena
    const four = this.#findControl(i, 0, 8)
    if (four > 0) return words[(four + 4) >> 2] !== words[(four + 8) >> 2]
    const six = this.#findControl(i, 41, 50)
    return six > 0 && bytes[six] === 0xff
  }

  /** Size of the datagrams that came in together in the i-th slot; 0 where it is one (UDP_GRO). */
  segmentBytes(i: number): number {
    const at = this.#findControl(i, 17, 104)
    return at > 0 ? this.arena.view.getUint16(at, true) : 0
  }

  /** The mark of the datagram in the i-th slot; 0 where it has none, or it is not told (SO_RCVMARK). */
  mark(i: number): number {
    const at = this.#findControl(i, 1, 36)
    return at > 0 ? this.arena.view.getUint32(at, true) : 0
  }

  /** Offset of a control message's data, or 0. */
  #findControl(i: number, level: number, type: number): number {
    const { words } = this.arena
    const start = this.#controls + i * controlBytes
    const end = start + Math.min(words[i * 16 + header.controlLength] as number, controlBytes)
    for (let at = start; at + 16 <= end;) {
      const bytes = words[at >> 2] as number
      if (bytes < 16) return 0
      if (words[(at >> 2) + 2] === level && words[(at >> 2) + 3] === type) return at + 16
      at += (bytes + 7) & ~7
    }
    return 0
  }
}
