/**
 * One Naru takes another's place. The old one freezes, lends its listening sockets and tells its rules; the new one
 * opens the same rules by them and goes on with what the journal says is in force; then the old one lets go and stays
 * for its connections alone. Where the new one fails, the old one goes on as if nothing had been.
 */
import { createHash } from 'node:crypto'
import { isNaruError, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { Clock } from '../base/clock.ts'
import type { Hop, Json } from '../model/hop.ts'
import type { Inheritance, LentSocket, SocketMaker } from '../model/handover-sockets.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { JournalEntry, Journal } from '../instance/journal.ts'
import type { Deps } from '../instance/deps.ts'
import type { RuleRun } from './rule-run.ts'
import { undoJournal } from './undo.ts'

/** What a successor is told. */
export interface Offer {
  readonly pid: number
  readonly rules: Readonly<Record<string, OfferedRule>>
  readonly sockets: readonly LentSocket[]
}

/** A rule that runs. */
export interface OfferedRule {
  /** Equal where the rule says the same. */
  readonly text: string
  readonly listens: boolean
  /** What it has open, by the key of what was wanted there. @default nothing is known of it */
  readonly hops?: Readonly<Partial<Record<Hop, string>>>
}

/** What a successor has of its predecessor. */
export interface Predecessor extends Omit<Offer, 'sockets'> {
  readonly inherit: Inheritance
}

/** Equal where the rule says the same. */
export function textOf(input: RuleInput): string {
  return createHash('sha256').update(JSON.stringify(input)).digest('hex').slice(0, 16)
}

export interface HandoverHolding {
  readonly runs: readonly RuleRun[]
  readonly journal: Journal
  readonly parts: Deps
  /** Ends or begins the looking after what is held. */
  readonly watch: (on: boolean) => void
  /** It was taken back, or left. */
  readonly onOver: () => void
}

export class HandOver {
  readonly offer: Offer
  readonly #holding: HandoverHolding
  readonly #thaw: () => void

  private constructor(holding: HandoverHolding, thaw: () => void) {
    this.#holding = holding
    this.#thaw = thaw
    const entries = holding.runs.map((run) => {
      const open = run.leases().filter(({ lost }) => lost === null)
      const hops = Object.fromEntries(open.map(({ hop, wanted }) => [hop, wanted.key]))
      return [run.name, { text: textOf(run.input), listens: run.engine() !== null, hops }] as const
    })
    const sockets = holding.runs.flatMap((run) => run.lends())
    this.offer = { pid: process.pid, rules: Object.fromEntries(entries), sockets }
  }

  /** @param gate settles when changes may go on */
  static async begin(holding: HandoverHolding, gate: Promise<void>, thaw: () => void): Promise<HandOver> {
    holding.watch(false)
    await Promise.all(holding.runs.map((run) => run.freeze(gate)))
    await holding.journal.pause()
    return new HandOver(holding, thaw)
  }

  /** How long nobody looks at the ends of rules without harm, in ms: one may not be reachable past its own. */
  get standsForMs(): number {
    const { runs, parts } = this.#holding
    const now = parts.clock.now()
    return Math.min(
      ...runs.flatMap(({ rule: { enabled, until } }) => {
        return enabled && until !== null && until > now ? [until - now] : []
      }),
    )
  }

  /** The successor is ready: from now on it alone reads datagrams of new clients. */
  async yieldDatagrams(sockets: SocketMaker): Promise<void> {
    const passing = this.#holding.runs.flatMap((run) => run.passing() ?? [])
    await Promise.all(passing.map((rule) => rule.yieldDatagrams(sockets)))
  }

  /** The successor came to nothing: what it had begun is undone, and everything is held again. */
  async takeBack(successor: number, signal: AbortSignal): Promise<void> {
    const { runs, parts, journal, watch, onOver } = this.#holding
    try {
      for (const run of runs) run.passing()?.resume()
      for (const engine of parts.engines) engine.succeed?.(successor)
      const theirs = await journal.resume()
      this.#thaw()
      // A rule may be over by now, and what follows asks slow routers.
      watch(true)
      // First everything is asked for anew, so that what both had is ours again and not undone with the rest.
      if (theirs.length > 0)
        await Promise.all(runs.map((run) => run.renewDue(parts.clock.now(), signal, true).catch(() => {})))
      await settle(theirs, { journal, parts, runs: new Map(runs.map((run) => [run.name, run])), signal })
    } catch (error) {
      watch(true)
      throw error
    } finally {
      this.#thaw()
      onOver()
    }
  }

  /** The successor has it all. */
  async leave(): Promise<void> {
    const { runs, parts, onOver } = this.#holding
    await Promise.all(runs.map((run) => run.leave()))
    for (const engine of parts.engines) engine.abandon?.()
    this.#thaw()
    onOver()
  }
}

/** A hop that fails is tried again after a second, then after twice as long each time. */
const catchUpMs = 15_000
const lookAgainMs = 100

/**
 * What was open before and cannot be now is a reason to leave it to the one that could. On a busy machine an answer may
 * come late that the predecessor had in time, so it is waited for while that one serves on.
 * @throws NaruError HANDOVER_FAILED
 */
export async function mustCatchUp(
  runs: ReadonlyMap<string, RuleRun>,
  predecessor: Predecessor,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const end = clock.monotonic() + catchUpMs
  const late = behind(runs, predecessor).map(({ name }) => name)
  const isWaitedFor = (): boolean =>
    late.some((name) => runs.get(name)?.isBusy) || behind(runs, predecessor).length > 0
  while (late.length > 0 && isWaitedFor() && clock.monotonic() < end && !signal.aborted)
    await clock.sleep(lookAgainMs, signal).catch(() => {})
  // That somebody serves there is for no Naru to say.
  const [first] = behind(runs, predecessor).filter(({ hop }) => hop !== 'service')
  if (!first) return
  const { name, why } = first
  const words = say`${name}: ${why.text}`
  throw new NaruError('HANDOVER_FAILED', { pid: predecessor.pid, why: words }, { cause: why })
}

interface Behind {
  readonly name: string
  readonly hop: Hop | null
  readonly why: NaruError
}

/** Rules that fail at what the predecessor has, each with the first reason. */
function behind(runs: ReadonlyMap<string, RuleRun>, { rules }: Predecessor): readonly Behind[] {
  return Object.entries(rules).flatMap(([name, before]) => {
    const run = runs.get(name)
    const found = run && before.listens ? behindAt(run, before) : null
    return found ? [{ name, ...found }] : []
  })
}

function behindAt(run: RuleRun, { text, hops = {} }: OfferedRule): Omit<Behind, 'name'> | null {
  const service = run.failed().get('service')
  if (service) return { hop: 'service', why: service.why }
  const why = textOf(run.input) === text ? run.whyNotListening() : null
  // Another engine than before takes the port as soon as the old one lets go.
  if (why !== null && !isNaruError(why, 'LISTEN_IN_USE')) return { hop: null, why }
  const lacking = [...run.failed()].find(([hop, { wanted }]) => hop !== 'relay' && hops[hop] === wanted.key)
  return lacking ? { hop: lacking[0], why: lacking[1].why } : null
}

/**
 * Entries of another process: those whose effect this one has by an entry of its own are struck out, the rest is
 * undone. Where that was at a hop that a rule holds by other means (another protocol's row for the same port of a
 * router), what is held is asked for anew at once: it may have gone with it.
 */
export async function settle(
  theirs: readonly JournalEntry[],
  options: { journal: Journal; parts: Deps; runs: ReadonlyMap<string, RuleRun>; signal: AbortSignal },
): Promise<void> {
  const { journal, parts, runs, signal } = options
  const ids = new Set(theirs.map(({ id }) => id))
  const ours = new Set(
    journal
      .live()
      .filter(({ id }) => !ids.has(id))
      .map(effectKey),
  )
  const adopts = new Set(parts.engines.filter((engine) => engine.adopts).map(({ id }) => id as string))
  for (const entry of theirs) {
    const adopted = adopts.has(entry.member) && runs.get(entry.rule)?.engine()?.id === entry.member
    if (adopted || ours.has(effectKey(entry))) await journal.undone(entry.id)
  }
  const undone = journal.live().filter(({ id }) => ids.has(id))
  await undoJournal(journal, parts, { signal, keep: ({ id }) => !ids.has(id) })
  const places = new Map(undone.map(({ rule, hop }) => [`${hop} ${rule}`, { rule, hop }]))
  const again = [...places.values()].map(async ({ rule, hop }) => runs.get(rule)?.renewAt(hop, signal))
  await Promise.allSettled(again)
}

/** When it lapses by itself, on which word it rests, and how it was read back, is not what it is. */
const passing: ReadonlySet<string> = new Set(['until', 'granted', 'shown', 'seenBy'])

function effectKey({ rule, hop, member, effect }: JournalEntry): string {
  const lasting = (key: string, value: Json): Json | undefined => (passing.has(key) ? undefined : value)
  return JSON.stringify([rule, hop, member, effect], lasting)
}
