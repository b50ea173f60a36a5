/**
 * The PROXY protocol (haproxy's doc/proxy-protocol.txt, versions 1 and 2): what it says of a connection, and the
 * bytes that tell the two versions from anything else.
 */
export interface Peer {
  readonly address: string
  readonly port: number
}

export interface ProxyHeader {
  readonly version: 1 | 2
  /** Null where the sender speaks for itself (LOCAL) or does not know (UNKNOWN, UNSPEC): the socket's peer counts. */
  readonly source: Peer | null
  readonly destination: Peer | null
  readonly transport: 'stream' | 'datagram' | null
  /** Version 2 only. */
  readonly tlvs: readonly Tlv[]
}

export interface Tlv {
  /** PP2_TYPE_…, 0–255. */
  readonly type: number
  readonly value: Uint8Array
}

/** `\r\n\r\n\0\r\nQUIT\n`: no protocol begins so. */
export const signatureV2 = Buffer.from([
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
])
export const signatureV1 = Buffer.from('PROXY ', 'latin1')

export const tlvCrc32c = 0x03

/**
 * Does a stream begin like a PROXY header? `maybe` wants more bytes; every byte that is there fits one of the
 * two signatures so far.
 */
export function beginsLikeProxy(bytes: Uint8Array): 'yes' | 'no' | 'maybe' {
  for (const signature of [signatureV1, signatureV2]) {
    const shared = Math.min(bytes.length, signature.length)
    if (signature.subarray(0, shared).equals(bytes.subarray(0, shared))) {
      return shared === signature.length ? 'yes' : 'maybe'
    }
  }
  return 'no'
}
