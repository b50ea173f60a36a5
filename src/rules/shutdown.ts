/**
 * A stop: connections finish where they may, then everything is undone from the outside in, within 4.5 s; what hangs
 * longer is left to the journal, named, and undone by the next start of any Naru.
 */
import { orAborted } from '../base/single-flight.ts'
import type { Text } from '../base/text.ts'
import type { Deps } from '../instance/deps.ts'
import type { Instance } from '../instance/instance.ts'
import type { Journal, JournalEntry } from '../instance/journal.ts'
import type { RuleSet } from './rule-set.ts'
import { leftIn, undoJournal } from './undo.ts'

/** Within this everything is undone: a person who pressed Ctrl-C waits 5 s. */
const stopLimitMs = 4500

export interface ShutdownOptions {
  readonly parts: Deps
  readonly instance: Instance
  readonly journal: Journal
  readonly rules: RuleSet
  /** Aborted when the time that undoing may take is over. */
  readonly undoing: AbortController
  /** Aborts when whoever lets connections finish wants to wait for them no more. */
  readonly hurry: AbortSignal
  /** Resolves once what is under way has ended, and nobody takes or gives this place. */
  readonly standsStill: () => Promise<void>
  /** A successor has everything but the connections. */
  readonly passedOn: () => boolean
}

export class Shutdown {
  readonly #options: ShutdownOptions

  constructor(options: ShutdownOptions) {
    this.#options = options
  }

  /** Does not throw. @returns what is still in force */
  async run(): Promise<readonly Text[]> {
    const { parts, journal, rules, undoing, hurry, passedOn } = this.#options
    if (!hurry.aborted) await untilAborted(this.#drainAll(), hurry)
    const limit = parts.clock.after(stopLimitMs, () => {
      undoing.abort(new DOMException(`no end within ${stopLimitMs} ms`, 'TimeoutError'))
    })
    await untilAborted(this.#undoAll(), undoing.signal)
    limit[Symbol.dispose]()
    const whys = rules.all().flatMap((run) => run.unreleased())
    return passedOn() ? [] : leftIn(journal.live(), whys)
  }

  async #drainAll(): Promise<void> {
    const { rules, undoing, standsStill } = this.#options
    await standsStill()
    await this.#endLeaving('SIGUSR1')
    const { signal } = undoing
    await Promise.all(
      rules.all().map((run) => run.end({ reason: 'shutdown', signal }).then(() => run.drained())),
    )
  }

  async #undoAll(): Promise<void> {
    const { parts, journal, rules, undoing, standsStill, passedOn } = this.#options
    await standsStill()
    await this.#endLeaving('SIGTERM')
    const { signal } = undoing
    await Promise.all(rules.all().map((run) => run.end({ now: true, reason: 'shutdown', signal })))
    await closeEngines(parts)
    if (passedOn()) return
    // What could not be undone by the one who did it is tried once more as a next start would.
    const keep = ({ id, hop }: JournalEntry): boolean => hop === 'relay' && journal.wrote(id)
    await undoJournal(journal, parts, { signal, keep })
  }

  /** Those who passed this place on go with it. */
  async #endLeaving(signal: 'SIGUSR1' | 'SIGTERM'): Promise<void> {
    if (this.#options.passedOn()) return
    for (const pid of await this.#options.instance.leaving()) {
      try {
        process.kill(pid, signal)
      } catch {
        // It ended by itself.
      }
    }
  }
}

/** @param abandon another process goes on with what they have: nothing in force is touched */
export async function closeEngines({ engines }: Deps, abandon = false): Promise<void> {
  for (const engine of engines) {
    if (abandon) engine.abandon?.()
    await engine.close().catch(() => {})
  }
}

/** `promise` itself goes on. */
function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  return orAborted(promise, signal, '').catch(() => {})
}
