/**
 * What the checks of one diagnosis share: each reading is made once, when the first check asks. Readings of the
 * machine serve every rule; targets and admission are a rule's own.
 */
import type { PortRange } from '../base/port.ts'
import type { Dialled, Lan, Readings, UnclaimedOpening } from './checks/contract.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Guest, GuestMember } from '../guests/contract.ts'
import type { Host, Interface, SocketEntry } from '../host/contract.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Rule } from '../model/rule.ts'
import type { Target } from '../model/target.ts'
import { circlesIn, ownAddress } from '../machine/circles.ts'
import { chooseFirewall } from '../machine/choose-firewall.ts'
import { facingLan, type AskStun } from '../machine/machine.ts'
import { isOwn } from './own-networks.ts'
import { once } from './read-once.ts'
import { secondHop, seeRouters, type RouterDeps } from './read-routers.ts'
import { dial, seeTarget, type TargetDeps, type TargetTools } from './read-target.ts'

export interface ReadingsDeps extends RouterDeps, TargetDeps {
  readonly firewalls: readonly FirewallMember[]
  readonly askStun: AskStun
  /** All that are open or to be. @default none */
  readonly rules?: () => Promise<readonly { readonly rule: Rule }[]>
  /** Openings that no journal of this state folder has. @default none */
  readonly unclaimed?: (options: { signal: AbortSignal }) => Promise<readonly UnclaimedOpening[]>
}

type MachineLook = Omit<Readings, 'targets' | 'admission' | 'wayRound'> & {
  /** Rules that lead to each other, by name. */
  circles(): Promise<readonly (readonly string[])[]>
}

interface HowToLook {
  readonly signal: AbortSignal
  /** So that nobody notices, and without waiting for what answers late. @default false */
  readonly quiet?: boolean
}

export function readMachine(
  deps: ReadingsDeps,
  {
    signal,
    mayAskInternet,
    quiet = false,
    awaited = new Set(),
  }: HowToLook & { mayAskInternet: boolean; awaited?: ReadonlySet<string> },
): MachineLook {
  const { host } = deps
  const dials = new Map<string, Promise<Dialled>>()
  const guestOptions = { host, signal }
  // Ten thousand rules each ask for a port or two among as many sockets.
  const held = once(async () => byPort(await host.sockets.list({ signal, holders: !quiet })))
  const look: MachineLook = {
    facts: once(() => host.facts()),
    interfaces: once(() => host.network.interfaces({ signal })),
    defaultRoutes: once(() => host.network.defaultRoutes({ signal })),
    lan: once(async () => lanOf(await look.interfaces(), await look.defaultRoutes())),
    // Whose they are costs the most to find out, and is of no use every few seconds.
    listeners: async (ports) => within(await held(), ports),
    guests: once(async () =>
      (await Promise.all(deps.guests.map((member) => listOf(member, guestOptions)))).flat(),
    ),
    firewall: once(async () => {
      const { member } = await chooseFirewall('auto', deps, { signal })
      return member && { member }
    }),
    circles: once(async () => {
      const rules = ((await deps.rules?.()) ?? []).map(({ rule }) => rule)
      const { found } = circlesIn(rules, ownAddress(await look.interfaces()))
      return found.map((circle) => circle.map(({ name }) => name))
    }),
    unclaimed: once(async () => (await deps.unclaimed?.({ signal })) ?? []),
    routers: once(() => seeRouters(deps, awaited, signal)),
    stun: once(async () => (mayAskInternet ? ((await deps.askStun({ signal }))?.address ?? null) : null)),
    secondHop: once(() => secondHop(host, look, signal)),
    addressesOf: async (name) => {
      const target: Target = { kind: 'inet', host: name, ports: { first: 1, last: 1 } }
      return (await deps.resolveName(target, { signal })).addresses
    },
    shared: sharedFor(signal),
    dial(address, port) {
      const key = `${address} ${port}`
      const made = dials.get(key) ?? (quiet ? dialUnseen(address, port) : dial(address, port, signal))
      dials.set(key, made)
      return made
    },
  }
  return look

  /** A service of this machine is found in the socket table; every few seconds a connection would fill its log. */
  async function dialUnseen(address: string, port: number): Promise<Dialled> {
    const { platform } = await host.facts()
    const here = platform === 'linux' && isOwn(address, await look.interfaces())
    const heard = here ? await look.listeners({ first: port, last: port }) : []
    if (heard.some((entry) => takes(entry, address, port))) return { result: 'connected', errno: null, ms: 0 }
    return dial(address, port, signal)
  }
}

