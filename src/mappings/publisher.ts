/**
 * `publish.router`: the ports of a rule, opened on whatever router is there, as one lease. It watches the routers it
 * holds mappings on and puts everything back the moment one of them restarted; at the start it removes what an
 * earlier run left in a router's list.
 */
import { setMaxListeners } from 'node:events'
import { withLimit } from '../base/clock.ts'
import { Semaphore } from '../base/semaphore.ts'
import { NaruError, isNaruError, toNaruError } from '../base/errors.ts'
import type { Cidr } from '../base/address.ts'
import type { PortRange, Protocol } from '../base/port.ts'
import type { Text } from '../base/text.ts'
import { parseMappingTag } from '../model/mapping.ts'
import type { Json, Lease, LeaseDescription, OpenOptions, Verdict } from '../model/hop.ts'
import type { Mapped, Router, RouterMember, RouterTools } from '../routers/contract.ts'
import { RouterFinder } from './finder.ts'
import { explainNoAddress } from './outer-router.ts'
import { PublishedPort } from './published-port.ts'
import { makeRestore } from './restore.ts'
import { VerifyRounds } from './verify-rounds.ts'
import type { PublisherTools } from './request.ts'

export interface PublishRequest {
  readonly rule: string
  /** `auto`, or a member's id. */
  readonly by: string
  readonly protocols: readonly Protocol[]
  readonly ports: PortRange
  /** First external port; null is the listen port, `any` takes what is given. */
  readonly externalPort: number | 'any' | null
  /** The address that is listened on; null is every one. */
  readonly address: string | null
  readonly allow: readonly Cidr[]
  /** @default 1200 */
  readonly leaseSeconds?: number
}

/** A router has room for a few dozen mappings, and each is asked for by itself. */
export const mostPorts = 64
/**
 * What a router lets nobody but our former address remove stands in our own way until it ends: long enough for a
 * renewal every ten minutes, and no longer.
 */
const leaseSeconds = 1200
/** Weak routers answer one at a time, and drop what waits too long for its turn. */
const openedAtOnce = 4

export class RouterPublisher implements Disposable {
  readonly finder: RouterFinder
  readonly #members: readonly RouterMember[]
  readonly #tools: RouterTools
  readonly #publishing: PublisherTools
  readonly #ports = new Set<PublishedPort>()
  readonly #rounds: VerifyRounds
  readonly #watched = new Map<Router, AbortController>()
  readonly #life = new AbortController()
  readonly #everythingBack: () => void
  /** Tells our mappings from those of another Naru on this machine; part of their description. */
  owner: string | undefined

