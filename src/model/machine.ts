/** What `naru ip` and `naru ports` say of this machine. Plain data; machine/machine.ts makes it. */
import type { Family } from '../base/address.ts'
import type { Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'

/** How many address translations lie between this machine and the internet, by evidence. */
export type NatAbove = 'none' | 'one-router' | 'two-routers' | 'carrier-grade' | 'unknown'

export interface MachineAddresses {
  readonly interfaces: readonly MachineInterface[]
  /** Where packets to the internet go first; null for a family without a default route. */
  readonly gateways: readonly MachineGateway[]
  readonly nameServers: readonly string[]
  /** Every answer to "what is our public address?", each with who says so. */
  readonly publicAddresses: readonly PublicAddress[]
  readonly routers: readonly MachineRouter[]
  readonly nat: NatAbove
  /** One sentence: what NAT is above, and how that is known. */
  readonly natText: Text
  /** What could not be looked at, and why. */
  readonly notes: readonly Text[]
}

export interface MachineInterface {
  readonly name: string
  readonly kind: 'ethernet' | 'wifi' | 'loopback' | 'vpn' | 'vm' | 'container' | 'other'
  readonly up: boolean
  readonly mac: string | null
  readonly addresses: readonly {
    readonly family: Family
    readonly address: string
    readonly bits: number
    readonly scope: 'public' | 'private' | 'carrier-grade' | 'link-local' | 'loopback' | 'other'
  }[]
  /** The one that router mappings must point to. At most one interface has it. */
  readonly facesLan: boolean
}

export interface MachineGateway {
  readonly family: Family
  readonly address: string | null
  readonly interface: string
  /** Our address on that link. */
  readonly source: string | null
}

export interface PublicAddress {
  readonly seenBy: 'interface' | 'router' | 'stun'
  /** Interface name, router protocol or STUN server. */
  readonly by: string
  readonly address: string
  /** False for a "public" address that the internet cannot reach: private, carrier-grade, reserved. */
  readonly reachable: boolean
}

export interface MachineRouter {
  readonly protocol: string
  readonly address: string
  readonly model: string | null
  readonly maker: string | null
  readonly page: string | null
  readonly externalAddress: string | null
}

export interface PortsOptions {
  /** Connections too, not only listeners. @default false */
  readonly all?: boolean
  readonly protocol?: Protocol
  /** Only this port, here or at the peer. */
  readonly port?: number
  /** Case-insensitive part of the process, service, address, rule or guest. */
  readonly find?: string
  /** @default 'port' */
  readonly sort?: PortSort
}

export const portSorts = ['port', 'process', 'address', 'reach', 'pid'] as const
export type PortSort = (typeof portSorts)[number]

export interface MachinePorts {
  readonly rows: readonly PortRow[]
  /** What cannot be seen without more rights, or null. */
  readonly unseen: Text | null
}

export interface PortRow {
  readonly protocol: Protocol
  readonly family: Family
  readonly address: string
  readonly port: number
  readonly peer: { readonly address: string; readonly port: number } | null
  readonly state: 'listening' | 'established' | 'syn-received' | 'other'
  /** True where one socket takes both families; null where the system does not tell. */
  readonly bothFamilies: boolean | null
  /** IANA service name of the port, such as `http`; null where it has none that we know. */
  readonly service: string | null
  readonly process: { readonly pid: number; readonly name: string } | null
  /** Who can get to the socket, as far as its address goes; a firewall may still stop packets. */
  readonly reach: PortReach
  /** Which of ours it is. */
  readonly belongsTo: { readonly kind: 'rule' | 'guest'; readonly name: string } | null
}

/** `lan`: any address or the LAN's; `machine`: loopback only; `guests`: an address that only VMs or containers see; `vpn`. */
export type PortReach = 'lan' | 'machine' | 'guests' | 'vpn'
