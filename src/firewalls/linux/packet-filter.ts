/**
 * Opening a port behind a Linux packet filter, whoever keeps it: read what there is, find where a packet would be
 * dropped, let the keeper's own tool put an accept there, then send the packet through again on paper and see that it
 * arrives. What differs between keepers is a `Hand`.
 */
import { withLimit } from '../../base/clock.ts'
import { parseCidr } from '../../base/address.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import type { Host, Runner } from '../../host/contract.ts'
import {
  answerFor,
  openingsFor,
  packetsOf,
  readFilter,
  walk,
  type PacketQuestion,
  type Opening,
  type PacketFilter,
  type Packets,
} from '../../host/simulate/index.ts'
import type { Effect, Json, Lease, OpenOptions, Verdict } from '../../model/hop.ts'
import { newTag } from '../../model/tag.ts'
import type { FirewallAnswer, FirewallOptions, FirewallQuestion, FirewallRequest } from '../contract.ts'
import { FirewallLease } from '../lease.ts'

export interface Tools {
  readonly runner: Runner
  readonly signal: AbortSignal
}

/** What one keeper of chains does with its own tool. `Entry` is one rule of ours, as the journal has it. */
export interface Hand<Entry> {
  readonly member: string
  /** Rules that let the request in at these places; none where this tool cannot help there. */
  plan(openings: readonly Opening[], wanted: WantedOpening, tools: Tools): Promise<Entry[]>
  add(entries: readonly Entry[], wanted: WantedOpening, tools: Tools): Promise<void>
  /** Takes away what carries the tag; what is gone is gone. */
  remove(entries: readonly Entry[], tag: string, tools: Tools): Promise<void>
  /** Are all of them still there? */
  held(entries: readonly Entry[], tag: string, filter: PacketFilter, tools: Tools): Promise<boolean>
  /** Where it was opened, for people. */
  where(entries: readonly Entry[]): string
  /** What to type to open it by hand. */
  command(request: FirewallRequest): string
}

export interface WantedOpening {
  readonly request: FirewallRequest
  readonly tag: string
}

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
  return Promise.all([readFilter({ runner: host.runner, signal }), packetsOf(asked, host, signal)])
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

export async function openWith<Entry>(
  hand: Hand<Entry>,
  request: FirewallRequest,
  options: FirewallOptions & OpenOptions,
): Promise<Lease> {
  const opened = new Opened(hand, request, options)
  await inTurn(options.host, () => opened.place(options.signal))
  return opened.lease()
}

/** Two openings at once would count positions in a list that the other is changing. */
async function inTurn<T>(host: Host, act: () => Promise<T>): Promise<T> {
  const turn = (turns.get(host) ?? Promise.resolve()).then(act, act)
  turns.set(host, turn)
  return turn
}

const turns = new WeakMap<Host, Promise<unknown>>()

export async function undoWith<Entry>(
  hand: Hand<Entry>,
  effect: Json,
  { host, signal }: FirewallOptions,
): Promise<void> {
  const { tag, entries } = effect as { tag?: unknown; entries?: unknown }
  if (typeof tag !== 'string' || !Array.isArray(entries)) return
  await hand.remove(entries as Entry[], tag, { runner: host.runner, signal })
}

function writtenIn(effect: Json): { tag: string; entries: readonly unknown[] } | null {
  const { tag, entries } = (effect ?? {}) as { tag?: unknown; entries?: unknown }
  return typeof tag === 'string' && Array.isArray(entries) && entries.length > 0 ? { tag, entries } : null
}

class Opened<Entry> {
  readonly #hand: Hand<Entry>
  #wanted: WantedOpening
  readonly #host: FirewallOptions['host']
  readonly #record: OpenOptions['record']
  #entries: Entry[] = []
  #effect: Effect | null = null
  #notes: readonly Text[] = []
  /** Ways in that were there when it was opened; a new address or interface makes new ones. */
  #ways = new Set<string>()
  /** What the process whose place this one takes has in force for the same request. */
  #before: { readonly tag: string; readonly entries: readonly Entry[] } | null

  constructor(hand: Hand<Entry>, request: FirewallRequest, { host, record }: FirewallOptions & OpenOptions) {
    this.#hand = hand
    this.#wanted = { request, tag: '' }
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
      renew: (signal) => inTurn(this.#host, () => this.#renew(signal)),
      release: (signal) => inTurn(this.#host, () => this.#release(signal)),
    })
  }

