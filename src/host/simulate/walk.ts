/**
 * Sends one packet through the program and says what became of it and where. A rule that only may match does not
 * stop the walk: what it would have done is kept as a possibility, and a verdict is certain only where every
 * possibility agrees with it.
 */
import { addressRange, formatEndpoint } from '../../base/address.ts'
import { isOurChain } from '../../linux/own-names.ts'
import type { Action, Chain, FilterHook, FilterRule, Packet, PacketFilter, Truth } from './program.ts'
import { rulesFor } from './by-port.ts'
import { every } from './program.ts'

/** A rule in its chain, or the end of a chain: its policy, or where a packet falls off. */
export interface ChainPlace {
  readonly chain: Chain
  /** Null is the end of the chain. */
  readonly rule: FilterRule | null
}

export type Fate = 'accept' | 'drop' | 'unknown'

/** What one base chain did. */
export interface ChainFate {
  readonly base: Chain
  readonly fate: Fate
  /** What decided. */
  readonly at: ChainPlace
  /** Rules that may decide otherwise before that one, in order. */
  readonly possible: readonly { readonly fate: Fate; readonly at: ChainPlace }[]
  /** Rules that decide for some sources only. */
  readonly some: readonly { readonly fate: Fate; readonly at: ChainPlace }[]
  /** Chains that it came into, or may have, this one first. */
  readonly entered: readonly Chain[]
  /** The packet as this chain saw it. */
  readonly packet: Packet
  /** The deciding rule holds only within a rate. */
  readonly limited: boolean
}

export interface Journey {
  readonly verdict: 'allowed' | 'blocked' | 'unknown'
  /** Who decided; null where no base chain saw the packet at all. */
  readonly at: ChainPlace | null
  readonly chains: readonly ChainFate[]
  /** Rules that decide for some sources only, seen on the way. */
  readonly some: readonly { readonly fate: Fate; readonly at: ChainPlace }[]
  readonly limited: boolean
  /** Where the packet was sent instead of to this machine: a container or VM. */
  readonly forwardedTo: { readonly address: string; readonly port: number } | null
  /** Another one's NAT gave it another address or port for sure: a listener on the port that was asked is not met. */
  readonly sentOn: { readonly to: string; readonly at: ChainPlace } | null
}

/** Interface by which this machine would send to an address; null where it has no way. */
export type WayOut = (address: string) => string | null

const mostSteps = 200_000
const mostDepth = 64

export interface WalkOptions {
  /** Interface by which this machine would send to an address. @default none is known */
  readonly wayOut?: WayOut
  /**
   * Go on past a drop, to see every chain that is in the way, and past each list of who may come, as one whom it lets
   * in. @default false
   */
  readonly pressOn?: boolean
}

export function walk(filter: PacketFilter, packet: Packet, options: WalkOptions = {}): Journey {
  const { wayOut = () => null, pressOn = false } = options
  const chains: ChainFate[] = []
  const ended = (): boolean => !pressOn && isDropped(chains)
  let seen: Packet = { ...packet, mark: filter.marks ? null : 0 }
  for (const hook of ['ingress', 'prerouting'] as const) {
    seen = through(filter, hook, seen, { chains, ended, pressOn })
    if (ended()) return summarize(chains, null)
  }
  const forwardedTo = seen.local ? null : { address: seen.destinations[0] ?? '', port: seen.port }
  if (forwardedTo) seen = { ...seen, to: wayOut(forwardedTo.address) }
  through(filter, forwardedTo ? 'forward' : 'input', seen, { chains, ended, pressOn })
  return summarize(chains, forwardedTo)
}

/** Base chains of a hook that this packet passes, in the order the kernel runs them. */
export function baseChains(filter: PacketFilter, hook: FilterHook, packet: Packet): Chain[] {
  return [...filter.chains.values()]
    .filter((chain) => chain.base?.hook === hook && sees(chain, packet))
    .sort((a, b) => (a.base?.priority ?? 0) - (b.base?.priority ?? 0))
}

