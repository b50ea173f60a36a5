/** What thousands ask for at the same time is done once for all of them, one batch after the other. */
export class Batch<T> {
  readonly #work: (things: readonly T[]) => Promise<void>
  #things: T[] = []
  #next: Promise<void> | null = null
  #turn: Promise<void> = Promise.resolve()

  constructor(work: (things: readonly T[]) => Promise<void>) {
    this.#work = work
  }

  /** Resolves once they were in a batch that is done, and rejects as that does. */
  async add(things: readonly T[]): Promise<void> {
    if (things.length === 0) return
    for (const thing of things) this.#things.push(thing)
    this.#next ??= this.#batch()
    await this.#next
  }

  #batch(): Promise<void> {
    const batch = this.#turn.then(async () => {
      // Whoever asks in this turn of the loop comes along.
      await new Promise((resolve) => setImmediate(resolve))
      this.#next = null
      await this.#work(this.#things.splice(0))
    })
    this.#turn = batch.catch(() => {})
    return batch
  }
}
