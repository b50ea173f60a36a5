/**
 * The way of a new connection through one table, for every client at once. Where a line asks what the text does not
 * tell, whoever it lets pass is not let pass, and whoever it turns away is turned away: an answer never lets in more.
 */
import { canonicalAddress, type Cidr, type Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { holds } from '../shared/access.ts'
import type { IptablesRule, IptablesMatch } from './parse.ts'
import { portsWithin } from './ports.ts'
import type { Sources, Span } from './sources.ts'
import type { Chains, Networks } from './tables.ts'

/** A connection as a table sees it; its source is every one in turn. */
export interface Probe {
  readonly family: Family
  readonly protocol: Protocol
  /** `80` or `8000:8100`. */
  readonly ports: string
  /** Null for an address of this machine of which no more is known. */
  readonly destination: string | null
  /** Is it for this machine? */
  readonly local: boolean
  /** The port that it asked for before it was changed; null where it is not. */
  readonly asked: string | null
}

/** What is known beside the lines. */
export interface IptablesGround {
  readonly networks: Networks
  /** Addresses of other machines. */
  readonly elsewhere: ReadonlySet<string>
}

export interface Outcome {
  /** 1 for who passes or is sent on. */
  readonly admitted: Uint8Array
  /** The line of nat that sends each of them on. */
  readonly sent: readonly (IptablesRule | null)[]
  /** The first line that turned somebody away or let nobody pass because it asks what is not known. */
  readonly unclear: IptablesRule | null
  /** The line that turned away who is in no prefix that is named; null where that was the end of the chain. */
  readonly away: IptablesRule | null
  /** All of them passed a MARK. */
  readonly marked: boolean
}

/** `interface` is a `maybe` of nothing but where it comes in or goes out. */
type Answer = 'no' | 'maybe' | 'interface' | 'yes'

const byInterface = /^(! )?(-i|-o) (\S+)$/
/** Targets after which the next line is read. */
const passing =
  /^(?:|LOG|NFLOG|ULOG|MARK|CONNMARK|CONNSECMARK|SECMARK|TCPMSS|CLASSIFY|DSCP|TOS|TTL|HL|ECN|CT|CHECKSUM|AUDIT|SET|TRACE|TEE|RATEEST|IDLETIMER|LED|HMARK|TCPOPTSTRIP|ACCOUNT)$/
const mostDepth = 64

/** How often lines and clients may be looked at for one text. */
export class Budget {
  #left = 10_000_000
  readonly #over: (entry: IptablesRule) => Error

  constructor(over: (entry: IptablesRule) => Error) {
    this.#over = over
  }

  /** @param clients that a line is held against, beside the line itself */
  spend(entry: IptablesRule, clients: number): void {
    this.#left -= 1 + (clients >> 4)
    if (this.#left < 0) throw this.#over(entry)
  }
}

/** In a chain, of each client: not there, there, or it cannot be told. */
const gone = 0
const here = 1
const perhaps = 2

export class IptablesPath {
  readonly #chains: Chains
  readonly #sources: Sources
  readonly #ground: IptablesGround
  readonly #budget: Budget
  readonly #sends: boolean
  readonly #indexes = new Map<string, LineIndex>()

  constructor(options: {
    readonly chains: Chains
    readonly sources: Sources
    readonly ground: IptablesGround
    readonly budget: Budget
    /** It is the nat table, of which the question is who is sent on. */
    readonly sends: boolean
  }) {
    this.#sends = options.sends
    this.#chains = options.chains
    this.#sources = options.sources
    this.#ground = options.ground
    this.#budget = options.budget
  }

  /**
   * @param policy what becomes of who reaches the end
   * @param anyInterface takes a line that sends on or lets pass whatever interface it asks for, and no other such line
   */
  follow(hook: string, policy: 'in' | 'out', probe: Probe, anyInterface: boolean): Outcome {
    const { count } = this.#sources
    const walk = new Walk(count)
    const base = new Uint8Array(count).fill(here)
    this.#through(hook, base, null, { probe, anyInterface, walk, depth: 0 })
    for (let at = 0; at < count; at++) if (walk.open[at] === 1) walk.admitted[at] = policy === 'in' ? 1 : 0
    return walk
  }

  #through(
    chain: string,
    there: Uint8Array,
    doubt: IptablesRule | null,
    way: { probe: Probe; anyInterface: boolean; walk: Walk; depth: number },
  ): void {
    const { probe, anyInterface, walk, depth } = way
    let doubtful = doubt
    for (const entry of this.#linesFor(chain, probe)) {
      const { match } = entry
      const span = match.source ? this.#sources.span(match.source) : ([0, there.length] as const)
      this.#budget.spend(entry, 0)
      if (span === null) continue
      const kind = this.#kindOf(entry)
      const answer = taken(this.#asks(match, probe), kind, anyInterface)
      if (answer === 'no' || kind === 'pass') continue
      this.#budget.spend(entry, span[1] - span[0])
      const sure = answer === 'yes'
      if (kind === 'mark') {
        walk.marked ||= sure && span[0] === 0 && there[0] === here
        continue
      }
      if (kind === 'jump' && depth >= mostDepth) {
        this.#each(span, match, there, (at) => walk.out(at, entry))
        continue
      }
      if (kind === 'jump') {
        const inside = new Uint8Array(there.length)
        this.#budget.spend(entry, there.length)
        let some = false
        this.#each(span, match, there, (at, state) => {
          inside[at] = sure ? state : perhaps
          some = true
        })
        if (!some) continue
        this.#through(entry.target, inside, sure ? doubtful : entry, { ...way, depth: depth + 1 })
        const goes = entry.goes
        this.#each(span, match, there, (at) => {
          if (walk.open[at] !== 1) there[at] = gone
          else if (goes) there[at] = sure ? gone : perhaps
        })
        if (goes && !sure) doubtful ??= entry
        continue
      }
      if (kind === 'return') {
        this.#each(span, match, there, (at) => void (there[at] = sure ? gone : perhaps))
        if (!sure) doubtful ??= entry
        continue
      }
      this.#each(span, match, there, (at, state) => {
        const isSure = sure && state === here
        if (kind === 'out') walk.out(at, entry, isSure ? null : sure ? doubtful : entry)
        else if (isSure) walk.in(at, entry)
        else if (kind === 'send') walk.out(at, entry, sure ? doubtful : entry)
        else walk.missed(sure ? doubtful : entry)
        if (walk.open[at] !== 1) there[at] = gone
      })
    }
  }

  #each(
    [first, end]: Span,
    { notSources }: IptablesMatch,
    there: Uint8Array,
    act: (at: number, state: number) => void,
  ): void {
    const without = notSources.map((cidr) => this.#sources.span(cidr))
    for (let at = first; at < end; at++) {
      const state = there[at] as number
      if (state === gone) continue
      if (without.some((span) => span !== null && at >= span[0] && at < span[1])) continue
      act(at, state)
    }
  }

  #kindOf({ target, text }: IptablesRule): Kind {
    if (this.#chains.has(target)) return 'jump'
    if (target === 'RETURN') return 'return'
    // Who is accepted in nat is sent nowhere.
    if (target === 'ACCEPT') return this.#sends ? 'out' : 'accept'
    if (target === 'DNAT' || target === 'REDIRECT') return 'send'
    if (target === 'MARK') return 'mark'
    // Without tracking nothing is sent on.
    if (target === 'CT' && text.includes('--notrack')) return 'out'
    return passing.test(target) ? 'pass' : 'out'
  }

  /** Lines of one port, or for one machine, are found by it: there may be thousands. */
  #linesFor(chain: string, { ports, destination }: Probe): Iterable<IptablesRule> {
    const all = this.#chains.get(chain) ?? []
    if (!/^\d+$/.test(ports)) return all
    const index = this.#indexes.get(chain) ?? new LineIndex(all)
    this.#indexes.set(chain, index)
    return index.linesFor(String(Number(ports)), destination)
  }

  #asks(match: IptablesMatch, probe: Probe): Answer {
    if (match.never || (match.protocol !== null && match.protocol !== probe.protocol)) return 'no'
    if (match.family !== null && match.family !== probe.family) return 'no'
    if (match.changed && probe.asked === null) return 'no'
    if (match.local && !probe.local) return 'no'
    const answers: Answer[] = [
      match.ports === null ? 'yes' : portsWithin(probe.ports, match.ports),
      match.asked === null ? 'yes' : portsWithin(probe.asked ?? probe.ports, match.asked),
      match.destination === null ? 'yes' : this.#isFor(match.destination, probe),
      ...match.others.map((other) => this.#isBy(other, probe)),
    ]
    return leastOf(answers)
  }

  #isFor(destination: Cidr, { family, destination: to, local }: Probe): Answer {
    if (destination.family !== family) return 'no'
    if (to !== null) return holds(destination, { family, address: to, bits: widest(family) }) ? 'yes' : 'no'
    if (destination.bits === 0) return 'yes'
    const isOne = destination.bits === widest(family)
    const isForeign = isOne && local && this.#ground.elsewhere.has(destination.address)
    return isForeign || /^(?:127\.|::1$)/.test(destination.address) ? 'no' : 'maybe'
  }

  #isBy(other: string, { family, destination, local }: Probe): Answer {
    const [, not, way, name = ''] = byInterface.exec(other) ?? []
    if (way === undefined) return 'maybe'
    if (way === '-i' || local || destination === null) return 'interface'
    const to = { family, address: destination, bits: widest(family) }
    const [bridge] = [...this.#ground.networks].find(([, network]) => holds(network, to)) ?? []
    const known = this.#ground.networks.has(name)
    if (bridge === undefined && !known) return 'interface'
    return (bridge === name) === (not === undefined) ? 'yes' : 'no'
  }
}

