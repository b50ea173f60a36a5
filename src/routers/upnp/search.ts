/**
 * Searches the network for gateways by SSDP: by unicast to the default gateways first (a firewall lets that answer
 * in), by multicast on every real network besides. A crowd of fake devices cannot push a gateway out, nor cost more
 * than a few lines of memory.
 */
import { createSocket, type Socket } from 'node:dgram'
import { systemClock } from '../../base/clock.ts'
import { addressBytes, addressRange, familyOf, formatEndpoint, unmapped } from '../../base/address.ts'
import {
  anyDevice,
  isGatewayTarget,
  parseSearchAnswer,
  searchRequest,
  searchTargets,
  ssdpGroup,
  ssdpGroups6,
  ssdpPort,
} from './ssdp.ts'
import type { SsdpAnswer } from './ssdp.ts'

export interface FoundDevice extends SsdpAnswer {
  /** Who answered; the only host that will be asked for the description. */
  readonly address: string
  /** Our address on the network it was found on; null where it was not found by one. */
  readonly source: string | null
}

export interface SearchPlace {
  /** Our address on that network; null lets the system choose. */
  readonly source: string | null
  /** Prefix length of that network; only hosts inside it, and those asked by unicast, are listened to. */
  readonly bits: number
  /** Asked by unicast. */
  readonly unicast: readonly string[]
  /** The interface that is asked by multicast; null asks by unicast alone. */
  readonly multicast: string | null
}

export interface SearchOptions {
  readonly signal: AbortSignal
  /** When to send, ms after the start. */
  readonly sendAtMs: readonly number[]
  readonly limitMs: number
  /** Ends this much after the first gateway was found; others in the house are then known too. */
  readonly graceMs: number
  /**
   * Whether what answered is a gateway, by what it describes: a box may hold several devices, and whichever answers
   * first ends no search. Asked once a description. @default whoever answers is one
   */
  readonly isGateway?: (found: FoundDevice) => Promise<boolean>
  /** What is asked for at first; the sendings after it ask for everything. @default a gateway device */
  readonly target?: string
  /** @default 1900 */
  readonly port?: number
}

/**
 * What nearly every gateway answers to. Asked for everything at once, miniupnpd sends dozens of packets and is still at
 * it when the first mapping is asked for; who stays silent is asked for everything half a second later.
 */
const firstTargets = searchTargets.slice(0, 2)
const mostDatagrams = 400
const mostHosts = 8
const mostLocations = 3
/** Of a host that was asked by name, also what does not call itself a gateway: its other devices. */
const mostOthers = 8

/** Every gateway that answers, those asked by unicast first. Never throws but for a signal that has fired already. */
export async function search(
  places: readonly SearchPlace[],
  options: SearchOptions,
): Promise<readonly FoundDevice[]> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  const timers = [systemClock.after(options.limitMs, end)]
  options.signal.addEventListener('abort', end, { once: true })
  const collection = new Collection(
    places.flatMap(({ unicast }) => unicast),
    options.isGateway ?? (() => Promise.resolve(true)),
  )
  collection.onFirst = () => timers.push(systemClock.after(options.graceMs, end))
  if (options.signal.aborted || places.length === 0) end()
  try {
    await Promise.all(places.map((place) => searchFrom(place, collection, options, ended.signal)))
  } finally {
    for (const timer of timers) timer[Symbol.dispose]()
    options.signal.removeEventListener('abort', end)
  }
  return collection.found()
}

function searchFrom(
  place: SearchPlace,
  collection: Collection,
  { sendAtMs, target, port = ssdpPort }: SearchOptions,
  ended: AbortSignal,
): Promise<void> {
  if (ended.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const six = familyOf(place.source ?? place.unicast[0] ?? '') === 6
    const socket = createSocket({ type: six ? 'udp6' : 'udp4' })
    const timers: Disposable[] = []
    const close = (): void => {
      for (const timer of timers) timer[Symbol.dispose]()
      ended.removeEventListener('abort', close)
      closeQuietly(socket)
      resolve()
    }
    ended.addEventListener('abort', close, { once: true })
    // An error of one network (it went away) ends the search there, and nowhere else.
    socket.on('error', close)
    socket.on('message', (bytes, from) => collection.take(bytes, unmapped(from.address), place))
    socket.bind({ port: 0, ...(place.source !== null && { address: place.source }) }, () => {
      const groups = place.multicast === null ? [] : prepareMulticast(socket, place.source, place.multicast)
      sendAtMs.forEach((at, time) => {
        const targets = time > 0 ? searchTargets : target !== undefined ? [target] : firstTargets
        const how = { port, targets, groups, again: at > 0 }
        timers.push(systemClock.after(at, () => sendSearches(socket, place, how)))
      })
    })
  })
}

