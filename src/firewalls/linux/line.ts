/**
 * The line before a machine's packet filter: one change at a time, since two at once would count positions in a list
 * that the other is changing. What is asked for in one turn of the loop is one change, for ten thousand openings as for
 * one: a look, one program that changes, a look whether it does what it should. Each has its own end all the same: a
 * change that is refused is done again by halves, until it is known whose fault it is.
 */
import { Batch } from '../../base/batch.ts'
import { withLimit } from '../../base/clock.ts'
import { isNaruError } from '../../base/errors.ts'
import { onAbort } from '../../base/on-abort.ts'
import { stopped } from '../../base/single-flight.ts'
import type { Host } from '../../host/contract.ts'
import type { Hand, Placed, Tools } from './hand.ts'

/** What is asked for of one opening. */
export type Wish = 'open' | 'renew' | 'close'

/** What is left to be closed. */
export interface QueuedClosing<Entry> {
  /** What of it is in force, or may be. */
  readonly placed: Placed<Entry>
  /** Whether anything may be in force. */
  readonly isHeld: boolean
  /** Nothing of it is in force any more. */
  closed(): Promise<void>
}

/** One opening as the line sees it. */
export interface QueuedOpening<Entry> extends QueuedClosing<Entry> {
  /** Whether it was lost. @throws NaruError where it is not to be opened anew */
  isLost(signal: AbortSignal): Promise<boolean>
  /** Nothing of it is in force any more, and it is opened anew. */
  lost(): void
  /** What has to be added, by a look of now; nothing where it is open. @throws NaruError where it cannot be */
  plan(round: number, signal: AbortSignal): Promise<readonly Entry[]>
  /** Writes down that these are about to be added. */
  intend(added: readonly Entry[]): Promise<void>
}

type Asked<Entry> = { readonly hand: Hand<Entry>; readonly signal: AbortSignal } & (
  | { readonly wish: 'close'; readonly opening: QueuedClosing<Entry> }
  | { readonly wish: Wish; readonly opening: QueuedOpening<Entry> }
)

/** Resolves once it is done. @throws NaruError why not; of what was to be opened nothing is left then */
export async function inLine<Entry>(host: Host, asked: Asked<Entry>): Promise<void> {
  // Of what kind its rules are, its own hand knows alone.
  const turn = new Turn(asked)
  await lineOf(host).add([turn])
  if (turn.failure) throw turn.failure.why
}

/** How often one change may be tried by halves before the rest is told that it was refused; each is tried again later. */
const mostTries = 64
const takeBackMs = 10_000

class Turn {
  readonly wish: Wish
  readonly hand: Hand<unknown>
  readonly opening: QueuedOpening<unknown>
  readonly signal: AbortSignal
  failure: { readonly why: unknown } | null = null

  constructor({ wish, hand, opening, signal }: Asked<unknown>) {
    this.wish = wish
    this.hand = hand
    this.opening = opening as QueuedOpening<unknown>
    this.signal = signal
  }

  fail(why: unknown): void {
    this.failure ??= { why }
  }

  get isHeld(): boolean {
    return this.opening.isHeld
  }

  /** What `work` gives; null where it is over with this one. */
  async try<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.failure) return null
    try {
      if (this.signal.aborted) throw stopped(this.signal, 'the change of the firewall')
      return await work()
    } catch (error) {
      this.fail(error)
      return null
    }
  }
}

const lines = new WeakMap<Host, Batch<Turn>>()

function lineOf(host: Host): Batch<Turn> {
  const line = lines.get(host) ?? new Batch<Turn>((turns) => new Change(host).make(turns))
  lines.set(host, line)
  return line
}

/** One change of everything that was asked for in a turn. Never throws: each turn has its own failure. */
class Change {
  readonly #host: Host
  #tries = mostTries

  constructor(host: Host) {
    this.#host = host
  }

  async make(turns: readonly Turn[]): Promise<void> {
    for (const hand of new Set(turns.map((turn) => turn.hand))) {
      const own = turns.filter((turn) => turn.hand === hand)
      const wanting = (wish: Wish): Turn[] => own.filter((turn) => turn.wish === wish)
      for (const part of parts(wanting('close'), hand.most)) await this.#close(hand, part)
      const lost = await this.#lost(hand, wanting('renew'))
      for (const part of parts([...lost, ...wanting('open')], hand.most)) await this.#open(hand, part)
    }
  }

