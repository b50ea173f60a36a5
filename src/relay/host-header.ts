/**
 * The host an HTTP/1 request asks for (RFC 9112 §3.2), read from bytes that may come one at a time. A line is looked
 * at once, when it is whole, and with no regular expression that could go back over it.
 */
import { cleanName, type NameRead } from './client-hello.ts'

export type HostRead =
  | NameRead
  /** More than we read of a head, and no host in that. */
  | { readonly state: 'too-large' }

/** Request line and headers: as much as nginx takes (four buffers of 8 KiB), twice what haproxy does. */
const mostHeadBytes = 32 * 1024
/** Methods in use have up to 17 letters; other protocols that begin with words are told by this. */
const mostMethodBytes = 32

const more: HostRead = { state: 'more' }
const bad: HostRead = { state: 'bad' }

const [lineFeed, space] = [0x0a, 0x20]

export class HostReader {
  /** Where the line begins that is not whole yet, and how far its end was looked for. */
  #lineAt = 0
  #seen = 0
  #beganLine: 'request' | 'field' = 'request'
  /** The host in the target of the request, which counts before any header (RFC 9112 §3.2.2). */
  #absolute: string | null = null
  #host: string | null = null

  /** @param bytes all that the client has said so far, each time with the former in front. */
  read(bytes: Uint8Array): HostRead {
    const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, mostHeadBytes))
    for (;;) {
      const end = head.indexOf(lineFeed, this.#seen)
      if (end === -1) break
      const read = this.#line(lineIn(head, this.#lineAt, end))
      if (read !== more) return read
      this.#lineAt = this.#seen = end + 1
    }
    this.#seen = head.length
    if (this.#beganLine === 'request' && !beginsLikeMethod(head.subarray(this.#lineAt))) return bad
    if (bytes.length < mostHeadBytes) return more
    return (this.#absolute ?? this.#host) === null ? { state: 'too-large' } : this.#asked()
  }

  /** @param line null where it has a CR or a NUL within, which could be read in two ways (RFC 9112 §2.2). */
  #line(line: string | null): HostRead {
    if (line === null) return bad
    if (this.#beganLine === 'field') return line === '' ? this.#asked() : this.#field(line)
    // RFC 9112 §2.2: an empty line in front of a request is passed over.
    return line === '' ? more : this.#request(line)
  }

  #request(line: string): HostRead {
    const [method = '', target = '', version = '', ...rest] = line.split(' ', 4)
    if (!isToken(method) || method.length > mostMethodBytes || rest.length > 0) return bad
    if (target === '' || target.includes('\t') || !/^HTTP\/1\.\d$/.test(version)) return bad
    this.#beganLine = 'field'
    const host = hostOfUrl(target)
    if (host === undefined) return bad
    this.#absolute = host
    return more
  }

  /** A folded line, or blanks before the colon, are no field (RFC 9112 §5). */
  #field(line: string): HostRead {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0))
    if (!isToken(name)) return bad
    if (name.length !== 4 || name.toLowerCase() !== 'host') return more
    // RFC 9112 §3.2: more than one is no valid request, and a way to mean two things at once.
    if (this.#host !== null) return bad
    this.#host = withoutBlanks(line.slice(colon + 1))
    return more
  }

  #asked(): HostRead {
    const host = this.#absolute ?? this.#host
    // `[::1]:80` and an empty value name nobody.
    if (host === null || host === '' || host.startsWith('[')) return { state: 'done', name: null }
    const name = cleanName(withoutPort(host))
    return name === undefined ? bad : { state: 'done', name }
  }
}

/** Without its end, which is CRLF or a bare LF; null where another CR, or a NUL, is in it. */
function lineIn(head: Buffer, from: number, end: number): string | null {
  const line = head.toString('latin1', from, end)
  const text = line.endsWith('\r') ? line.slice(0, -1) : line
  return text.includes('\r') || text.includes('\0') ? null : text
}

/** The authority of `http://HOST:PORT/…`, null for the other forms, undefined where it has a user or none. */
function hostOfUrl(target: string): string | null | undefined {
  const scheme = target.indexOf('://')
  if (scheme <= 0 || !/^[a-z][a-z0-9+.-]*$/i.test(target.slice(0, scheme))) return null
  const rest = target.slice(scheme + 3)
  const end = rest.search(/[/?#]/)
  const authority = end === -1 ? rest : rest.slice(0, end)
  // RFC 9110 §4.2.4: what is before an @ disguises whom the client means.
  return authority === '' || authority.includes('@') ? undefined : authority
}

/** Spaces and tabs around a value (RFC 9110 §5.6.3). */
function withoutBlanks(text: string): string {
  const blank = (at: number): boolean => text[at] === ' ' || text[at] === '\t'
  let [from, to] = [0, text.length]
  while (from < to && blank(from)) from++
  while (to > from && blank(to - 1)) to--
  return text.slice(from, to)
}

function withoutPort(host: string): string {
  const colon = host.lastIndexOf(':')
  return colon !== -1 && /^\d{0,5}$/.test(host.slice(colon + 1)) ? host.slice(0, colon) : host
}

/** RFC 9110 §5.6.2. */
function isToken(text: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text)
}

/** What is there of a request line, or of the empty line in front of one. */
function beginsLikeMethod(line: Buffer): boolean {
  const begun = line.toString('latin1', 0, mostMethodBytes + 1)
  if (begun === '' || begun === '\r') return true
  const blank = line.indexOf(space)
  const method = blank === -1 ? begun : begun.slice(0, blank)
  return method.length <= mostMethodBytes && isToken(method)
}

/** What a client is told that asked for a host nobody serves (RFC 9110 §15.5.20). */
export const misdirected = answer('421 Misdirected Request', 'No service has this name on this port')
/** What a client is told whose headers are more than is read of them (RFC 6585 §5). */
export const headTooLarge = answer('431 Request Header Fields Too Large', 'No Host in the first 32 KiB')

function answer(status: string, text: string): Buffer {
  const fields = `Content-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close`
  return Buffer.from(`HTTP/1.1 ${status}\r\n${fields}\r\n\r\n${text}`, 'latin1')
}
