/**
 * UPnP IGD v1 and v2 as a member of the routers: found by SSDP, IPv4 mappings by WANIPConnection or WANPPPConnection,
 * IPv6 pinholes by WANIPv6FirewallControl.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { addressRange, familyOf, isPublic } from '../../base/address.ts'
import { withLimit } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { SingleFlight } from '../../base/single-flight.ts'
import type { Text } from '../../base/text.ts'
import { hasAddress } from '../../host/ask-udp.ts'
import { gateways, realNetworks, type Gateway } from '../../host/gateways.ts'
import type { Json, OpenOptions } from '../../model/hop.ts'
import type {
  DiscoverOptions,
  Mapping,
  MappingKey,
  MappingLease,
  MappingRequest,
  Router,
  RouterInfo,
  RouterMember,
  RouterTools,
} from '../contract.ts'
import { Device, findAt } from './device.ts'
import type { Service } from './description.ts'
import { explainFault, isUnknownAction } from './fault.ts'
import { dropIfOurs, type UpnpEffect } from './effect.ts'
import { openMapping, ownerOf } from './lease.ts'
import { openPinhole, undoPinhole, type PinholeEffect } from './pinhole.ts'
import { pageOf } from './page.ts'
import { search, type FoundDevice, type SearchOptions, type SearchPlace } from './search.ts'
import { TableReader } from './reader.ts'
import { dropMapping, externalAddress, isConnected, listMappings, uptimeSeconds } from './table.ts'
import { watchDevice } from './notify-watch.ts'

export interface UpnpOptions {
  /** @default 1900 */
  readonly ssdpPort?: number
  /** How often a watched router is asked. @default 2_500 */
  readonly pollMs?: number
  /** How long a search waits for anybody. @default 3_000 */
  readonly searchMs?: number
}

/** What opens pinholes is an IGD of version 2 (WANIPv6FirewallControl:1 §1). */
const firewallTarget = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2'
/** Descriptions fetched at once, gateways first. */
const mostDescriptions = 8
/** However many connections are described, and however slowly they answer. */
const choosingLimitMs = 4000
const publicRank = 3

export function upnp(options: UpnpOptions = {}): RouterMember {
  return {
    id: 'upnp',
    title: 'UPnP IGD',
    async discover({ signal, tools, at }) {
      const limited = withLimit(signal, 6000)
      const ways = at ? [] : await gateways(tools.host.network, limited)
      const described = describing(ways, tools, options, limited)
      const isGateway = async (each: FoundDevice): Promise<boolean> => (await described(each)) !== null
      const where = { signal: limited, tools, ...(at && { at }) }
      const found = await findGateways(where, ways, options, isGateway)
      const read = await Promise.all(found.slice(0, mostDescriptions).map(described))
      const devices = read.filter((device) => device !== null)
      const client = at?.clientAddress ?? null
      return onePerRouter(devices).flatMap((device) => routersOf(device, ways, client, tools, options))
    },
    undo: (effect, { signal, tools }) => undo(effect, signal, tools, options),
  }
}

/** The gateway behind an answer, or null; read while the search goes on, and once. */
function describing(
  ways: readonly Gateway[],
  tools: RouterTools,
  { ssdpPort }: UpnpOptions,
  signal: AbortSignal,
): (found: FoundDevice) => Promise<Device | null> {
  const known = new Map<string, Promise<Device | null>>()
  return (each) => {
    const key = `${each.address} ${each.location.href}`
    // A gateway is asked from the address that its route leaves with, by whichever it was found.
    const source = ways.find(({ address }) => address === each.address)?.source ?? each.source
    const place = { address: each.address, source, ...(ssdpPort !== undefined && { ssdpPort }) }
    const device = known.get(key) ?? Device.read(each, place, tools.clock, signal)
    known.set(key, device)
    return device
  }
}

async function findGateways(
  { signal, tools, at }: DiscoverOptions,
  ways: readonly Gateway[],
  { ssdpPort, searchMs = 3000 }: UpnpOptions,
  isGateway: (found: FoundDevice) => Promise<boolean>,
): Promise<readonly FoundDevice[]> {
  const common = { isGateway, ...(ssdpPort !== undefined && { port: ssdpPort }) }
  const sendAtMs = [0, 500, 1500]
  if (at) {
    const place = { source: null, bits: 32, unicast: [at.address], multicast: null }
    return search([place], { signal, sendAtMs, limitMs: searchMs, graceMs: 100, ...common })
  }
  const networks = await realNetworks(tools.host.network, signal)
  const [ways4, ways6] = [
    ways.filter(({ family }) => family === 4),
    ways.filter(({ family }) => family === 6),
  ]
  const how = { sendAtMs, limitMs: searchMs, graceMs: 150, ...common }
  const enough = new AbortController()
  const over6 = searchLater(placesOf6(ways6), searchMs, {
    ...common,
    signal: AbortSignal.any([signal, enough.signal]),
  })
  const over4 = await search(placesOf(networks, ways4), { ...how, signal })
  // A box that answers by both is asked by IPv4, where it maps ports as well.
  if (over4.length > 0) enough.abort()
  const only6 = await over6
  return over4.length > 0 ? over4 : only6
}

