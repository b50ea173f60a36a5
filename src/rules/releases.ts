/**
 * Undoing what a rule wants no more. What cannot be undone is named, stays in the journal, and is tried again until it
 * is gone; a stop tries once more by itself, and so does the next start.
 */
import { within } from '../base/clock.ts'
import { NaruError, toNaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import { hopNames } from '../doctor/verdict.ts'
import type { Hop, Lease } from '../model/hop.ts'
import { firstRetryMs, lastRetryMs, stepLimitMs, type RunTools } from './run-tools.ts'

/** An effect that could not be undone, and why. */
export interface Unreleased {
  readonly rule: string
  readonly hop: Hop
  readonly member: string
  readonly text: Text
  readonly why: NaruError
}

export interface ReleasesOptions {
  readonly tools: Pick<RunTools, 'clock' | 'undoing' | 'working' | 'tell'>
  /** The rule's name now. */
  readonly name: () => string
  /** After the rule's changes before it, and before those after it. */
  readonly inTurn: <T>(run: () => Promise<T>) => Promise<T>
}

export class Releases {
  readonly #options: ReleasesOptions
  /** Wanted no more, and not gone for sure. */
  readonly #unreleased = new Map<Lease, Unreleased>()
  #again: Disposable | null = null
  #againMs = firstRetryMs
  /** Wait for the last of those. */
  readonly #awaitingAll: (() => void)[] = []

  constructor(options: ReleasesOptions) {
    this.#options = options
  }

  unreleased(): readonly Unreleased[] {
    return [...this.#unreleased.values()]
  }

  /** Each as an error that says what is still in force. */
  stillInForce(): readonly NaruError[] {
    return this.unreleased().map(({ hop, member, text, why }) => {
      const left = say`${hopNames[hop]} (${member}) ${text}: ${why.text}`
      const name = this.#options.name()
      return new NaruError('STILL_IN_FORCE', { name, left }, { left: [left], cause: why })
    })
  }

  /** Does not throw. Goes on whoever called off the change that it is part of: what is open no more is to be gone. */
  async release(hop: Hop, lease: Lease): Promise<void> {
    const { tools, name } = this.#options
    try {
      await within(tools.undoing, stepLimitMs, (limited) => lease.release({ signal: limited }))
      this.#released(hop, lease)
    } catch (error) {
      const why = toNaruError(error)
      const { member, text } = lease.describe()
      const known = this.#unreleased.has(lease)
      this.#unreleased.set(lease, { rule: name(), hop, member, text, why })
      this.#tryLater()
      if (known) return
      const because = why.text
      tools.tell('warn', name(), say`could not undo yet: ${because}`)
    }
  }

  /** Tries once more now, and no more by itself unless that fails. */
  async tryAgain(): Promise<void> {
    this.#again?.[Symbol.dispose]()
    this.#again = null
    for (const [lease, { hop }] of this.#unreleased) await this.release(hop, lease)
  }

  /** Resolves when nothing is left in force. */
  async all(): Promise<void> {
    if (this.#unreleased.size > 0) await new Promise<void>((all) => this.#awaitingAll.push(all))
  }

  #released(hop: Hop, lease: Lease): void {
    if (!this.#unreleased.delete(lease)) return
    const { text } = lease.describe()
    this.#options.tools.tell(
      'info',
      this.#options.name(),
      say`undone after all: ${{ en: hop, ko: hopNames[hop].ko }}: ${text}`,
    )
    if (this.#unreleased.size > 0) return
    this.#againMs = firstRetryMs
    for (const all of this.#awaitingAll.splice(0)) all()
  }

  #tryLater(): void {
    const { tools, inTurn } = this.#options
    if (this.#again || tools.working.aborted) return
    this.#again = tools.clock.after(this.#againMs, () => {
      this.#again = null
      void inTurn(async () => {
        if (!tools.working.aborted) await this.tryAgain()
      }).catch(() => {})
    })
    this.#againMs = Math.min(this.#againMs * 2, lastRetryMs)
  }
}
