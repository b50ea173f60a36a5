/** NAT-PMP (RFC 6886) as a member of the routers: found at the IPv4 default gateways, or where it is told to look. */
import { addressRange } from '../../base/address.ts'
import { withLimit } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
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
import { announcementPort, natPmpPort, parseAddressAnswer } from './codec.ts'
import { NatPmpGateway } from './gateway.ts'
import { deleteMapping, openMapping, type NatPmpEffect } from './lease.ts'

export interface NatPmpOptions {
  /** @default 5351 */
  readonly port?: number
  /** How often a watched gateway is asked for its epoch. @default 2_500 */
  readonly pollMs?: number
}

const discoveryWaitsMs = [250, 500, 1000, 2000] as const

export function natPmp(options: NatPmpOptions = {}): RouterMember {
  const { port = natPmpPort } = options
  return {
    id: 'nat-pmp',
    title: 'NAT-PMP',
    async discover({ signal, tools, at }) {
      const limited = withLimit(signal, 6000)
      const places = at
        ? [{ address: at.address, source: null, clientAddress: at.clientAddress }]
        : (await gateways(tools.host.network, limited))
            .filter(({ family }) => family === 4)
            .map(({ address, source }) => ({ address, source, clientAddress: source }))
      const asked = places.map(async ({ address, source, clientAddress }) => {
        const gateway = new NatPmpGateway({ address, source, port }, tools.clock)
        const answer = await gateway.askAddress(limited, { waitsMs: discoveryWaitsMs })
        const speaks = answer !== null && answer.result !== 1
        return speaks ? [new NatPmpRouter({ gateway, clientAddress, tools, options })] : []
      })
      return (await Promise.all(asked)).flat()
    },
    async undo(effect, { signal, tools }) {
      const { gateway: address, port, source: own, protocol, internalPort, until } = parseEffect(effect)
      if (tools.clock.now() > until) return
      // The address we had may be gone; the router knows us by the one we have now, or not at all.
      const source = own && (await hasAddress(own)) ? own : null
      const gateway = new NatPmpGateway({ address, source, port }, tools.clock)
      await deleteMapping(gateway, { protocol: protocol === 'udp' ? 'udp' : 'tcp', internalPort }, signal)
    },
    mapped(effect) {
      const { gateway: router, protocol, source, internalPort } = parseEffect(effect)
      return source ? { router, protocol, internalAddress: source, internalPort } : null
    },
  }
}

class NatPmpRouter implements Router {
  readonly member = 'nat-pmp'
  readonly flavour = 'nat-pmp'
  readonly rank = 3
  readonly family = 4
  readonly clientAddress: string
  readonly #gateway: NatPmpGateway
  readonly #tools: RouterTools
  readonly #options: NatPmpOptions
  /** The same gateway, asked from another address of ours: it maps to who asks. */
  readonly #from = new Map<string, NatPmpGateway>()

  constructor(parts: {
    readonly gateway: NatPmpGateway
    readonly clientAddress: string
    readonly tools: RouterTools
    readonly options: NatPmpOptions
  }) {
    this.#gateway = parts.gateway
    this.clientAddress = parts.clientAddress
    this.#tools = parts.tools
    this.#options = parts.options
  }

  /** That it answers, and has not restarted, is all there is to see. */
  readonly looksAtAll = true
  readonly showsOthers = false

  get place(): string {
    return `nat-pmp ${this.address}`
  }

  get address(): string {
    return this.#gateway.address
  }

  async info({ signal }: { signal: AbortSignal }): Promise<RouterInfo> {
    const answer = await this.#gateway.askAddress(signal)
    const externalAddress = answer?.externalAddress ?? null
    return {
      member: this.member,
      flavour: this.flavour,
      address: this.address,
      model: null,
      maker: null,
      presentationUrl: null,
      externalAddress,
      uptimeSeconds: answer?.epoch ?? null,
      above: above(externalAddress),
    }
  }

  async mappings(): Promise<null> {
    return null
  }

  async lookup(): Promise<'unknown'> {
    return 'unknown'
  }

  async open(request: MappingRequest, options: OpenOptions): Promise<MappingLease> {
    const client = request.internalAddress ?? this.clientAddress
    const gateway = client === this.clientAddress ? this.#gateway : await this.#asked(client, request)
    return openMapping(gateway, client, request, this.#tools.clock, options)
  }

  /** @throws NaruError ROUTER_REFUSED: nobody maps for another machine by NAT-PMP */
  async #asked(client: string, { externalPort: port }: MappingRequest): Promise<NatPmpGateway> {
    if (!(await hasAddress(client)))
      throw new NaruError('ROUTER_REFUSED', {
        router: this.address,
        port,
        why: say`NAT-PMP maps to who asks alone, not to ${client}`,
      })
    const { address, port: at } = this.#gateway
    const known = this.#from.get(client)
    const gateway = known ?? new NatPmpGateway({ address, source: client, port: at }, this.#tools.clock)
    this.#from.set(client, gateway)
    return gateway
  }

  /** A mapping is known by the internal port of the machine that made it: by hand there is nothing to name it by. */
  async remove(): Promise<void> {
    throw new NaruError('ROUTER_NO_LIST', { router: this.address })
  }

  /** Asks for its address and epoch every few seconds, and when an announcement (§3.2.1) hints that they changed. */
  watch({ signal, onRestart }: { signal: AbortSignal; onRestart: (why: Text) => void }): void {
    // The epoch that was seen when it was found counts: a restart before the first look is one too.
    const gateway = this.#gateway
    gateway.onRestart = onRestart
    signal.addEventListener('abort', () => (gateway.onRestart = null), { once: true })
    let seen = gateway.externalAddress
    const ask = async (announced: boolean): Promise<boolean> => {
      const answer = await gateway.askAddress(signal, { waitsMs: [500, 1000], announced })
      const now = answer?.externalAddress ?? null
      if (signal.aborted || now === null) return answer !== null
      if (seen !== null && now !== seen) onRestart(addressChanged(now))
      seen = now
      return true
    }
    pollAndListen({
      ask,
      everyMs: this.#options.pollMs ?? 2500,
      source: gateway.source,
      onAddressGone: onRestart,
      announcements: {
        group: '224.0.0.1',
        port: announcementPort,
        from: this.address,
        isOne: (bytes) => parseAddressAnswer(bytes) !== undefined,
      },
      clock: this.#tools.clock,
      signal,
    })
  }
}

function addressChanged(address: string): Text {
  return say`the router's address became ${address}`
}

function above(externalAddress: string | null): RouterInfo['above'] {
  if (externalAddress === null) return 'unknown'
  const range = addressRange(externalAddress)
  return range === 'unicast' ? 'public' : range === 'carrierGradeNat' ? 'carrier-grade-nat' : 'nat'
}

function parseEffect(effect: Json): NatPmpEffect {
  const found = effect as Partial<NatPmpEffect> | null
  if (typeof found?.gateway !== 'string' || typeof found.internalPort !== 'number')
    throw new NaruError('INTERNAL', { why: 'a journal entry of nat-pmp is not readable' })
  return { ...(found as NatPmpEffect), port: found.port ?? natPmpPort, until: found.until ?? Infinity }
}
