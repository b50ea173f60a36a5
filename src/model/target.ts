/** Where traffic goes: `PORT`, `HOST:PORT[-PORT]`, `unix:PATH`, or a guest such as `docker:NAME:PORT`. */
import { canonicalAddress, formatEndpoint, unmapped } from '../base/address.ts'
import { NaruError } from '../base/errors.ts'
import { formatPortRange, parsePortRange, type PortRange } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import { isOneLine, parseUnixPath, splitHostPorts } from './listen.ts'

/** Kinds of guest a target can name. */
export const guestKinds = [
  'docker',
  'podman',
  'qemu',
  'vmware',
  'virtualbox',
  'libvirt',
  'wsl',
  'hyperv',
] as const
export type GuestKind = (typeof guestKinds)[number]

export type Target =
  | {
      readonly kind: 'inet'
      /** A canonical address or a name that is resolved when dialling. */
      readonly host: string
      readonly ports: PortRange
    }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'guest'; readonly guest: GuestKind; readonly name: string; readonly ports: PortRange }

/** RFC 1123 §2.1 labels, and underscores, which real networks have. */
const hostName =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/** @throws NaruError VALUE_INVALID */
export function parseTarget(text: string): Target {
  const written = text.trim()
  if (written.startsWith('unix:')) return { kind: 'unix', path: parseUnixPath(written.slice(5), 'target') }
  if (isLink(written)) throw bad(text, noLink(written))
  const guest = parseGuest(written)
  if (guest) return guest
  if (lacksPort(written)) throw bad(text, noPort(written))
  const { host, ports } = splitHostPorts(written, text)
  if (host === null) return { kind: 'inet', host: '127.0.0.1', ports }
  const address = canonicalAddress(host)
  if (address !== null) return { kind: 'inet', host: unmapped(address), ports }
  const name = nameOf(host)
  if (name === null) throw bad(text, say('that is neither an address nor a name'))
  return { kind: 'inet', host: name, ports }
}

export function formatTarget(target: Target): string {
  switch (target.kind) {
    case 'unix':
      return `unix:${target.path}`
    case 'guest':
      return `${target.guest}:${target.name}:${formatPortRange(target.ports)}`
    case 'inet':
      return formatEndpoint(target.host, formatPortRange(target.ports))
  }
}

function parseGuest(text: string): Target | null {
  const [kind, ...rest] = text.split(':')
  const guest = guestKinds.find((known) => known === kind)
  // `docker:80` is the port 80 of a host of that name; a guest has a name and a port.
  if (!guest && rest.length === 2 && isWord(kind)) throw bad(text, noSuchKind(kind))
  if (!guest || rest.length < 2) return null
  const name = rest.slice(0, -1).join(':')
  if (!/^[^\s:].{0,254}$/s.test(name)) throw bad(text, say('the guest has no name'))
  if (!isOneLine(name)) throw bad(text, say('the name of the guest holds control characters or line breaks'))
  return { kind: 'guest', guest, name, ports: parsePortRange(rest.at(-1) as string) }
}

/** What stands in a browser's address bar, and what other programs call a target. */
const isLink = (text: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(text)

const usualPorts: Readonly<Record<string, number>> = { 'https:': 443, 'wss:': 443, 'ssh:': 22 }

function noLink(link: string): Text {
  const url = URL.canParse(link) ? new URL(link) : null
  const port = url?.port || (usualPorts[url?.protocol ?? ''] ?? 80)
  const such = `${url?.hostname || '192.168.79.128'}:${port}`
  return say`a target is an address and a port, without http:// and a path: write ${such}`
}

/** A word that no IPv6 address begins with. */
function isWord(text: string | undefined): text is string {
  return /^[a-z]\w*$/i.test(text ?? '') && /[g-z]/i.test(text ?? '')
}

/** What inet_aton(3), and with it the system's resolver, reads as an IPv4 address: `127.1`, `0x7f000001`. */
const numbers = /^(?:\d+|0x[\da-f]*)(?:\.(?:\d+|0x[\da-f]*))*\.?$/i

/** Null for what is no name. */
function nameOf(host: string): string | null {
  const name = asciiName(host)
  return hostName.test(name) && !numbers.test(name) ? name : null
}

/**
 * As DNS, TLS and HTTP have it, in lower case: `나루.example` is `xn--910br1n.example` (RFC 5891). Empty for what has no
 * such form.
 */
export function asciiName(name: string): string {
  return /^[ -~]*$/.test(name) ? name.toLowerCase() : punycoded(name)
}

/** What node:url's domainToASCII does, which browsers do not have: a URL keeps its host where the new one is none. */
function punycoded(name: string): string {
  const url = new URL('ws://none.invalid')
  url.hostname = name
  return url.hostname === 'none.invalid' ? '' : url.hostname
}

/** `192.168.79.128`, or a guest alone: `docker:web`. */
function lacksPort(written: string): boolean {
  const [kind, name, more] = written.split(':')
  if (name === undefined) return !/^[\d-]+$/.test(written)
  return more === undefined && isGuestKind(kind) && /^[^\d-]/.test(name)
}

const isGuestKind = (kind: string | undefined): boolean => guestKinds.some((known) => known === kind)

function noPort(host: string): Text {
  const isNamed = canonicalAddress(host) !== null || nameOf(host) !== null || isGuestKind(host.split(':')[0])
  const such = isNamed ? host : '192.168.79.128'
  return say`the port is missing: write ${such}:80`
}

function noSuchKind(kind: string): Text {
  const known = guestKinds.join(', ')
  return say`${kind} is no kind of guest; there are ${known}`
}

function bad(value: string, why: Text): NaruError {
  return new NaruError('VALUE_INVALID', { what: 'target', value, why })
}
