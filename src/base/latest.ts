/**
 * An answer that is dear to make and the same for all who ask at once. Whoever asks gets one that was begun after it
 * asked, so that nobody misses a change of its own; those who wait meanwhile share the next.
 */
export class Latest<T> {
  readonly #make: () => Promise<T>
  #underWay: Promise<T> | null = null
  #next: Promise<T> | null = null

  constructor(make: () => Promise<T>) {
    this.#make = make
  }

  get(): Promise<T> {
    this.#next ??= this.#begin(this.#underWay)
    return this.#next
  }

  async #begin(before: Promise<T> | null): Promise<T> {
    await before?.catch(() => {})
    // Those whose requests arrived in the same turn of the loop are served together.
    await new Promise((resolve) => setImmediate(resolve))
    this.#underWay = this.#next
    this.#next = null
    return await this.#make()
  }
}
