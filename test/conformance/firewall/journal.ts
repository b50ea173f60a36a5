/** A journal in memory: what was written, and what is left to undo. */
import type { Effect, Json, Recorder } from '../../../src/model/hop.ts'

export class Journal implements Recorder {
  readonly written: Json[] = []
  readonly #left = new Map<number, Json>()

  async intend(effect: Json): Promise<Effect> {
    const id = this.written.push(effect)
    this.#left.set(id, effect)
    return {
      amend: async (next) => {
        this.written.push(next)
        this.#left.set(id, next)
      },
      undone: async () => {
        this.#left.delete(id)
      },
    }
  }

  left(): Json[] {
    return [...this.#left.values()]
  }
}
