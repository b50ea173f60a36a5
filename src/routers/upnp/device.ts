/**
 * One gateway device: where it answers now, what it described, and how to call an action of it. A device that moved
 * (another HTTP port or path after its restart) is searched for again at the same address before a call gives up.
 */
import { errnoOf, NaruError } from '../../base/errors.ts'
import type { Clock } from '../../base/clock.ts'
import { Semaphore } from '../../base/semaphore.ts'
import { SingleFlight, stopped } from '../../base/single-flight.ts'
import { parseDescription, type Description, type Service } from './description.ts'
import { UpnpFault } from './fault.ts'
import { exchange, isElsewhere, reachedNobody, type RouterHttpPlace } from './http.ts'
import { search, type FoundDevice, type SearchOptions } from './search.ts'
import { parseSoapAnswer, soapRequest, type Arguments } from './soap.ts'

export interface DevicePlace {
  readonly address: string
  /** Our address towards it; null lets the system choose. */
  readonly source: string | null
  /** @default 1900 */
  readonly ssdpPort?: number
}

/** However many leases want to know, a device that is gone is searched for no more often. */
const searchEveryMs = 2000

/** A router that was not up to a question is asked once more after this. */
const hiccupPauseMs = 150

export interface CallOptions {
  readonly signal: AbortSignal
  /** Posts from that address of ours, to `address` where the service answers elsewhere. */
  readonly through?: { readonly address: string; readonly source: string }
  /** From connecting to the last byte. @default 4_000 */
  readonly limitMs?: number
}

/** Which service of the device is meant; where it is may change. */
export type ServiceKind = 'connection' | 'firewall'

export class Device {
  readonly place: DevicePlace
  readonly #clock: Clock
  #location: URL
  #bootId: number | null
  readonly #target: string
  #description: Description
  #connection: Service | null
  #soughtAt = -Infinity
  /** When the last search that found nothing began. */
  #soughtInVainAt = -Infinity
  #stumbled = false
  readonly #turn = new Semaphore(1, 'UPnP')
  readonly #sought = new SingleFlight('UPnP', (signal) => this.#rediscover(signal))

  private constructor(parts: {
    readonly place: DevicePlace
    readonly clock: Clock
    readonly found: FoundDevice
    readonly description: Description
  }) {
    const { found, description } = parts
    this.place = parts.place
    this.#clock = parts.clock
    this.#location = found.location
    this.#bootId = found.bootId
    this.#target = found.target
    this.#description = description
    this.#connection = description.connections[0] ?? null
  }

  /** Reads the description of what a search found. Null where it is no gateway, or does not tell within the limits. */
  static async read(
    found: FoundDevice,
    place: DevicePlace,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<Device | null> {
    try {
      const description = await fetchDescription(place, found.location, signal)
      const isOne = isGatewayDescription(description)
      return description && isOne ? new Device({ place, clock, found, description }) : null
    } catch {
      return null
    }
  }

  get description(): Description {
    return this.#description
  }

  get location(): URL {
    return this.#location
  }

  /** As it was when the device was found. */
  get bootId(): number | null {
    return this.#bootId
  }

  /** What it calls itself in answer to a search. */
  get target(): string {
    return this.#target
  }

  get connection(): Service | null {
    return this.#connection
  }

  /** Chooses among several connections (a DSL router has one a line). */
  use(connection: Service): void {
    this.#connection = connection
  }

  /**
   * Calls an action, once more where the router stumbled, and one at a time from then on: some drop a second connection
   * while they serve one, some answer HTTP 400 to the first question and do as they are told by the second.
   * @throws UpnpFault what the router refuses; NaruError ROUTER_SILENT, ROUTER_ANSWER_BAD, ABORTED
   */
  async call(
    kind: ServiceKind,
    action: string,
    values: Arguments,
    options: CallOptions,
  ): Promise<ReadonlyMap<string, string>> {
    const { signal } = options
    const ask = (): Promise<ReadonlyMap<string, string>> => this.#callWhereItIs(kind, action, values, options)
    const inTurn = (): ReturnType<typeof ask> => (this.#stumbled ? this.#turn.through(ask, signal) : ask())
    try {
      return await inTurn()
    } catch (failure) {
      if (!isHiccup(failure)) throw failure
      this.#stumbled = true
    }
    await this.#clock.sleep(hiccupPauseMs, signal).catch(() => Promise.reject(stopped(signal, 'UPnP')))
    return inTurn()
  }

  /** @throws as `call` */
  async #callWhereItIs(
    kind: ServiceKind,
    action: string,
    values: Arguments,
    options: CallOptions,
  ): Promise<ReadonlyMap<string, string>> {
    const before = this.#location.href
    const began = this.#clock.monotonic()
    try {
      return await this.#post(this.#service(kind), action, values, options)
    } catch (failure) {
      if (isHiccup(failure) || (!isElsewhere(failure) && !isGone(failure))) throw failure
      // Another call may have found it again meanwhile, or searched in vain: a second search would tell the same later.
      const inVain = this.#soughtInVainAt > began - searchEveryMs
      if (this.#location.href === before && (inVain || !(await this.#sought.get(options.signal))))
        throw failure
      // Where it was all the time and only slow: it may be at it still, and asking again makes it no faster.
      if (this.#location.href === before && !isGone(failure) && !reachedNobody(failure)) throw failure
      return this.#post(this.#service(kind), action, values, options).catch((again: unknown) => {
        // Who was reached the first time may have done it.
        throw reachedNobody(again) ? failure : again
      })
    }
  }

  #service(kind: ServiceKind): Service {
    const service = kind === 'connection' ? this.#connection : this.#description.firewall
    if (service) return service
    throw new NaruError('ROUTER_ANSWER_BAD', {
      router: this.place.address,
      protocol: 'UPnP',
      why: `its description has no ${kind} service`,
    })
  }

