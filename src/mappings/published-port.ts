/**
 * One port published on a router, and on the router above it where there are two: opened by the best protocol that
 * verifies, renewed, looked at, opened again elsewhere when the router or our address changed, closed.
 */
import { withLimit } from '../base/clock.ts'
import { isPublic } from '../base/address.ts'
import { formatDuration } from '../base/duration.ts'
import { isNaruError, NaruError, toNaruError } from '../base/errors.ts'
import { SingleFlight, stopped } from '../base/single-flight.ts'
import { say, type Text } from '../base/text.ts'
import type { Json, LeaseDescription, Recorder, Verdict } from '../model/hop.ts'
import type { Mapping, MappingLease, MappingRequest, Router, RouterInfo } from '../routers/contract.ts'
import { openOuterRouter, type OuterRouter } from './outer-router.ts'
import { viaMember, type PortRequest, type PublisherTools } from './request.ts'

interface Open {
  readonly router: Router
  readonly lease: MappingLease
  readonly outer: OuterRouter | null
  readonly notes: readonly Text[]
}

interface Former {
  readonly address: string
  readonly externalPort: number
}

interface Failure {
  readonly router: Router
  readonly failure: NaruError
}

/** Of several refusals the one that tells most, the most telling first. */
const telling: readonly string[] = [
  'ROUTER_PORT_TAKEN',
  'ROUTER_REFUSED',
  'ROUTER_OTHER_PORT',
  'ROUTER_NO_ADDRESS',
  'ROUTER_TABLE_FULL',
  'ROUTER_NOT_DONE',
]

const releaseOldMs = 2000

