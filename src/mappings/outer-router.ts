/**
 * The second router: found by evidence, told to send its port on to the first one's WAN address. Where it cannot be,
 * what is above is named as what it is.
 */
import { addressRange, isPublic } from '../base/address.ts'
import { NaruError, toNaruError } from '../base/errors.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import type { Host } from '../host/contract.ts'
import type { Recorder } from '../model/hop.ts'
import type { MappingLease, Router } from '../routers/contract.ts'
import { outerCandidates, secondHop } from './second-hop.ts'
import { viaMember, type PortRequest, type PublisherTools } from './request.ts'

export interface OuterRouter {
  /** Null where nothing up there opens ports. */
  readonly router: Router | null
  readonly lease: MappingLease | null
  readonly notes: readonly Text[]
}

export interface Through {
  readonly inner: Router
  /** The inner router's own address: who we are to the outer one. */
  readonly wan: string
  readonly lease: MappingLease
  readonly wish: PortRequest
}

/** Never throws but for the signal: that the outer router cannot be told is said, and the inner one stays open. */
export async function openOuterRouter(
  { inner, wan, lease, wish }: Through,
  tools: PublisherTools,
  record: Recorder,
  signal: AbortSignal,
): Promise<OuterRouter> {
  if (isCarrierGrade(wan)) return { router: null, lease: null, notes: [carrierGrade(wan)] }
  const routers = await routersAbove({ inner: inner.address, wan }, tools, signal)
  const request = {
    ...wish.request,
    internalAddress: null,
    internalPort: lease.externalPort,
    externalPort: wish.request.externalPort,
  }
  let refused: NaruError | null = null
  for (const router of routers) {
    try {
      const outer = await router.open(request, { signal, record: viaMember(record, router.member) })
      return { router, lease: outer, notes: [through(router, wan, outer.externalAddress)] }
    } catch (failure) {
      signal.throwIfAborted()
      refused ??= toNaruError(failure)
    }
  }
  return {
    router: null,
    lease: null,
    notes: [typeItThere(routers[0]?.address ?? null, wan, lease.externalPort, refused)],
  }
}

/** Protocols of the router above, best first. Empty where nobody there answers. */
export async function routersAbove(
  { inner, wan }: { inner: string; wan: string | null },
  { finder, host }: PublisherTools,
  signal: AbortSignal,
): Promise<readonly Router[]> {
  const candidates = outerCandidates(await secondHop(host, signal), wan, inner)
  const found = await Promise.all(
    candidates.map((address) => finder.findAt({ address, clientAddress: wan ?? address }, signal)),
  )
  return found.find((routers) => routers.length > 0) ?? []
}

/** A router without an address of its own, explained by what is above it. */
export async function explainNoAddress(
  nearest: Router,
  failure: NaruError,
  tools: PublisherTools,
  signal: AbortSignal,
): Promise<NaruError> {
  const wan = await nearest.info({ signal }).then(
    ({ externalAddress }) => externalAddress,
    () => null,
  )
  const hop = await secondHop(tools.host, signal)
  const carrier = [wan, hop].find((address) => address !== null && isCarrierGrade(address))
  if (carrier)
    return new NaruError(
      'ROUTER_CARRIER_NAT',
      { router: nearest.address, address: carrier },
      { cause: failure },
    )
  const [above] = await routersAbove({ inner: nearest.address, wan }, tools, signal)
  const second = above?.address ?? (hop !== null && !isPublic(hop) ? hop : null)
  if (second === null) return failure
  return new NaruError('ROUTER_BEHIND_ROUTER', { router: nearest.address, above: second }, { cause: failure })
}

export function isCarrierGrade(address: string): boolean {
  return addressRange(address) === 'carrierGradeNat'
}

export function carrierGrade(address: string): Text {
  return withWhatHelps(say`the router's own address ${address} is`)
}

function withWhatHelps(who: Text): Text {
  return say`${who} the provider's carrier-grade NAT (100.64.0.0/10): nobody outside reaches it; ask the provider for a public IPv4 address, publish over IPv6, or relay through a machine that has one`
}

/** What stands above a router that does not tell its own address: miniupnpd tells none that is private. */
export async function aboveByHop(
  host: Host,
  signal: AbortSignal,
): Promise<{ above: 'nat' | 'carrier-grade-nat'; text: Text } | null> {
  const hop = await secondHop(host, signal).catch(() => null)
  if (hop === null || isPublic(hop)) return null
  if (isCarrierGrade(hop)) {
    const who = say`the next hop ${hop} is in`
    return { above: 'carrier-grade-nat', text: withWhatHelps(who) }
  }
  const text = say`it told no outside address, and another router is above it: ${hop}`
  return { above: 'nat', text }
}

function through({ address }: Router, wan: string, external: string | null): Text {
  if (external !== null && isCarrierGrade(external)) return carrierGrade(external)
  return say`two routers: ${address} sends the port on to ${wan}, which sends it here`
}

function typeItThere(router: string | null, wan: string, port: number, refused: NaruError | null): Text {
  const where = router ?? '?'
  const why = refused ? say` (${refused.text})` : verbatim('')
  return say`a second router is above: this one's own address ${wan} is private; on the upper one (${where}) forward external port ${port} to ${wan} port ${port} by hand, or put one of the two in bridge mode${why}`
}
