/** netlink(7): one question, and its answer, which is there as soon as the question was sent. Some three microseconds. */
import {
  Arena,
  close,
  EINTR,
  EIO,
  EPROTONOSUPPORT,
  familyInet,
  familyInet6,
  openSocket,
  receive,
  send,
  type Descriptor,
} from '../libc.ts'

export const netlinkProtocol = { route: 0, transform: 6, netfilter: 12 } as const

/** How netlink names the version of IP of an address. */
export function familyIn(address: Uint8Array): number {
  return address.length === 4 ? familyInet : familyInet6
}

/** An attribute: its number, and its value or what it holds. */
export type Attribute = readonly [kind: number, value: Uint8Array | readonly Attribute[]]

export interface Told {
  readonly type: number
  readonly body: Uint8Array
  readonly attributes: ReadonlyMap<number, Uint8Array>
}

const family = 16
/** NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP and NLA_F_NESTED; NLMSG_ERROR, which is also how "done" is said. */
const [request, acknowledge, dump, nested, outcome] = [1, 4, 0x300, 0x8000, 2]
/** NLMSG_DONE ends a list; NLM_F_DUMP_INTR says that it changed while it was told. */
const [done, changedMeanwhile] = [3, 0x10]
const headerBytes = 16
const largestAnswer = 16_384

export class Netlink {
  readonly #socket: Descriptor | null
  /** This kernel was built without it. */
  readonly absent: boolean
  readonly #out = Arena.allocate(4096)
  readonly #in = Arena.allocate(largestAnswer)
  #sequence = 0

  constructor(protocol: keyof typeof netlinkProtocol) {
    const socket = openSocket(family, 'datagram', netlinkProtocol[protocol])
    this.#socket = typeof socket === 'number' ? null : socket
    this.absent = socket === -EPROTONOSUPPORT
  }

  /** @param body of the message's own kind; the answer has one of the same length. @returns null where there is none. */
  ask(type: number, body: Uint8Array, attributes: readonly Attribute[]): Told | null {
    const got = this.#exchange(type, request, body, attributes)
    return got && parse(got, body.length)
  }

  /** @returns whether it was done. */
  tell(type: number, body: Uint8Array, attributes: readonly Attribute[]): boolean {
    const got = this.#exchange(type, request | acknowledge, body, attributes)
    const told = got && parse(got, 4)
    return told?.type === outcome && told.body.every((byte) => byte === 0)
  }

  /** All that there are. @returns an errno below zero where they are not told; EINTR where they changed meanwhile. */
  list(type: number, body: Uint8Array, attributes: readonly Attribute[] = []): readonly Told[] | number {
    const told: Told[] = []
    let got = this.#exchange(type, request | dump, body, attributes)
    for (; got; got = this.#more())
      for (const message of messagesIn(got)) {
        const one = parse(message, body.length)
        const view = new DataView(message.buffer, message.byteOffset)
        if (view.getUint16(6, true) & changedMeanwhile) return -EINTR
        if (view.getUint16(4, true) === done) return told
        if (!one || one.type === outcome) return message.length < 20 ? -EIO : view.getInt32(headerBytes, true)
        told.push(one)
      }
    return -EIO
  }

  close(): void {
    if (this.#socket) close(this.#socket)
  }

  #exchange(
    type: number,
    flags: number,
    body: Uint8Array,
    attributes: readonly Attribute[],
  ): Uint8Array | null {
    if (!this.#socket) return null
    const { view, bytes } = this.#out
    bytes.set(body, headerBytes)
    const length = this.#write(headerBytes + body.length, attributes)
    const sequence = ++this.#sequence
    view.setUint32(0, length, true)
    view.setUint16(4, type, true)
    view.setUint16(6, flags, true)
    view.setUint32(8, sequence, true)
    view.setUint32(12, 0, true)
    if (send(this.#socket, this.#out, 0, length) < 0) return null
    return this.#more()
  }

  /** What answers the last question; what an earlier one left unread does not. */
  #more(): Uint8Array | null {
    if (!this.#socket) return null
    for (;;) {
      const got = receive(this.#socket, this.#in, 0, largestAnswer)
      if (got < headerBytes) return null
      if (this.#in.view.getUint32(8, true) === this.#sequence) return this.#in.bytes.subarray(0, got)
    }
  }

  /** @returns where the next one begins. */
  #write(from: number, attributes: readonly Attribute[]): number {
    const { view, bytes } = this.#out
    let at = from
    for (const [kind, value] of attributes) {
      const start = at
      if (value instanceof Uint8Array) {
        bytes.fill(0, start + 4, start + 4 + padded(value.length))
        bytes.set(value, start + 4)
        at += 4 + value.length
      } else at = this.#write(start + 4, value)
      view.setUint16(start, at - start, true)
      view.setUint16(start + 2, value instanceof Uint8Array ? kind : kind | nested, true)
      at = padded(at)
    }
    return at
  }
}

/** What is cut off, or longer than it says, ends the reading. */
export function parse(message: Uint8Array, bodyBytes: number): Told | null {
  const view = new DataView(message.buffer, message.byteOffset, message.length)
  const start = headerBytes + bodyBytes
  if (message.length < start) return null
  const end = Math.min(view.getUint32(0, true), message.length)
  if (end < start) return null
  const attributes = attributesIn(message.subarray(start, end))
  return { type: view.getUint16(4, true), body: message.slice(headerBytes, start), attributes }
}

/** Those of a message, or within one that holds others. */
export function attributesIn(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const attributes = new Map<number, Uint8Array>()
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > bytes.length) break
    attributes.set(view.getUint16(at + 2, true) & 0x3fff, bytes.slice(at + 4, at + length))
    at += padded(length)
  }
  return attributes
}

/** Several may come at once. */
export function messagesIn(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const messages: Uint8Array[] = []
  for (let at = 0; at + headerBytes <= bytes.length;) {
    const length = view.getUint32(at, true)
    if (length < headerBytes || at + length > bytes.length) break
    messages.push(bytes.subarray(at, at + length))
    at += padded(length)
  }
  return messages
}

const padded = (bytes: number): number => (bytes + 3) & ~3
