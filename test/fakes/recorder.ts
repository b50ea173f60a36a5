/** A journal that remembers: what was intended and is not undone yet, as a crash would find it. */
import type { Effect, Json, Recorder } from '../../src/model/hop.ts'

export class MemoryRecorder implements Recorder {
  readonly before: readonly Json[]
  readonly #open = new Map<number, Json>()
  #next = 0
  /** What effects carry that a saved list may bring back. */
  mark?: () => Promise<string>
  /** Everything ever intended or amended, in order. */
  readonly written: Json[] = []

  /** @param before what the process whose place this one takes has in force */
  constructor(before: readonly Json[] = []) {
    this.before = before
  }

  /** What a next start would have to undo, newest first. */
  get left(): readonly Json[] {
    return [...this.#open.values()].reverse()
  }

  intend(effect: Json): Promise<Effect> {
    const id = this.#next++
    const keep = (what: Json): Promise<void> => {
      const stored = JSON.parse(JSON.stringify(what)) as Json
      this.#open.set(id, stored)
      this.written.push(stored)
      return Promise.resolve()
    }
    const handle: Effect = {
      amend: keep,
      undone: () => {
        this.#open.delete(id)
        return Promise.resolve()
      },
    }
    return keep(effect).then(() => handle)
  }
}
