/**
 * Opening a port straight in the kernel's chains, for nftables and iptables alike: read what there is, find where a
 * packet would be dropped, put a tagged accept right before that with the chain's own tool, then send the packet
 * through again on paper and see that it arrives.
 */
import { parseCidr } from '../../base/address.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { formatPortRange } from '../../base/port.ts'
import { say, type Text } from '../../base/text.ts'
import {
  answerFor,
  openingsFor,
  packetsOf,
  placeText,
  readFilter,
  walk,
  type Asked,
  type Opening,
  type PacketFilter,
  type Packets,
} from '../../host/filter/index.ts'
import type { Effect, Json, Lease, OpenOptions, Verdict } from '../../model/hop.ts'
import { newTag } from '../../model/tag.ts'
import type { FirewallAnswer, FirewallOptions, FirewallQuestion, FirewallRequest } from '../contract.ts'
import { FirewallLease } from '../lease.ts'
import {
  addEntries,
  commandsFor,
  entriesFor,
  parseEntries,
  removeEntries,
  ruleCount,
  taggedRules,
  xtPorts,
  type Entry,
  type Tools,
} from './entries.ts'

/** A drop behind a drop is found only once the first is open; more rounds than chains are not to be expected. */
const mostRounds = 4

export async function explain(question: FirewallQuestion, options: FirewallOptions): Promise<FirewallAnswer> {
  const ports = { first: question.port, last: question.port }
  const sources = question.from === null ? [] : [parseCidr(question.from)]
  const asked: Asked = { protocols: [question.protocol], ports, address: null, sources }
  const [filter, packets] = await look(asked, options)
  return answerFor(filter, packets)
}

export async function look(
  asked: Asked,
  { host, signal }: FirewallOptions,
): Promise<[PacketFilter, Packets]> {
  return Promise.all([readFilter({ runner: host.runner, signal }), packetsOf(asked, host, signal)])
}

export const askedBy = ({ protocols, ports, address, allow }: FirewallRequest): Asked => ({
  protocols,
  ports,
  address,
  sources: allow,
})

/** `8888/tcp+udp`. */
export const portsText = ({ ports, protocols }: FirewallRequest): string =>
  `${formatPortRange(ports)}/${protocols.join('+')}`

export async function open(
  member: string,
  request: FirewallRequest,
  options: FirewallOptions & OpenOptions,
): Promise<Lease> {
  const opened = new Opened(member, request, options)
  await opened.place(options.signal)
  return opened.lease()
}

export async function undo(effect: Json, { host, signal }: FirewallOptions): Promise<void> {
  const written = parseEntries(effect)
  if (!written) return
  const tools = { runner: host.runner, signal }
  await removeEntries(written.entries, written.tag, await readFilter(tools), tools)
}

class Opened {
  readonly #member: string
  readonly #request: FirewallRequest
  readonly #host: FirewallOptions['host']
  readonly #tag: string
  readonly #record: OpenOptions['record']
  #entries: Entry[] = []
  #effect: Effect | null = null
  #notes: Text[] = []

  constructor(member: string, request: FirewallRequest, { host, record }: FirewallOptions & OpenOptions) {
    this.#record = record
    this.#member = member
    this.#request = request
    this.#host = host
    this.#tag = newTag(request.rule)
  }

