/**
 * `naru ip` and `naru ports`: what this machine is to the network, as plain data. Everything that looks is handed in;
 * a part that fails leaves a note, never an empty answer.
 */
import { addressRange, isPublic, type Family } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { withLimit } from '../base/clock.ts'
import { toNaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { say, type Text } from '../base/text.ts'
import type { Guest, GuestMember } from '../guests/contract.ts'
import type { Host, Interface, Route, SocketEntry } from '../host/contract.ts'
import type { Listen } from '../model/listen.ts'
import type {
  MachineAddresses,
  MachineInterface,
  MachinePorts,
  MachineRouter,
  PortsOptions,
  PublicAddress,
} from '../model/machine.ts'
import type { RouterInfo, RouterMember } from '../routers/contract.ts'
import { natAbove, type NatAnswer } from '../model/nat-above.ts'
import { portRows } from './port-rows.ts'

export interface MachineDeps {
  readonly host: Host
  readonly routers: readonly RouterMember[]
  /** Asked for where a socket may be a guest's. */
  readonly guests: () => Promise<readonly GuestMember[]>
  readonly clock: Clock
  readonly log: Log
  /** Asks a STUN server; only called with the user's word. */
  readonly askStun: AskStun
  /** What stands above a router that does not tell its own address. @default nobody looks */
  readonly above?: (options: { signal: AbortSignal }) => Promise<{
    readonly above: 'nat' | 'carrier-grade-nat'
    readonly text: Text
  } | null>
  /** Rules that are open now, with the process that holds them. */
  readonly rules: () => Promise<
    readonly { readonly name: string; readonly listen: Listen; readonly pid: number }[]
  >
}

export type AskStun = (options: {
  signal: AbortSignal
  family?: Family
}) => Promise<{ readonly server: string; readonly address: string } | null>

export interface Machine {
  /** Ends within about 7 s. */
  addresses(options: { signal: AbortSignal; mayAskInternet?: boolean }): Promise<MachineAddresses>
  ports(options: PortsOptions & { signal: AbortSignal }): Promise<MachinePorts>
}

const routerLimitMs = 6500
const guestLimitMs = 1500

export function createMachine(deps: MachineDeps): Machine {
  return {
    addresses: (options) => readAddresses(deps, options),
    ports: (options) => readPorts(deps, options),
  }
}

async function readAddresses(
  deps: MachineDeps,
  { signal, mayAskInternet = false }: { signal: AbortSignal; mayAskInternet?: boolean },
): Promise<MachineAddresses> {
  const { network } = deps.host
  const notes: Text[] = []
  const or = <T>(what: Text, answer: Promise<T>, otherwise: T): Promise<T> =>
    answer.catch((error: unknown) => {
      signal.throwIfAborted()
      notes.push(unread(what, error))
      return otherwise
    })
  const [interfaces, routes, nameServers, routers, stun] = await Promise.all([
    or(say('the interfaces'), network.interfaces({ signal }), []),
    or(say('the routes'), network.defaultRoutes({ signal }), []),
    or(say('the name servers'), network.nameServers({ signal }), []),
    or(say('the routers'), readRouters(deps, signal), []),
    mayAskInternet ? or(say('the STUN server'), deps.askStun({ signal }), null) : null,
  ])
  if (mayAskInternet && stun === null) notes.push(say('no STUN server answered'))
  const lan = facingLan(interfaces, routes)
  const own = interfaces.find(({ name }) => name === lan)?.addresses ?? []
  const told = natAbove({
    own: own.filter(({ family }) => family === 4).map(({ address }) => address),
    routers,
    stun: stun?.address ?? null,
  })
  const hop = told.nat === 'unknown' && routers.length > 0 ? await deps.above?.({ signal }) : null
  const nat = hop ? byNextHop(hop) : told
  return {
    interfaces: interfaces.map((entry) => shown(entry, lan)),
    gateways: firstOfEachFamily(routes).map(({ family, gateway, interface: name, source }) => ({
      family,
      address: gateway,
      interface: name,
      source,
    })),
    nameServers,
    publicAddresses: [...ofInterfaces(interfaces), ...ofRouters(routers), ...ofStun(stun)],
    routers: routers.map(shownRouter),
    nat: nat.nat,
    natText: nat.text,
    notes,
  }
}

function byNextHop({ above, text }: { above: 'nat' | 'carrier-grade-nat'; text: Text }): NatAnswer {
  if (above === 'carrier-grade-nat') return { nat: 'carrier-grade', text }
  return { nat: 'two-routers', text: say`two routers: ${text}` }
}

async function readPorts(
  deps: MachineDeps,
  options: PortsOptions & { signal: AbortSignal },
): Promise<MachinePorts> {
  const { signal, all = false } = options
  const [sockets, interfaces, rules, { privileged, platform }] = await Promise.all([
    deps.host.sockets.list({ signal, all }),
    deps.host.network.interfaces({ signal }).catch(() => []),
    deps.rules().catch(() => []),
    deps.host.facts(),
  ])
  const guests = await guestsOf(deps, sockets, privileged, signal)
  const rows = portRows({ sockets, interfaces, rules, guests }, options)
  const hidden = rows.some((row) => row.process === null && row.state === 'listening')
  return { rows, unseen: hidden && !privileged ? unseenText(platform) : null }
}

function unseenText(platform: NodeJS.Platform): Text {
  return platform === 'win32'
    ? say('programs of other users are not shown: open the terminal with "Run as administrator"')
    : say('processes of other users are not shown: run it with sudo')
}

/** The interface that router mappings must point to: the default route's, but for tunnels and VM adapters. */
export function facingLan(interfaces: readonly Interface[], routes: readonly Route[]): string | null {
  const real = interfaces.filter(
    ({ kind, up }) => up && (kind === 'ethernet' || kind === 'wifi' || kind === 'other'),
  )
  const names = new Set(real.map(({ name }) => name))
  const routed = routes.find((route) => route.family === 4 && names.has(route.interface))
  if (routed) return routed.interface
  const withAddress = real.find(
    ({ kind, addresses }) => kind !== 'other' && addresses.some(({ address }) => isLanAddress(address)),
  )
  return withAddress?.name ?? routes.find((route) => names.has(route.interface))?.interface ?? null
}

function isLanAddress(address: string): boolean {
  return ['private', 'unicast', 'carrierGradeNat'].includes(addressRange(address))
}

function firstOfEachFamily(routes: readonly Route[]): Route[] {
  return ([4, 6] as const).flatMap((family) => routes.find((route) => route.family === family) ?? [])
}

const scopes: Record<string, MachineInterface['addresses'][number]['scope']> = {
  unicast: 'public',
  private: 'private',
  uniqueLocal: 'private',
  carrierGradeNat: 'carrier-grade',
  linkLocal: 'link-local',
  loopback: 'loopback',
}

function shown({ name, kind, up, mac, addresses }: Interface, lan: string | null): MachineInterface {
  return {
    name,
    kind,
    up,
    mac,
    addresses: addresses.map((entry) => ({
      family: entry.family,
      address: entry.address,
      bits: entry.bits,
      scope: scopes[addressRange(entry.address)] ?? 'other',
    })),
    facesLan: name === lan,
  }
}

function shownRouter(info: RouterInfo): MachineRouter {
  return {
    protocol: info.flavour,
    address: info.address,
    model: info.model,
    maker: info.maker,
    page: info.presentationUrl,
    externalAddress: info.externalAddress,
  }
}

function ofInterfaces(interfaces: readonly Interface[]): PublicAddress[] {
  return interfaces
    .filter(({ up }) => up)
    .flatMap(({ name, addresses }) =>
      addresses
        .filter(({ address }) => isPublic(address))
        .map(({ address }) => ({ seenBy: 'interface' as const, by: name, address, reachable: true })),
    )
}

function ofRouters(routers: readonly RouterInfo[]): PublicAddress[] {
  return routers.flatMap(({ flavour, externalAddress: address }) =>
    address ? [{ seenBy: 'router' as const, by: flavour, address, reachable: isPublic(address) }] : [],
  )
}

function ofStun(stun: { server: string; address: string } | null): PublicAddress[] {
  return stun
    ? [{ seenBy: 'stun', by: stun.server, address: stun.address, reachable: isPublic(stun.address) }]
    : []
}

async function readRouters(deps: MachineDeps, signal: AbortSignal): Promise<RouterInfo[]> {
  const { host, clock, log } = deps
  const limited = withLimit(signal, routerLimitMs)
  const found = await Promise.all(
    deps.routers.map((member) =>
      member.discover({ signal: limited, tools: { host, clock, log } }).catch(() => []),
    ),
  )
  const infos = found.flat().map((router) => router.info({ signal: limited }).catch(() => null))
  return (await Promise.all(infos)).filter((info) => info !== null)
}

/** Whose sockets forward to guests; they are asked only where there is one, since a hypervisor may answer slowly. */
const forwarders =
  /^(?:docker|com\.docker|containerd|rootlesskit|rootlessport|slirp4netns|pasta|conmon|netavark|gvproxy|vpnkit|qemu|libvirt|vmnet|vmware|vmnat|VBox|VirtualBox|wsl|svchost|System$)/i

/** Who sees everything and still sees no holder, looks at a socket of the kernel's own. */
async function guestsOf(
  deps: MachineDeps,
  sockets: readonly SocketEntry[],
  seesAll: boolean,
  signal: AbortSignal,
): Promise<readonly Guest[]> {
  const mayBe = ({ state, process: holder }: SocketEntry): boolean =>
    state === 'listening' && (holder === null ? !seesAll : forwarders.test(holder.name))
  return sockets.some(mayBe) ? readGuests(deps, signal) : []
}

async function readGuests(deps: MachineDeps, signal: AbortSignal): Promise<Guest[]> {
  const options = { host: deps.host, signal: withLimit(signal, guestLimitMs) }
  const list = async (member: GuestMember): Promise<readonly Guest[]> =>
    (await member.detect(options)).ok ? member.list(options) : []
  return (await Promise.all((await deps.guests()).map((member) => list(member).catch(() => [])))).flat()
}

function unread(what: Text, error: unknown): Text {
  const { text } = toNaruError(error)
  return say`could not read ${what}: ${text}`
}
