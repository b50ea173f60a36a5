/**
 * The server name in a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), read from bytes that may come one at a time
 * and in several records, and without decrypting anything. Post-quantum key shares make hellos of 2 KiB usual.
 */
export type NameRead =
  /** All bytes so far fit; call again with these and more. */
  | { readonly state: 'more' }
  /** Null where the client named nobody. */
  | { readonly state: 'done'; readonly name: string | null }
  /** Not this protocol, or malformed, or larger than 16 KiB. */
  | { readonly state: 'bad' }

const mostHelloBytes = 16 * 1024
const handshakeRecord = 22
const clientHello = 1
const serverNameExtension = 0

const more: NameRead = { state: 'more' }
const bad: NameRead = { state: 'bad' }

export function readServerName(bytes: Uint8Array): NameRead {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const message = readHandshake(buffer)
  if (message === 'more') return buffer.length >= mostHelloBytes + 1024 ? bad : more
  if (message === 'bad') return bad
  const name = nameIn(message)
  return name === undefined ? bad : { state: 'done', name }
}

/** A fatal alert `unrecognized_name` (RFC 6066 §3): what a client is told that asked for a name nobody serves. */
export const unrecognizedName = Buffer.from([21, 3, 3, 0, 2, 2, 112])

/** The ClientHello's body, put together from its records. */
function readHandshake(bytes: Buffer): Buffer | 'more' | 'bad' {
  const parts: Buffer[] = []
  let have = 0
  for (let at = 0; ;) {
    if (bytes.length > at && bytes[at] !== handshakeRecord) return 'bad'
    if (bytes.length > at + 1 && bytes[at + 1] !== 3) return 'bad'
    if (bytes.length < at + 5) return 'more'
    const length = bytes.readUInt16BE(at + 3)
    if (length === 0 || length > 16_384) return 'bad'
    const part = bytes.subarray(at + 5, at + 5 + length)
    parts.push(part)
    have += part.length
    const whole = handshakeBody(parts, have)
    if (whole !== 'more') return whole
    if (part.length < length) return 'more'
    at += 5 + length
  }
}

function handshakeBody(parts: readonly Buffer[], have: number): Buffer | 'more' | 'bad' {
  if (have === 0) return 'more'
  const all = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
  if (all[0] !== clientHello) return 'bad'
  if (have < 4) return 'more'
  const length = all.readUIntBE(1, 3)
  if (length > mostHelloBytes) return 'bad'
  return have < 4 + length ? 'more' : all.subarray(4, 4 + length)
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
  const name = text.toLowerCase().replace(/\.$/, '')
  return /^[a-z0-9_.-]{1,253}$/.test(name) ? name : undefined
}