function sees({ family, base }: Chain, packet: Packet): boolean {
  if (base?.hook === 'ingress') return packet.from !== null && base.devices.includes(packet.from)
  return family === 'inet' || family === (packet.family === 4 ? 'ip' : 'ip6')
}

function through(
  filter: PacketFilter,
  hook: FilterHook,
  packet: Packet,
  { chains, ended, pressOn }: { chains: ChainFate[]; ended: () => boolean; pressOn: boolean },
): Packet {
  let seen = packet
  for (const base of baseChains(filter, hook, packet)) {
    const run = new Run(filter, base, seen, pressOn)
    chains.push(run.fate())
    seen = run.packet
    if (ended()) break
  }
  return seen
}

/** A drop, or a chain that does nothing else (and tells of it). */
function onlyDrops(filter: PacketFilter, { do: what, ...to }: Action, depth = 0): boolean {
  if (what === 'drop' || what === 'reject') return true
  if (!('chain' in to) || depth > 3) return false
  const deciding = (filter.chains.get(to.chain)?.rules ?? []).filter(({ action }) => action.do !== 'continue')
  return deciding.length > 0 && deciding.every(({ action }) => onlyDrops(filter, action, depth + 1))
}

/** Surely dropped: nothing after it matters. */
function isDropped(fates: readonly ChainFate[]): boolean {
  const last = fates.at(-1)
  return last?.fate === 'drop' && last.possible.length === 0
}

/** NAT looks at a connection once: the first to rewrite it decides. Ours leads to a rule's own target. */
function sentOnBy(chains: readonly ChainFate[]): Journey['sentOn'] {
  const by = chains.find(({ at }) => at.rule?.action.do === 'rewrite')
  const action = by?.at.rule?.action
  if (!by || action?.do !== 'rewrite' || isOurChain(by.base)) return null
  const { packet, at } = by
  const port = action.port ?? packet.port
  const { address } = action
  const isHere =
    address === null || packet.destinations.includes(address) || addressRange(address) === 'loopback'
  if (isHere && port === packet.originalPort) return null
  return { to: address === null ? `:${port}` : formatEndpoint(address, port), at }
}

function summarize(chains: readonly ChainFate[], forwardedTo: Journey['forwardedTo']): Journey {
  const sentOn = sentOnBy(chains)
  const some = chains.flatMap((chain) => chain.some)
  const answer = (verdict: Journey['verdict'], by: ChainFate | undefined, at = by?.at ?? null): Journey => ({
    verdict,
    at,
    chains,
    some,
    limited: by?.limited ?? false,
    forwardedTo,
    sentOn,
  })
  const unsure = chains.find((chain) => chain.fate === 'unknown' || chain.possible.length > 0)
  const dropping = chains.find((chain) => chain.fate === 'drop' && chain.possible.length === 0)
  if (dropping) return answer('blocked', dropping)
  if (unsure) return answer('unknown', unsure, unsure.possible[0]?.at ?? unsure.at)
  const decided = chains.filter(({ at }) => at.rule !== null)
  const accepting =
    decided.findLast(({ at }) => at.rule?.action.do !== 'rewrite') ?? decided.at(-1) ?? chains.at(-1)
  return answer('allowed', accepting)
}

/** One packet in one base chain. */
class Run {
  packet: Packet
  readonly #filter: PacketFilter
  readonly #base: Chain
  /** Whether lists of who may come let it pass. */
  readonly #listed: boolean
  readonly #possible: { fate: Fate; at: ChainPlace }[] = []
  readonly #some: { fate: Fate; at: ChainPlace }[] = []
  readonly #entered: Chain[] = []
  #decided: { fate: Fate; at: ChainPlace } | null = null
  #limited = false
  #steps = 0
  /** Where the packet falls off when nobody decides: the base chain, or one it went to for good. */
  #end: Chain

