/** Sockets as `naru ports` shows them: whose, which service, who can get there, and which of our rules it is. */
import { unmapped } from '../base/address.ts'
import type { Guest } from '../guests/contract.ts'
import type { Interface, SocketEntry } from '../host/contract.ts'
import type { Listen } from '../model/listen.ts'
import type { PortReach, PortRow, PortSort, PortsOptions } from '../model/machine.ts'
import { serviceName } from '../model/services.ts'

export interface PortSources {
  readonly sockets: readonly SocketEntry[]
  readonly interfaces: readonly Interface[]
  readonly rules: readonly { readonly name: string; readonly listen: Listen; readonly pid: number }[]
  readonly guests: readonly Guest[]
}

export function portRows(sources: PortSources, options: PortsOptions): PortRow[] {
  const reachOf = reaches(sources.interfaces)
  return sources.sockets
    .filter((socket) => isWanted(socket, options))
    .map((socket) => toRow(socket, sources, reachOf))
    .filter((row) => !options.find || mentions(row, options.find))
    .sort(orders[options.sort ?? 'port'])
}

function isWanted(socket: SocketEntry, { all = false, protocol, port }: PortsOptions): boolean {
  if (!all && socket.state !== 'listening') return false
  if (protocol && socket.protocol !== protocol) return false
  return port === undefined || socket.port === port || socket.peer?.port === port
}

function toRow(socket: SocketEntry, sources: PortSources, reachOf: (address: string) => PortReach): PortRow {
  const { protocol, family, address, port, peer, state, process } = socket
  return {
    protocol,
    family,
    address,
    port,
    peer,
    state,
    bothFamilies: bothFamilies(socket),
    service: serviceName(protocol, port) ?? (peer ? serviceName(protocol, peer.port) : null),
    process,
    reach: reachOf(unmapped(address)),
    belongsTo: ruleOf(socket, sources) ?? guestOf(socket, sources),
  }
}

function bothFamilies({ family, address, v6only }: SocketEntry): boolean | null {
  if (family === 4 || address !== '::') return false
  return v6only === null ? null : !v6only
}

function ruleOf({ protocol, port, process }: SocketEntry, { rules }: PortSources): PortRow['belongsTo'] {
  const rule = rules.find(
    ({ listen, pid }) =>
      listen.kind === 'inet' &&
      listen.protocols.includes(protocol) &&
      listen.ports.first <= port &&
      port <= listen.ports.last &&
      (process === null || process.pid === pid),
  )
  return rule ? { kind: 'rule', name: rule.name } : null
}

function guestOf({ protocol, port, state }: SocketEntry, { guests }: PortSources): PortRow['belongsTo'] {
  if (state !== 'listening') return null
  const guest = guests.find(({ forwards }) =>
    forwards.some((forward) => forward.protocol === protocol && forward.hostPort === port),
  )
  return guest ? { kind: 'guest', name: `${guest.kind}:${guest.name}` } : null
}

const reachOfKind: Partial<Record<Interface['kind'], PortReach>> = {
  loopback: 'machine',
  vm: 'guests',
  container: 'guests',
  vpn: 'vpn',
}

function reaches(interfaces: readonly Interface[]): (address: string) => PortReach {
  const byAddress = new Map<string, PortReach>()
  for (const { kind, addresses } of interfaces)
    for (const { address } of addresses) byAddress.set(address, reachOfKind[kind] ?? 'lan')
  return (address) => {
    const bare = address.split('%')[0] as string
    if (bare.startsWith('127.') || bare === '::1') return 'machine'
    return byAddress.get(bare) ?? 'lan'
  }
}

function mentions(row: PortRow, words: string): boolean {
  const { process, service, address, port, belongsTo, peer } = row
  const text = [process?.name, process?.pid, service, address, port, belongsTo?.name, peer?.address]
  return text.join(' ').toLowerCase().includes(words.toLowerCase())
}

type Order = (a: PortRow, b: PortRow) => number

const byPort: Order = (a, b) =>
  a.port - b.port || compare(a.protocol, b.protocol) || a.family - b.family || compare(a.address, b.address)

/** What has no process comes last. */
const last = '\u{10ffff}'

const orders: Record<PortSort, Order> = {
  port: byPort,
  process: (a, b) => compare(a.process?.name ?? last, b.process?.name ?? last) || byPort(a, b),
  address: (a, b) => compare(a.address, b.address) || byPort(a, b),
  reach: (a, b) => compare(a.reach, b.reach) || byPort(a, b),
  pid: (a, b) => (a.process?.pid ?? 2 ** 40) - (b.process?.pid ?? 2 ** 40) || byPort(a, b),
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
