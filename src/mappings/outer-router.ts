/**
 * The second router: found by evidence, told to send its port on to the first one's WAN address. Where it cannot be,
 * what is above is named as what it is.
 */
import { addressRange, isPublic } from '../base/address.ts'
import { NaruError, toNaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
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
  return withWhatHelps(say(`the router's own address ${address} is`, `공유기의 외부 주소 ${address}{은/는}`))
}

function withWhatHelps(who: Text): Text {
  return say(
    `${who.en} the provider's carrier-grade NAT (100.64.0.0/10): nobody outside reaches it; ask the provider for a public IPv4 address, publish over IPv6, or relay through a machine that has one`,
    `${who.ko} 통신사 NAT(CGNAT, 100.64.0.0/10)입니다. 밖에서 닿을 수 없으니 통신사에 공인 IPv4를 요청하거나, IPv6로 열거나, 공인 주소가 있는 서버를 경유하세요`,
  )
}

/** What stands above a router that does not tell its own address: miniupnpd tells none that is private. */
export async function aboveByHop(
  host: Host,
  signal: AbortSignal,
): Promise<{ above: 'nat' | 'carrier-grade-nat'; text: Text } | null> {
  const hop = await secondHop(host, signal).catch(() => null)
  if (hop === null || isPublic(hop)) return null
  if (isCarrierGrade(hop)) {
    const who = say(`the next hop ${hop} is in`, `다음 홉 ${hop}{은/는}`)
    return { above: 'carrier-grade-nat', text: withWhatHelps(who) }
  }
  const text = say(
    `it told no outside address, and another router is above it: ${hop}`,
    `외부 주소를 알려 주지 않았고, 위에 공유기가 하나 더 있습니다: ${hop}`,
  )
  return { above: 'nat', text }
}

function through({ address }: Router, wan: string, external: string | null): Text {
  if (external !== null && isCarrierGrade(external)) return carrierGrade(external)
  return say(
    `two routers: ${address} sends the port on to ${wan}, which sends it here`,
    `공유기 두 대: ${address}{이/가} ${wan}{으로/로}, 다시 이 컴퓨터로 전달합니다`,
  )
}

function typeItThere(router: string | null, wan: string, port: number, refused: NaruError | null): Text {
  const where = router ?? '?'
  const why = refused ? { en: ` (${refused.text.en})`, ko: ` (${refused.text.ko})` } : { en: '', ko: '' }
  return say(
    `a second router is above: this one's own address ${wan} is private; on the upper one (${where}) forward external port ${port} to ${wan} port ${port} by hand, or put one of the two in bridge mode${why.en}`,
    `위에 공유기가 하나 더 있습니다: 이 공유기의 외부 주소 ${wan}{이/가} 사설 주소입니다. 위 공유기(${where})에서 외부 포트 ${port}{을/를} ${wan}의 ${port}번으로 직접 포워딩하거나, 둘 중 하나를 브리지 모드로 바꾸세요${why.ko}`,
  )
}
