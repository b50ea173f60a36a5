/** The host an HTTP/1 request asks for (RFC 9112 §3.2), read from bytes that may come one at a time. */
import { cleanName, type NameRead } from './client-hello.ts'

/** Request line and headers up to Host; more is what servers refuse, too. */
const mostHeadBytes = 16 * 1024

/** The first bytes of any request: a method, which is upper-case letters in practice. */
const methodBeginning = /^[A-Z-]{1,20}( |$)/

export function readHost(bytes: Uint8Array): NameRead {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, mostHeadBytes)).toString(
    'latin1',
  )
  if (head.length > 0 && !methodBeginning.test(head.slice(0, 21))) return { state: 'bad' }
  const lines = head.split('\n')
  // The last piece has no line end yet.
  const whole = lines.slice(0, -1).map((line) => line.replace(/\r$/, ''))
  if (whole[0] !== undefined && !/^\S+ \S+ HTTP\/1\.[01]$/.test(whole[0])) return { state: 'bad' }
  const hosts = hostsIn(whole.slice(1))
  if (hosts === null) return { state: 'bad' }
  const complete = whole.slice(1).includes('')
  if (!complete) return bytes.length >= mostHeadBytes ? { state: 'bad' } : { state: 'more' }
  const [host] = hosts
  // RFC 9112 §3.2: more than one is no valid request, and a way to mean two things at once.
  if (hosts.length > 1) return { state: 'bad' }
  if (host === undefined) return { state: 'done', name: null }
  const name = cleanName(host.replace(/:\d*$/, ''))
  return name === undefined ? literalHost(host) : { state: 'done', name }
}

/** Values of Host before the empty line; null where a line is no header. */
function hostsIn(lines: readonly string[]): readonly string[] | null {
  const hosts: string[] = []
  for (const line of lines) {
    if (line === '') break
    const [, field, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (field === undefined) return null
    if (field.toLowerCase() === 'host') hosts.push(value ?? '')
  }
  return hosts
}

/** `[::1]:80` and an empty value name nobody. */
function literalHost(host: string): NameRead {
  return host === '' || host.startsWith('[') ? { state: 'done', name: null } : { state: 'bad' }
}

/** What a client is told that asked for a host nobody serves (RFC 9110 §15.5.20). */
export const misdirected = Buffer.from(
  'HTTP/1.1 421 Misdirected Request\r\nContent-Type: text/plain\r\nContent-Length: 37\r\nConnection: close\r\n\r\nNo service has this name on this port',
  'latin1',
)