  async #post(
    service: Service,
    action: string,
    values: Arguments,
    { signal, through, limitMs }: CallOptions,
  ): Promise<ReadonlyMap<string, string>> {
    const place: RouterHttpPlace = { ...(through ?? this.place), port: service.controlPort }
    const post = soapRequest(service.type, action, values)
    // Where it takes no connection it is searched for meanwhile: a call to who is gone fails the sooner.
    const onSlow = (): void => void this.#sought.get(signal).catch(() => {})
    const { status, body } = await exchange(place, {
      path: service.controlPath,
      post,
      signal,
      onSlow,
      ...(limitMs !== undefined && { limitMs }),
    })
    const answer = parseSoapAnswer(body, action)
    if (answer?.ok) return answer.values
    if (answer) throw new UpnpFault(answer.code, answer.description)
    throw new NaruError('ROUTER_ANSWER_BAD', {
      router: this.place.address,
      protocol: 'UPnP',
      why: `HTTP ${status} to ${action}`,
    })
  }

  /** Every two seconds at most, however many leases ask. True where the device answers, wherever it is now. */
  async #rediscover(signal: AbortSignal): Promise<boolean> {
    const now = this.#clock.monotonic()
    if (now - this.#soughtAt < searchEveryMs) return false
    this.#soughtAt = now
    const described = new Map<string, Promise<Description | undefined>>()
    const describe = ({ location }: FoundDevice): Promise<Description | undefined> => {
      const known = described.get(location.href)
      const asked = known ?? fetchDescription(this.place, location, signal).catch(() => undefined)
      described.set(location.href, asked)
      return asked
    }
    const isGateway = async (each: FoundDevice): Promise<boolean> =>
      isGatewayDescription(await describe(each))
    for (const each of await findAt(this.place, signal, 1500, { isGateway })) {
      const description = await describe(each)
      if (!description?.connections[0]) continue
      this.#location = each.location
      this.#description = description
      const same = description.connections.find(({ type }) => type === this.#connection?.type)
      this.#connection = same ?? description.connections[0]
      return true
    }
    this.#soughtInVainAt = now
    return false
  }
}

/** Maps ports, or opens pinholes: a box may describe a media server and a printer as well. */
export function isGatewayDescription(description: Description | undefined): boolean {
  return description !== undefined && (description.connections.length > 0 || description.firewall !== null)
}

/**
 * Whoever answers a search by unicast at that address.
 * @param how `target`: what it answered to before, one packet asks for it
 */
export function findAt(
  place: DevicePlace,
  signal: AbortSignal,
  limitMs: number,
  how: Pick<SearchOptions, 'target' | 'isGateway'>,
): Promise<readonly FoundDevice[]> {
  const where = { source: place.source, bits: 32, unicast: [place.address], multicast: null }
  const port = place.ssdpPort === undefined ? {} : { port: place.ssdpPort }
  return search([where], {
    signal,
    limitMs,
    graceMs: 60,
    sendAtMs: [0, 400, 1000].filter((at) => at < limitMs),
    ...how,
    ...port,
  })
}

async function fetchDescription(
  place: DevicePlace,
  location: URL,
  signal: AbortSignal,
): Promise<Description | undefined> {
  const port = Number(location.port || 80)
  const path = location.pathname + location.search
  const { status, body } = await exchange({ ...place, port }, { path, signal, limitMs: 2500 })
  return status === 200 ? parseDescription(body, location) : undefined
}

/** It was reached, and was not up to it: no SOAP in its answer, or a connection that it dropped. */
function isHiccup(failure: unknown): boolean {
  if (!(failure instanceof NaruError)) return false
  if (failure.code === 'ROUTER_SILENT') return ['ECONNRESET', 'EPIPE'].includes(errnoOf(failure.cause) ?? '')
  return /: HTTP (400|500|502) to /.test(failure.message)
}

/** 404 and its like: the control page is not there any more. */
function isGone(failure: unknown): boolean {
  return failure instanceof NaruError && /: HTTP (404|405|410|412|503) to /.test(failure.message)
}
