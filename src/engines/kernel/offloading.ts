/**
 * Connections that are busy enough to go past conntrack (linux/bpf): what costs routing a tenth and more of
 * its packets (docs/performance.md) is asked of one packet a second alone. Looks at what each look at conntrack
 * shows, and adds what the kernel carried meanwhile. Only where nobody else has a say in what is forwarded: whoever has
 * sees every packet, from a second after it began on.
 */
import { familyOf } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { Conntrack } from '../../linux/bpf/conntrack.ts'
import {
  endpointOnWire as endpoint,
  Flows,
  type OffloadedPair,
  type CarriedPair,
  type Ends,
  type Pair,
} from '../../linux/bpf/flows.ts'
import { leftOutBytes } from '../../linux/bpf/layout.ts'
import { Offload } from '../../linux/bpf/offload.ts'
import type { ConntrackFlow } from './flows.ts'

/** From so many packets a second on, both ways together. */
const busyPackets = 1000
/** How often it is said that we live, and asked whether somebody else has a say by now, ms. */
const beatEveryMs = 1000

/** A connection that is offloaded now, or was. */
interface Offloaded {
  /** Null where it goes the ordinary way by now. */
  pair: CarriedPair | null
  readonly ends: Pair
  /** What comes in by them is carried. */
  readonly devices: readonly number[]
  /** After so many seconds of silence conntrack forgets it. */
  patienceSeconds: number
  /** What was carried so far. */
  total: Ends<OffloadedPair>
  last: ConntrackFlow
}

