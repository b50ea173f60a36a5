/** Who was turned away lately: a client that goes on sending datagrams is told of, and counted, once a second. */
const everyMs = 1000
const mostKnown = 1024

export class Refusals<Key> {
  readonly #until = new Map<Key, number>()

  /** @returns whether this refusal is to be told. */
  tell(key: Key, nowMs: number): boolean {
    if (nowMs < (this.#until.get(key) ?? 0)) return false
    if (this.#until.size >= mostKnown) this.#until.clear()
    this.#until.set(key, nowMs + everyMs)
    return true
  }
}
