/** Where traffic arrives: `[ADDRESS:]PORT[-PORT][/tcp|/udp|/tcp+udp]` or `unix:PATH`. */
import { canonicalAddress, formatEndpoint, unmapped } from '../base/address.ts'
import { NaruError } from '../base/errors.ts'
import { formatPortRange, parsePortRange, portsOverlap, type PortRange, type Protocol } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'

export type Listen =
  | {
      readonly kind: 'inet'
      /** Null listens on every address of both families; `0.0.0.0` on every IPv4 and `::` on every IPv6 address. */
      readonly address: string | null
      readonly ports: PortRange
      /** One or both; TCP where nothing was written. */
      readonly protocols: readonly Protocol[]
    }
  | { readonly kind: 'unix'; readonly path: string }

export type InetListen = Extract<Listen, { kind: 'inet' }>

const form = say(
  'write [ADDRESS:]PORT[-PORT][/tcp|/udp|/tcp+udp] or unix:PATH, such as 8888, 127.0.0.1:8080 or [::1]:53/udp',
)

/** @throws NaruError VALUE_INVALID */
export function parseListen(text: string): Listen {
  const written = text.trim()
  if (written.startsWith('unix:')) return { kind: 'unix', path: parseUnixPath(written.slice(5), 'listen') }
  const [where = '', protocolText, ...rest] = written.split('/')
  if (rest.length > 0) throw bad(text, form)
  const protocols = protocolText === undefined ? (['tcp'] as const) : parseProtocols(protocolText, text)
  if (!where.includes(':') && !/^[\d-]+$/.test(where)) throw bad(text, form)
  const { host, ports } = splitHostPorts(where, text)
  if (host === null || host === '*') return { kind: 'inet', address: null, ports, protocols }
  const address = canonicalAddress(host)
  if (address === null) {
    if (/^\d{1,5}$/.test(host)) throw bad(text, twoPorts(host, ports))
    throw bad(text, say('listen on an address of this machine, not on a name'))
  }
  return { kind: 'inet', address: unmapped(address), ports, protocols }
}

/** As Docker's -p and ssh's -L have it. */
function twoPorts(here: string, { first }: PortRange): Text {
  return say`${here} is where traffic arrives, and ${first} belongs to the target: write ${here}, and HOST:${first} as the target`
}

export function formatListen(listen: Listen): string {
  if (listen.kind === 'unix') return `unix:${listen.path}`
  const ports = formatPortRange(listen.ports)
  const where = listen.address === null ? ports : formatEndpoint(listen.address, ports)
  const protocols = listen.protocols.join('+')
  return protocols === 'tcp' ? where : `${where}/${protocols}`
}

/** True where both would claim one socket: same protocol, a shared port, and addresses that meet. */
export function listensOverlap(a: Listen, b: Listen): boolean {
  if (a.kind === 'unix' || b.kind === 'unix')
    return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  return (
    a.protocols.some((protocol) => b.protocols.includes(protocol)) &&
    portsOverlap(a.ports, b.ports) &&
    addressesMeet(a.address, b.address)
  )
}

function addressesMeet(a: string | null, b: string | null): boolean {
  if (a === null || b === null || a === b) return true
  const wild = (address: string, other: string): boolean =>
    address === '::' ? other.includes(':') : address === '0.0.0.0' && !other.includes(':')
  return wild(a, b) || wild(b, a)
}

function parseProtocols(text: string, whole: string): readonly Protocol[] {
  if (text === 'tcp' || text === 'udp') return [text]
  if (text === 'tcp+udp' || text === 'udp+tcp') return ['tcp', 'udp']
  throw bad(whole, say('the protocol is tcp, udp or tcp+udp'))
}

/** Splits `HOST:PORTS`, `[V6]:PORTS` or `PORTS`. Shared with targets. @throws NaruError VALUE_INVALID */
export function splitHostPorts(text: string, whole: string): { host: string | null; ports: PortRange } {
  const bracketed = /^\[([^\]]+)\]:(.+)$/.exec(text)
  if (bracketed) return { host: bracketed[1] as string, ports: parsePortRange(bracketed[2] as string) }
  const colon = text.lastIndexOf(':')
  if (colon === -1) return { host: null, ports: parsePortRange(text) }
  const host = text.slice(0, colon)
  if (host.includes(':')) {
    throw bad(whole, say('an IPv6 address stands in brackets: [2001:db8::1]:80'))
  }
  if (host === '') throw bad(whole, form)
  return { host, ports: parsePortRange(text.slice(colon + 1)) }
}

/** It can break no line of a file, a terminal or a log that it is written to, and has bytes as a file name has. */
export function isOneLine(text: string): boolean {
  return !/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u.test(text)
}

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS; one is the end. @throws NaruError VALUE_INVALID */
export function parseUnixPath(path: string, what: string): string {
  const why =
    path === ''
      ? say('a path is missing')
      : !isOneLine(path)
        ? say('the path holds control characters, line breaks or halves of a character')
        : Buffer.byteLength(path) > 103
          ? say('the path is longer than 103 bytes, the most a Unix socket takes')
          : null
  if (why) throw new NaruError('VALUE_INVALID', { what, value: path, why })
  return path
}

function bad(value: string, why: Text): NaruError {
  return new NaruError('VALUE_INVALID', { what: 'listen', value, why })
}
