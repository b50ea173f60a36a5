/** What the leases of one engine share: the table, the ground it stands on, the watch over conntrack. */
import type { Family } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { withLimit } from '../../base/clock.ts'
import type { Host, Interface, Network, Runner, SocketEntry } from '../../host/contract.ts'
import type { SourceMode } from '../../model/rule.ts'
import { cutFlows, listUntouched, type ConntrackFlow } from './flows.ts'
import { Batch } from '../../base/batch.ts'
import type { Sysctls } from './sysctls.ts'
import type { ElementTag } from './element-tag.ts'
import type { FlowOffloading } from './offloading.ts'
import type { HeldElement, KernelTable } from './nft-table.ts'
import { Bridges } from './bridges.ts'
import { fresh, type Lately } from './lately.ts'
import type { ProcSys } from './proc-sys.ts'
import { chooseAddress, type Chosen } from './target.ts'
import { chooseWayBack, type ReturnWay } from './masquerade.ts'
import { Places, type Arrival, type ConntrackPoll } from './conntrack-poll.ts'

export interface ContextParts {
  readonly host: Host
  readonly clock: Clock
  readonly table: KernelTable
  readonly ground: Sysctls
  readonly watch: ConntrackPoll
  readonly offloading: FlowOffloading
  readonly settings: ProcSys
  /** Whether an element of this process belongs to none of its leases. */
  readonly isForgotten: (tag: ElementTag) => boolean
  /** Hears of each lease that is over, by its serial. */
  readonly onLeft: (serial: number) => Promise<void>
}

export class EngineContext {
  readonly runner: Runner
  readonly clock: Clock
  readonly table: KernelTable
  readonly ground: Sysctls
  readonly watch: ConntrackPoll
  readonly #offloading: FlowOffloading
  readonly left: (serial: number) => Promise<void>
  /** The interfaces of this machine; asked once a second at most. */
  readonly interfaces: Lately<readonly Interface[]>
  /** Its listening sockets, likewise. */
  readonly sockets: Lately<readonly SocketEntry[]>
  readonly bridges: Bridges
  /** The table as it is, likewise. */
  readonly reading: Lately<ReadonlyMap<string, HeldElement>>
  #ways: { interfaces: readonly Interface[]; known: Map<string, ReturnWay> } = {
    interfaces: [],
    known: new Map(),
  }
  readonly #network: Network
  readonly #cutting = new Batch<ConntrackFlow>((flows) =>
    cutFlows(this.runner, flows, { signal: withLimit(undefined, 30_000) }),
  )
  readonly #freshening = new Batch<Arrival>((arrivals) => this.#freshen(arrivals))

  constructor(parts: ContextParts) {
    const { host, clock, table, ground, watch, offloading, settings, isForgotten, onLeft } = parts
    this.runner = host.runner
    this.#network = host.network
    this.clock = clock
    this.table = table
    this.ground = ground
    this.watch = watch
    this.#offloading = offloading
    this.left = onLeft
    const signal = (): AbortSignal => withLimit(undefined, 30_000)
    this.interfaces = fresh(clock, () => host.network.interfaces({ signal: signal() }))
    this.bridges = new Bridges(host, { clock, settings, interfaces: () => this.interfaces() })
    this.sockets = fresh(clock, () => host.sockets.list({ signal: signal() }).catch(() => []))
    this.reading = fresh(clock, () => table.sweep(isForgotten))
  }

  /** Ends connections: nothing carries them any more. Those of all leases that end at once are one batch. */
  cut(flows: readonly ConntrackFlow[]): Promise<void> {
    this.#offloading.takeBack(flows)
    return this.#cutting.add(flows)
  }

  /**
   * UDP flows to where a lease listens now that are older than its rule: conntrack asks each flow once, so they would
   * go past the rule for as long as their clients send.
   */
  freshen(arrivals: readonly Arrival[]): Promise<void> {
    return this.#freshening.add(arrivals.filter(({ protocol }) => protocol === 'udp'))
  }

  async #freshen(arrivals: readonly Arrival[]): Promise<void> {
    const signal = withLimit(undefined, 30_000)
    const families = [...new Set(arrivals.map(({ family }) => family))]
    const own = new Set(
      (await this.interfaces()).flatMap(({ addresses }) => addresses.map((one) => one.address)),
    )
    const untouched = await listUntouched(this.runner, families, { signal })
    const places = new Places<true>()
    for (const arrival of arrivals) places.add(arrival, true)
    const old = untouched.filter((flow) => places.of(flow, { wide: own.has(flow.listen) }))
    if (old.length > 0) await cutFlows(this.runner, old, { signal })
  }

  /** Which of a target's addresses its clients are sent to. */
  choose(addresses: readonly string[], family: Family): Promise<Chosen> {
    return chooseAddress(addresses, family, async () => ({
      interfaces: await this.interfaces(),
      network: this.#network,
      signal: withLimit(undefined, 10_000),
    }))
  }

  /** Thousands of rules have few targets: an answer holds as long as the interfaces it was told from. */
  async wayBack(source: SourceMode, target: string): Promise<ReturnWay> {
    const interfaces = source === 'relay' ? [] : await this.interfaces()
    if (this.#ways.interfaces !== interfaces) this.#ways = { interfaces, known: new Map() }
    const key = `${source} ${target}`
    const known = this.#ways.known.get(key) ?? chooseWayBack(source, target, interfaces)
    this.#ways.known.set(key, known)
    return known
  }
}