type Kind = 'jump' | 'return' | 'accept' | 'send' | 'mark' | 'pass' | 'out'

/** What has been decided of each client. */
class Walk implements Outcome {
  readonly admitted: Uint8Array
  readonly sent: (IptablesRule | null)[]
  /** 1 for who is not decided yet. */
  readonly open: Uint8Array
  unclear: IptablesRule | null = null
  away: IptablesRule | null = null
  marked = false

  constructor(count: number) {
    this.admitted = new Uint8Array(count)
    this.sent = Array.from({ length: count }, () => null)
    this.open = new Uint8Array(count).fill(1)
  }

  in(at: number, entry: IptablesRule): void {
    this.open[at] = 0
    this.admitted[at] = 1
    this.sent[at] = entry
  }

  out(at: number, entry: IptablesRule, unclear: IptablesRule | null = null): void {
    this.open[at] = 0
    if (at === 0) this.away = entry
    this.unclear ??= unclear
  }

  missed(entry: IptablesRule | null): void {
    this.unclear ??= entry
  }
}

const any = '*'

/** Lines of a chain by the one port and the one machine that each asks for, where it does. */
class LineIndex {
  readonly #lines: readonly IptablesRule[]
  /** Places in the chain, ascending: by port, then by machine. */
  readonly #places = new Map<string, Map<string, number[]>>()