  /** Opens, round by round, until the packets get in; takes everything back where they do not. */
  async place(signal: AbortSignal): Promise<void> {
    if (await this.#goOn(signal)) return
    const { request, tag } = this.#wanted
    if (tag === '') this.#wanted = { request, tag: newTag(request.rule, await this.#record.mark?.()) }
    try {
      for (let round = 0; round < mostRounds; round++) {
        const [filter, packets] = await this.#look(signal)
        this.#ways = new Set(packets.packets.map(wayOf))
        // The first time also where another rule lets it in: that one may go.
        const openings = openingsFor(filter, packets).filter(({ blocked }) => blocked || round === 0)
        const added =
          openings.length === 0 ? [] : await this.#hand.plan(openings, this.#wanted, this.#tools(signal))
        if (added.length === 0) return this.#conclude(filter, packets)
        await this.#add(added, signal)
      }
      this.#conclude(...(await this.#look(signal)))
    } catch (error) {
      await this.#release(withLimit(undefined, 10_000)).catch(() => undefined)
      throw this.#named(error)
    }
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
    this.#ways = new Set(packets.packets.map(wayOf))
    this.#notes = verdict === 'unknown' ? [why] : []
    this.#effect = await this.#record.intend(this.#journal())
    return true
  }

  #look(signal: AbortSignal): Promise<[PacketFilter, Packets]> {
    return look(askedBy(this.#wanted.request), { host: this.#host, signal })
  }

  /** The journal knows before the firewall does. */
  async #add(added: readonly Entry[], signal: AbortSignal): Promise<void> {
    this.#entries.push(...added)
    if (this.#effect) await this.#effect.amend(this.#journal())
    else this.#effect = await this.#record.intend(this.#journal())
    await this.#hand.add(added, this.#wanted, this.#tools(signal))
  }

  #conclude(filter: PacketFilter, packets: Packets): void {
    const { verdict, by, why } = worst(filter, packets)
    if (verdict === 'blocked') throw this.#overruled(by)
    this.#notes = verdict === 'unknown' ? [why] : []
  }

  async #verify(signal: AbortSignal): Promise<Verdict> {
    const [filter, packets] = await this.#look(signal)
    if (!(await this.#isHeld(filter, signal))) return { state: 'lost', why: this.#lost() }
    const { verdict, by, why } = worst(filter, this.#known(packets))
    if (verdict === 'blocked') return { state: 'lost', why: this.#overruled(by) }
    if (worst(filter, packets).verdict === 'blocked') return { state: 'lost', why: this.#lost() }
    return { state: 'held', notes: verdict === 'unknown' ? [why] : [] }
  }

  /** Without the packets of ways that came after the opening. */
  #known({ packets, wayOut }: Packets): Packets {
    const known = packets.filter((packet) => this.#ways.has(wayOf(packet)))
    return { packets: known.length > 0 ? known : packets, wayOut }
  }

  #isHeld(filter: PacketFilter, signal: AbortSignal): Promise<boolean> {
    return this.#hand.held(this.#entries, this.#wanted.tag, filter, this.#tools(signal))
  }

  /** Adds anew what was lost. Another's rule that came later is respected and named. */
  async #renew(signal: AbortSignal): Promise<void> {
    const verdict = await this.#verify(signal)
    if (verdict.state === 'held') return
    if (this.#entries.length > 0 && isNaruError(verdict.why, 'FIREWALL_OVERRULED')) throw verdict.why
    await this.#hand.remove(this.#entries, this.#wanted.tag, this.#tools(signal))
    this.#entries = []
    await this.place(signal)
  }

  async #release(signal: AbortSignal): Promise<void> {
    if (this.#entries.length > 0)
      await this.#hand.remove(this.#entries, this.#wanted.tag, this.#tools(signal))
    await this.#effect?.undone()
    this.#effect = null
    this.#entries = []
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
    if (this.#entries.length === 0)
      return say(
        `${member} lets ${this.#ports} in already`,
        `${member}: ${this.#ports}{은/는} 이미 허용되어 있습니다`,
      )
    const where = this.#hand.where(this.#entries)
    return say(`${this.#ports} let in by ${where}`, `${where}에서 ${this.#ports} 허용`)
  }

  #lost(): NaruError {
    const { rule } = this.#wanted.request
    return new NaruError('FIREWALL_LOST', { ports: this.#ports, rule, firewall: this.#hand.member })
  }

  #overruled(by: string): NaruError {
    return new NaruError('FIREWALL_OVERRULED', { ports: this.#ports, firewall: this.#hand.member, by })
  }

  /** Without rights: the very commands that would do it. */
  #named(error: unknown): unknown {
    if (!isNaruError(error, 'NOT_PERMITTED')) return error
    const { member } = this.#hand
    const what = say(`open ${this.#ports} in ${member}`, `${member}에서 ${this.#ports} 열기`)
    return new NaruError(
      'NOT_PERMITTED',
      { what, command: this.#hand.command(this.#wanted.request) },
      { cause: error },
    )
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