  lease(): Lease {
    return new FirewallLease({
      member: this.#member,
      text: this.#text(),
      differs: () => this.#notes,
      data: () => ({ ...this.#journal(), ports: portsText(this.#request) }),
      verify: (signal) => this.#verify(signal),
      renew: (signal) => this.#renew(signal),
      release: (signal) => this.#release(signal),
    })
  }

  /** Opens, round by round, until the packets get in; takes everything back where they do not. */
  async place(signal: AbortSignal): Promise<void> {
    try {
      for (let round = 0; round < mostRounds; round++) {
        const [filter, packets] = await this.#look(signal)
        const openings = openingsFor(filter, packets).filter((opening) => !this.#isOpen(opening))
        if (openings.length === 0) return this.#conclude(filter, packets)
        this.#refuseForeign(openings)
        await this.#add(openings, signal)
      }
      const [filter, packets] = await this.#look(signal)
      this.#conclude(filter, packets)
    } catch (error) {
      await this.#release(AbortSignal.timeout(10_000)).catch(() => undefined)
      throw this.#named(error)
    }
  }

  #look(signal: AbortSignal): Promise<[PacketFilter, Packets]> {
    return look(askedBy(this.#request), { host: this.#host, signal })
  }

  async #add(openings: readonly Opening[], signal: AbortSignal): Promise<void> {
    const added = entriesFor(openings, this.#request, this.#tag)
    this.#entries.push(...added)
    if (this.#effect) await this.#effect.amend(this.#journal())
    else this.#effect = await this.#record.intend(this.#journal())
    await addEntries(added, this.#tools(signal))
  }

  /** The packet already passes there by a rule of ours. */
  #isOpen({ before }: Opening): boolean {
    return before?.comment === this.#tag
  }

  /** firewalld keeps its table to itself and writes it anew as it likes. */
  #refuseForeign(openings: readonly Opening[]): void {
    const foreign = openings.find(({ chain }) => chain.owner === 'nft' && chain.table === 'firewalld')
    if (!foreign) return
    const by = placeText({ chain: foreign.chain, rule: foreign.before })
    throw new NaruError('FIREWALL_FOREIGN', { ports: portsText(this.#request), by, owner: 'firewalld' })
  }

  #conclude(filter: PacketFilter, packets: Packets): void {
    const { verdict, by, why } = this.#worst(filter, packets)
    if (verdict === 'blocked') throw this.#overruled(by)
    this.#notes = verdict === 'unknown' ? [why] : []
  }

  /** The answer for the packet that fares worst. */
  #worst(filter: PacketFilter, { packets, wayOut }: Packets): FirewallAnswer {
    const fares = (packet: Packets['packets'][number]): string => walk(filter, packet, { wayOut }).verdict
    const worst =
      packets.find((packet) => fares(packet) === 'blocked') ??
      packets.find((packet) => fares(packet) === 'unknown')
    return answerFor(filter, { packets: worst ? [worst] : packets.slice(0, 1), wayOut })
  }

  async #verify(signal: AbortSignal): Promise<Verdict> {
    const [filter, packets] = await this.#look(signal)
    if (taggedRules(filter, this.#tag).length < ruleCount(this.#entries))
      return { state: 'lost', why: this.#lost() }
    const { verdict, by, why } = this.#worst(filter, packets)
    if (verdict === 'blocked') return { state: 'lost', why: this.#overruled(by) }
    return { state: 'held', notes: verdict === 'unknown' ? [why] : [] }
  }

  /** Adds anew what was lost. Another's rule that came later is respected and named. */
  async #renew(signal: AbortSignal): Promise<void> {
    const verdict = await this.#verify(signal)
    if (verdict.state === 'held') return
    const [filter] = await this.#look(signal)
    const overruled = taggedRules(filter, this.#tag).length >= ruleCount(this.#entries)
    if (overruled && this.#entries.length > 0) throw verdict.why
    await removeEntries(this.#entries, this.#tag, filter, this.#tools(signal))
    this.#entries = []
    await this.place(signal)
  }

  async #release(signal: AbortSignal): Promise<void> {
    if (this.#entries.length > 0) {
      const tools = this.#tools(signal)
      await removeEntries(this.#entries, this.#tag, await readFilter(tools), tools)
    }
    await this.#effect?.undone()
    this.#effect = null
    this.#entries = []
  }

  #tools(signal: AbortSignal): Tools {
    return { runner: this.#host.runner, signal }
  }

  #journal(): { readonly [key: string]: Json } {
    return { tag: this.#tag, entries: this.#entries as unknown as Json }
  }

  #text(): Text {
    const ports = portsText(this.#request)
    if (this.#entries.length === 0)
      return say(
        `${this.#member} lets ${ports} in already`,
        `${this.#member}: ${ports}은(는) 이미 허용되어 있습니다`,
      )
    const places = [
      ...new Set(
        this.#entries.map(
          ({ by, family, table, chain }) => `${by === 'nft' ? '' : `${by} `}${family} ${table} ${chain}`,
        ),
      ),
    ].join(', ')
    return say(`${ports} let in by ${places}`, `${places}에서 ${ports} 허용`)
  }

  #lost(): NaruError {
    return new NaruError('FIREWALL_LOST', {
      ports: portsText(this.#request),
      rule: this.#request.rule,
      firewall: this.#member,
    })
  }

  #overruled(by: string): NaruError {
    return new NaruError('FIREWALL_OVERRULED', {
      ports: portsText(this.#request),
      firewall: this.#member,
      by,
    })
  }

  /** Without rights: the very commands that would do it. */
  #named(error: unknown): unknown {
    if (!isNaruError(error, 'NOT_PERMITTED')) return error
    const command =
      this.#entries.length > 0 ? commandsFor(this.#entries) : guessedCommand(this.#member, this.#request)
    const what = say(
      `open ${portsText(this.#request)} in ${this.#member}`,
      `${this.#member}에서 ${portsText(this.#request)} 열기`,
    )
    return new NaruError('NOT_PERMITTED', { what, command }, { cause: error })
  }
}

/** Chains cannot be read without rights either: what it would be on a plain installation. */
function guessedCommand(member: string, { rule, ports, protocols }: FirewallRequest): string {
  const commands = protocols.map((protocol) =>
    member === 'nftables'
      ? `sudo nft 'insert rule inet filter input ${protocol} dport ${formatPortRange(ports)} accept comment "naru:${rule}"'`
      : `sudo iptables -I INPUT -p ${protocol} --dport ${xtPorts(ports)} -m comment --comment naru:${rule} -j ACCEPT`,
  )
  return commands.join(' && ')
}
