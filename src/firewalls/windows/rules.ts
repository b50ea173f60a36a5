/** Windows' profiles and inbound rules as data, and what they say about a packet: a block beats every allow. */
import {
  addressBytes,
  canonicalAddress,
  cidrOrNull,
  familyOf,
  masked,
  type Cidr,
} from '../../base/address.ts'
import { parsePortRange, type PortRange, type Protocol } from '../../base/port.ts'
import type { FirewallOptions } from '../contract.ts'
import { asList, powershell, text } from './powershell.ts'

export interface WindowsProfile {
  /** `Domain`, `Private`, `Public`. */
  readonly name: string
  readonly enabled: boolean
  readonly defaultInput: 'allow' | 'block'
  /** Rules are ignored, everything inbound is blocked. */
  readonly blocksAll: boolean
  /** Of a network this machine is on now. */
  readonly current: boolean
}

export interface WindowsRule {
  readonly name: string
  readonly title: string
  readonly group: string
  readonly action: 'allow' | 'block'
  /** `Any`, or `Domain, Private`. */
  readonly profiles: string
  /** `TCP`, `UDP`, `Any`, or a number. */
  readonly protocol: string
  readonly ports: readonly string[]
  readonly from: readonly string[]
  readonly to: readonly string[]
  /** `Any`, `System`, or a path. */
  readonly program: string
}

const profilesScript = [
  '$now = @(Get-NetConnectionProfile -ErrorAction SilentlyContinue | ForEach-Object { "$($_.NetworkCategory)" })',
  '@(Get-NetFirewallProfile -PolicyStore ActiveStore | ForEach-Object { @{ name = $_.Name; enabled = "$($_.Enabled)"; input = "$($_.DefaultInboundAction)"; rules = "$($_.AllowInboundRules)"; current = ($now -contains $_.Name) -or ($_.Name -eq "Domain" -and $now -contains "DomainAuthenticated") } }) | ConvertTo-Json -Compress',
].join('; ')

export async function readProfiles(options: FirewallOptions): Promise<WindowsProfile[]> {
  const list = asList(await powershell(profilesScript, 'Get-NetFirewallProfile', options))
  return list.map(({ name, enabled, input, rules, current }) => ({
    name: text(name),
    enabled: text(enabled) === 'True' || text(enabled) === '1',
    // Not configured is block.
    defaultInput: text(input) === 'Allow' ? 'allow' : 'block',
    blocksAll: text(rules) === 'False',
    current: current === true,
  }))
}

/** Filters are read in bulk and joined by id: asking rule by rule takes minutes. */
const rulesScript = [
  '$p = @{}; Get-NetFirewallPortFilter -PolicyStore ActiveStore | ForEach-Object { $p[$_.InstanceID] = $_ }',
  '$a = @{}; Get-NetFirewallAddressFilter -PolicyStore ActiveStore | ForEach-Object { $a[$_.InstanceID] = $_ }',
  '$e = @{}; Get-NetFirewallApplicationFilter -PolicyStore ActiveStore | ForEach-Object { $e[$_.InstanceID] = $_ }',
  'ConvertTo-Json -Compress -Depth 4 @(Get-NetFirewallRule -PolicyStore ActiveStore -Direction Inbound -Enabled True | ForEach-Object { @{ name = $_.Name; title = $_.DisplayName; group = $_.Group; action = "$($_.Action)"; profiles = "$($_.Profile)"; protocol = "$($p[$_.InstanceID].Protocol)"; ports = @($p[$_.InstanceID].LocalPort); from = @($a[$_.InstanceID].RemoteAddress); to = @($a[$_.InstanceID].LocalAddress); program = "$($e[$_.InstanceID].Program)" } })',
].join('; ')

export async function readRules(options: FirewallOptions): Promise<WindowsRule[]> {
  const list = asList(await powershell(rulesScript, 'Get-NetFirewallRule', options))
  return list.map((rule) => ({
    name: text(rule.name),
    title: text(rule.title),
    group: text(rule.group),
    action: text(rule.action) === 'Block' ? 'block' : 'allow',
    profiles: text(rule.profiles) || 'Any',
    protocol: text(rule.protocol) || 'Any',
    ports: words(rule.ports),
    from: words(rule.from),
    to: words(rule.to),
    program: text(rule.program) || 'Any',
  }))
}

