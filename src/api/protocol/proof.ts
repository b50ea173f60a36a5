/**
 * How a page that stayed open while its port was let go comes back: both sides show that they know a secret, and
 * neither says it. Whoever else held the port meanwhile learns nothing, and passes nothing on: what is shown is true of
 * one address and port alone, and the real Naru is not at his.
 */
const encoder = new TextEncoder()

export type ProofSide = 'page' | 'naru'

export interface Meeting {
  /** `127.0.0.1:6278`, as the server's own end of the connection has it. */
  readonly at: string
  /** Chance of either side, so that nothing said once is of use again. */
  readonly pageNonce: string
  readonly naruNonce: string
}

/** Needs WebCrypto, which browsers offer on loopback. @returns base64 */
export async function proofOf(
  secret: string,
  side: ProofSide,
  { at, pageNonce, naruNonce }: Meeting,
): Promise<string> {
  const how = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), how, false, ['sign'])
  const said = await crypto.subtle.sign(
    'HMAC',
    key,
    encoder.encode([side, at, pageNonce, naruNonce].join('\n')),
  )
  return btoa(String.fromCharCode(...new Uint8Array(said)))
}

/** Whether `at` is where the page was loaded from. */
export function isPlace(at: string, { hostname, port }: { hostname: string; port: string }): boolean {
  const hosts = hostname === 'localhost' ? ['127.0.0.1', '[::1]'] : [hostname]
  return hosts.some((host) => at === `${host}:${port === '' ? '80' : port}`)
}