/**
 * Over IPv6, once IPv4 has been silent for two thirds of its time, and with few questions: miniupnpd answers each of
 * them by up to a dozen packets, and asked for everything over both it is still at it when the next search comes.
 */
async function searchLater(
  places: readonly SearchPlace[],
  searchMs: number,
  how: Pick<SearchOptions, 'signal' | 'port' | 'isGateway'>,
): Promise<readonly FoundDevice[]> {
  if (places.length === 0) return []
  await pause((searchMs * 2) / 3, undefined, { signal: how.signal }).catch(() => {})
  if (how.signal.aborted) return []
  const limitMs = (searchMs * 2) / 3
  return search(places, { ...how, target: firewallTarget, sendAtMs: [0, limitMs / 2], limitMs, graceMs: 150 })
}

/** Whoever opens pinholes is the gateway: the networks that have one are asked, and it by unicast. */
function placesOf6(ways: readonly Gateway[]): readonly SearchPlace[] {
  return ways.map(({ interface: name, address, source }) => ({
    source,
    bits: 64,
    unicast: [address],
    multicast: name,
  }))
}

/** A socket a network; a gateway that another address of ours faces, or none of them, is asked by unicast alone. */
function placesOf(
  networks: readonly { interface: string; address: string; bits: number }[],
  ways: readonly Gateway[],
): readonly SearchPlace[] {
  const known = networks.map(({ interface: name, address, bits }) => ({
    source: address,
    bits,
    unicast: ways.filter(({ source }) => source === address).map((way) => way.address),
    multicast: name,
  }))
  const others = ways.filter(({ source }) => !networks.some(({ address }) => address === source))
  return [
    ...known,
    ...others.map(({ address, source }) => ({ source, bits: 32, unicast: [address], multicast: null })),
  ]
}

/** A router that answers several searches, or twice, is one; the same address may hold two that differ in their name. */
function onePerRouter(devices: readonly Device[]): readonly Device[] {
  const seen = new Map<string, Device>()
  for (const device of devices) {
    const key = `${device.place.address} ${device.description.udn}`
    const known = seen.get(key)
    // A FRITZ!Box describes IGD 1 and 2 under one name: the newer one can more.
    if (!known || versionOf(device) > versionOf(known)) seen.set(key, device)
  }
  return [...seen.values()]
}

function versionOf({ connection }: Device): number {
  return connection?.version ?? 0
}

function routersOf(
  device: Device,
  ways: readonly Gateway[],
  client: string | null,
  tools: RouterTools,
  options: UpnpOptions,
): Router[] {
  const found: Router[] = []
  const { source, address } = device.place
  const clientAddress = client ?? source
  if (device.connection && clientAddress !== null && familyOf(clientAddress) === 4)
    found.push(new UpnpRouter(device, clientAddress, { tools, options }))
  // By IPv6 it may answer from another address of its own.
  const way = ways.find((each) =>
    familyOf(address) === 6 ? each.source === source : each.address === address,
  )
  const way6 = ways.find(({ family, interface: name }) => family === 6 && name === way?.interface)
  if (device.description.firewall && way6) found.push(new PinholeRouter(device, way6, { tools, options }))
  return found
}

/** What both kinds of router of a device work with. */
interface Given {
  readonly tools: RouterTools
  readonly options: UpnpOptions
}

class UpnpRouter implements Router {
  readonly member = 'upnp'
  readonly family = 4
  readonly clientAddress: string
  readonly #device: Device
  readonly #reader: TableReader
  readonly #tools: RouterTools
  readonly #options: UpnpOptions
  readonly showsOthers = true
  readonly #choosing = new SingleFlight('UPnP', (signal) => this.#choose(signal))

  constructor(device: Device, clientAddress: string, { tools, options }: Given) {
    this.#device = device
    this.#reader = new TableReader(device)
    this.clientAddress = clientAddress
    this.#tools = tools
    this.#options = options
  }

  get looksAtAll(): boolean {
    return this.#reader.readsAll
  }