  constructor(filter: PacketFilter, base: Chain, packet: Packet, listed: boolean) {
    this.#listed = listed
    this.#filter = filter
    this.#base = base
    this.#end = base
    this.packet = packet
  }

  fate(): ChainFate {
    const before = this.packet
    this.#walk(this.#base, 'yes', 0)
    const decided = this.#decided ?? {
      fate: this.#policy,
      at: { chain: this.#end, rule: null },
    }
    const possible = this.#possible.filter(({ fate }) => fate !== decided.fate)
    return {
      base: this.#base,
      ...decided,
      possible,
      some: this.#some,
      entered: this.#entered,
      packet: before,
      limited: this.#limited,
    }
  }

  /** @returns true where the packet is decided or may not come back. */
  #walk(chain: Chain, entered: Truth, depth: number): boolean {
    if (depth > mostDepth) return this.#decide('unknown', { chain, rule: null }, entered)
    if (entered !== 'some') this.#entered.push(chain)
    for (const rule of rulesFor(chain, this.packet.port)) {
      if (++this.#steps > mostSteps) return this.#decide('unknown', { chain, rule }, 'yes')
      const truth = every([entered, ...rule.matches.map((match) => match(this.packet))])
      if (truth === 'no') continue
      const { action } = rule
      const at = { chain, rule }
      if (this.#listed && rule.bySource && onlyDrops(this.#filter, action)) {
        this.#note('drop', at, 'some')
        continue
      }
      if (action.do === 'return') {
        if (truth === 'yes') return depth === 0 && this.#decide(this.#policy, at, 'yes')
        // Whether the rest of this chain runs is open from here on.
        if (truth === 'maybe') entered = 'maybe'
      } else if (action.do === 'jump' || action.do === 'goto') {
        const next = this.#filter.chains.get(action.chain)
        if (!next) this.#decide('unknown', at, truth)
        else if (this.#walk(next, truth, depth + 1)) return true
        if (this.#decided) return true
        if (action.do === 'goto' && truth === 'yes') return this.#gone(next ?? chain, depth)
      } else if (action.do === 'untrack') {
        if (truth !== 'some') this.packet = { ...this.packet, untracked: truth === 'yes' || null }
      } else if (action.do === 'rewrite') {
        if (this.packet.untracked === true) continue
        if (truth === 'yes') return this.#rewrite(action, at)
        this.#note('unknown', at, truth)
      } else if (action.do !== 'continue') {
        const fate = action.do === 'reject' ? 'drop' : action.do
        if (this.#decide(fate, at, truth)) {
          this.#limited = rule.limited
          return true
        }
      }
    }
    return false
  }

  #decide(fate: Fate, at: ChainPlace, truth: Truth): boolean {
    if (truth !== 'yes') {
      this.#note(fate, at, truth)
      return false
    }
    this.#decided = { fate, at }
    return true
  }

  #note(fate: Fate, at: ChainPlace, truth: Truth): void {
    if (truth === 'maybe') this.#possible.push({ fate, at })
    else if (truth === 'some') this.#some.push({ fate, at })
  }

  get #policy(): Fate {
    return this.#base.base?.policy ?? 'accept'
  }

  /** `goto` does not come back: in a base chain its policy follows, in another its caller goes on. */
  #gone(to: Chain, depth: number): boolean {
    if (depth === 0) this.#end = to
    return depth === 0
  }

  #rewrite(action: { address: string | null; port: number | null; here: boolean }, at: ChainPlace): boolean {
    const { packet } = this
    const elsewhere = action.address !== null && !packet.destinations.includes(action.address)
    this.packet = {
      ...packet,
      port: action.port ?? packet.port,
      destinations: action.address === null ? packet.destinations : [action.address],
      local: action.here || !elsewhere,
      rewritten: true,
    }
    this.#decided = { fate: 'accept', at }
    return true
  }
}
