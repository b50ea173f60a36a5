/**
 * PCP (RFC 6887) as a member of the routers: found at the default gateways of both families (§8.1 without DHCP), or
 * where it is told to look. Over IPv6 a mapping is a pinhole.
 */
import { addressRange, familyOf, isPublic } from '../../base/address.ts'
import { withLimit } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import type { Text } from '../../base/text.ts'
import { hasAddress } from '../../host/ask-udp.ts'
import { gateways } from '../../host/gateways.ts'
import { pollAndListen } from '../../host/poll-and-listen.ts'
import type { Json, OpenOptions } from '../../model/hop.ts'
import type {
  MappingLease,
  MappingRequest,
  Router,
  RouterInfo,
  RouterMember,
  RouterTools,
} from '../contract.ts'
import { announcementPort, nonceBytes, parseAnnounceAnswer, type MapWish } from './codec.ts'
import { deleteMapping, openMapping, type PcpEffect } from './lease.ts'
import { Server, type ServerPlace } from './server.ts'

export interface PcpOptions {
  /** @default 5351 */
  readonly port?: number
  /** How often a watched server is asked for its epoch. @default 2_500 */
  readonly pollMs?: number
}

const discoveryWaitsMs = [500, 1000, 2500] as const

export function pcp(options: PcpOptions = {}): RouterMember {
  return {
    id: 'pcp',
    title: 'PCP',
    async discover({ signal, tools, at }) {
      const limited = withLimit(signal, 6000)
      const { port } = options
      const places: ServerPlace[] = at
        ? [{ address: at.address, source: null, client: at.clientAddress, ...(port && { port }) }]
        : (await gateways(tools.host.network, limited)).map(({ address, source }) => ({
            address,
            source,
            client: source,
            ...(port && { port }),
          }))
      const asked = places.map(async (place) => {
        const server = new Server(place, tools.clock)
        const answer = await server.announce(limited, { waitsMs: discoveryWaitsMs })
        return answer && answer !== 'UNSUPP_VERSION' ? [new PcpRouter(server, tools, options)] : []
      })
      return (await Promise.all(asked)).flat()
    },
    async undo(effect, { signal, tools }) {
      const { place, wish, until } = parseEffect(effect)
      if (tools.clock.now() > until) return
      // The address that made it may be gone: any may ask then. To a link-local gateway the system would send from
      // another one than the header names, which is a mismatch (§8.1).
      const source = place.source !== null && (await hasAddress(place.source)) ? place.source : null
      await deleteMapping(new Server({ ...place, source }, tools.clock), wish, signal)
    },
    mapped(effect) {
      const { place, wish } = parseEffect(effect)
      const { protocol, internalPort, thirdParty } = wish
      const internalAddress = thirdParty ?? place.client
      if (familyOf(internalAddress) === 6) return null
      return { router: place.address, protocol, internalAddress, internalPort }
    },
  }
}

class PcpRouter implements Router {
  readonly member = 'pcp'
  readonly flavour = 'pcp'
  readonly rank = 1
  readonly #server: Server
  readonly #tools: RouterTools
  readonly #options: PcpOptions
  /** The same server, asked from another address of ours. */
  readonly #from = new Map<string, Server>()

  constructor(server: Server, tools: RouterTools, options: PcpOptions) {
    this.#server = server
    this.#tools = tools
    this.#options = options
  }

  get family(): 4 | 6 {
    return familyOf(this.#server.place.client)
  }

  /** That it answers, and has not restarted, is all there is to see. */
  readonly looksAtAll = true
  readonly showsOthers = false

  get place(): string {
    return `pcp ${this.address}`
  }

  get address(): string {
    return this.#server.place.address
  }

  get clientAddress(): string {
    return this.#server.place.client
  }

  /** PCP tells its external address only with a mapping, and nothing of its model. */
  async info({ signal }: { signal: AbortSignal }): Promise<RouterInfo> {
    await this.#server.announce(signal)
    const { externalAddress, epochSeconds } = this.#server
    return {
      member: this.member,
      flavour: this.flavour,
      address: this.address,
      model: null,
      maker: null,
      presentationUrl: null,
      externalAddress: this.family === 4 ? externalAddress : null,
      uptimeSeconds: epochSeconds,
      above: this.family === 6 ? 'public' : above(externalAddress),
    }
  }

  async mappings(): Promise<null> {
    return null
  }

  async lookup(): Promise<'unknown'> {
    return 'unknown'
  }

  async open(request: MappingRequest, options: OpenOptions): Promise<MappingLease> {
    return openMapping(await this.#askedFrom(request.internalAddress), request, this.#tools.clock, options)
  }

  /** Another address of ours asks for itself; for one that is not ours the server is asked as a third party. */
  async #askedFrom(client: string | null): Promise<Server> {
    const { place } = this.#server
    if (client === null || client === place.client || familyOf(client) !== this.family) return this.#server
    const known = this.#from.get(client)
    if (known || !(await hasAddress(client))) return known ?? this.#server
    const server = new Server({ ...place, source: client, client }, this.#tools.clock)
    this.#from.set(client, server)
    return server
  }

  /** A mapping is deleted by the nonce it was made with: by hand there is none. */
  async remove(): Promise<void> {
    throw new NaruError('ROUTER_NO_LIST', { router: this.address })
  }

  /** Asks for the epoch every few seconds, and when an ANNOUNCE (§14.1) hints that it changed. */
  watch({ signal, onRestart }: { signal: AbortSignal; onRestart: (why: Text) => void }): void {
    // The epoch that was seen when it was found counts: a restart before the first look is one too.
    const server = this.#server
    server.onRestart = onRestart
    signal.addEventListener('abort', () => (server.onRestart = null), { once: true })
    pollAndListen({
      ask: async (announced) => (await server.announce(signal, { waitsMs: [500, 1000], announced })) !== null,
      everyMs: this.#options.pollMs ?? 2500,
      source: server.place.source,
      onAddressGone: onRestart,
      announcements: {
        group: this.family === 4 ? '224.0.0.1' : 'ff02::1',
        port: announcementPort,
        from: this.address,
        isOne: (bytes) => parseAnnounceAnswer(bytes) !== undefined,
      },
      clock: this.#tools.clock,
      signal,
    })
  }
}

function above(externalAddress: string | null): RouterInfo['above'] {
  if (externalAddress === null) return 'unknown'
  if (isPublic(externalAddress)) return 'public'
  return addressRange(externalAddress) === 'carrierGradeNat' ? 'carrier-grade-nat' : 'nat'
}

function parseEffect(effect: Json): { place: ServerPlace; wish: MapWish; until: number } {
  const found = effect as Partial<PcpEffect> | null
  const nonce = Buffer.from(found?.nonce ?? '', 'hex')
  if (!found?.server || !found.client || !found.internalPort || nonce.length !== nonceBytes)
    throw new NaruError('INTERNAL', { why: 'a journal entry of pcp is not readable' })
  return {
    place: {
      address: found.server,
      client: found.client,
      source: found.source ?? null,
      ...(found.port && { port: found.port }),
    },
    until: found.until ?? Infinity,
    wish: {
      nonce,
      protocol: found.protocol === 'udp' ? 'udp' : 'tcp',
      internalPort: found.internalPort,
      externalPort: 0,
      externalAddress: null,
      preferFailure: false,
      filters: [],
      thirdParty: found.thirdParty ?? null,
    },
  }
}
