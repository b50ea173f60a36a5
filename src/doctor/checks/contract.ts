/** One doctor check: stands alone, has a limit, answers by evidence. */
import { isPublic } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { NaruError } from '../../base/errors.ts'
import type { PortRange, Protocol } from '../../base/port.ts'
import type { Text } from '../../base/text.ts'
import type { FirewallAnswer, FirewallMember } from '../../firewalls/contract.ts'
import type { Guest, GuestMember } from '../../guests/contract.ts'
import type { Host, Interface, Route, SocketEntry } from '../../host/contract.ts'
import type { HopStatus } from '../../model/naru-api.ts'
import type { Facts } from '../../model/facts.ts'
import type { Outsider } from '../../model/diagnosis.ts'
import type { Finding, Fix, Severity } from '../../model/finding.ts'
import type { Hop } from '../../model/hop.ts'
import type { Rule } from '../../model/rule.ts'
import type { Mapping, Router, RouterInfo, RouterMember } from '../../routers/contract.ts'

export interface Check {
  /** The code of the finding it can make; its section in docs/doctor.md is made from this object. */
  readonly code: string
  readonly hop: Finding['hop']
  readonly title: Text
  /** What it looks at and why that decides. */
  readonly explains: Text
  /** The way out in general; a finding's own fixes name ports and commands. */
  readonly remedy: Text
  /** What it says when it finds something, unless the finding itself says otherwise. */
  readonly severity: Severity
  /** Codes whose presence makes this one a mere consequence. */
  readonly dependsOn: readonly string[]
  /** Cheap enough for the daemon to run by itself every few seconds. */
  readonly cheap: boolean
  /** @default 11_000, which the slowest shared reading (no router answers) needs */
  readonly limitMs?: number
  /** Empty where all is well. Must not change anything outside this process. */
  run(subject: CheckSubject, options: { signal: AbortSignal }): Promise<readonly Finding[]>
}

export interface CheckSubject {
  /** Null checks the machine in general. */
  readonly rule: Rule | null
  /** What the daemon knows of that rule's hops; empty where it does not run. */
  readonly hops: readonly HopStatus[]
  /** Naru itself serves what the rule leads to (the sample page), as long as it runs. */
  readonly servedByUs: boolean
  readonly host: Host
  readonly clock: Clock
  readonly routers: readonly RouterMember[]
  readonly firewalls: readonly FirewallMember[]
  readonly guests: readonly GuestMember[]
  /** True where the user allowed asking servers on the internet (STUN). */
  readonly mayAskInternet: boolean
  /** Names the user gives out for this place, such as a DDNS name. */
  names: () => Promise<readonly string[]>
  /** What tests from outside said. */
  readonly outside: readonly OutsideTest[]
  readonly look: Readings
}

/** A try from outside, and whether its SYN reached this machine. */
export interface OutsideTest {
  readonly port: number
  /** Address the client was told to go to. */
  readonly to: string
  readonly who: Outsider
  readonly result: 'answered' | 'refused' | 'silent'
  /** SYNs counted at this machine meanwhile; null where they could not be counted. */
  readonly synsSeen: number | null
}

/**
 * Readings that several checks share within one diagnosis: each is made once, when first asked for. A reading that
 * fails, fails those checks alone that asked for it.
 */