  /** Those of which nothing is left in force, so that they may be opened anew. */
  async #lost(hand: Hand<unknown>, turns: readonly Turn[]): Promise<readonly Turn[]> {
    const lost = await Promise.all(turns.map((turn) => turn.try(() => turn.opening.isLost(turn.signal))))
    const anew = turns.filter((_, at) => lost[at])
    for (const part of parts(anew, hand.most)) await this.#remove(hand, part)
    const gone = anew.filter(({ failure }) => !failure)
    for (const { opening } of gone) opening.lost()
    return gone
  }

  async #close(hand: Hand<unknown>, turns: readonly Turn[]): Promise<void> {
    await this.#remove(hand, turns)
    await Promise.all(turns.map((turn) => turn.try(() => turn.opening.closed())))
  }

  async #remove(hand: Hand<unknown>, turns: readonly Turn[]): Promise<void> {
    const held = turns.filter((turn) => !turn.failure && turn.isHeld)
    if (held.length === 0) return
    try {
      await this.#with(held, (tools) => hand.remove(placedOf(held), tools))
    } catch (error) {
      for (const half of this.#halves(held, error)) await this.#remove(hand, half)
    }
  }

  async #open(hand: Hand<unknown>, turns: readonly Turn[]): Promise<void> {
    let open = turns
    for (let round = 0; open.length > 0; round++) {
      const added = await Promise.all(
        open.map((turn) => turn.try(() => turn.opening.plan(round, turn.signal))),
      )
      const more = open.flatMap((turn, at) => (added[at]?.length ? { turn, added: added[at] } : []))
      await Promise.all(more.map(({ turn, added: ours }) => turn.try(() => turn.opening.intend(ours))))
      const adding = more.filter(({ turn }) => !turn.failure)
      open = adding.map(({ turn }) => turn)
      if (adding.length === 0) break
      try {
        const wanted = adding.map(({ turn: { opening }, added: entries }) => ({ ...opening.placed, entries }))
        await this.#with(open, (tools) => hand.add(wanted, tools))
      } catch (error) {
        await this.#takeBack(
          hand,
          turns.filter(({ failure }) => failure),
        )
        const halves = this.#halves(open, error)
        await this.#takeBack(hand, open)
        // Positions are others by now, so each half is looked at anew.
        for (const half of halves) await this.#open(hand, half)
        return
      }
    }
    await this.#takeBack(
      hand,
      turns.filter(({ failure }) => failure),
    )
  }

  /** What could not be opened leaves nothing; where even that cannot be, the journal has it. */
  async #takeBack(hand: Hand<unknown>, turns: readonly Turn[]): Promise<void> {
    const back = turns.map(
      ({ opening }) => new Turn({ wish: 'close', hand, opening, signal: withLimit(undefined, takeBackMs) }),
    )
    await this.#close(hand, back)
    for (const [at, { failure }] of back.entries()) if (failure) turns[at]?.fail(failure.why)
  }

  /** None where it is known whose fault it is, or it is nobody's: those have failed then. */
  #halves(turns: readonly Turn[], error: unknown): readonly (readonly Turn[])[] {
    const hopeless = isNaruError(error, 'NOT_PERMITTED', 'COMMAND_MISSING', 'TIMED_OUT', 'ABORTED')
    if (turns.length > 1 && !hopeless && this.#tries-- > 0) {
      const half = turns.length >> 1
      return [turns.slice(0, half), turns.slice(half)]
    }
    for (const turn of turns) turn.fail(error)
    return []
  }

  /** Whoever leaves first does not end it for the others. */
  async #with<T>(turns: readonly Turn[], work: (tools: Tools) => Promise<T>): Promise<T> {
    const nobody = new AbortController()
    let waiting = turns.length
    const leave = (signal: AbortSignal): void => {
      if (--waiting === 0) nobody.abort(signal.reason)
    }
    for (const { signal } of turns) if (signal.aborted) leave(signal)
    const waits = turns.map(({ signal }) => onAbort(signal, () => leave(signal)))
    try {
      return await work({ runner: this.#host.runner, signal: nobody.signal })
    } finally {
      for (const wait of waits) wait[Symbol.dispose]()
    }
  }
}

const placedOf = (turns: readonly Turn[]): readonly Placed<unknown>[] =>
  turns.map(({ opening }) => opening.placed)

function parts<T>(things: readonly T[], most: number): T[][] {
  const count = Math.ceil(things.length / most)
  return Array.from({ length: count }, (_, at) => things.slice(at * most, (at + 1) * most))
}