/** To a gateway by unicast, without a delay; to a group with one second, and later two, to spread the answers. */
function sendSearches(
  socket: Socket,
  { unicast }: SearchPlace,
  how: { port: number; targets: readonly string[]; groups: readonly string[]; again: boolean },
): void {
  const { port, targets, groups, again } = how
  const send = (address: string, delaySeconds: number | null): void => {
    const host = formatEndpoint(address.split('%')[0] as string, port)
    const wanted = delaySeconds === null && again ? [...targets, anyDevice] : targets
    for (const target of wanted)
      socket.send(searchRequest(target, host, delaySeconds), port, address, () => {})
  }
  for (const address of unicast) send(address, null)
  for (const group of groups) send(group, again ? 2 : 1)
}

/** @returns the groups to ask, with the zone where the address alone does not name the network. */
function prepareMulticast(socket: Socket, source: string | null, name: string): readonly string[] {
  const six = source !== null && familyOf(source) === 6
  try {
    socket.setMulticastTTL(2)
    if (source !== null) socket.setMulticastInterface(six ? `::%${name}` : source)
  } catch {
    // The interface has just gone; unicast still works.
  }
  return six ? ssdpGroups6.map((group) => `${group}%${name}`) : [ssdpGroup]
}

/** Answers, a few a host and a few hosts; hosts we asked by name always have room. */
class Collection {
  readonly #asked: ReadonlySet<string>
  readonly #byHost = new Map<string, FoundDevice[]>()
  #datagrams = 0
  onFirst: (() => void) | null = null

  readonly #isGateway: (found: FoundDevice) => Promise<boolean>

  constructor(asked: readonly string[], isGateway: (found: FoundDevice) => Promise<boolean>) {
    this.#asked = new Set(asked)
    this.#isGateway = isGateway
  }

  take(bytes: Uint8Array, address: string, place: SearchPlace): void {
    const asked = this.#asked.has(address)
    if (!asked && (++this.#datagrams > mostDatagrams || !isNear(address, place))) return
    const answer = parseSearchAnswer(bytes)
    // Whom we asked by name may call itself what it likes; of a whole house only gateways are of interest.
    if (!answer || !(asked || isGatewayTarget(answer.target))) return
    const known = this.#byHost.get(address) ?? []
    if (known.some(({ location }) => location.href === answer.location.href)) return
    const claims = isGatewayTarget(answer.target)
    const alike = known.filter(({ target }) => isGatewayTarget(target) === claims)
    if (alike.length >= (claims ? mostLocations : mostOthers)) return
    if (known.length === 0 && !asked && this.#strangers() >= mostHosts) return
    const found = { ...answer, address, source: place.source }
    this.#byHost.set(address, [...known, found])
    if (!asked && this.#asked.size > 0) return
    void this.#isGateway(found).then((yes) => {
      if (!yes) return
      this.onFirst?.()
      this.onFirst = null
    })
  }

  found(): readonly FoundDevice[] {
    const claims = ({ target }: FoundDevice): number => (isGatewayTarget(target) ? 0 : 1)
    const all = [...this.#byHost.values()].flatMap((some) => some.toSorted((a, b) => claims(a) - claims(b)))
    return [
      ...all.filter((each) => this.#asked.has(each.address)),
      ...all.filter((each) => !this.#asked.has(each.address)),
    ]
  }

  #strangers(): number {
    return [...this.#byHost.keys()].filter((address) => !this.#asked.has(address)).length
  }
}

/** On the same network as our own address: nobody from elsewhere is a gateway of this house. */
function isNear(address: string, { source, bits }: SearchPlace): boolean {
  if (source === null || familyOf(address) !== familyOf(source)) return false
  // The socket hears one link alone.
  if (familyOf(address) === 6 && addressRange(address) === 'linkLocal') return true
  const [theirs, ours] = [addressBytes(address), addressBytes(source)]
  for (let bit = 0; bit < bits; bit++) {
    const mask = 0x80 >> (bit & 7)
    if (((theirs[bit >> 3] as number) & mask) !== ((ours[bit >> 3] as number) & mask)) return false
  }
  return true
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close()
  } catch {
    // Closed already, by its own error.
  }
}
