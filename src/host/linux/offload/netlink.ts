/** netlink(7): one question, and its answer, which is there as soon as the question was sent. Some three microseconds. */
import { Arena, close, familyInet, familyInet6, openSocket, receive, send, type Descriptor } from '../ffi.ts'

export const netlinkProtocol = { route: 0, netfilter: 12 } as const

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
/** NLM_F_REQUEST, NLM_F_ACK and NLA_F_NESTED; NLMSG_ERROR, which is also how "done" is said. */
const [request, acknowledge, nested, outcome] = [1, 4, 0x8000, 2]
const headerBytes = 16
const largestAnswer = 16_384

export class Netlink {
  readonly #socket: Descriptor | null
  readonly #out = Arena.allocate(4096)
  readonly #in = Arena.allocate(largestAnswer)
  #sequence = 0

  constructor(protocol: keyof typeof netlinkProtocol) {
    const socket = openSocket(family, 'datagram', netlinkProtocol[protocol])
    this.#socket = typeof socket === 'number' ? null : socket
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
    const got = receive(this.#socket, this.#in, 0, largestAnswer)
    if (got < headerBytes || this.#in.view.getUint32(8, true) !== sequence) return null
    return this.#in.bytes.subarray(0, got)
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
  const attributes = new Map<number, Uint8Array>()
  for (let at = start; at + 4 <= end;) {
    const length = view.getUint16(at, true)
    if (length < 4 || at + length > end) break
    attributes.set(view.getUint16(at + 2, true) & 0x3fff, message.slice(at + 4, at + length))
    at += padded(length)
  }
  return { type: view.getUint16(4, true), body: message.slice(headerBytes, start), attributes }
}

const padded = (bytes: number): number => (bytes + 3) & ~3