export class FlowOffloading {
  readonly #clock: Clock
  readonly #offloaded = new Map<string, Offloaded>()
  /** Cut, but still among what an earlier question to conntrack showed: not to be carried anew. */
  #ended = new Set<string>()
  /** Packets of each connection as of the last look, and when that was. */
  #before = new Map<string, number>()
  #beforeAt = 0
  /** Null where this machine cannot; undefined until a connection is busy. */
  #offload: Offload | null | undefined
  #flows: Flows | null = null
  #conntrack: Conntrack | null = null
  /** Looks may be far between; that we live is said all the same. */
  #beating: Disposable | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param flows as conntrack shows them. @param may which of them may be offloaded.
   * @returns them with what was carried past conntrack, and once more those that it has forgotten meanwhile.
   */
  seen(flows: readonly ConntrackFlow[], may: (flow: ConntrackFlow) => boolean): readonly ConntrackFlow[] {
    if (this.#ended.size > 0)
      this.#ended = new Set(flows.map(({ key }) => key).filter((key) => this.#ended.has(key)))
    const busy = this.#busy(flows.filter(canBe)).filter(may)
    if (busy.length === 0 && this.#offloaded.size === 0) return flows
    const shown = this.#withCarried(flows)
    for (const flow of busy) if (!this.#ended.has(flow.key)) this.#carry(flow)
    return shown
  }

  /** They end: nothing more is carried for them. */
  takeBack(flows: readonly ConntrackFlow[]): void {
    for (const { key } of flows) {
      this.#ended.add(key)
      this.#offloaded.get(key)?.pair?.close()
      this.#offloaded.delete(key)
    }
  }

  close(): void {
    this.#beating?.[Symbol.dispose]()
    this.#beating = null
    for (const { pair } of this.#offloaded.values()) pair?.close()
    this.#offloaded.clear()
    this.#offload?.close()
    this.#conntrack?.close()
    this.#flows?.close()
    this.#offload = null
    this.#flows = null
    this.#conntrack = null
  }

  /** Those that are not offloaded and have grown fast since the last look. */
  #busy(flows: readonly ConntrackFlow[]): ConntrackFlow[] {
    const at = this.#clock.monotonic()
    const least = (busyPackets * (at - this.#beforeAt)) / 1000
    const now = new Map(flows.map((flow) => [flow.key, flow.packetsToTarget + flow.packetsToClient]))
    const busy = flows.filter(({ key }) => {
      const before = this.#before.get(key)
      return before !== undefined && (now.get(key) ?? 0) - before >= least && !this.#offloaded.get(key)?.pair
    })
    this.#before = now
    this.#beforeAt = at
    return busy
  }

  /** Whoever begins to filter sees every packet from now on. */
  #beat(flows: Flows): void {
    flows.beat()
    const carried = [...this.#offloaded.values()].filter(({ pair }) => pair)
    const devices = new Set(carried.flatMap((offloaded) => offloaded.devices))
    const watched = carried.length > 0 && flows.watched('router', devices, this.#clock.monotonic())
    for (const offloaded of carried) this.#tend(flows, offloaded, watched)
  }

  /** As long as packets are carried, neither conntrack nor a neighbour is forgotten. */
  #tend(flows: Flows, offloaded: Offloaded, ends: boolean): void {
    const { pair, ends: pairOfEnds, total, patienceSeconds } = offloaded
    if (!pair) return
    const { there, back } = ends ? pair.close() : pair.look()
    offloaded.total = sum(total, { there, back })
    if (ends) offloaded.pair = null
    if (there.packets + back.packets === 0) return
    flows.ways(pairOfEnds, 'router', this.#clock.monotonic())
    const { protocol, client, listen } = pairOfEnds
    if (protocol === 'udp') this.#conntrack?.keep(protocol, [client, listen], patienceSeconds)
  }

  #withCarried(flows: readonly ConntrackFlow[]): ConntrackFlow[] {
    const present = new Set(flows.map(({ key }) => key))
    const forgotten: ConntrackFlow[] = []
    for (const [key, { last }] of this.#offloaded) if (!present.has(key)) forgotten.push(last)
    return [...flows, ...forgotten].map((flow) => {
      const offloaded = this.#offloaded.get(flow.key)
      if (!offloaded) return flow
      this.#look(flow, offloaded, present.has(flow.key))
      return withCarried(wasReset(flow) ? { ...flow, state: 'CLOSE' } : flow, offloaded)
    })
  }

  #look(flow: ConntrackFlow, offloaded: Offloaded, lives: boolean): void {
    const { pair, total } = offloaded
    const ends = !lives || !canBe(flow)
    if (pair) offloaded.total = sum(total, ends ? pair.close() : pair.look())
    if (ends) offloaded.pair = null
    if (!lives) this.#offloaded.delete(flow.key)
    offloaded.last = flow
    offloaded.patienceSeconds = Math.max(offloaded.patienceSeconds, flow.expiresSeconds)
  }

  #carry(flow: ConntrackFlow): void {
    const flows = this.#joined()
    const pair = pairOf(flow)
    const ways = flows?.ways(pair, 'router', this.#clock.monotonic())
    if (
      !flows ||
      !ways ||
      (flow.protocol === 'tcp' && !this.#conntrack?.beLiberal([pair.client, pair.listen]))
    )
      return
    const carried = flows.carry(pair, ways, 'router')
    if (!carried) return
    const total = this.#offloaded.get(flow.key)?.total ?? { there: nothing, back: nothing }
    this.#offloaded.set(flow.key, {
      pair: carried,
      ends: pair,
      devices: [ways.there.device, ways.back.device],
      patienceSeconds: flow.expiresSeconds,
      total,
      last: flow,
    })
    flows.beat()
    this.#beating ??= this.#clock.every(beatEveryMs, () => this.#beat(flows))
  }

  #joined(): Flows | null {
    if (this.#offload !== undefined) return this.#flows
    const opened = Offload.open()
    this.#offload = opened instanceof Offload ? opened : null
    const share = this.#offload?.join()
    this.#flows = share ? new Flows(share, (device) => this.#offload?.hold(device)) : null
    this.#conntrack = share ? new Conntrack() : null
    return this.#flows
  }
}

const nothing: OffloadedPair = { packets: 0, bytes: 0 }

/** TCP while nobody has finished: what begins and ends a connection is conntrack's. */
const canBe = ({ protocol, state }: ConntrackFlow): boolean => protocol === 'udp' || state === 'ESTABLISHED'

/**
 * A reset whose number is not the one that conntrack waits for, as it did not see all that came before, leaves the
 * state and is waited after for 10 s in place of days (nf_conntrack_tcp_timeout_close). An answer would end that wait.
 */
const wasReset = ({ state, expiresSeconds }: ConntrackFlow): boolean =>
  state === 'ESTABLISHED' && expiresSeconds < 10

function pairOf(flow: ConntrackFlow): Pair {
  return {
    protocol: flow.protocol,
    client: endpoint(flow.client, flow.clientPort),
    listen: endpoint(flow.listen, flow.listenPort),
    upstream: endpoint(flow.upstream, flow.upstreamPort),
    target: endpoint(flow.target, flow.targetPort),
  }
}

function sum(one: Ends<OffloadedPair>, other: Ends<OffloadedPair>): Ends<OffloadedPair> {
  const add = (a: OffloadedPair, b: OffloadedPair): OffloadedPair => {
    return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes }
  }
  return { there: add(one.there, other.there), back: add(one.back, other.back) }
}

function withCarried(flow: ConntrackFlow, { pair, total: { there, back } }: Offloaded): ConntrackFlow {
  // conntrack counts them.
  const header = leftOutBytes(familyOf(flow.client), flow.protocol)
  return {
    ...flow,
    packetsToTarget: flow.packetsToTarget + there.packets,
    bytesToTarget: flow.bytesToTarget + there.bytes + there.packets * header,
    packetsToClient: flow.packetsToClient + back.packets,
    bytesToClient: flow.bytesToClient + back.bytes + back.packets * header,
    offloaded: pair !== null,
  }
}