export class PublishedPort {
  readonly wish: PortRequest
  readonly #tools: PublisherTools
  readonly #record: Recorder
  /** What the process whose place this one takes has, until this port is open. */
  #before: readonly Json[]
  #open: Open | null = null
  #trouble: NaruError | null = null
  #seenAt = -Infinity
  readonly #looking = new SingleFlight('a look at a mapping', (signal) =>
    this.#inTurn(() => this.#lookOnce(signal)),
  )
  #turn: Promise<unknown> = Promise.resolve()
  /** Asked for, and not yet begun. */
  #renewing: Promise<void> | null = null
  #released = false
  /** As it was granted last. */
  #lastPort = 0
  /** Where it was open before, perhaps from another address of ours. */
  #former: Former | null = null
  /** What is left of that, and cannot be removed from here. */
  #inTheWay: Mapping | null = null

  constructor(wish: PortRequest, tools: PublisherTools, record: Recorder) {
    this.wish = wish
    this.#tools = tools
    this.#record = record
    this.#before = record.before ?? []
  }

  get released(): boolean {
    return this.#released
  }

  get router(): Router | null {
    return this.#open?.router ?? null
  }

  get outerRouter(): Router | null {
    return this.#open?.outer?.router ?? null
  }

  get externalAddress(): string | null {
    return this.#open?.outer?.lease?.externalAddress ?? this.#open?.lease.externalAddress ?? null
  }

  get externalPort(): number {
    return (
      this.#open?.outer?.lease?.externalPort ??
      this.#open?.lease.externalPort ??
      this.wish.request.externalPort
    )
  }

  get goodUntil(): number | null {
    return earliest(this.#leases().map((lease) => lease.goodUntil))
  }

  get renewAfter(): number | null {
    return earliest(this.#leases().map((lease) => lease.renewAfter))
  }

  describe(): LeaseDescription | null {
    if (!this.#open) return null
    const { lease, outer, notes } = this.#open
    const inner = lease.describe()
    const above = outer?.lease?.describe()
    return {
      ...inner,
      text: above ? say`${above.text}, through ${inner.text}` : inner.text,
      differs: [...inner.differs, ...(above?.differs ?? []), ...notes, ...(outer ? outer.notes : [])],
      data: above ? { inner: inner.data, outer: above.data } : inner.data,
    }
  }

  /**
   * @param given given up where it fires before its turn has come
   * @throws NaruError ROUTER_…; nothing is left then
   */
  open(signal: AbortSignal, given: AbortSignal): Promise<void> {
    return this.#inTurn(() => this.#tools.gate.through(() => this.#openBest(signal, false), given))
  }

  /** When it was last seen to be as it should; monotonic milliseconds. */
  get seenAt(): number {
    return this.#seenAt
  }

  /** The router that has to be asked for this port alone; null where a question for all answers for it. */
  get asksFor(): string | null {
    const one = [this.router, this.outerRouter].find((router) => router && !this.#looksAtAll(router))
    return one?.address ?? null
  }

  /** As it was seen last; a look that is under way is waited for, and tells another time where it takes longer. */
  async verdict(signal: AbortSignal): Promise<Verdict> {
    if (this.#looking.underWay) await this.#looking.get(signal).catch(() => {})
    return this.#trouble ? { state: 'lost', why: this.#trouble } : { state: 'held', notes: [] }
  }

  /** Set where the router did not answer when it was asked for this port. */
  get silence(): NaruError | null {
    return isNaruError(this.#trouble, 'ROUTER_SILENT') ? this.#trouble : null
  }

  /** The same router did not answer when it was asked for another port. */
  hearOfSilence(why: NaruError): void {
    if (this.#open) this.#trouble ??= why
  }

  /** Looks at the router itself. Never throws but for the signal: what it sees is the next verdict. */
  look(signal: AbortSignal): Promise<void> {
    return this.#looking.get(signal)
  }

  /** Whoever asks while another waits for its turn is served with it. */
  renew(signal: AbortSignal): Promise<void> {
    this.#renewing ??= this.#inTurn(async () => {
      this.#renewing = null
      if (this.#released) return
      try {
        await this.#tools.gate.through(() => this.#renewOrReopen(signal), signal)
        this.#trouble = null
      } catch (failure) {
        if (!isNaruError(failure, 'ABORTED')) this.#trouble = toNaruError(failure)
        throw failure
      }
    })
    return this.#renewing
  }

  release(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const open = this.#open
      // From the outside in.
      await this.#tools.gate.through(async () => {
        await open?.outer?.lease?.release({ signal })
        await open?.lease.release({ signal })
      }, signal)
      this.#open = null
      this.#released = true
    })
  }

  async #renewOrReopen(signal: AbortSignal): Promise<void> {
    if (this.#open)
      try {
        await this.#open.lease.renew({ signal })
        await this.#open.outer?.lease?.renew({ signal })
        const verdict = await this.#look(signal)
        if (verdict.state === 'held') return void (this.#seenAt = this.#tools.clock.monotonic())
        throw verdict.why
      } catch (failure) {
        if (isNaruError(failure, 'ABORTED') || signal.aborted) throw failure
        if (!isNaruError(failure, 'ROUTER_SILENT')) await this.#letGo()
        else if (await this.#isElsewhere(signal)) this.#leave()
        else throw failure
      }
    await this.#openBest(signal, true)
  }

  /**
   * Others answer, and the one that holds the port does not: a router that is busy says nothing at all for a while. Asked
   * from another address of ours, the same one is another.
   */
  async #isElsewhere(signal: AbortSignal): Promise<boolean> {
    const found = await this.#routers({ signal, fresh: true, all: true })
    const held = this.#open?.router
    const isHeld = ({ place, member, clientAddress }: Router): boolean =>
      place === held?.place && member === held.member && clientAddress === held.clientAddress
    return found.length > 0 && !found.some(isHeld)
  }

  /** What is silent is asked for nothing: told to close the port it would do so late, when it is open again. */
  #leave(): void {
    const old = this.#open
    if (old) this.#former = { address: old.router.clientAddress, externalPort: old.lease.externalPort }
    this.#open = null
  }

  /** The old one is given back where that can be; what cannot stays in the journal until its lease ends. */
  async #letGo(): Promise<void> {
    const old = this.#open
    this.#leave()
    const signal = withLimit(undefined, releaseOldMs)
    await old?.outer?.lease?.release({ signal }).catch(() => {})
    await old?.lease.release({ signal }).catch(() => {})
  }

  async #openBest(signal: AbortSignal, fresh: boolean): Promise<void> {
    const failures: Failure[] = []
    const near = this.#inOrder(await this.#near({ signal, fresh }))
    const former = this.#former
    if (former && near.some(({ clientAddress }) => clientAddress !== former.address))
      await this.#dropFormer(former, signal)
    const open =
      (await this.#openOnFirst(near, failures, signal)) ??
      // Slower protocols of the same router may be allowed more, or at least say why not.
      (await this.#openOnFirst(await this.#routers({ signal, all: true }), failures, signal))
    if (!open) throw await this.#explain(failures, signal)
    this.#open = open
    this.#former = null
    // Gone on with; what is opened after it is another.
    this.#before = []
    this.#seenAt = this.#tools.clock.monotonic()
    this.#lastPort = this.externalPort
    this.#tools.onOpen()
  }

  /**
   * What this very port mapped from an address that this machine no longer has. By UPnP anyone may delete it where the
   * router is not strict; where it is, its lease has to end.
   */
  async #dropFormer({ address, externalPort }: Former, signal: AbortSignal): Promise<void> {
    const { protocol, internalPort } = this.wish.request
    const key = { protocol, externalPort }
    this.#inTheWay = null
    for (const router of await this.#routers({ signal, all: true })) {
      if (!router.showsOthers || router.clientAddress === address) continue
      const found = await router.lookup(key, { signal }).catch(() => 'unknown' as const)
      if (found === 'unknown' || found?.internalAddress !== address) continue
      if (found.internalPort !== internalPort) continue
      const dropped = router.remove(key, { signal, force: true }).then(() => router.lookup(key, { signal }))
      if ((await dropped.catch(() => found)) !== null) this.#inTheWay = found
    }
  }

  async #routers(how: { signal: AbortSignal; fresh?: boolean; all?: boolean }): Promise<readonly Router[]> {
    const found = await this.#tools.finder.findBy(this.wish.by, how)
    return found.filter(({ family }) => family === this.wish.family)
  }

  /** Protocols that the process before this one opened the port by are waited for: another's row would be in their way. */
  async #near(how: { signal: AbortSignal; fresh: boolean }): Promise<readonly Router[]> {
    const found = await this.#routers(how)
    const isThere = (via: string): boolean => found.some(({ member }) => member === via)
    return this.#viasBefore().every(isThere) ? found : this.#routers({ ...how, all: true })
  }

  /**
   * What the process before this one held goes on as it was made. Where any port will do, who shows what is taken is asked
   * first: miniupnpd with a small allowed range tries port after port for a minute when it is asked by PCP or NAT-PMP.
   */
  #inOrder(routers: readonly Router[]): readonly Router[] {
    const before = this.#viasBefore()
    const { anyPort } = this.wish.request
    if (!anyPort && before.length === 0) return routers
    const rank = ({ member, address, showsOthers }: Router): number => {
      if (address !== routers[0]?.address) return 3
      return before.includes(member) ? 0 : anyPort && showsOthers ? 1 : 2
    }
    return routers.toSorted((a, b) => rank(a) - rank(b))
  }

  /** By which protocols the process before this one opened this very port. */
  #viasBefore(): readonly string[] {
    const { protocol, internalPort } = this.wish.request
    return this.#before.flatMap((written) => {
      const { via, effect } = (written ?? {}) as { via?: unknown; effect?: { [key: string]: Json } | null }
      const same = effect?.['protocol'] === protocol && effect['internalPort'] === internalPort
      return same && typeof via === 'string' ? [via] : []
    })
  }

  /** The nearest router's protocols in order; a farther router only where the nearest has none that opens. */
  async #openOnFirst(
    routers: readonly Router[],
    failures: Failure[],
    signal: AbortSignal,
  ): Promise<Open | null> {
    for (const router of routers) {
      if (failures.some((failed) => failed.router === router)) continue
      try {
        return await this.#openOn(router, routers, signal)
      } catch (failure) {
        if (signal.aborted) throw calledOff(router, signal)
        failures.push({ router, failure: toNaruError(failure) })
        // Whose port it is was read from the router's list: no other way to ask makes it ours.
        if (router.showsOthers && isNaruError(failure, 'ROUTER_PORT_TAKEN')) return null
      }
    }
    return null
  }

  async #openOn(router: Router, routers: readonly Router[], signal: AbortSignal): Promise<Open> {
    const lease = await router.open(this.#request, { signal, record: this.#recorderOf(router) })
    try {
      const verdict = await this.#agree(lease, router, routers, signal)
      // It was granted, and nothing says otherwise.
      const isDenied = verdict.state === 'lost' && !isNaruError(verdict.why, 'ROUTER_SILENT')
      if (isDenied) throw this.#notDone(router, verdict.why.text)
      return await this.#throughTheNext({ router, lease, outer: null, notes: [] }, routers, signal)
    } catch (failure) {
      await lease.release({ signal: withLimit(undefined, releaseOldMs) }).catch(() => {})
      throw failure
    }
  }

  /** Reads back by the protocol itself, and by one of the same router that has a list. */
  async #agree(
    lease: MappingLease,
    router: Router,
    all: readonly Router[],
    signal: AbortSignal,
  ): Promise<Verdict> {
    const own = await lease.verify({ signal })
    if (own.state === 'lost') return own
    for (const other of all) {
      if (
        other.flavour === router.flavour ||
        other.address !== router.address ||
        other.family !== router.family
      )
        continue
      const seen = await other.lookup(this.#keyOf(lease), { signal }).catch(() => 'unknown' as const)
      if (seen === 'unknown') continue
      if (seen && this.#leadsToUs(seen, router)) return { state: 'held', notes: [] }
      // What was named is believed: protocols of one box may be services of their own (RouterOS).
      if (!seen && this.wish.by !== 'auto') continue
      const why = seen
        ? say`${other.flavour} shows it leads to ${seen.internalAddress}`
        : say`${other.flavour} does not list it`
      return { state: 'lost', why: this.#notDone(router, why) }
    }
    return own
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    if (this.#trouble || !this.#open) return
    const verdict = await this.#look(signal)
    if (verdict.state === 'held') this.#seenAt = this.#tools.clock.monotonic()
    else this.#trouble = verdict.why
  }

  /** Another protocol of the same router, by which it is read back, counts as well. */
  #looksAtAll(router: Router): boolean {
    return [router, ...this.#tools.finder.known]
      .filter(({ address, family }) => address === router.address && family === router.family)
      .every(({ looksAtAll }) => looksAtAll)
  }

  async #look(signal: AbortSignal): Promise<Verdict> {
    const open = this.#open
    if (!open) return { state: 'lost', why: this.#nobody(this.wish.family) }
    const all = this.#tools.finder.recent(signal)
    const inner = await this.#agree(open.lease, open.router, all, signal)
    if (inner.state === 'lost' || !open.outer?.lease) return inner
    const outer = await open.outer.lease.verify({ signal })
    return outer.state === 'lost' ? outer : inner
  }

  /** Where the router's own address is not public, the one above it has to let us through as well. */
  async #throughTheNext(open: Open, routers: readonly Router[], signal: AbortSignal): Promise<Open> {
    if (this.wish.family === 6) return open
    const wan = open.lease.externalAddress ?? (await wanOf(open.router.address, routers, signal))
    if (wan === null) return { ...open, notes: [await this.#noAddressTold(open.router, signal)] }
    if (isPublic(wan)) return open
    const outer = await openOuterRouter(
      { inner: open.router, wan, lease: open.lease, wish: this.wish },
      this.#tools,
      this.#recorder,
      signal,
    )
    return { ...open, outer }
  }

  /** @throws NaruError ROUTER_NOT_FOUND where it is not even our gateway: an access point that still says it is a router */
  async #noAddressTold({ address }: Router, signal: AbortSignal): Promise<Text> {
    const known = await this.#tools.finder.gateways(4, signal)
    if (known.length > 0 && !known.includes(address))
      throw new NaruError('ROUTER_NOT_FOUND', {
        tried: say`${address} says it is a router, but has no internet address and is not this machine’s gateway`,
      })
    return say('the router tells no outside address: its line may be down, or it does not say')
  }

  async #explain(failures: readonly Failure[], signal: AbortSignal): Promise<NaruError> {
    // UPnP tells whose a port is and what is not allowed; PCP and NAT-PMP have a number for it.
    const weight = ({ router, failure: { code } }: Failure): number =>
      telling.includes(code)
        ? telling.indexOf(code) - (router.showsOthers ? telling.length : 0)
        : telling.length
    const [worst] = failures.toSorted((a, b) => weight(a) - weight(b))
    if (!worst) return this.#nobody(this.wish.family)
    const { router, failure } = worst
    if (this.#inTheWay && isNaruError(failure, 'ROUTER_PORT_TAKEN', 'ROUTER_OTHER_PORT'))
      throw this.#takenByUs(router, this.#inTheWay)
    const noAddress = isNaruError(failure, 'ROUTER_NO_ADDRESS', 'ROUTER_NAT_BETWEEN')
    return noAddress ? this.#tools.explainNoAddress(router, failure, signal) : failure
  }

  /** Where any port will do, the one that was given before is asked for again: links to it go on working. */
  get #request(): MappingRequest {
    const { request } = this.wish
    return request.anyPort && this.#lastPort > 0 ? { ...request, externalPort: this.#lastPort } : request
  }

  #notDone(router: Router, why: Text): NaruError {
    return new NaruError('ROUTER_NOT_DONE', {
      router: router.address,
      port: this.wish.request.externalPort,
      why,
    })
  }

  #takenByUs(router: Router, { internalAddress, leaseSecondsLeft, externalPort }: Mapping): NaruError {
    const left = leaseSecondsLeft === null ? null : formatDuration(leaseSecondsLeft * 1000)
    const owner = say`this machine’s own former address ${internalAddress}; the router lets nobody else remove it${left ? say`, its lease ends in ${left}` : ''}`
    return new NaruError('ROUTER_PORT_TAKEN', { router: router.address, port: externalPort, owner })
  }

  #nobody(family: 4 | 6): NaruError {
    const tried = this.wish.by === 'auto' ? this.#tools.finder.tried : this.wish.by
    return new NaruError('ROUTER_NOT_FOUND', { tried: family === 6 ? `IPv6: ${tried}` : tried })
  }

  #leadsToUs(seen: Mapping, router: Router): boolean {
    const { internalAddress, internalPort } = this.wish.request
    // Some read every row back with port 0 (miniupnpd 2.3.0 on nftables).
    const port = seen.internalPort === 0 || seen.internalPort === internalPort
    return port && seen.internalAddress === (internalAddress ?? router.clientAddress)
  }

  #keyOf(lease: MappingLease): { protocol: 'tcp' | 'udp'; externalPort: number } {
    return { protocol: this.wish.request.protocol, externalPort: lease.externalPort }
  }

  get #recorder(): Recorder {
    return { ...this.#record, before: this.#before }
  }

  #recorderOf({ member }: Router): Recorder {
    return viaMember(this.#recorder, member)
  }

  #leases(): readonly MappingLease[] {
    const { lease, outer } = this.#open ?? {}
    return [lease, outer?.lease].filter((each) => each !== undefined && each !== null)
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(run, run)
    this.#turn = next.catch(() => {})
    return next
  }
}

async function wanOf(
  address: string,
  routers: readonly Router[],
  signal: AbortSignal,
): Promise<string | null> {
  const same = routers.filter((router) => router.address === address && router.family === 4)
  for (const router of same) {
    const info: RouterInfo | null = await router.info({ signal }).catch(() => null)
    if (info?.externalAddress) return info.externalAddress
  }
  return null
}

/** The time that a step has is over: the router is what it was waited for. */
function calledOff({ address, flavour }: Router, signal: AbortSignal): NaruError {
  const { reason } = signal as { reason: unknown }
  if (!(reason instanceof DOMException) || reason.name !== 'TimeoutError') return stopped(signal, 'a mapping')
  const why = say('it is still at it, or silent')
  return new NaruError('ROUTER_SILENT', { router: address, protocol: flavour, why }, { cause: reason })
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length > 0 ? Math.min(...known) : null
}
