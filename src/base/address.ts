/**
 * IP addresses and prefixes. Text is parsed once at the door by ipaddr.js; afterwards an address is its canonical
 * text, and matching runs on bytes.
 */
import ipaddr from 'ipaddr.js'
import { NaruError } from './errors.ts'
import { say, type Text } from './text.ts'

export type Family = 4 | 6

/** A prefix, its address masked and canonical: `192.168.0.0/16`. */
export interface Cidr {
  readonly family: Family
  readonly address: string
  readonly bits: number
}

/** Canonical text of an IPv4 or IPv6 address (zone kept), or null where it is none. No shorthand (`10.1`), no octal. */
export function canonicalAddress(text: string): string | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString()
  if (text.includes(':') && ipaddr.IPv6.isValid(text)) return ipaddr.IPv6.parse(text).toString()
  return null
}

/** `nas.` is `nas`, and no search domain is asked for (RFC 1034 §3.1). */
export function withoutRoot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}

/** Is `name` (in lower case) this machine, whatever a name server says? `app.localhost` is, too (RFC 6761 §6.3). */
export function isLoopbackName(name: string): boolean {
  return isUnder(name, 'localhost')
}

/** Is it for mDNS to answer (RFC 6762 §3)? */
export function isMulticastName(name: string): boolean {
  return isUnder(name, 'local')
}

function isUnder(name: string, top: string): boolean {
  const bare = withoutRoot(name)
  return bare === top || bare.endsWith(`.${top}`)
}

export function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4
}

/** `::ffff:10.0.0.1`, as a dual-stack socket names an IPv4 peer, becomes `10.0.0.1`; the rest stays. */
export function unmapped(address: string): string {
  if (!address.startsWith('::ffff:')) return address
  const tail = address.slice(7)
  return tail.includes('.') ? tail : ipaddr.process(address).toString()
}

/**
 * Whom limits by source count as one. In IPv6 a host has a /64 to pick addresses from (RFC 6177, RFC 8981), so the
 * prefix is the source. Link-local addresses (fe80::/10, RFC 4291 §2.5.6) a neighbour picks as it likes: all of one link
 * are one source, or the limit would hold nobody there.
 * @param source as a socket names its peer; empty (a Unix client) is a source of its own.
 */
export function sourceKey(source: string): string {
  const address = unmapped(source)
  if (!address.includes(':')) return address
  const { parts, zoneId } = ipaddr.IPv6.parse(address)
  if (((parts[0] as number) & 0xffc0) === 0xfe80) return `fe80::/10%${zoneId ?? ''}`
  return `${parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

/** Network-order bytes, 4 or 16 of them. */
export function addressBytes(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address.split('%')[0] as string).toByteArray())
}

export function addressFromBytes(bytes: Uint8Array): string {
  return ipaddr.fromByteArray([...bytes]).toString()
}

/**
 * `10.0.0.0/8`, `2001:db8::/32` or a single address. `::ffff:10.0.0.0/104` is `10.0.0.0/8` (RFC 4291 §2.5.5.2): that is
 * what such a client counts as. @throws NaruError VALUE_INVALID
 */
export function parseCidr(text: string): Cidr {
  const [written = '', bitsText, ...rest] = text.trim().split('/')
  const address = canonicalAddress(written)
  if (address === null || rest.length > 0)
    throw badCidr(text, say('write an address or a prefix such as 192.168.0.0/16'))
  if (address.includes('%'))
    throw badCidr(text, say('lists hold addresses without a zone: write what stands before the %'))
  const widest = familyOf(address) === 4 ? 32 : 128
  const bits = bitsText === undefined ? widest : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : Number.NaN
  if (!(bits >= 0 && bits <= widest))
    throw badCidr(text, say`the prefix length is a number from 0 to ${widest}`)
  const plain = unmapped(address)
  return plain === address ? masked(address, bits) : mappedCidr(text, plain, bits)
}

/** The same, null where it is none. */
export function cidrOrNull(text: string): Cidr | null {
  try {
    return parseCidr(text)
  } catch {
    return null
  }
}

/** Below 96 bits a mapped prefix holds IPv4 and IPv6 clients alike, and would be both or neither in our lists. */
function mappedCidr(text: string, plain: string, bits: number): Cidr {
  if (bits < 96)
    throw badCidr(
      text,
      say('below ::ffff:0:0/96 it holds more than IPv4: write the IPv4 and the IPv6 prefix, each by itself'),
    )
  return masked(plain, bits - 96)
}

/** The prefix of `bits` that holds an address; a zone does not count. */
export function masked(address: string, bits: number): Cidr {
  const bytes = addressBytes(address)
  for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7))
  return { family: familyOf(address), address: addressFromBytes(bytes), bits }
}

export function formatCidr({ family, address, bits }: Cidr): string {
  return bits === (family === 4 ? 32 : 128) ? address : `${address}/${bits}`
}

/** `1.2.3.4:80`, `[::1]:80`. */
export function formatEndpoint(address: string, port: number | string): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** What an address is for: ipaddr.js's range, such as `private`, `loopback`, `carrierGradeNat`, `linkLocal`, `unicast`. */
export function addressRange(address: string): string {
  return ipaddr.process(address.split('%')[0] as string).range()
}

/** True for an address that hosts on the internet can reach. */
export function isPublic(address: string): boolean {
  return addressRange(address) === 'unicast'
}

function badCidr(value: string, why: Text): NaruError {
  return new NaruError('VALUE_INVALID', { what: 'address prefix', value, why })
}
