/**
 * A way through other tables' forward chains: an accept in ours does not overrule a drop in theirs (Docker, ufw, an
 * administrator's own). Where a forwarded packet would be dropped, one tagged accept a protocol goes right before
 * what drops it, for redirected connections to our ports alone. Nothing else of another table is touched.
 */
import type { Family } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import type { PortRange, Protocol } from '../../base/port.ts'
import type { Host } from '../../host/contract.ts'
import { isOurs, openingsFor, readFilter, toolOf } from '../../host/filter/index.ts'
import type { Chain, FilterRule, Opening, Packet, PacketFilter } from '../../host/filter/index.ts'
import { ruleWords } from '../../host/filter/iptables.ts'
import type { Json } from '../../model/hop.ts'
import type { Nft, NftObject } from './nft.ts'
import { formatTag, parseTag } from './owner.ts'

/** What must get through for one lease. */
export interface Wish {
  readonly family: Family
  readonly protocols: readonly Protocol[]
  /** The ports that clients ask for. */
  readonly ports: PortRange
  readonly target: string
  readonly targetPort: number
}

/** One accept of ours, as it has to stand. */
interface Accept {
  readonly chain: Chain
  readonly before: FilterRule | null
  readonly protocol: Protocol
  readonly ports: readonly PortRange[]
}

/** Targets that are asked about at once; more are alike. */
const mostAsked = 128

export class Passage {
  readonly #host: Host
  readonly #nft: Nft
  readonly #comment: string
  /** Ours, or of an owner that is gone: what is placed anew takes its place. */
  readonly #isOurs: (comment: string) => boolean
  readonly #wishes = new Map<number, Wish>()
  #placed = ''
  #next: Promise<void> | null = null
  #turn: Promise<void> = Promise.resolve()

