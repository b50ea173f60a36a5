/** /proc/net/route and /proc/net/ipv6_route: the main table, for machines without `ip`. */
import { addressBytes, addressFromBytes } from '../../base/address.ts'
import type { Route } from '../contract.ts'
import { hexAddress } from './proc-address.ts'

export interface PrefixRoute extends Route {
  readonly destination: string
  readonly bits: number
}

/** RTF_UP and RTF_REJECT of linux/route.h. */
const [up, reject] = [0x1, 0x200]

export function parseRoutes4(text: string): PrefixRoute[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [name, destination, gateway, flags, , , metric, mask] = line.trim().split(/\s+/)
      if (!name || !isHex(destination, 8) || !isHex(gateway, 8) || !isHex(mask, 8)) return []
      if (!leads(flags)) return []
      return [
        {
          family: 4 as const,
          interface: name,
          destination: hexAddress(destination),
          bits: bitsOfMask(addressBytes(hexAddress(mask))),
          gateway: gateway === '00000000' ? null : hexAddress(gateway),
          source: null,
          metric: Number(metric) || 0,
        },
      ]
    })
}

/** destination, prefix length, source, its length, next hop, metric, references, use, flags, device: all in hex. */
export function parseRoutes6(text: string): PrefixRoute[] {
  return text.split('\n').flatMap((line) => {
    const [destination, bits = '', , , gateway, metric = '', , , flags, name] = line.trim().split(/\s+/)
    if (!name || !isHex(destination, 32) || !isHex(gateway, 32)) return []
    if (!leads(flags) || name === 'lo') return []
    const next = bigEndian(gateway)
    return [
      {
        family: 6 as const,
        interface: name,
        destination: bigEndian(destination),
        bits: Number.parseInt(bits, 16) || 0,
        gateway: next === '::' ? null : next,
        source: null,
        metric: Number.parseInt(metric, 16) || 0,
      },
    ]
  })
}

function bitsOfMask(mask: Uint8Array): number {
  let bits = 0
  for (const byte of mask) bits += byte.toString(2).replaceAll('0', '').length
  return bits
}

function leads(flags: string | undefined): boolean {
  const bits = Number.parseInt(flags ?? '', 16)
  return (bits & up) !== 0 && (bits & reject) === 0
}

function isHex(text: string | undefined, digits: number): text is string {
  return text !== undefined && text.length === digits && /^[0-9a-f]+$/i.test(text)
}

/** ipv6_route writes addresses in network order, unlike tcp6. */
function bigEndian(hex: string): string {
  return addressFromBytes(Buffer.from(hex, 'hex'))
}
