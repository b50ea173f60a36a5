/** The changes of a whole Naru, one after the other; all of them wait while a place is taken or given. */
import { awake } from '../base/awake.ts'

export class ChangeTurns {
  readonly #refuse: () => void
  #last: Promise<unknown> = Promise.resolve()

  /** @param refuse throws where nothing may begin any more; asked once a change's turn has come */
  constructor(refuse: () => void) {
    this.#refuse = refuse
  }

  take<T>(run: () => Promise<T>): Promise<T> {
    const act = async (): Promise<T> => {
      this.#refuse()
      return awake(run)
    }
    const next = this.#last.then(act, act)
    this.#last = next.catch(() => {})
    return next
  }

  /** From now on each waits for `gate`. */
  holdUntil(gate: Promise<unknown>): void {
    this.#last = gate
  }

  /** Resolves once what was asked for so far has ended. */
  async ended(): Promise<void> {
    await this.#last
  }
}
