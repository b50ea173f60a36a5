/**
 * The server name in a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), read from bytes that may come one at a time
 * and in several records, and without decrypting anything. Post-quantum key shares make hellos of 2 KiB usual.
 */
export type NameRead =
  /** All bytes so far fit; read again once there are more. */
  | { readonly state: 'more' }
  /** Null where the client named nobody. */
  | { readonly state: 'done'; readonly name: string | null }
  /** Not this protocol, or malformed, or larger than 16 KiB. */
  | { readonly state: 'bad' }

const mostHelloBytes = 16 * 1024
/** With the heads of its records. */
const mostStreamBytes = mostHelloBytes + 1024
const recordHead = 5
const handshakeHead = 4
const handshakeRecord = 22
const tlsMajor = 3
const clientHello = 1
const serverNameExtension = 0

const more: NameRead = { state: 'more' }
const bad: NameRead = { state: 'bad' }

/** A fatal alert `unrecognized_name` (RFC 6066 §3): what a client is told that asked for a name nobody serves. */
export const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112])

/** Reads one client's hello. Each byte is looked at once, however many segments and records it comes in. */
export class HelloReader {
  /** How far into the stream all has been read. */
  #at = 0
  #leftOfRecord = 0
  /** At first its head, which tells how long it is. */
  #message = Buffer.alloc(handshakeHead)
  #sized = false
  #have = 0

  /** @param bytes all that the client has said so far, each time with the former in front. */
  read(bytes: Uint8Array): NameRead {
    const stream = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    while (this.#at < stream.length) {
      const begun = this.#leftOfRecord > 0 ? 'yes' : this.#beginRecord(stream)
      if (begun === 'bad') return bad
      if (begun === 'more') break
      const part = stream.subarray(this.#at, this.#at + this.#leftOfRecord)
      this.#at += part.length
      this.#leftOfRecord -= part.length
      const read = this.#gather(part)
      if (read !== more) return read
    }
    return stream.length >= mostStreamBytes ? bad : more
  }

  #beginRecord(stream: Buffer): 'yes' | 'more' | 'bad' {
    if (stream[this.#at] !== handshakeRecord) return 'bad'
    if (stream.length > this.#at + 1 && stream[this.#at + 1] !== tlsMajor) return 'bad'
    if (stream.length < this.#at + recordHead) return 'more'
    this.#leftOfRecord = stream.readUInt16BE(this.#at + 3)
    this.#at += recordHead
    return this.#leftOfRecord === 0 || this.#leftOfRecord > mostHelloBytes ? 'bad' : 'yes'
  }

  #gather(part: Buffer): NameRead {
    const used = this.#fill(part)
    if (this.#have > 0 && this.#message[0] !== clientHello) return bad
    if (this.#have < handshakeHead) return more
    if (!this.#sized) {
      const length = this.#message.readUIntBE(1, 3)
      if (length > mostHelloBytes) return bad
      this.#sized = true
      this.#message = Buffer.concat([this.#message], handshakeHead + length)
      this.#fill(part.subarray(used))
    }
    if (this.#have < this.#message.length) return more
    const name = nameIn(this.#message.subarray(handshakeHead))
    return name === undefined ? bad : { state: 'done', name }
  }

  #fill(part: Buffer): number {
    const copied = part.copy(this.#message, this.#have)
    this.#have += copied
    return copied
  }
}

/** Undefined where it is malformed. */
function nameIn(hello: Buffer): string | null | undefined {
  try {
    // Version and random, then three lists that are passed over: session, cipher suites, compression.
    let at = 34
    at += 1 + hello.readUInt8(at)
    at += 2 + hello.readUInt16BE(at)
    at += 1 + hello.readUInt8(at)
    if (at === hello.length) return null
    const end = at + 2 + hello.readUInt16BE(at)
    if (end !== hello.length) return undefined
    for (at += 2; at < end;) {
      const type = hello.readUInt16BE(at)
      const length = hello.readUInt16BE(at + 2)
      if (at + 4 + length > end) return undefined
      if (type === serverNameExtension) return hostNameIn(hello.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    return null
  } catch {
    // A length led beyond the end.
    return undefined
  }
}

/** The first entry of type host_name. */
function hostNameIn(list: Buffer): string | null | undefined {
  const end = 2 + list.readUInt16BE(0)
  if (end > list.length) return undefined
  for (let at = 2; at < end;) {
    const length = list.readUInt16BE(at + 1)
    if (at + 3 + length > end) return undefined
    if (list[at] === 0) return cleanName(list.toString('latin1', at + 3, at + 3 + length))
    at += 3 + length
  }
  return null
}

/** Lower case, without a final dot; undefined for what no name can be. */
export function cleanName(text: string): string | undefined {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  return /^[a-z0-9_.-]{1,253}$/i.test(name) ? name.toLowerCase() : undefined
}
