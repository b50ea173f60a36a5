/** Lets everybody else have a turn of the event loop while there is much to do. */
const sliceMs = 5

export class Slices {
  #since = performance.now()
  #last: Promise<void> = Promise.resolve()

  /** Before each piece of the work: at once, or in the next turn where this one has lasted. In the order of asking. */
  next(): Promise<void> {
    this.#last = this.#last.then(() => this.#pause())
    return this.#last
  }

  async #pause(): Promise<void> {
    if (performance.now() - this.#since < sliceMs) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#since = performance.now()
  }
}
