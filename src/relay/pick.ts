/**
 * Which target takes a connection, and which is tried next: by name, by weight and balance, those that answer before
 * those that lately did not, backups last. Pure: time comes in, and who dials tells how it went.
 */
import type { Balance, TargetChoice } from '../model/rule.ts'
import { formatTarget } from '../model/target.ts'

/** One target and what is known of it. Outlives edits of its rule. */
export class TargetState {
  choice: TargetChoice
  /** Connections it carries now. */
  open = 0
  /** What the active check says; true where there is none. */
  up = true
  /** Dials in a row that failed. */
  failures = 0
  /** Not tried before others until then (monotonic ms). */
  ejectedUntil = 0
  /** Smooth weighted round robin's running weight. */
  turn = 0
  /** Of its addresses the one that answered a datagram last (`hashOf`), as others may have nobody; 0 where none did. */
  good = 0

  constructor(choice: TargetChoice) {
    this.choice = choice
  }

  answers(nowMs: number): boolean {
    return this.up && this.ejectedUntil <= nowMs
  }

  succeeded(): void {
    this.failures = 0
    this.ejectedUntil = 0
  }

  /** Sets it aside for 1 s, twice as long each time in a row, up to 30 s. */
  failed(nowMs: number): void {
    this.ejectedUntil = nowMs + Math.min(1000 * 2 ** this.failures, 30_000)
    this.failures++
  }
}

export interface PickTerms {
  readonly targets: readonly TargetChoice[]
  readonly balance: Balance
}

export class Targets {
  readonly states: readonly TargetState[]
  /** True where a connection's server name decides. */
  readonly byName: boolean
  readonly #balance: Balance

  /** @param before whose states go on where the same target is still named. */
  constructor({ targets, balance }: PickTerms, before?: Targets) {
    const known = new Map(before?.states.map((state) => [keyOf(state.choice), state]))
    this.states = targets.map((choice) => adopt(known.get(keyOf(choice)), choice))
    this.byName = targets.some(({ name }) => name !== null)
    this.#balance = balance
  }

  /**
   * Every target that may serve, in the order to try. Empty only where `name` is nobody's.
   * @param name what the client asked for (TLS server name, HTTP host); null where it named nobody.
   */
  order(source: string, nowMs: number, name: string | null = null): readonly TargetState[] {
    if (this.states.length === 1 && !this.byName) return this.states
    const serving = this.#serving(name)
    const [up, down] = split(serving, (state) => state.answers(nowMs))
    const [backups, primaries] = split(up, ({ choice }) => choice.backup)
    // Those that failed are tried all the same, the longest rested first: the last known word may be wrong.
    down.sort((a, b) => Number(a.choice.backup) - Number(b.choice.backup) || a.ejectedUntil - b.ejectedUntil)
    return [...this.#balanced(primaries, source), ...this.#balanced(backups, source), ...down]
  }

  /**
   * Before the next of `order`, from `from` on, is tried in place of one that failed: those that are as good as it take
   * another turn, so that what the failed one would have had is shared by all of them and not the second one's alone.
   */
  again(order: readonly TargetState[], from: number, source: string, nowMs: number): void {
    const next = order[from]
    if (next === undefined || !next.answers(nowMs)) return
    const alike = (state: TargetState): boolean =>
      state.choice.backup === next.choice.backup && state.answers(nowMs)
    const turns = this.#balanced(order.slice(from).filter(alike), source)
    const rest = order.slice(from).filter((state) => !alike(state))
    ;(order as TargetState[]).splice(from, Number.POSITIVE_INFINITY, ...turns, ...rest)
  }

  /** The exact name before wildcards, the longest wildcard before shorter ones, then those without a name. */
  #serving(name: string | null): TargetState[] {
    if (!this.byName) return [...this.states]
    const best = this.states.reduce((score, { choice }) => Math.max(score, nameScore(choice.name, name)), 0)
    return best === 0 ? [] : this.states.filter(({ choice }) => nameScore(choice.name, name) === best)
  }

  #balanced(states: TargetState[], source: string): TargetState[] {
    if (states.length < 2) return states
    if (this.#balance === 'source-hash') {
      return states.sort((a, b) => affinity(source, b) - affinity(source, a))
    }
    const turns = takeTurn(states)
    if (this.#balance === 'round-robin') return turns
    return turns.sort((a, b) => a.open / a.choice.weight - b.open / b.choice.weight)
  }
}

function adopt(known: TargetState | undefined, choice: TargetChoice): TargetState {
  if (!known) return new TargetState(choice)
  known.choice = choice
  return known
}

/** A target under a name is one thing: `{ to: 10.0.0.2:443, name: a }` and the same for `b` fail apart. */
export function keyOf({ to, name }: TargetChoice): string {
  return `${formatTarget(to)} ${name ?? ''}`
}

function split<T>(items: readonly T[], test: (item: T) => boolean): [yes: T[], no: T[]] {
  const [yes, no]: [T[], T[]] = [[], []]
  for (const item of items) (test(item) ? yes : no).push(item)
  return [yes, no]
}

/** Smooth weighted round robin, as nginx does it: the heaviest turn first, and it pays for all. */
function takeTurn(states: TargetState[]): TargetState[] {
  const total = states.reduce((sum, state) => sum + state.choice.weight, 0)
  for (const state of states) state.turn += state.choice.weight
  states.sort((a, b) => b.turn - a.turn)
  const [first] = states
  if (first) first.turn -= total
  return states
}

/** Weighted rendezvous hashing: a source moves only when its own target comes or goes. */
function affinity(source: string, { choice }: TargetState): number {
  const unit = (hash32(`${source}>${keyOf(choice)}`) + 1) / 2 ** 32
  return unit >= 1 ? Number.MAX_VALUE : choice.weight / -Math.log(unit)
}

/** A target's addresses in the order in which a UDP session tries them. @param good as `TargetState` has it. */
export function bestFirst<T>(addresses: readonly T[], good: number, text: (address: T) => string): T[] {
  const at =
    good === 0 || addresses.length < 2 ? -1 : addresses.findIndex((one) => hashOf(text(one)) === good)
  return at < 1 ? [...addresses] : [addresses[at] as T, ...addresses.filter((_, other) => other !== at)]
}

/** Never 0. */
export function hashOf(address: string): number {
  return hash32(address) || 1
}

/** FNV-1a with a final mix, so that near addresses spread. */
function hash32(text: string): number {
  let hash = 0x811c9dc5 | 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** 0 where `served` does not cover `asked`. `*.example.org` covers any depth below it, but not `example.org`. */
function nameScore(served: string | null, asked: string | null): number {
  if (served === null) return 1
  if (asked === null) return 0
  const [pattern, name] = [served.toLowerCase(), asked.toLowerCase()]
  if (pattern === name) return Number.MAX_SAFE_INTEGER
  const suffix = pattern.startsWith('*') ? pattern.slice(1) : null
  return suffix !== null && name.endsWith(suffix) && name.length > suffix.length ? 1 + suffix.length : 0
}
