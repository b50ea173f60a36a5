/**
 * Everybody that is somewhere, in no order. A `Set` asks V8 for a hash of each object and grows by rehashing; here each
 * knows its own place, which is 1 % of what a short connection costs.
 */
export interface OnSwapList {
  /** Only `SwapList` writes it. */
  place: number
}

export class SwapList<T extends OnSwapList> {
  readonly #all: T[] = []

  /** @param item on no roll yet. */
  add(item: T): void {
    item.place = this.#all.length
    this.#all.push(item)
  }

  /** @param item that is on this roll. */
  remove(item: T): void {
    const last = this.#all.pop() as T
    if (last === item) return
    this.#all[item.place] = last
    last.place = item.place
  }

  /** As it is now: whoever is met may leave. */
  all(): readonly T[] {
    return this.#all.slice()
  }
}