function words(value: unknown): string[] {
  const list = (Array.isArray(value) ? (value as unknown[]) : [value]).map(text).filter(Boolean)
  return list.length > 0 ? list : ['Any']
}

export interface WindowsPacket {
  readonly protocol: Protocol
  readonly port: number
  /** Null is a stranger. */
  readonly from: string | null
  /** True where the sender is on a network of ours; null where that is not known. */
  readonly fromLocalSubnet: boolean | null
  /** Base names of the programs that listen, lower case; empty where nobody can tell. */
  readonly programs: readonly string[]
}

export type Holds = 'yes' | 'no' | 'some' | 'maybe'

/** Does the rule apply to this packet in this profile? */
export function applies(rule: WindowsRule, profile: string, packet: WindowsPacket): Holds {
  if (!inProfile(rule.profiles, profile) || !ofProtocol(rule.protocol, packet.protocol)) return 'no'
  if (!rule.ports.some((ports) => holdsPort(ports, packet.port))) return 'no'
  return weakest([fromHolds(rule.from, packet), programHolds(rule.program, packet), localHolds(rule.to)])
}

const inProfile = (profiles: string, profile: string): boolean =>
  profiles === 'Any' || profiles.split(/,\s*/).includes(profile)

function ofProtocol(written: string, protocol: Protocol): boolean {
  const number = protocol === 'tcp' ? '6' : '17'
  return ['any', protocol, number].includes(written.toLowerCase())
}

/** `8888`, `8000-8010`, `Any`; words such as `RPC` name ports of services, not of ours. */
function holdsPort(written: string, port: number): boolean {
  if (written === 'Any') return true
  const range = rangeOf(written)
  return range !== null && port >= range.first && port <= range.last
}

export function rangeOf(written: string): PortRange | null {
  return /^\d{1,5}(-\d{1,5})?$/.test(written) ? parsePortRange(written) : null
}

function fromHolds(from: readonly string[], packet: WindowsPacket): Holds {
  const each = from.map((one) => sourceHolds(one, packet))
  return (['yes', 'maybe', 'some'] as const).find((wanted) => each.includes(wanted)) ?? 'no'
}

function sourceHolds(written: string, { from, fromLocalSubnet }: WindowsPacket): Holds {
  if (written === 'Any' || written === '*') return 'yes'
  if (written === 'LocalSubnet' || written.startsWith('LocalSubnet'))
    return from === null ? 'some' : fromLocalSubnet === null ? 'maybe' : fromLocalSubnet ? 'yes' : 'no'
  if (from === null) return 'some'
  const prefix = prefixOf(written)
  if (prefix) return within(from, prefix) ? 'yes' : 'no'
  const [first = '', last] = written.split('-')
  if (last !== undefined && canonicalAddress(first) && canonicalAddress(last))
    return between(from, first, last)
  return 'maybe'
}

/** `10.0.0.0/8`; Windows answers with masks: `10.0.0.0/255.0.0.0`. */
function prefixOf(written: string): Cidr | null {
  const [address = '', mask] = written.split('/')
  if (!mask?.includes('.')) return cidrOrNull(written)
  const bits = mask
    .split('.')
    .reduce((sum, part) => sum + (Number(part).toString(2).match(/1/g)?.length ?? 0), 0)
  return cidrOrNull(`${address}/${bits}`)
}

const within = (address: string, { family, address: network, bits }: Cidr): boolean =>
  familyOf(address) === family && masked(address, bits).address === network

function between(address: string, first: string, last: string): Holds {
  const [low, at, high] = [first, address, last].map((one) => Buffer.from(addressBytes(one)))
  if (!low || !at || !high || low.length !== at.length || high.length !== at.length) return 'no'
  return Buffer.compare(low, at) <= 0 && Buffer.compare(at, high) <= 0 ? 'yes' : 'no'
}

function programHolds(program: string, { programs }: WindowsPacket): Holds {
  if (program === 'Any') return 'yes'
  if (programs.length === 0) return 'maybe'
  return programs.includes(baseName(program)) ? 'yes' : 'no'
}

export const baseName = (path: string): string => path.split(/[\\/]/).at(-1)?.toLowerCase() ?? ''

const localHolds = (to: readonly string[]): Holds => (to.includes('Any') ? 'yes' : 'maybe')

function weakest(all: readonly Holds[]): Holds {
  return (['no', 'maybe', 'some'] as const).find((one) => all.includes(one)) ?? 'yes'
}