  constructor(lines: readonly IptablesRule[]) {
    this.#lines = lines
    for (const [at, { match }] of lines.entries()) {
      const { ports, destination } = match
      const port = ports !== null && /^\d{1,5}$/.test(ports) ? String(Number(ports)) : any
      const isOne = destination !== null && destination.bits === widest(destination.family)
      const machine = (isOne ? canonicalAddress(destination.address) : null) ?? any
      const machines = this.#places.get(port) ?? new Map<string, number[]>()
      this.#places.set(port, machines)
      const places = machines.get(machine)
      if (places) places.push(at)
      else machines.set(machine, [at])
    }
  }

  /** In the order of the chain; more than those that match. @param destination null where it is not known */
  *linesFor(port: string, destination: string | null): Iterable<IptablesRule> {
    const machines = [this.#places.get(any), this.#places.get(port)].filter((some) => some !== undefined)
    const known = destination === null ? null : canonicalAddress(destination)
    const wanted = known === null ? null : [any, known]
    const places = machines.flatMap((some) =>
      wanted === null ? [...some.values()] : wanted.flatMap((machine) => [some.get(machine) ?? []]),
    )
    for (const at of places.flat().toSorted((a, b) => a - b)) yield this.#lines[at] as IptablesRule
  }
}

function taken(answer: Answer, kind: Kind, anyInterface: boolean): Answer {
  if (answer !== 'interface' || !anyInterface) return answer
  return kind === 'return' || kind === 'out' ? 'no' : 'yes'
}

function leastOf(answers: readonly Answer[]): Answer {
  const order: readonly Answer[] = ['no', 'maybe', 'interface', 'yes']
  return order.find((answer) => answers.includes(answer)) ?? 'yes'
}

function widest(family: Family): number {
  return family === 4 ? 32 : 128
}
