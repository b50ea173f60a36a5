/**
 * Bandwidth by token bucket: bytes are spent when they have been read, and the answer says how long to wait before
 * the next read. One bucket serves both directions of all connections under the same terms.
 */
export interface Bucket {
  /**
   * @param nowMs milliseconds that only go forward, the same clock in every thread.
   * @returns milliseconds to wait before reading more; 0 is none.
   */
  spend(bytes: number, nowMs: number): number
}

/** A slow rule takes small bites, so that its pace is even and no connection waits long for its turn. */
const biteMs = 50
const leastBite = 1024

/** @returns most bytes to read at once. */
export function maxReadOf(bytesPerSecond: number | null): number {
  if (bytesPerSecond === null) return Number.POSITIVE_INFINITY
  return Math.max(leastBite, Math.floor((bytesPerSecond * biteMs) / 1000))
}

/** Reads up to 100 ms ahead of the pace cost no wait, so that timers of 1 ms grain can keep the rate. */
const burstMs = 100

/** In terms of time: `due` is when all that was spent would be paid at the exact rate. */
export class TokenBucket implements Bucket {
  readonly #msPerByte: number
  #due = 0

  constructor(bytesPerSecond: number) {
    this.#msPerByte = 1000 / bytesPerSecond
  }

  spend(bytes: number, nowMs: number): number {
    this.#due = Math.max(this.#due, nowMs) + bytes * this.#msPerByte
    return Math.max(0, this.#due - nowMs - burstMs)
  }
}

/** The same with `due` in shared memory (8 bytes, nanoseconds), for engines with several threads. */
export class SharedBucket implements Bucket {
  readonly #due: BigInt64Array
  readonly #nsPerByte: number

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(8)
  }

  constructor(bytesPerSecond: number, memory: SharedArrayBuffer) {
    this.#nsPerByte = 1e9 / bytesPerSecond
    this.#due = new BigInt64Array(memory)
  }

  spend(bytes: number, nowMs: number): number {
    const now = BigInt(Math.round(nowMs * 1e6))
    const cost = BigInt(Math.round(bytes * this.#nsPerByte))
    for (;;) {
      const seen = Atomics.load(this.#due, 0)
      const due = (seen > now ? seen : now) + cost
      if (Atomics.compareExchange(this.#due, 0, seen, due) === seen) {
        return Math.max(0, Number(due - now) / 1e6 - burstMs)
      }
    }
  }
}