/** Once for each key. */
function sharedFor(signal: AbortSignal): Readings['shared'] {
  const made = new Map<string, Promise<unknown>>()
  return <T>(key: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const asked = made.get(key) ?? ask(signal)
    made.set(key, asked)
    asked.catch(() => {})
    return asked as Promise<T>
  }
}

function byPort(entries: readonly SocketEntry[]): ReadonlyMap<number, readonly SocketEntry[]> {
  const ports = new Map<number, SocketEntry[]>()
  for (const entry of entries) {
    const there = ports.get(entry.port)
    if (there) there.push(entry)
    else ports.set(entry.port, [entry])
  }
  return ports
}

function within(
  held: ReadonlyMap<number, readonly SocketEntry[]>,
  { first, last }: PortRange,
): readonly SocketEntry[] {
  if (first === last) return held.get(first) ?? []
  return [...held].flatMap(([port, entries]) => (first <= port && port <= last ? entries : []))
}

function takes({ protocol, state, v6only, ...entry }: SocketEntry, address: string, port: number): boolean {
  if (protocol !== 'tcp' || state !== 'listening' || entry.port !== port) return false
  if (entry.address === '::') return address.includes(':') || v6only !== true
  return entry.address === address || (entry.address === '0.0.0.0' && !address.includes(':'))
}

/** Adds what belongs to one rule. */
export function readRule(
  machine: MachineLook,
  deps: ReadingsDeps,
  { rule, hops, signal, quiet = false }: HowToLook & { rule: Rule | null; hops: readonly HopStatus[] },
): Readings {
  return {
    ...machine,
    wayRound: once(async () => {
      const circles = rule?.enabled ? await machine.circles() : []
      const found = circles.find((circle) => circle.includes(rule?.name ?? ''))
      if (!found || !rule) return null
      const at = found.indexOf(rule.name)
      return [...found.slice(at), ...found.slice(0, at)]
    }),
    targets: once(async () => {
      // The rule's own lease on its service looks more often than we do.
      if (quiet && hops.some(({ hop, state }) => hop === 'service' && state === 'ok')) return []
      const tools = (asked: Rule): TargetTools => ({ rule: asked, hops, machine, deps, signal, quiet })
      const seen = rule?.targets.map(({ to }) => seeTarget(to, tools(rule))) ?? []
      return (await Promise.all(seen)).filter((target) => target !== null)
    }),
    admission: once(() => admission(rule, machine, deps.host, signal)),
  }
}

function lanOf(interfaces: readonly Interface[], routes: Parameters<typeof facingLan>[1]): Lan | null {
  const name = facingLan(interfaces, routes)
  const device = interfaces.find((entry) => entry.name === name)
  const route = routes.find((entry) => entry.family === 4 && entry.interface === name)
  const own = device?.addresses.filter(({ family }) => family === 4) ?? []
  const address = own.find((entry) => entry.address === route?.source) ?? own[0]
  if (!device || !address) return null
  return { interface: device, address: address.address, bits: address.bits, gateway: route?.gateway ?? null }
}

async function listOf(
  member: GuestMember,
  options: { host: Host; signal: AbortSignal },
): Promise<readonly Guest[]> {
  try {
    return (await member.detect(options)).ok ? await member.list(options) : []
  } catch {
    // One hypervisor that does not answer hides no other's guests.
    return []
  }
}

async function admission(
  rule: Rule | null,
  machine: MachineLook,
  host: Host,
  signal: AbortSignal,
): ReturnType<Readings['admission']> {
  const firewall = await machine.firewall()
  if (!firewall || rule?.listen.kind !== 'inet') return null
  const { listen } = rule
  // Loopback is let in everywhere, and is not where clients come from.
  if (listen.address?.startsWith('127.') || listen.address === '::1') return null
  const from = rule.allow[0]?.address ?? null
  const port = listen.ports.first
  const answers = await Promise.all(
    listen.protocols.map(async (protocol) => ({
      ...(await firewall.member.explain({ protocol, port, from }, { host, signal })),
      protocol,
      port,
    })),
  )
  const [first] = answers
  return (
    answers.find(({ sentOn }) => sentOn) ??
    answers.find(({ verdict }) => verdict === 'blocked') ??
    first ??
    null
  )
}
