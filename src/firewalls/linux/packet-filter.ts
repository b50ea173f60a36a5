/**
 * Opening a port behind a Linux packet filter, whoever keeps it: read what there is, find where a packet would be
 * dropped, let the keeper's own tool put an accept there, then send the packet through again on paper and see that it
 * arrives. What differs between keepers is a `Hand` (hand.ts).
 */
import { parseCidr } from '../../base/address.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import {
  answerFor,
  openingsFor,
  packetsOf,
  readFilter,
  walk,
  type PacketQuestion,
  type PacketFilter,
  type Packets,
} from '../../host/simulate/index.ts'
import type { Effect, Json, Lease, OpenOptions, Verdict } from '../../model/hop.ts'
import { newTag, parseTag } from '../../model/tag.ts'
import type { FirewallAnswer, FirewallOptions, FirewallQuestion, FirewallRequest } from '../contract.ts'
import { FirewallLease } from '../lease.ts'
import { looking, type Hand, type Placed, type Tools, type WantedOpening } from './hand.ts'
import { inLine, type QueuedClosing, type QueuedOpening, type Wish } from './line.ts'

/** A drop behind a drop is found only once the first is open; more rounds than chains are not to be expected. */
const mostRounds = 4

export async function explain(question: FirewallQuestion, options: FirewallOptions): Promise<FirewallAnswer> {
  const ports = { first: question.port, last: question.port }
  const sources = question.from === null ? [] : [parseCidr(question.from.split('%')[0] as string)]
  const asked: PacketQuestion = { protocols: [question.protocol], ports, address: null, sources }
  const [filter, packets] = await look(asked, options)
  return answerFor(filter, packets)
}

export async function look(
  asked: PacketQuestion,
  { host, signal }: FirewallOptions,
): Promise<[PacketFilter, Packets]> {
  return Promise.all([readFilter(looking(host, signal)), packetsOf(asked, host, signal)])
}

export const askedBy = ({ protocols, ports, address, allow }: FirewallRequest): PacketQuestion => ({
  protocols,
  ports,
  address,
  sources: allow,
})

/** `8888/tcp+udp`. */
export const portsText = ({ ports, protocols }: FirewallRequest): string =>
  `${formatPortRange(ports)}/${protocols.join('+')}`

/** Openings asked for in one turn of the loop are one change of the firewall. */
export async function openWith<Entry>(
  hand: Hand<Entry>,
  request: FirewallRequest,
  options: FirewallOptions & OpenOptions,
): Promise<Lease> {
  const tag = newTag(request.rule, await options.record.mark?.())
  const opened = new Opened(hand, { request, tag }, options)
  await opened.inLine('open', options.signal)
  return opened.lease()
}

/** Likewise. */
export async function undoWith<Entry>(
  hand: Hand<Entry>,
  effect: Json,
  { host, signal }: FirewallOptions,
): Promise<void> {
  const { tag, entries } = effect as { tag?: unknown; entries?: unknown }
  if (typeof tag !== 'string' || !Array.isArray(entries)) return
  await inLine(host, { wish: 'close', hand, opening: leftBehind(tag, entries as Entry[]), signal })
}

/** What a process that is gone opened. What a saved list brought back is known by its tag alone. */
function leftBehind<Entry>(tag: string, entries: readonly Entry[]): QueuedClosing<Entry> {
  const placed = { rule: parseTag(tag)?.rule ?? '', tag, entries }
  return { placed, isHeld: true, closed: () => Promise.resolve() }
}

function writtenIn(effect: Json): { tag: string; entries: readonly unknown[] } | null {
  const { tag, entries } = (effect ?? {}) as { tag?: unknown; entries?: unknown }
  return typeof tag === 'string' && Array.isArray(entries) && entries.length > 0 ? { tag, entries } : null
}

class Opened<Entry> implements QueuedOpening<Entry> {
  readonly #hand: Hand<Entry>
  #wanted: WantedOpening
  readonly #host: FirewallOptions['host']
  readonly #record: OpenOptions['record']
  #entries: Entry[] = []
  #effect: Effect | null = null
  #notes: readonly Text[] = []
  /** Ways in that are being opened, as they were before it. */
  #planned: readonly Way[] = []
  /** Ways in that were there when it was opened; a new address, interface or gate makes new ones. */
  #ways = new Ways()
  /** What the process whose place this one takes has in force for the same request. */
  #before: { readonly tag: string; readonly entries: readonly Entry[] } | null

