/**
 * What the checks of one diagnosis share: each reading is made once, when the first check asks. Readings of the
 * machine serve every rule; targets and admission are a rule's own.
 */
import { connect } from 'node:net'
import type { Clock } from '../base/clock.ts'
import { withLimit, pause, systemClock } from '../base/clock.ts'
import type { PortRange } from '../base/port.ts'
import { errnoOf, toNaruError, type NaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Dialled, Lan, Readings, SeenRouter, SeenTarget, UnclaimedOpening } from './checks/contract.ts'
import { sameNetwork } from './checks/contract.ts'
import type { Resolve } from '../engines/contract.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Guest, GuestMember } from '../guests/contract.ts'
import type { Host, Interface, Network, SocketEntry } from '../host/contract.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Rule } from '../model/rule.ts'
import { formatTarget, type Target } from '../model/target.ts'
import type { Router, RouterMember } from '../routers/contract.ts'
import { circlesIn, ownAddress } from '../machine/circles.ts'
import { chooseFirewall } from '../machine/choose-firewall.ts'
import { resolveGuest } from '../machine/guest-addresses.ts'
import { facingLan, type AskStun } from '../machine/machine.ts'

export interface ReadingsDeps {
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
  readonly routers: readonly RouterMember[]
  readonly firewalls: readonly FirewallMember[]
  readonly guests: readonly GuestMember[]
  /** Addresses of names; guests are resolved by their members. */
  readonly resolveName: Resolve
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

const dialLimitMs = 1500
const discoverLimitMs = 6500
const graceMs = 2000
/** With the search it fits into a check's limit. */
const detailLimitMs = 4000
/** Linux: five seconds of DELAY and three probes a second apart since the first packet, which was the dialling's. */
const neighbourLimitMs = 7000

/**
 * What a diagnosis asks the machine is asked once, whoever asks: members ask too, each asking is a command, and with
 * two hundred rules the answers would differ by when they came. Neighbours and single routes are asked each time, as
 * they are waited for.
 */
export function readOnce(host: Host, signal: AbortSignal): Host {
  const { network, sockets, runner } = host
  const read: Network = {
    interfaces: once(() => network.interfaces({ signal })),
    defaultRoutes: once(() => network.defaultRoutes({ signal })),
    routeTo: (address, how) => network.routeTo(address, how),
    nameServers: once(() => network.nameServers({ signal })),
    neighbours: (how) => network.neighbours(how),
  }
  return {
    facts: (how) => host.facts(how),
    network: read,
    sockets: {
      list: once((how) => sockets.list({ ...how, signal })),
      owner: once((protocol, port) => sockets.owner(protocol, port, { signal })),
    },
    runner: {
      run: once((argv, how) => runner.run(argv, { ...how, signal })),
      hold: (argv, how) => runner.hold(argv, how),
    },
  }
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
  const shared = new Map<string, Promise<unknown>>()
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
      const { member } = await chooseFirewall('auto', deps, signal)
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
    shared<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const asked = shared.get(key) ?? ask(signal)
      shared.set(key, asked)
      asked.catch(() => {})
      return asked as Promise<T>
    },
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

async function seeRouters(
  deps: ReadingsDeps,
  awaited: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<SeenRouter[]> {
  const found = await discover(deps, awaited, withLimit(signal, discoverLimitMs))
  const detail = withLimit(signal, detailLimitMs)
  return Promise.all(
    found.map(async (router) => {
      let unread: NaruError | null = null
      const [info, mappings] = await Promise.all([
        router.info({ signal: detail }).catch(() => null),
        router.mappings({ signal: detail }).catch((error: unknown) => {
          unread = toNaruError(error)
          return null
        }),
      ])
      return { router, info, mappings, unread }
    }),
  )
}

/**
 * Every protocol is asked at once, one that is `awaited` once more before its silence is believed: on a busy machine an
 * answer comes late. After the first that found a router, and all that are `awaited` have ended, the others have
 * `graceMs` more.
 */
async function discover(
  deps: ReadingsDeps,
  awaited: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<readonly Router[]> {
  const { host, clock, log } = deps
  const found: Router[] = []
  const missing = new Set(awaited)
  const enough = new AbortController()
  const late = AbortSignal.any([signal, enough.signal])
  const ask = (member: RouterMember): Promise<readonly Router[]> =>
    member.discover({ signal: late, tools: { host, clock, log } }).catch(() => [])
  const asked = deps.routers.map(async (member) => {
    const routers = await ask(member)
    const twice = routers.length === 0 && awaited.has(member.id) && !late.aborted
    found.push(...(twice ? await ask(member) : routers))
    missing.delete(member.id)
    const all = deps.routers.every(({ id }) => !missing.has(id))
    if (found.length > 0 && all) systemClock.after(graceMs, () => enough.abort())
  })
  await Promise.race([Promise.all(asked), aborted(late)])
  enough.abort()
  return [...found]
}

/** Private, so that what is not answered in the house ends at the provider's first router. */
const nobody = '10.254.254.254'

/** Where makers and providers put a router's own address; 100.64.0.1 is what satellite and mobile providers use. */
const usualRouters = [
  '192.168.0.1', '192.168.1.1', '192.168.1.254', '192.168.2.1', '192.168.8.1', '192.168.10.1', '192.168.25.1',
  '192.168.35.1', '192.168.50.1', '192.168.100.1', '192.168.178.1', '192.168.219.1', '172.30.1.254', '10.0.0.1',
  '10.0.0.138', '10.1.1.1', '100.64.0.1',
] as const // prettier-ignore

/**
 * One echo request that may pass two routers; whoever drops it says who it is (RFC 792, time exceeded). Where there is
 * no ping, the usual addresses of routers are tried: one that answers though it is not on our link is beyond ours.
 */
async function secondHop(
  host: Host,
  look: Pick<Readings, 'dial' | 'interfaces'>,
  signal: AbortSignal,
): Promise<string | null> {
  const { platform } = await host.facts()
  const ways: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
    win32: ['ping', '-n', '1', '-i', '2', '-w', '1500', nobody],
    darwin: ['ping', '-c', '1', '-m', '2', '-t', '2', nobody],
  }
  const argv = ways[platform] ?? ['ping', '-n', '-c', '1', '-t', '2', '-W', '2', nobody]
  const ping = await host.runner.run(argv, { signal, limitMs: 4000 }).catch(() => null)
  const named = [...(ping?.stdout ?? '').matchAll(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g)].map(([address]) => address)
  const told = named.find((address) => address !== nobody)
  if (told) return told
  const interfaces = await look.interfaces()
  const beyond = usualRouters.filter((address) => !isOnLink(address, interfaces))
  const dialled = await Promise.all(
    beyond.map(async (address) => ({ address, ...(await look.dial(address, 80)) })),
  )
  return dialled.find(({ result }) => result === 'connected' || result === 'refused')?.address ?? null
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
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

interface TargetTools {
  readonly rule: Rule
  readonly hops: readonly HopStatus[]
  readonly machine: MachineLook
  readonly deps: ReadingsDeps
  readonly signal: AbortSignal
  readonly quiet: boolean
}

/** Null for a Unix socket. */
async function seeTarget(to: Target, tools: TargetTools): Promise<SeenTarget | null> {
  if (to.kind === 'unix') return null
  const protocol = tools.rule.listen.kind === 'inet' ? (tools.rule.listen.protocols[0] ?? 'tcp') : 'tcp'
  const forwarded = to.kind === 'guest' ? forwardOf(tools.hops) : null
  const base = {
    text: formatTarget(to),
    guest: to.kind === 'guest' ? { kind: to.guest, name: to.name } : null,
    port: forwarded?.port ?? to.ports.first,
    protocol,
  }
  try {
    const addresses = forwarded ? [forwarded.address] : await addressesOf(to, tools)
    return { ...base, ...(await reach(addresses, base, tools)), addresses, problem: null }
  } catch (error) {
    tools.signal.throwIfAborted()
    return {
      ...base,
      addresses: [],
      local: false,
      problem: toNaruError(error),
      dialled: null,
      neighbour: null,
    }
  }
}

/** Where the hypervisor forwards, the relay dials that. */
function forwardOf(hops: readonly HopStatus[]): { address: string; port: number } | null {
  const data = hops.find(({ hop, state }) => hop === 'guest' && state !== 'broken' && state !== 'off')?.data
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return null
  const { address, ports } = data as { address?: unknown; ports?: { first?: unknown } | null }
  const port = ports?.first
  return typeof address === 'string' && typeof port === 'number' ? { address, port } : null
}

async function addressesOf(
  to: Exclude<Target, { kind: 'unix' }>,
  { deps, signal }: TargetTools,
): Promise<readonly string[]> {
  if (to.kind === 'inet') return (await deps.resolveName(to, { signal })).addresses
  const member = deps.guests.find(({ kind }) => kind === to.guest)
  if (!member) return []
  return (await resolveGuest(member, to.name, { host: deps.host, signal })).addresses
}

const betterFirst: readonly Dialled['result'][] = ['connected', 'refused', 'unreachable', 'silent']

async function reach(
  addresses: readonly string[],
  { port, protocol }: { port: number; protocol: string },
  { machine, deps, signal, quiet }: TargetTools,
): Promise<Pick<SeenTarget, 'local' | 'dialled' | 'neighbour'>> {
  const interfaces = await machine.interfaces()
  const local = addresses.length > 0 && addresses.every((address) => isOwn(address, interfaces))
  if (protocol !== 'tcp' || addresses.length === 0) return { local, dialled: null, neighbour: null }
  const dialled = await Promise.all(addresses.map((address) => machine.dial(address, port)))
  dialled.sort((a, b) => betterFirst.indexOf(a.result) - betterFirst.indexOf(b.result))
  const best = dialled[0] ?? null
  const onLink = addresses.find((address) => !local && isOnLink(address, interfaces))
  const unanswered = best?.result === 'silent' || best?.result === 'unreachable'
  if (quiet && unanswered) return { local, dialled: best, neighbour: null }
  const neighbour = onLink && unanswered ? await isAlive(onLink, deps.host, signal) : onLink ? true : null
  return { local, dialled: best, neighbour }
}

function isOwn(address: string, interfaces: readonly Interface[]): boolean {
  if (address.startsWith('127.') || address === '::1') return true
  return interfaces.some(({ addresses }) => addresses.some((own) => own.address === address))
}

function isOnLink(address: string, interfaces: readonly Interface[]): boolean {
  return interfaces.some(({ addresses }) =>
    addresses.some((own) => sameNetwork(address, own.address, own.bits)),
  )
}

/**
 * Does it answer ARP now? An entry may be minutes old, so one that is not fresh is watched until the kernel has
 * probed it; a ping speeds that up, and its answer is proof by itself.
 */
async function isAlive(address: string, host: Host, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + neighbourLimitMs
  const flag = (await host.facts()).platform === 'win32' ? ['-n', '1', '-w', '1000'] : ['-c', '1', '-W', '1']
  const ping = await host.runner.run(['ping', ...flag, address], { signal, limitMs: 3000 }).catch(() => null)
  if (ping?.exit === 0) return true
  for (;;) {
    const entry = (await host.network.neighbours({ signal })).find((one) => one.address === address)
    if (!entry) return false
    if (entry.fresh !== false || performance.now() > until) return true
    await pause(400, signal)
  }
}

/** Connects once and closes at once. */
function dial(address: string, port: number, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve) => {
    const began = performance.now()
    const socket = connect({ host: address, port })
    const end = (result: Dialled['result'], errno: string | null): void => {
      timer[Symbol.dispose]()
      signal.removeEventListener('abort', onAbort)
      // RST rather than FIN: nothing of this connection is to linger at the service.
      if (result === 'connected') socket.resetAndDestroy()
      else socket.destroy()
      resolve({ result, errno, ms: Math.round(performance.now() - began) })
    }
    const onAbort = (): void => end('silent', 'ABORTED')
    const timer = systemClock.after(dialLimitMs, () => end('silent', null))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => end('connected', null))
    socket.on('error', (error) => {
      const errno = errnoOf(error) ?? null
      end(errno === 'ECONNREFUSED' ? 'refused' : errno === 'ETIMEDOUT' ? 'silent' : 'unreachable', errno)
    })
  })
}

/** Once for each different question; whose signal it comes with makes no difference (JSON has none). */
function once<A extends readonly unknown[], T>(
  make: (...asked: A) => Promise<T>,
): (...asked: A) => Promise<T> {
  const made = new Map<string, Promise<T>>()
  return (...asked) => {
    const key = JSON.stringify(asked)
    const known = made.get(key)
    if (known) return known
    const answer = make(...asked)
    made.set(key, answer)
    // Each check that asked gets the failure; without one, nobody is told of an unhandled one.
    answer.catch(() => {})
    return answer
  }
}
