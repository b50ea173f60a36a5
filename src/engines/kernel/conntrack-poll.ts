/**
 * One look at conntrack for all rules, at most once a second, and less often where nothing moves or a look takes
 * long, so that looking costs little of one core; but never so seldom that a connection that was reset, which conntrack
 * keeps for 10 s, goes by unseen: a look may be slow because the machine is busy. Packets never wait for it.
 */
import type { Clock } from '../../base/clock.ts'
import { familyOf, type Family } from '../../base/address.ts'
import type { PortRange, Protocol } from '../../base/port.ts'
import type { Runner } from '../../host/contract.ts'
import { PortHolders } from '../../model/listen-index.ts'
import { listFlows, type ConntrackFlow } from './flows.ts'
import type { FlowOffloading } from './offloading.ts'
import type { Traffic } from './traffic.ts'

const busyMs = 1000
const quietMs = 5000
/** Share of time that looking may take, one part in twenty; where that is more than `quietMs` of rest, that much. */
const rest = 20
/** How long a question about connections keeps the looks frequent. */
const interestMs = 10_000

export interface PolledRule {
  readonly traffic: Traffic
  readonly family: Family
  /** Whether busy connections may go past conntrack. */
  readonly offloads: () => boolean
  /** Where new connections of this lease arrive; empty once it listens no more. */
  readonly arrivals: () => readonly Arrival[]
  /** Called after each look. */
  readonly looked: () => void
}

export interface Arrival {
  readonly protocol: Protocol
  readonly ports: PortRange
  /** Null is any address. */
  readonly address: string | null
  readonly family: Family
}

export class ConntrackPoll {
  readonly #runner: Runner
  readonly #clock: Clock
  readonly #offloading: FlowOffloading
  readonly #watched = new Set<PolledRule>()
  #index: Places<PolledRule> | null = null
  /** Whose each connection is, as of the last look. */
  #owners = new Map<string, PolledRule>()
  /** As of the look before: what conntrack has forgotten since is told of once more. */
  #before = new Map<string, PolledRule>()
  #timer: Disposable | null = null
  #looking: Promise<void> | null = null
  /** What the last look showed. */
  #shown: readonly ConntrackFlow[] = []
  /** When it began. */
  #shownAt = Number.NEGATIVE_INFINITY
  #lastMs = 0
  #interestUntil = 0
  #stopped = new AbortController()

  constructor(runner: Runner, clock: Clock, offloading: FlowOffloading) {
    this.#runner = runner
    this.#clock = clock
    this.#offloading = offloading
  }