  get flavour(): string {
    return this.#device.connection?.version === 2 ? 'upnp-2' : 'upnp-1'
  }

  get rank(): number {
    return this.flavour === 'upnp-2' ? 2 : 4
  }

  get place(): string {
    return `${this.address} ${this.#device.location.href}`
  }

  get address(): string {
    return this.#device.place.address
  }

  async info({ signal }: { signal: AbortSignal }): Promise<RouterInfo> {
    await this.#preferConnected(signal)
    const [external, uptime] = await Promise.all([
      externalAddress(this.#device, { signal }).catch(() => null),
      uptimeSeconds(this.#device, { signal }).catch(() => null),
    ])
    const { maker, model, friendlyName, presentationUrl } = this.#device.description
    return {
      member: this.member,
      flavour: this.flavour,
      address: this.address,
      model: model ?? friendlyName,
      maker,
      presentationUrl: pageOf(presentationUrl, this.#device.location, this.address),
      externalAddress: external,
      uptimeSeconds: uptime,
      above: above(external),
    }
  }

  async mappings({ signal }: { signal: AbortSignal }): Promise<readonly Mapping[] | null> {
    try {
      return await listMappings(this.#device, { signal }, () => this.#tools.clock.monotonic())
    } catch (failure) {
      if (isUnknownAction(failure)) return null
      throw failure
    }
  }

  async lookup(key: MappingKey, { signal }: { signal: AbortSignal }): Promise<Mapping | null | 'unknown'> {
    try {
      return await this.#reader.read(key, signal)
    } catch (failure) {
      throw explainFault(failure, this.address, key.externalPort, true)
    }
  }

  async open(request: MappingRequest, options: OpenOptions): Promise<MappingLease> {
    await this.#preferConnected(options.signal)
    const { clientAddress, flavour } = this
    const reader = this.#reader
    const through = await throughOwn(this.address, request.internalAddress, clientAddress)
    const { clock } = this.#tools
    return openMapping(
      { device: this.#device, reader, flavour, clientAddress, clock, ...through },
      request,
      options,
    )
  }

  async remove(
    key: MappingKey,
    { signal, force = false }: { signal: AbortSignal; force?: boolean },
  ): Promise<void> {
    const found = await this.lookup(key, { signal })
    const [router, port] = [this.address, key.externalPort]
    if (found === null) throw new NaruError('ROUTER_MAPPING_UNKNOWN', { router, port })
    const ours = found !== 'unknown' && found.ours && found.internalAddress === this.clientAddress
    if (!ours && !force) {
      const owner = found === 'unknown' ? '?' : ownerOf(found)
      throw new NaruError('ROUTER_NOT_OURS', { router, port, owner })
    }
    try {
      await dropMapping(this.#device, key, { signal })
    } catch (failure) {
      throw explainFault(failure, router, port, true)
    }
  }

  watch({ signal, onRestart }: { signal: AbortSignal; onRestart: (why: Text) => void }): void {
    const { pollMs } = this.#options
    watchDevice(this.#device, { signal, clock: this.#tools.clock, onRestart, ...(pollMs && { pollMs }) })
  }

  /** A DSL router describes a connection a line; however many ask at the same moment, it is asked once. */
  async #preferConnected(signal: AbortSignal): Promise<void> {
    if (this.#device.description.connections.length > 1) await this.#choosing.get(signal)
  }

  /** One with a public address; else one that is up and has any; else any with one; else the first. */
  async #choose(signal: AbortSignal): Promise<void> {
    const { connections } = this.#device.description
    const first = connections[0] as Service
    let best = { connection: first, rank: 0 }
    const limited = withLimit(signal, choosingLimitMs)
    for (const connection of connections) {
      const rank = await this.#rankOf(connection, limited).catch(() => 0)
      if (rank > best.rank) best = { connection, rank }
      if (rank === publicRank || limited.aborted) break
    }
    this.#device.use(best.connection)
  }

  async #rankOf(connection: Service, signal: AbortSignal): Promise<number> {
    this.#device.use(connection)
    const address = await externalAddress(this.#device, { signal })
    if (address === null) return 0
    if (isPublic(address)) return publicRank
    return (await isConnected(this.#device, { signal })) ? 2 : 1
  }
}

class PinholeRouter implements Router {
  readonly member = 'upnp'
  readonly flavour = 'upnp-pinhole'
  /** A pinhole by UPnP can be deleted everywhere, one by PCP not (see pcp). */
  readonly rank = 0
  readonly looksAtAll = false
  readonly showsOthers = true
  readonly family = 6
  readonly #device: Device
  readonly #way: Gateway
  readonly #tools: RouterTools
  readonly #options: UpnpOptions

  constructor(device: Device, way: Gateway, { tools, options }: Given) {
    this.#device = device
    this.#way = way
    this.#tools = tools
    this.#options = options
  }

  get place(): string {
    return `${this.address} ${this.#device.location.href}`
  }

  get address(): string {
    return this.#way.address
  }

  get clientAddress(): string {
    return this.#way.source
  }

  async info(): Promise<RouterInfo> {
    const { maker, model, presentationUrl } = this.#device.description
    return {
      member: this.member,
      flavour: this.flavour,
      address: this.address,
      model,
      maker,
      presentationUrl: pageOf(presentationUrl, this.#device.location, this.#device.place.address),
      externalAddress: null,
      uptimeSeconds: null,
      above: 'public',
    }
  }

  async mappings(): Promise<null> {
    return null
  }

  async lookup(): Promise<'unknown'> {
    return 'unknown'
  }

  open(request: MappingRequest, options: OpenOptions): Promise<MappingLease> {
    const target = {
      device: this.#device,
      routerAddress: this.address,
      clientAddress: this.clientAddress,
      clock: this.#tools.clock,
    }
    return openPinhole(target, request, options)
  }

  /** Pinholes have no list: only who made one knows its number. */
  async remove(): Promise<void> {
    throw new NaruError('ROUTER_NO_LIST', { router: this.address })
  }

  watch({ signal, onRestart }: { signal: AbortSignal; onRestart: (why: Text) => void }): void {
    const { pollMs } = this.#options
    watchDevice(this.#device, { signal, clock: this.#tools.clock, onRestart, ...(pollMs && { pollMs }) })
  }
}

async function undo(
  effect: Json,
  signal: AbortSignal,
  tools: RouterTools,
  options: UpnpOptions,
): Promise<void> {
  const found = parseEffect(effect)
  if (found.until !== null && tools.clock.now() > found.until) return
  const device = await deviceAgain(found, signal, tools, options)
  if (found.kind === 'pinhole') return undoPinhole(device, found, signal)
  const through = await throughOwn(found.router, found.internalAddress, null)
  return dropIfOurs(device, found, { signal, ...through, now: () => tools.clock.monotonic() })
}

/**
 * A router that is strict maps, and deletes, only for who asks: where what is listened on is another address of ours
 * than the one it was found from, it is asked from that one.
 */
async function throughOwn(
  router: string,
  own: string | null,
  usual: string | null,
): Promise<{ readonly through?: { readonly address: string; readonly source: string } }> {
  if (own === null || own === usual || familyOf(own) !== familyOf(router)) return {}
  return (await hasAddress(own)) ? { through: { address: router, source: own } } : {}
}

/** Where the journal says it was, or wherever on that address it is now. @throws NaruError ROUTER_SILENT */
async function deviceAgain(
  { router, location }: UpnpEffect | PinholeEffect,
  signal: AbortSignal,
  tools: RouterTools,
  { ssdpPort }: UpnpOptions,
): Promise<Device> {
  // Our address may be another one by now: the system chooses.
  const place = { address: router, source: null, ...(ssdpPort !== undefined && { ssdpPort }) }
  const known = {
    address: router,
    source: null,
    location: new URL(location),
    target: '',
    usn: '',
    bootId: null,
  }
  const device = await Device.read(known, place, tools.clock, signal)
  if (device) return device
  const described = describing([], tools, { ...(ssdpPort !== undefined && { ssdpPort }) }, signal)
  const isGateway = async (each: FoundDevice): Promise<boolean> => (await described(each)) !== null
  for (const each of await findAt(place, signal, 2000, { isGateway })) {
    const moved = await described(each)
    if (moved) return moved
  }
  signal.throwIfAborted()
  throw new NaruError('ROUTER_SILENT', { router, protocol: 'UPnP', why: 'no answer' })
}

function above(external: string | null): RouterInfo['above'] {
  if (external === null) return 'unknown'
  if (isPublic(external)) return 'public'
  return addressRange(external) === 'carrierGradeNat' ? 'carrier-grade-nat' : 'nat'
}

function parseEffect(effect: Json): UpnpEffect | PinholeEffect {
  const found = effect as Partial<UpnpEffect | PinholeEffect> | null
  const readable =
    (found?.kind === 'mapping' || found?.kind === 'pinhole') &&
    typeof found.router === 'string' &&
    typeof found.location === 'string' &&
    URL.canParse(found.location)
  if (!readable) throw new NaruError('INTERNAL', { why: 'a journal entry of upnp is not readable' })
  return { ...found, until: found.until ?? null } as UpnpEffect | PinholeEffect
}
