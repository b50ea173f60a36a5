/** Things in the order they were last used, as a list threaded through the things themselves: each step is O(1). */
export interface Linked<T> {
  /** Used more and less lately. Only `Recency` writes them. */
  newer: T | null
  older: T | null
}

export class Recency<T extends Linked<T>> {
  newest: T | null = null
  oldest: T | null = null
  size = 0

  add(item: T): void {
    this.#pushNewest(item)
    this.size++
  }

  used(item: T): void {
    if (item === this.newest) return
    this.#unlink(item)
    this.#pushNewest(item)
  }

  remove(item: T): void {
    this.#unlink(item)
    this.size--
  }

  /** The least lately used that passes `test`. */
  findOldest(test: (item: T) => boolean): T | null {
    for (let item = this.oldest; item; item = item.newer) if (test(item)) return item
    return null
  }

  /** From the oldest on. */
  all(): T[] {
    const items: T[] = []
    for (let item = this.oldest; item; item = item.newer) items.push(item)
    return items
  }

  #pushNewest(item: T): void {
    item.older = this.newest
    item.newer = null
    if (this.newest) this.newest.newer = item
    this.newest = item
    this.oldest ??= item
  }

  #unlink(item: T): void {
    if (item.newer) item.newer.older = item.older
    else this.newest = item.older
    if (item.older) item.older.newer = item.newer
    else this.oldest = item.newer
    item.newer = item.older = null
  }
}
