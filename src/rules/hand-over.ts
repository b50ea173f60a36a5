/**
 * One Naru takes another's place. The old one freezes, lends its listening sockets and tells its rules; the new one
 * opens the same rules by them and goes on with what the journal says is in force; then the old one lets go and stays
 * for its connections alone. Where the new one fails, the old one goes on as if nothing had been.
 */
import { createHash } from 'node:crypto'
import { isNaruError, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { Json } from '../model/hop.ts'
import type { Inheritance, LentSocket, SocketMaker } from '../model/handover-sockets.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { JournalEntry, Journal } from '../instance/journal.ts'
import type { Deps } from '../instance/deps.ts'
import type { RuleRun } from './rule-run.ts'
import { undoJournal } from './undo.ts'

/** What a successor is told. */
export interface Offer {
  readonly pid: number
  /** Each rule that runs: what its text was, and whether it listens. */
  readonly rules: Readonly<Record<string, { readonly text: string; readonly listens: boolean }>>
  readonly sockets: readonly LentSocket[]
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
      return [run.name, { text: textOf(run.input), listens: run.engine() !== null }] as const
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
      // First everything is asked for anew, so that what both had is ours again and not undone with the rest.
      if (theirs.length > 0)
        await Promise.all(runs.map((run) => run.renewDue(parts.clock.now(), signal, true).catch(() => {})))
      await settle(theirs, { journal, parts, runs: new Map(runs.map((run) => [run.name, run])), signal })
      watch(true)
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

/** A rule that listened before and cannot now is a reason to leave it to the one that could. @throws NaruError HANDOVER_FAILED */
export function mustListen(runs: ReadonlyMap<string, RuleRun>, { pid, rules }: Predecessor): void {
  for (const [name, { text, listens }] of Object.entries(rules)) {
    const run = runs.get(name)
    if (!listens || !run || textOf(run.input) !== text) continue
    const why = run.whyNotListening()
    // Another engine than before takes the port as soon as the old one lets go.
    if (why === null || isNaruError(why, 'LISTEN_IN_USE')) continue
    const words = say`${name}: ${why.text}`
    throw new NaruError('HANDOVER_FAILED', { pid, why: words }, { cause: why })
  }
}

/**
 * Entries of another process: those whose effect this one has by an entry of its own are struck out, the rest is
 * undone.
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
  await undoJournal(journal, parts, { signal, keep: ({ id }) => !ids.has(id) })
}

/** When it lapses by itself, and on which word it rests, is not what it is. */
const passing: ReadonlySet<string> = new Set(['until', 'granted'])

function effectKey({ rule, hop, member, effect }: JournalEntry): string {
  const lasting = (key: string, value: Json): Json | undefined => (passing.has(key) ? undefined : value)
  return JSON.stringify([rule, hop, member, effect], lasting)
}
