/** The packets a question is about: each family, each interface that faces others, each source. */
import { addressRange, familyOf, masked, type Cidr, type Family } from '../../base/address.ts'
import type { PortRange, Protocol } from '../../base/port.ts'
import type { Host, Interface, Network } from '../contract.ts'
import type { Packet } from './program.ts'
import type { WayOut } from './walk.ts'

export interface PacketQuestion {
  readonly protocols: readonly Protocol[]
  readonly ports: PortRange
  /** The local address packets come to; null is any of ours. */
  readonly address: string | null
  /** Who sends; empty is a stranger, in each family this machine has an address of. */
  readonly sources: readonly Cidr[]
}

export interface Packets {
  /** The likeliest first: IPv4, by the interface of the default route. */
  readonly packets: readonly Packet[]
  readonly wayOut: WayOut
}

type Here = Pick<Host, 'network'>

/** Ports of a range that are tried: both ends and some between. */
const mostPorts = 32

export async function packetsOf(asked: PacketQuestion, host: Here, signal: AbortSignal): Promise<Packets> {
  const [interfaces, facing] = await Promise.all([list(host, signal), facingOthers(host, signal)])
  const packets: Packet[] = []
  for (const source of sourcesOf(asked, interfaces)) {
    const arrivals = await arrivalsOf(source, asked.address, facing, host, signal)
    for (const from of arrivals)
      for (const protocol of asked.protocols)
        for (const port of portsOf(asked.ports))
          packets.push(packetOf({ source, from, protocol, port }, asked, interfaces))
  }
  return { packets, wayOut: wayOutOf(interfaces) }
}

interface Source {
  readonly family: Family
  readonly prefix: Cidr | null
}

function sourcesOf({ address, sources }: PacketQuestion, interfaces: readonly Interface[]): Source[] {
  const named = sources.map((prefix) => ({ family: prefix.family, prefix }))
  const wanted = named.length > 0 ? named : familiesOf(interfaces).map((family) => ({ family, prefix: null }))
  return address === null ? wanted : wanted.filter(({ family }) => family === familyOf(address))
}

/** IPv4 always; IPv6 where some interface has more than a link-local address. */
function familiesOf(interfaces: readonly Interface[]): Family[] {
  const has6 = interfaces.some(
    ({ kind, addresses }) =>
      kind !== 'loopback' &&
      addresses.some(({ family, address }) => family === 6 && addressRange(address) !== 'linkLocal'),
  )
  return has6 ? [4, 6] : [4]
}

/** Interfaces a packet may come in by; `[null]` where nobody knows. */
async function arrivalsOf(
  { prefix, family }: Source,
  address: string | null,
  facing: readonly Interface[],
  host: Here,
  signal: AbortSignal,
): Promise<readonly (Interface | null)[]> {
  if (prefix && addressRange(prefix.address) === 'loopback') return [loopback]
  if (prefix && prefix.bits === (family === 4 ? 32 : 128)) {
    const route = await host.network.routeTo(prefix.address, { signal }).catch(() => null)
    const by = facing.find(({ name }) => name === route?.interface)
    if (by) return [by]
    if (route) return [{ ...loopback, name: route.interface, kind: 'other' }]
  }
  const holding = facing.filter(({ addresses }) =>
    addresses.some((one) => (address === null ? one.family === family : one.address === address)),
  )
  return holding.length > 0 ? holding : [null]
}

const loopback: Interface = { name: 'lo', kind: 'loopback', up: true, mac: null, index: 1, addresses: [] }

/** Interfaces towards other machines, those with a default route first; not those of containers and VMs. */
async function facingOthers(host: Here, signal: AbortSignal): Promise<Interface[]> {
  const interfaces = (await list(host, signal)).filter(({ up, kind }) => up && kind !== 'loopback')
  const routes = await host.network.defaultRoutes({ signal }).catch(() => [])
  const byRoute = new Map(routes.map((route, index) => [route.interface, index]))
  const outer = interfaces.filter(
    ({ name, kind }) => byRoute.has(name) || (kind !== 'container' && kind !== 'vm'),
  )
  const rank = ({ name }: Interface): number => byRoute.get(name) ?? routes.length
  return (outer.length > 0 ? outer : interfaces).toSorted((a, b) => rank(a) - rank(b)).slice(0, 16)
}

async function list({ network }: { network: Network }, signal: AbortSignal): Promise<readonly Interface[]> {
  return network.interfaces({ signal }).catch(() => [])
}

function packetOf(
  {
    source: { family, prefix },
    from,
    protocol,
    port,
  }: { source: Source; from: Interface | null; protocol: Protocol; port: number },
  asked: PacketQuestion,
  interfaces: readonly Interface[],
): Packet {
  const owners = from && from.addresses.length > 0 ? [from] : interfaces
  const own = owners.flatMap(({ addresses }) => addresses.filter((one) => one.family === family))
  const destinations = asked.address === null ? own.map(({ address }) => address) : [asked.address]
  return {
    family,
    protocol,
    port,
    originalPort: port,
    source: prefix,
    destinations,
    local: true,
    from: from?.name ?? null,
    to: null,
    rewritten: false,
    untracked: false,
    mark: 0,
  }
}

function portsOf({ first, last }: PortRange): number[] {
  const count = last - first + 1
  if (count <= mostPorts) return Array.from({ length: count }, (_, index) => first + index)
  const step = (last - first) / (mostPorts - 1)
  return Array.from({ length: mostPorts }, (_, index) => Math.round(first + index * step))
}

/** By the link an address lies on; null where it is on none of them. */
function wayOutOf(interfaces: readonly Interface[]): WayOut {
  return (address) => {
    const on = interfaces.find(({ addresses }) =>
      addresses.some((one) => one.family === familyOf(address) && sameLink(one.address, address, one.bits)),
    )
    return on?.name ?? null
  }
}

function sameLink(own: string, address: string, bits: number): boolean {
  return masked(own, bits).address === masked(address, bits).address
}