export interface Readings {
  facts(): Promise<Facts>
  interfaces(): Promise<readonly Interface[]>
  defaultRoutes(): Promise<readonly Route[]>
  /** The interface and the IPv4 address that the router must forward to; null where there is none. */
  lan(): Promise<Lan | null>
  /** Sockets of programs on any of these ports. */
  listeners(ports: PortRange): Promise<readonly SocketEntry[]>
  /** Connects once and closes; at most 1.5 s. */
  dial(address: string, port: number): Promise<Dialled>
  /** Names of the rules by which this one leads back to itself, from it on; null where it does not. */
  wayRound(): Promise<readonly string[] | null>
  /** Where the rule's targets are now, dialled where they are TCP. */
  targets(): Promise<readonly SeenTarget[]>
  /** Guests of every hypervisor that is here. */
  guests(): Promise<readonly Guest[]>
  /** The firewall that decides here; null where none is known. */
  firewall(): Promise<{ readonly member: FirewallMember } | null>
  /** Would the rule's clients get in? Null where the firewall cannot tell. */
  admission(): Promise<(FirewallAnswer & { readonly protocol: Protocol; readonly port: number }) | null>
  /** Openings of a Naru that no journal of this state folder has. */
  unclaimed(): Promise<readonly UnclaimedOpening[]>
  routers(): Promise<readonly SeenRouter[]>
  /**
   * Who answers behind the router: the second hop towards a private address that nobody has, which no provider carries
   * on. Asked only where a router is there and tells no outside address. Null where nobody answers.
   */
  secondHop(): Promise<string | null>
  /** Our address as a STUN server saw it; null without the user's word or an answer. */
  stun(): Promise<string | null>
  /** Addresses of a name. @throws where it has none */
  addressesOf(name: string): Promise<readonly string[]>
  /** What a check asks of the machine alone: by the first rule that wants it, for all of them. */
  shared<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T>
}

/** Sockets on the ports of these targets. */
export async function listenersAt(
  targets: readonly Pick<SeenTarget, 'port'>[],
  look: Pick<Readings, 'listeners'>,
): Promise<readonly SocketEntry[]> {
  const ports = [...new Set(targets.map(({ port }) => port))]
  return (await Promise.all(ports.map((port) => look.listeners({ first: port, last: port })))).flat()
}

export interface UnclaimedOpening {
  /** As the firewall's tool prints it. */
  readonly text: string
  /** What takes it away. */
  readonly command: string
  /** `nobodys`: no Naru makes such by itself. `unknown`: another Naru may hold it. */
  readonly whose: 'ours' | 'nobodys' | 'unknown'
}

export interface Lan {
  readonly interface: Interface
  readonly address: string
  readonly bits: number
  readonly gateway: string | null
}

export interface Dialled {
  readonly result: 'connected' | 'refused' | 'silent' | 'unreachable'
  /** Node's error code, such as EHOSTUNREACH. */
  readonly errno: string | null
  readonly ms: number
}

export interface SeenTarget {
  /** As written: `127.0.0.1:80`, `docker:web:80`. */
  readonly text: string
  readonly guest: { readonly kind: string; readonly name: string } | null
  readonly addresses: readonly string[]
  readonly port: number
  readonly protocol: Protocol
  /** Is every address one of this machine's own? */
  readonly local: boolean
  /** Why it has no addresses. */
  readonly problem: NaruError | null
  /** The best that dialling gave; null for UDP or without an address. */
  readonly dialled: Dialled | null
  /** Did it answer ARP or NDP? Null for this machine's own and for what is not on the link. */
  readonly neighbour: boolean | null
}

export interface SeenRouter {
  readonly router: Router
  readonly info: RouterInfo | null
  /** Null where it has no list, and where that could not be read. */
  readonly mappings: readonly Mapping[] | null
  /** Why its list could not be read. */
  readonly unread: NaruError | null
}

/** What a check's own function answers; `defineCheck` makes the finding of it. */
export interface Sighting {
  readonly evidence: readonly Text[]
  readonly fixes: readonly Fix[]
  readonly severity?: Severity
  readonly title?: Text
  /** Beside those of its check. @default [] */
  readonly dependsOn?: readonly string[]
}

export interface CheckDefinition extends Omit<Check, 'run' | 'severity' | 'dependsOn' | 'cheap'> {
  /** @default 'blocks' */
  readonly severity?: Severity
  /** @default [] */
  readonly dependsOn?: readonly string[]
  /** @default false */
  readonly cheap?: boolean
  look: (
    subject: CheckSubject,
    options: { signal: AbortSignal },
  ) => Promise<Sighting | null | readonly Sighting[]> | Sighting | null
}

