/** A journal in memory: what was intended and is not undone, for tests of members. */
import type { Effect, Json, Recorder } from '../../src/model/hop.ts'

export interface MemoryJournal extends Recorder {
  /** Effects that are not undone, as they were written last. */
  readonly left: () => readonly Json[]
}

export function memoryJournal(): MemoryJournal {
  const entries = new Map<number, Json>()
  let count = 0
  return {
    left: () => [...entries.values()],
    async intend(effect): Promise<Effect> {
      const id = count++
      // As on a disk: what is kept is a copy, and only what JSON carries.
      const write = async (value: Json): Promise<void> =>
        void entries.set(id, JSON.parse(JSON.stringify(value)) as Json)
      await write(effect)
      return {
        amend: write,
        async undone() {
          entries.delete(id)
        },
      }
    },
  }
}