  add(watched: PolledRule): void {
    this.#watched.add(watched)
    this.changed()
    if (!this.#timer) this.#arm()
  }

  remove(watched: PolledRule): void {
    this.#watched.delete(watched)
    // What it carried is not what the next one carries.
    this.#shownAt = Number.NEGATIVE_INFINITY
    this.changed()
    if (this.#watched.size === 0) this.#disarm()
  }

  /** Somebody listens elsewhere now. */
  changed(): void {
    this.#index = null
  }

  /** Somebody asks about connections: look more often for a while. */
  interest(): void {
    const soon = this.#clock.monotonic() + interestMs
    const wasQuiet = this.#interestUntil < this.#clock.monotonic()
    this.#interestUntil = soon
    if (wasQuiet && !this.#looking) this.#arm()
  }

  /** A look that begins after now, for whoever waits for its result. */
  async look(): Promise<void> {
    await this.#looking
    this.#looking ??= this.#lookOnce().finally(() => (this.#looking = null))
    await this.#looking
  }

  /** What a look that began before now shows has been told. */
  async settled(): Promise<void> {
    await this.#looking
  }

  /** A look that began within the last `ms` ms. */
  async lookLately(ms: number): Promise<void> {
    if (this.#shownAt + ms < this.#clock.monotonic()) await this.look()
  }

  /** What comes to these places by now, before a lease is in force there. A look serves all who open within a second. */
  async arriving(arrivals: readonly Arrival[]): Promise<readonly ConntrackFlow[]> {
    await this.lookLately(busyMs)
    const places = new Places<true>()
    for (const arrival of arrivals) places.add(arrival, true)
    return this.#shown.filter((flow) => places.of(flow))
  }

  stop(): void {
    this.#disarm()
    this.#stopped.abort()
    this.#offloading.close()
  }

  #arm(): void {
    this.#disarm()
    if (this.#watched.size === 0 || this.#stopped.signal.aborted) return
    const busy =
      this.#clock.monotonic() < this.#interestUntil ||
      [...this.#watched].some(({ traffic }) => traffic.openCount > 0)
    const pause = Math.min(quietMs, Math.max(busy ? busyMs : quietMs, this.#lastMs * rest))
    this.#timer = this.#clock.after(pause, () => void this.look().finally(() => this.#arm()))
  }

  #disarm(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = null
  }

  async #lookOnce(): Promise<void> {
    const began = this.#clock.monotonic()
    try {
      const signal = this.#stopped.signal
      const flows = await listFlows(this.#runner, familiesOf(this.#watched), { signal })
      this.#shown = flows
      this.#shownAt = began
      this.#own(flows)
      this.#share(this.#offloading.seen(flows, (flow) => this.#owners.get(flow.key)?.offloads() ?? false))
    } catch {
      // Ended, or conntrack could not be asked this time; the next look tells the same and more.
    }
    this.#lastMs = this.#clock.monotonic() - began
  }

  /** Notes whose each is. */
  #own(flows: readonly ConntrackFlow[]): void {
    const places = (this.#index ??= this.#listening())
    const owners = new Map<string, PolledRule>()
    for (const flow of flows) {
      const watched = this.#ownerOf(flow, places)
      if (watched) owners.set(flow.key, watched)
    }
    this.#before = this.#owners
    this.#owners = owners
  }

  #listening(): Places<PolledRule> {
    const places = new Places<PolledRule>()
    for (const watched of this.#watched)
      for (const arrival of watched.arrivals()) places.add(arrival, watched)
    return places
  }

  #share(flows: readonly ConntrackFlow[]): void {
    const shares = new Map<PolledRule, ConntrackFlow[]>([...this.#watched].map((watched) => [watched, []]))
    for (const flow of flows) {
      const watched = this.#owners.get(flow.key) ?? this.#before.get(flow.key)
      if (watched) shares.get(watched)?.push(flow)
    }
    const at = this.#clock.now()
    for (const [watched, own] of shares) {
      watched.traffic.seen(own, at)
      watched.looked()
    }
  }

  /** A connection stays with the lease that first had it; a new one is of whoever listens there now. */
  #ownerOf(flow: ConntrackFlow, places: Places<PolledRule>): PolledRule | null {
    const known = this.#owners.get(flow.key)
    if (known) return this.#watched.has(known) ? known : null
    return places.of(flow)
  }
}

/** Who listens where, as flows ask for it. */
export class Places<T> {
  readonly #byPlace = new Map<string, PortHolders<T>>()

  add({ protocol, family, address, ports }: Arrival, holder: T): void {
    const key = placeKey(protocol, family, address)
    const there = this.#byPlace.get(key) ?? new PortHolders<T>()
    this.#byPlace.set(key, there)
    there.take(ports, holder)
  }

  /** @param wide whether who listens at every address counts */
  of({ protocol, listen, listenPort: port }: Came, { wide = true } = {}): T | null {
    const at = (address: string | null): T | null =>
      this.#byPlace
        .get(placeKey(protocol, familyOf(listen), address))
        ?.someone({ first: port, last: port }) ?? null
    return at(listen) ?? (wide ? at(null) : null)
  }
}

type Came = Pick<ConntrackFlow, 'protocol' | 'listen' | 'listenPort'>

const placeKey = (protocol: Protocol, family: Family, address: string | null): string =>
  `${protocol} ${address ?? family}`

function familiesOf(all: ReadonlySet<PolledRule>): Family[] {
  return [...new Set([...all].map(({ family }) => family))].sort((a, b) => a - b)
}