  constructor(members: readonly RouterMember[], tools: RouterTools, owner?: string) {
    this.#members = members
    this.#tools = tools
    this.owner = owner
    this.finder = new RouterFinder(members, tools)
    this.#rounds = new VerifyRounds(tools.clock, () => this.#ports)
    this.#everythingBack = makeRestore({
      clock: tools.clock,
      ports: () => this.#ports,
      onFailure: ({ message }) => tools.log.warn({}, `not put back yet: ${message}`),
      signal: this.#life.signal,
    })
    this.#publishing = {
      finder: this.finder,
      host: tools.host,
      clock: tools.clock,
      gate: new Semaphore(openedAtOnce, 'a mapping that waited for its turn'),
      onOpen: () => this.#watchWhatIsHeld(),
      explainNoAddress: (nearest, failure, signal) =>
        explainNoAddress(nearest, failure, this.#publishing, signal),
    }
  }

  /** @throws NaruError ROUTER_…; nothing is left then */
  async open(wish: PublishRequest, { signal, record }: OpenOptions): Promise<Lease> {
    const ports = await this.#withoutVain(this.#portsOf(wish, record), signal)
    const [main, extra] = [
      ports.filter(({ wish: { family } }) => family === 4),
      ports.filter(({ wish: { family } }) => family === 6),
    ]
    const opened: PublishedPort[] = []
    try {
      const [failure4, failure6] = await Promise.all([
        openAll(main, opened, signal),
        openAll(extra, opened, signal),
      ])
      const failure = main.length > 0 ? failure4 : failure6
      // IPv6 alone is still a way in, where IPv4 has none at all.
      const other =
        main.length > 0 &&
        extra.length > 0 &&
        !failure6 &&
        isNaruError(failure, 'ROUTER_CARRIER_NAT', 'ROUTER_NO_ADDRESS', 'ROUTER_BEHIND_ROUTER')
      if (failure && !other) throw failure
      const notes = [failure, failure6 && !isNaruError(failure6, 'ROUTER_NOT_FOUND') ? failure6 : null]
      const lease = new PublishedLease(
        // Told in the order in which they were asked for, whoever answered first.
        ports.filter((port) => opened.includes(port)),
        notes.filter((note) => note !== null).map(({ text }) => text),
        { rounds: this.#rounds, onReleased: () => this.#forget(opened) },
      )
      for (const port of opened) this.#ports.add(port)
      this.#watchWhatIsHeld()
      return lease
    } catch (failure) {
      // What the process whose place this one takes has open is still that one's.
      if (record.before) throw failure
      const limit = withLimit(undefined, 3000)
      await Promise.all(opened.map((port) => port.release(limit).catch(() => {})))
      throw failure
    }
  }

  /** Undoes what the journal says, by the protocol that did it. Twice is harmless. */
  async undo(effect: Json, signal: AbortSignal): Promise<void> {
    const { via, effect: own } = (effect ?? {}) as { via?: unknown; effect?: Json }
    const member = this.#members.find(({ id }) => id === via)
    if (!member) throw new NaruError('INTERNAL', { why: `no router protocol ${String(via)} here` })
    try {
      await member.undo(own ?? null, { signal, tools: this.#tools })
    } catch (failure) {
      // Made from an address that is gone, it is refused for ever; another protocol shows whether it is still there.
      const mapped = isNaruError(failure, 'INTERNAL') ? null : (member.mapped?.(own ?? null) ?? null)
      if (mapped === null || !(await this.#isGone(mapped, signal))) throw failure
    }
  }

  /** True where a list of that router has nothing that leads there. */
  async #isGone(mapped: Mapped, signal: AbortSignal): Promise<boolean> {
    for (const router of await this.finder.find({ signal, all: true })) {
      if (router.family !== 4 || router.address !== mapped.router) continue
      const rows = await router.mappings({ signal }).catch(() => null)
      if (rows)
        return !rows.some(
          ({ protocol, internalAddress, internalPort }) =>
            protocol === mapped.protocol &&
            internalAddress === mapped.internalAddress &&
            internalPort === mapped.internalPort,
        )
    }
    return false
  }

  /**
   * Removes mappings that carry this Naru's own tag, lead to this machine and are held by nobody any more: what a
   * lost journal would leave, permanent leases above all. Finds no router: does nothing.
   * @returns how many were removed
   */
  async sweep(signal: AbortSignal): Promise<number> {
    let removed = 0
    for (const router of await this.finder.find({ signal, all: true })) {
      const listed = await router.mappings({ signal }).catch(() => null)
      for (const mapping of listed ?? []) {
        const tag = parseMappingTag(mapping.description)
        const ours = tag !== null && this.owner !== undefined && tag.owner === this.owner.slice(0, 12)
        if (!ours || mapping.internalAddress !== router.clientAddress || this.#holds(mapping)) continue
        await router.remove(mapping, { signal }).then(
          () => removed++,
          () => {},
        )
      }
    }
    return removed
  }

  /** Ends every watch; what is held stays as it is. */
  [Symbol.dispose](): void {
    this.#life.abort()
    for (const life of this.#watched.values()) life.abort()
    this.#watched.clear()
    this.#ports.clear()
  }

  /** Without a way out by IPv6 nobody opens anything for it, and nobody is waited for. */
  async #withoutVain(
    ports: readonly PublishedPort[],
    signal: AbortSignal,
  ): Promise<readonly PublishedPort[]> {
    const some4 = ports.filter(({ wish }) => wish.family === 4)
    if (some4.length === 0 || some4.length === ports.length) return ports
    const ways = await this.finder.gateways(6, signal)
    return ways.length > 0 ? ports : some4
  }

  #holds({ protocol, externalPort }: { protocol: Protocol; externalPort: number }): boolean {
    return [...this.#ports].some(
      (port) => port.externalPort === externalPort && port.wish.request.protocol === protocol,
    )
  }

  #portsOf(wish: PublishRequest, record: OpenOptions['record']): PublishedPort[] {
    const { first, last } = wish.ports
    const count = (last - first + 1) * wish.protocols.length
    if (count > mostPorts) throw new NaruError('ROUTER_TOO_MANY_PORTS', { count, limit: mostPorts })
    const families =
      wish.address === null ? ([4, 6] as const) : wish.address.includes(':') ? ([6] as const) : ([4] as const)
    const outside = typeof wish.externalPort === 'number' ? wish.externalPort : first
    return families.flatMap((family) =>
      wish.protocols.flatMap((protocol) =>
        Array.from({ length: last - first + 1 }, (_, at) => {
          const request = {
            rule: wish.rule,
            ...(this.owner !== undefined && { owner: this.owner }),
            protocol,
            // A pinhole opens the very port that is listened on.
            externalPort: family === 6 ? first + at : outside + at,
            anyPort: wish.externalPort === 'any' && family === 4,
            internalPort: first + at,
            // No router can send to a wildcard; what it knows is our address towards it.
            internalAddress: wish.address === '0.0.0.0' || wish.address === '::' ? null : wish.address,
            leaseSeconds: wish.leaseSeconds ?? leaseSeconds,
            allow: wish.allow,
          }
          return new PublishedPort({ family, request, by: wish.by }, this.#publishing, record)
        }),
      ),
    )
  }

  #forget(ports: readonly PublishedPort[]): void {
    for (const port of ports) this.#ports.delete(port)
    this.#watchWhatIsHeld()
  }

  /** One watch a router that holds anything; a router that holds nothing any more is left in peace. */
  #watchWhatIsHeld(): void {
    const held = new Set(
      [...this.#ports].flatMap(({ router, outerRouter }) =>
        [router, outerRouter].filter((each) => each !== null),
      ),
    )
    for (const [router, life] of this.#watched) {
      if (held.has(router)) continue
      life.abort()
      this.#watched.delete(router)
    }
    for (const router of held) {
      if (this.#watched.has(router)) continue
      const life = new AbortController()
      this.#watched.set(router, life)
      router.watch({ signal: life.signal, onRestart: (why) => this.#putBack(router, why) })
    }
  }

  /**
   * Everything, also on other protocols and for the other family: it is most likely the same box, and asking again for
   * what is there is harmless.
   */
  #putBack(router: Router, why: Text): void {
    this.#tools.log.info({ router: router.address }, why)
    this.#everythingBack()
  }
}

/** One publisher a set of members: every rule shares what was found and who is watched. */
const publishers = new WeakMap<readonly RouterMember[], RouterPublisher>()

export function publisherOf({
  routers,
  host,
  clock,
  log,
}: { readonly routers: readonly RouterMember[] } & RouterTools): RouterPublisher {
  const known = publishers.get(routers) ?? new RouterPublisher(routers, { host, clock, log })
  publishers.set(routers, known)
  return known
}

class PublishedLease implements Lease {
  readonly #ports: readonly PublishedPort[]
  readonly #notes: readonly Text[]
  readonly #rounds: VerifyRounds
  readonly #onReleased: () => void

  constructor(
    ports: readonly PublishedPort[],
    notes: readonly Text[],
    { rounds, onReleased }: { rounds: VerifyRounds; onReleased: () => void },
  ) {
    this.#ports = ports
    this.#notes = notes
    this.#rounds = rounds
    this.#onReleased = onReleased
  }

  get goodUntil(): number | null {
    return earliest(this.#ports.map(({ goodUntil }) => goodUntil))
  }

  get renewAfter(): number | null {
    return earliest(this.#ports.map(({ renewAfter }) => renewAfter))
  }

  describe(): LeaseDescription {
    const all = this.#ports.map((port) => port.describe()).filter((each) => each !== null)
    const flavours = [...new Set(all.map(({ member }) => member))]
    return {
      member: flavours.join('+') || 'router',
      text: { en: all.map(({ text }) => text.en).join('; '), ko: all.map(({ text }) => text.ko).join('; ') },
      differs: distinct([...all.flatMap(({ differs }) => differs), ...this.#notes]),
      data: all.map(({ data }) => data),
    }
  }

  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    this.#rounds.begin()
    heardByEach(signal)
    const verdicts = await Promise.all(this.#ports.map((port) => port.verdict(signal)))
    const lost = verdicts.find(({ state }) => state === 'lost')
    return lost ?? { state: 'held', notes: [] }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    heardByEach(signal)
    const renewed = this.#ports.map((port) => port.renew(signal).then(() => null, toNaruError))
    const failures = await Promise.all(renewed)
    const failure = failures.find((each) => each !== null)
    if (failure) throw failure
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    heardByEach(signal)
    const released = this.#ports.map((port) => port.release(signal).then(() => null, toNaruError))
    const failures = await Promise.all(released)
    this.#onReleased()
    const failure = failures.find((each) => each !== null)
    if (failure) throw failure
  }
}

/** @returns the first failure; the rest is then not tried */
async function openAll(
  ports: readonly PublishedPort[],
  opened: PublishedPort[],
  signal: AbortSignal,
): Promise<NaruError | null> {
  let failure: NaruError | null = null
  const given = new AbortController()
  const either = AbortSignal.any([signal, given.signal])
  heardByEach(signal, either)
  const open = async (port: PublishedPort): Promise<void> => {
    try {
      await port.open(signal, either)
      opened.push(port)
    } catch (thrown) {
      failure ??= toNaruError(thrown)
      given.abort()
    }
  }
  await Promise.all(ports.map(open))
  return failure
}

/**
 * Every port that waits for its turn, or for its router's answer, listens to the end and lets go when it is served;
 * Node takes more than ten for a leak.
 */
function heardByEach(...signals: readonly AbortSignal[]): void {
  setMaxListeners(0, ...signals)
}

function distinct(texts: readonly Text[]): readonly Text[] {
  return [...new Map(texts.map((text) => [text.en, text])).values()]
}

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null)
  return known.length > 0 ? Math.min(...known) : null
}