/** A check from what it looks at: null or an empty list is "all is well". */
export function defineCheck(definition: CheckDefinition): Check {
  const { look, severity = 'blocks', dependsOn = [], cheap = false, ...rest } = definition
  return {
    ...rest,
    severity,
    dependsOn,
    cheap,
    async run(subject, options) {
      const seen = await look(subject, options)
      const sightings =
        seen === null ? [] : Array.isArray(seen) ? (seen as readonly Sighting[]) : [seen as Sighting]
      return sightings.map((sighting) => ({
        code: rest.code,
        severity: sighting.severity ?? severity,
        hop: rest.hop,
        rule: subject.rule?.name ?? null,
        title: sighting.title ?? rest.title,
        evidence: sighting.evidence,
        fixes: sighting.fixes,
        dependsOn: [...dependsOn, ...(sighting.dependsOn ?? [])],
      }))
    },
  }
}

/** The rule's listen where it is one of ports. */
export function listenOf(subject: CheckSubject): Extract<Rule['listen'], { kind: 'inet' }> | null {
  return subject.rule?.listen.kind === 'inet' ? subject.rule.listen : null
}

export function isPublished({ rule }: CheckSubject): boolean {
  return rule !== null && rule.publish.router !== 'off'
}

/** The port that clients outside use. */
export function externalPortOf(subject: CheckSubject): number | null {
  const { rule } = subject
  const listen = listenOf(subject)
  if (!rule || !listen) return null
  const held = field(statusOf(subject, 'router')?.data, 'externalPort')
  if (typeof held === 'number') return held
  return typeof rule.publish.externalPort === 'number' ? rule.publish.externalPort : listen.ports.first
}

export function statusOf({ hops }: CheckSubject, hop: Hop): HopStatus | undefined {
  return hops.find((status) => status.hop === hop)
}

/** A hop that stands open now, with its lease's data. */
export function heldAt(subject: CheckSubject, hop: Hop): HopStatus | undefined {
  const status = statusOf(subject, hop)
  return status && (status.state === 'ok' || status.state === 'warning') ? status : undefined
}

/** Does the mapping that is held have an outside address that the internet reaches? */
export function hasOutsideAddress(subject: CheckSubject): boolean {
  const outside = field(heldAt(subject, 'router')?.data, 'externalAddress')
  return typeof outside === 'string' && isPublic(outside)
}

/** The error code with which a hop failed, if it did. */
export function problemAt(subject: CheckSubject, hop: Hop): string | null {
  const status = statusOf(subject, hop)
  if (!status || status.state !== 'broken') return null
  const code = status.problem ?? field(status.data, 'code')
  return typeof code === 'string' ? code : null
}

/** A field of a lease's data, which is JSON of the member's own. */
export function field(data: unknown, name: string): unknown {
  // A hop that holds several ports tells of each: the first is the one that is asked for.
  const one: unknown = Array.isArray(data) ? data[0] : data
  return typeof one === 'object' && one !== null ? (one as Record<string, unknown>)[name] : undefined
}

/** Did nothing decide but the default? Otherwise a rule blocks on purpose. */
export function blockedByDefault(member: FirewallMember | undefined, answer: FirewallAnswer): boolean {
  return member?.decidesByDefault?.(answer) ?? !/dport|sport|saddr|(^|\s)-s\s/.test(answer.by)
}

/** Is `address` in the network `of`/`bits`? IPv4 only. */
export function sameNetwork(address: string, of: string, bits: number): boolean {
  if (address.includes(':') || of.includes(':')) return false
  const [a, b] = [address, of].map((text) =>
    text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0),
  )
  const size = 2 ** (32 - bits)
  return Math.floor((a as number) / size) === Math.floor((b as number) / size)
}

/** An address that is only looked up in the routing table; nothing is sent to it. */
const somewhereOutside = '1.1.1.1'

/** The VPN or VM adapter by which packets for the internet leave; null where they leave by a card, or by nothing. */
export async function otherWayOut(
  { host, look }: CheckSubject,
  signal: AbortSignal,
): Promise<Interface | null> {
  const route = await host.network.routeTo(somewhereOutside, { signal })
  const out = (await look.interfaces()).find(({ name }) => name === route?.interface)
  return out && ['vpn', 'vm', 'container'].includes(out.kind) ? out : null
}