  constructor(host: Host, nft: Nft, owner: string, lives: (owner: string) => boolean) {
    this.#host = host
    this.#nft = nft
    this.#comment = formatTag({ owner, serial: 0, rule: 'forward' })
    this.#isOurs = (comment) => {
      const tag = parseTag(comment)
      return comment === this.#comment || (tag !== null && tag.rule === 'forward' && !lives(tag.owner))
    }
  }

  async want(lease: number, wish: Wish): Promise<void> {
    if (JSON.stringify(this.#wishes.get(lease)) === JSON.stringify(wish)) return
    this.#wishes.set(lease, wish)
    await this.#soon()
  }

  /** Looks again, whatever was placed. */
  again(): Promise<void> {
    this.#placed = ''
    return this.#soon()
  }

  async drop(lease: number): Promise<void> {
    if (this.#wishes.delete(lease)) await this.#soon()
  }

  /** Takes out what a dead owner left in other tables. */
  async sweep(owner: string): Promise<void> {
    const signal = AbortSignal.timeout(30_000)
    if (!(await this.#othersForward(signal))) return
    const filter = await readFilter({ runner: this.#host.runner, signal })
    await this.#remove(
      rulesTagged(filter, (comment) => parseTag(comment)?.owner === owner),
      signal,
    )
  }

  /** Wishes that meet are one look at the filters and one change. */
  #soon(): Promise<void> {
    this.#next ??= this.#turn.then(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      this.#next = null
      await this.#sync()
    })
    this.#turn = this.#next.catch(() => {})
    return this.#next
  }

  async #sync(): Promise<void> {
    const signal = AbortSignal.timeout(30_000)
    if (!(await this.#othersForward(signal))) return
    const filter = await readFilter({ runner: this.#host.runner, signal })
    const ours = rulesTagged(filter, this.#isOurs)
    const accepts = this.#accepts(without(filter, this.#isOurs))
    const wanted = JSON.stringify(accepts.map(({ chain, protocol, ports }) => [chain.key, protocol, ports]))
    if (wanted === this.#placed && ours.length > 0 === accepts.length > 0) return
    for (const accept of accepts) await this.#add(accept, signal)
    await this.#remove(ours, signal)
    this.#placed = wanted
  }

  /** Most machines have no forward chain but ours: that is asked first, and cheap. */
  async #othersForward(signal: AbortSignal): Promise<boolean> {
    return await this.#othersHave(({ hook }) => hook === 'forward', /filter/, signal)
  }

  /** Such a chain in a table that is not ours, or such a table of iptables-legacy. */
  async #othersHave(
    such: (chain: NftObject[string]) => boolean,
    legacy: RegExp,
    signal: AbortSignal,
  ): Promise<boolean> {
    const objects = (await this.#nft.list(['list', 'chains'], { signal })) ?? []
    if (objects.some(({ chain }) => chain && chain.table !== 'naru' && such(chain))) return true
    // One that is not there is told on the other output.
    const files = ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'] as const
    const { stdout } = await this.#host.runner.run(['cat', ...files], { signal })
    return legacy.test(stdout)
  }

  #accepts(filter: PacketFilter): Accept[] {
    const packets = this.#packets()
    const openings = openingsFor(filter, { packets, wayOut: () => null }).filter(
      ({ chain, blocked }) => blocked && !isOurs(chain),
    )
    return openings.flatMap((opening) => this.#acceptsAt(opening))
  }

  #acceptsAt({ chain, before, packets }: Opening): Accept[] {
    const protocols = [...new Set(packets.map(({ protocol }) => protocol))]
    const families = new Set(packets.map(({ family }) => family))
    return protocols.map((protocol) => {
      const wishes = [...this.#wishes.values()].filter(
        (wish) => families.has(wish.family) && wish.protocols.includes(protocol),
      )
      return { chain, before, protocol, ports: joined(wishes.map(({ ports }) => ports)) }
    })
  }

  /** As a forward chain sees the first packet of a redirected connection. */
  #packets(): Packet[] {
    const asked = new Map<string, Packet>()
    for (const { family, protocols, ports, target, targetPort } of this.#wishes.values()) {
      for (const protocol of protocols) {
        const key = `${protocol} ${target}`
        if (asked.size >= mostAsked || asked.has(key)) continue
        asked.set(key, {
          family,
          protocol,
          port: targetPort,
          originalPort: ports.first,
          source: null,
          destinations: [target],
          local: false,
          from: null,
          to: null,
          rewritten: true,
          mark: 0,
        })
      }
    }
    return [...asked.values()]
  }

  async #add(accept: Accept, signal: AbortSignal): Promise<void> {
    if (accept.chain.owner === 'nft') return this.#nft.apply([nftAccept(accept, this.#comment)], { signal })
    for (const argv of iptablesAccepts(accept, this.#comment)) await this.#run(argv, signal)
  }

  async #remove(rules: readonly Tagged[], signal: AbortSignal): Promise<void> {
    for (const { chain, rule } of rules) {
      if (chain.owner === 'nft') {
        const { family, table, name } = chain
        const gone = { family, table, chain: name, handle: rule.handle }
        await this.#nft.apply([{ delete: { rule: gone } }], { signal })
      } else {
        const [, ...words] = ruleWords(rule.text)
        await this.#run([toolOf(chain), '-w', '5', '-D', ...words], signal)
      }
    }
  }

  async #run(argv: [string, ...string[]], signal: AbortSignal): Promise<void> {
    const { exit, stderr } = await this.#host.runner.run(argv, { signal })
    if (exit === 0) return
    throw new NaruError('COMMAND_FAILED', { command: argv.join(' '), exit, stderr: stderr.trim() })
  }
}

interface Tagged {
  readonly chain: Chain
  readonly rule: FilterRule
}

function rulesTagged(filter: PacketFilter, ours: (comment: string) => boolean): Tagged[] {
  return [...filter.chains.values()]
    .filter((chain) => !isOurs(chain))
    .flatMap((chain) =>
      chain.rules.filter(({ comment }) => comment !== null && ours(comment)).map((rule) => ({ chain, rule })),
    )
}

/** The filters as they would be without us. */
function without(filter: PacketFilter, ours: (comment: string) => boolean): PacketFilter {
  const chains = [...filter.chains].map(
    ([key, chain]) =>
      [key, { ...chain, rules: chain.rules.filter(({ comment }) => !ours(comment ?? '')) }] as const,
  )
  return { ...filter, chains: new Map(chains) }
}

/** `ct original proto-dst` is the port that the client asked for, in both directions. */
export function nftAccept(
  { chain, before, protocol, ports }: Accept,
  comment: string,
): { [verb: string]: Json } {
  const { family, table, name } = chain
  const set = ports.map(({ first, last }): Json => (first === last ? first : { range: [first, last] }))
  const expr: Json = [
    { match: { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' } },
    { match: { op: '==', left: { meta: { key: 'l4proto' } }, right: protocol } },
    { match: { op: '==', left: { ct: { key: 'proto-dst', dir: 'original' } }, right: { set } } },
    { accept: null },
  ]
  const rule = { family, table, chain: name, comment, expr }
  return before ? { insert: { rule: { ...rule, handle: before.handle } } } : { add: { rule } }
}

export function iptablesAccepts(
  { chain, before, protocol, ports }: Accept,
  comment: string,
): [string, ...string[]][] {
  const position = before ? ['-I', chain.name, String(before.handle)] : ['-A', chain.name]
  const match = ['-p', protocol, '-m', 'conntrack', '--ctstate', 'DNAT']
  const verdict = ['-m', 'comment', '--comment', comment, '-j', 'ACCEPT']
  return ports.map(({ first, last }) => {
    const range = first === last ? String(first) : `${first}:${last}`
    return [toolOf(chain), '-w', '5', ...position, ...match, '--ctorigdstport', range, ...verdict]
  })
}

/** Neighbours become one range. */
export function joined(ranges: readonly PortRange[]): PortRange[] {
  const out: { first: number; last: number }[] = []
  for (const { first, last } of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = out.at(-1)
    if (before && first <= before.last + 1) before.last = Math.max(before.last, last)
    else out.push({ first, last })
  }
  return out
}
