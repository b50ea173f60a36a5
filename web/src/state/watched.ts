/** A value that React can watch: `set` replaces it, and whoever reads it through `useWatched` is drawn anew. */
import { startTransition, useEffect, useState, useSyncExternalStore } from 'react'

export class Watched<T> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  set(next: T): void {
    if (Object.is(next, this.#value)) return
    this.#value = next
    this.tell()
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly read = (): T => this.#value

  protected tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** For what changes hundreds of times in a moment, as rules do when they open: who watches is told once, just after. */
export class Flurry<T> extends Watched<T> {
  #isTelling = false

  protected override tell(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    setTimeout(() => {
      this.#isTelling = false
      super.tell()
    }, 0)
  }
}

export function useWatched<T>(watched: Watched<T>): T {
  return useSyncExternalStore(watched.subscribe, watched.read)
}

/** As `useWatched`, for what takes long to draw: it is drawn in pieces, and what one types or clicks goes first. */
export function useCalm<T>(watched: Watched<T>): T {
  const [value, setValue] = useState(watched.read)
  useEffect(() => {
    const follow = (): void => startTransition(() => setValue(() => watched.value))
    // It may have changed between the first drawing and now.
    follow()
    return watched.subscribe(follow)
  }, [watched])
  return value
}
