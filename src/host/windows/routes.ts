/** Windows routes, from `route print` in any language, or from `Get-NetRoute` as JSON. */
import { addressBytes, canonicalAddress, familyOf, type Family } from '../../base/address.ts'
import { jsonRows } from './netstat.ts'

export interface WindowsRoute {
  readonly family: Family
  readonly destination: string
  readonly bits: number
  /** Null is on the link. */
  readonly gateway: string | null
  /** IPv4: our address on that interface; IPv6: its index. */
  readonly via: string
  readonly metric: number
}

/**
 * IPv4 rows are `destination mask gateway interface metric`, with a word (`On-link`, `연결됨`) for no gateway; IPv6
 * rows are `if metric prefix gateway`, where a long prefix pushes the gateway into the next line. Persistent routes
 * have no metric of that shape and are passed over.
 */
export function parseRoutePrint(text: string): WindowsRoute[] {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.flatMap((line, index) => route4(line) ?? route6(line, lines[index + 1] ?? '') ?? [])
}

function route4(line: string): WindowsRoute[] | null {
  const [destination = '', mask = '', ...rest] = line.split(/\s+/)
  const [metric = '', via = '', ...gateway] = rest.toReversed()
  if (gateway.length === 0 || !/^\d+$/.test(metric)) return null
  if ([destination, mask, via].some((address) => canonicalAddress(address) === null)) return null
  return [
    {
      family: 4,
      destination,
      bits: bitsOf(mask),
      gateway: gateway.length === 1 ? canonicalAddress(gateway[0] as string) : null,
      via,
      metric: Number(metric),
    },
  ]
}

function route6(line: string, next: string): WindowsRoute[] | null {
  const match = /^(\d+)\s+(\d+)\s+([0-9a-f:]+)\/(\d{1,3})(?:\s+(\S.*))?$/i.exec(line)
  if (!match) return null
  const [, via = '', metric, destination = '', bits, behind] = match
  if (canonicalAddress(destination) === null) return null
  const gateway = (behind ?? next).split('%')[0] as string
  return [
    {
      family: 6,
      destination,
      bits: Number(bits),
      gateway: canonicalAddress(gateway),
      via,
      metric: Number(metric),
    },
  ]
}

/** `Get-NetRoute | select DestinationPrefix,NextHop,InterfaceIndex,RouteMetric,InterfaceMetric | ConvertTo-Json`. */
export function parseNetRoutes(json: string): WindowsRoute[] {
  return jsonRows(json).flatMap((row) => {
    const [destination = '', bits = ''] = String(row['DestinationPrefix']).split('/')
    const next = String(row['NextHop'])
    if (canonicalAddress(destination) === null) return []
    const unspecified = next === '0.0.0.0' || next === '::'
    return [
      {
        family: familyOf(destination),
        destination,
        bits: Number(bits),
        gateway: unspecified ? null : canonicalAddress(next),
        via: String(row['InterfaceIndex']),
        metric: (Number(row['RouteMetric']) || 0) + (Number(row['InterfaceMetric']) || 0),
      },
    ]
  })
}

function bitsOf(mask: string): number {
  let bits = 0
  for (const byte of addressBytes(mask)) bits += byte.toString(2).replaceAll('0', '').length
  return bits
}

/** `arp -a`: rows `192.168.1.1  aa-bb-cc-dd-ee-ff  dynamic` under a heading that ends with the interface's number. */
export function parseArp(text: string): { address: string; mac: string; via: string }[] {
  let via = ''
  return text.split('\n').flatMap((line) => {
    const heading = /(?<![\d.])([\d.]+) --- 0x[0-9a-f]/i.exec(line)
    if (heading) via = heading[1] as string
    const row = /^\s+([\d.]+)\s+([0-9a-f]{2}(?:-[0-9a-f]{2}){5})\s/i.exec(line)
    const [, address = '', mac = ''] = row ?? []
    // Multicast and broadcast are entries, but no neighbours.
    if (!row || /^(ff-ff|01-00-5e)/i.test(mac) || canonicalAddress(address) === null) return []
    return [{ address, mac: mac.toLowerCase().replaceAll('-', ':'), via }]
  })
}