  constructor(hand: Hand<Entry>, wanted: WantedOpening, { host, record }: FirewallOptions & OpenOptions) {
    this.#hand = hand
    this.#wanted = wanted
    this.#host = host
    this.#record = record
    const before = (record.before ?? []).map(writtenIn).find((written) => written !== null)
    this.#before = before ? { ...before, entries: before.entries as readonly Entry[] } : null
  }

  lease(): Lease {
    return new FirewallLease({
      member: this.#hand.member,
      text: this.#text(),
      differs: () => this.#notes,
      data: () => ({ ...this.#journal(), ports: this.#ports }),
      verify: (signal) => this.#verify(signal),
      renew: (signal) => this.inLine('renew', signal),
      release: (signal) => this.inLine('close', signal),
    })
  }

  async inLine(wish: Wish, signal: AbortSignal): Promise<void> {
    await inLine(this.#host, { wish, hand: this.#hand, opening: this, signal }).catch(
      async (error: unknown) => {
        throw wish === 'close' ? error : await this.#named(error, signal)
      },
    )
  }

  get placed(): Placed<Entry> {
    return { rule: this.#wanted.request.rule, tag: this.#wanted.tag, entries: this.#entries }
  }

  get isHeld(): boolean {
    return this.#entries.length > 0
  }

  /** Round by round, until the packets get in. */
  async plan(round: number, signal: AbortSignal): Promise<readonly Entry[]> {
    if (await this.#goOn(signal)) return []
    const [filter, packets] = await this.#look(signal)
    const ways = await this.#waysOf(filter, packets, signal)
    const wanted = { ...packets, packets: packets.packets.filter((_, at) => this.#ways.mayOpen(ways[at])) }
    if (wanted.packets.length === 0 && ways.length > 0) throw this.#overruled(worst(filter, packets).by)
    // The first time also where another rule lets it in: that one may go.
    const places = openingsFor(filter, wanted).filter(({ blocked }) => blocked || round === 0)
    const added =
      places.length === 0 || round === mostRounds
        ? []
        : await this.#hand.plan(places, this.#wanted, this.#tools(signal))
    if (round === 0) this.#planned = ways.filter((way) => this.#ways.mayOpen(way))
    if (added.length === 0) this.#conclude(filter, wanted)
    return added
  }

  /** The journal knows before the firewall does. */
  async intend(added: readonly Entry[]): Promise<void> {
    this.#entries.push(...added)
    if (this.#effect) await this.#effect.amend(this.#journal())
    else this.#effect = await this.#record.intend(this.#journal())
  }

  /** Another's rule that came later is respected and named. */
  async isLost(signal: AbortSignal): Promise<boolean> {
    const verdict = await this.#verify(signal)
    if (verdict.state === 'held') return false
    if (this.#entries.length > 0 && isNaruError(verdict.why, 'FIREWALL_OVERRULED')) throw verdict.why
    return true
  }

  lost(): void {
    this.#entries = []
  }

  async closed(): Promise<void> {
    await this.#effect?.undone()
    this.#effect = null
    this.#entries = []
  }

  /** With what is there from before, where it is there and does it. Nothing is added, nothing taken away. */
  async #goOn(signal: AbortSignal): Promise<boolean> {
    const before = this.#before
    this.#before = null
    if (before === null) return false
    const own = { wanted: this.#wanted, entries: this.#entries }
    this.#wanted = { ...this.#wanted, tag: before.tag }
    this.#entries = [...before.entries]
    const [filter, packets] = await this.#look(signal)
    const { verdict, why } = worst(filter, packets)
    if (verdict === 'blocked' || !(await this.#isHeld(filter, signal))) {
      ;[this.#wanted, this.#entries] = [own.wanted, own.entries]
      return false
    }
    const ways = await this.#waysOf(filter, packets, signal)
    // What it was like before is nowhere written: what is open is the user's word.
    this.#ways = new Ways(ways.map(({ name }) => ({ name, isShut: true })))
    this.#notes = verdict === 'unknown' ? [why] : []
    this.#effect = await this.#record.intend(this.#journal())
    return true
  }

  #look(signal: AbortSignal): Promise<[PacketFilter, Packets]> {
    return look(askedBy(this.#wanted.request), { host: this.#host, signal })
  }

  #conclude(filter: PacketFilter, packets: Packets): void {
    const { verdict, by, why } = worst(filter, packets)
    if (verdict === 'blocked') throw this.#overruled(by)
    this.#ways = new Ways(this.#planned)
    this.#notes = verdict === 'unknown' ? [why] : []
  }

  async #verify(signal: AbortSignal): Promise<Verdict> {
    const [filter, packets] = await this.#look(signal)
    if (!(await this.#isHeld(filter, signal))) return { state: 'lost', why: this.#lost() }
    const { verdict, by, why } = worst(filter, packets)
    if (verdict !== 'blocked') return { state: 'held', notes: verdict === 'unknown' ? [why] : [] }
    const ways = await this.#waysOf(filter, packets, signal)
    const fate = (known: readonly boolean[]): FirewallAnswer =>
      worst(filter, { ...packets, packets: packets.packets.filter((_, at) => known[at]) })
    const known = fate(this.#ways.known(ways))
    if (known.verdict === 'blocked') return { state: 'lost', why: this.#overruled(known.by) }
    const isNew = fate(ways.map((way) => this.#ways.mayOpen(way))).verdict === 'blocked'
    return { state: 'lost', why: isNew ? this.#lost() : this.#overruled(by) }
  }

  async #waysOf(filter: PacketFilter, packets: Packets, signal: AbortSignal): Promise<readonly Way[]> {
    const gates = await this.#hand.gates?.(filter, packets, looking(this.#host, signal))
    return packets.packets.map((packet, at) => ({
      name: `${wayOf(packet)} ${gates?.[at]?.name ?? ''}`,
      isShut: gates ? (gates[at]?.isShut ?? true) : null,
    }))
  }

  #isHeld(filter: PacketFilter, signal: AbortSignal): Promise<boolean> {
    return this.#hand.held(this.#entries, this.#wanted.tag, filter, looking(this.#host, signal))
  }

  #tools(signal: AbortSignal): Tools {
    return { runner: this.#host.runner, signal }
  }

  #journal(): { readonly [key: string]: Json } {
    return { tag: this.#wanted.tag, entries: this.#entries as Json }
  }

  get #ports(): string {
    return portsText(this.#wanted.request)
  }

  #text(): Text {
    const { member } = this.#hand
    if (this.#entries.length === 0) return say`${member} lets ${this.#ports} in already`
    const where = this.#hand.where(this.#entries)
    return say`${this.#ports} let in by ${where}`
  }

  #lost(): NaruError {
    const { rule } = this.#wanted.request
    return new NaruError('FIREWALL_LOST', { ports: this.#ports, rule, firewall: this.#hand.member })
  }

  #overruled(by: string): NaruError {
    return new NaruError('FIREWALL_OVERRULED', { ports: this.#ports, firewall: this.#hand.member, by })
  }

  /** Without rights: the very commands that would do it. */
  async #named(error: unknown, signal: AbortSignal): Promise<unknown> {
    if (!isNaruError(error, 'NOT_PERMITTED')) return error
    const { member } = this.#hand
    const what = say`open ${this.#ports} in ${member}`
    const command = await this.#hand.command(this.#wanted.request, { host: this.#host, signal })
    return new NaruError('NOT_PERMITTED', { what, command }, { cause: error })
  }
}

interface Way {
  readonly name: string
  /** Null where there are no gates, so that nobody can tell. */
  readonly isShut: boolean | null
}

/** The ways in by which an opening was made, and which of them had been shut: the wish to open them was a word of the user's. */
class Ways {
  readonly #shut: ReadonlyMap<string, boolean>

  constructor(ways: readonly Way[] = []) {
    this.#shut = new Map(ways.map(({ name, isShut }) => [name, isShut === true]))
  }

  /** What somebody shut since then stays so; at first nothing was. */
  mayOpen(way: Way | undefined): boolean {
    return !way?.isShut || this.#shut.size === 0 || this.#shut.get(way.name) === true
  }

  /** Which of these were there. Where none was and there are no gates, nobody can tell a new way from a block: all. */
  known(ways: readonly Way[]): readonly boolean[] {
    const known = ways.map(({ name }) => this.#shut.has(name))
    return known.includes(true) || ways.some(({ isShut }) => isShut !== null) ? known : ways.map(() => true)
  }
}

const wayOf = ({ family, from, destinations }: Packets['packets'][number]): string =>
  `${family} ${from} ${destinations.join(' ')}`

/** The answer for the packet that fares worst. */
function worst(filter: PacketFilter, { packets, wayOut }: Packets): FirewallAnswer {
  const faring = (wanted: string): Packets['packets'][number] | undefined =>
    packets.find((packet) => walk(filter, packet, { wayOut }).verdict === wanted)
  const packet = faring('blocked') ?? faring('unknown') ?? packets[0]
  return answerFor(filter, { packets: packet ? [packet] : [], wayOut })
}
