/** Which name a client asks for: TLS says it in its hello, HTTP in its Host header; the first byte tells which. */
import { readServerName, unrecognizedName, type NameRead } from './client-hello.ts'
import { misdirected, readHost } from './host-header.ts'

export interface AskedName {
  readonly read: NameRead
  /** What to answer where nobody serves the name; empty for what is neither protocol. */
  readonly refusal: Buffer
}

/** 22 begins a TLS handshake record; no HTTP method does. */
const tlsHandshake = 22

export function readAskedName(bytes: Uint8Array): AskedName {
  if (bytes.length === 0) return { read: { state: 'more' }, refusal: Buffer.alloc(0) }
  if (bytes[0] === tlsHandshake) return { read: readServerName(bytes), refusal: unrecognizedName }
  const read = readHost(bytes)
  return { read, refusal: read.state === 'bad' ? Buffer.alloc(0) : misdirected }
}
