/**
 * How many connections a rule has, in all and by source, and how fast new ones come. One truth a rule: a plain
 * object where one thread carries it, shared memory where several do.
 */
import type { CloseReason } from '../model/connection.ts'
import type { Limits } from '../model/rule.ts'

export type CountLimits = Pick<Limits, 'connections' | 'perSource' | 'newPerSecond'>
export type LimitReason = Extract<CloseReason, 'limit-connections' | 'limit-source' | 'limit-rate'>

export interface Tally {
  /**
   * Counts one more for `source` (a `sourceKey`), or says which limit stands in the way and counts nothing.
   * @param nowMs milliseconds that only go forward, the same clock in every thread (`process.hrtime`).
   */
  take(source: string, limits: CountLimits, nowMs: number): LimitReason | null
  /** Once for each `take` that was let in. */
  release(source: string): void
  readonly open: number
}

/**
 * The generic cell rate algorithm: `due` is when the next would be due at an even pace; a whole second's worth may
 * come at once. @returns the new `due`, or null where it comes too soon.
 */
function nextDue(due: number, perSecond: number, nowMs: number): number | null {
  const interval = 1000 / perSecond
  const from = Math.max(due, nowMs)
  return from - nowMs > 1000 - interval + 1e-6 ? null : from + interval
}

export class LocalTally implements Tally {
  open = 0
  #due = 0
  readonly #bySource = new Map<string, number>()

  take(source: string, limits: CountLimits, nowMs: number): LimitReason | null {
    const here = this.#bySource.get(source) ?? 0
    if (limits.connections !== null && this.open >= limits.connections) return 'limit-connections'
    if (limits.perSource !== null && here >= limits.perSource) return 'limit-source'
    if (limits.newPerSecond !== null) {
      const due = nextDue(this.#due, limits.newPerSecond, nowMs)
      if (due === null) return 'limit-rate'
      this.#due = due
    }
    this.open++
    this.#bySource.set(source, here + 1)
    return null
  }

  release(source: string): void {
    this.open--
    const left = (this.#bySource.get(source) ?? 1) - 1
    if (left > 0) this.#bySource.set(source, left)
    else this.#bySource.delete(source)
  }
}

/**
 * Word 0 is the lock, 1 the open connections, 2 the slots in use, 6 and 7 the hashes' seed; bytes 16–23 hold `due`; slots
 * follow, and then the counts of the crowd.
 */
const headWords = 8
const seedAt = 6
/** What the lock's word says: somebody holds it, and somebody sleeps until it is given back. */
const [free, held, awaited] = [0, 1, 2]
/** Two words of hash and a count. */
const slotWords = 3
/** Of the slots; beyond it a search takes long. */
const mostLoad = 0.75

/**
 * The same in shared memory, under a lock that is held for well under a microsecond. Sources are kept as 64-bit
 * hashes in an open-addressed table. While that is full, further ones share the counts of a crowd, some sources each: a
 * flood of sources (an IPv6 /48 has 65,536) keeps nobody out by itself. The hashes have a seed of their own in each table,
 * so that nobody can choose sources that meet.
 */
export class SharedTally implements Tally {
  readonly #words: Int32Array
  readonly #due: Float64Array
  readonly #mask: number
  readonly #crowdAt: number
  readonly #crowdMask: number

  /**
   * Memory that may grow comes straight from the system, which gives a page once something is written there; what does
   * not comes from malloc, which may hand out used pages and write zeros over all of them: 190 kB a rule in place of 4.
   * @param slots three quarters of them are sources to tell apart at once; rounded up to a power of two. 13 bytes each.
   */
  static allocate(slots = 16_384): SharedArrayBuffer {
    const all = 2 ** Math.ceil(Math.log2(Math.max(slots, 4)))
    const bytes = (headWords + all * slotWords + all / 4) * 4
    const memory = new SharedArrayBuffer(bytes, { maxByteLength: bytes })
    // Not into shared memory itself, which getRandomValues does not take.
    new Int32Array(memory).set(crypto.getRandomValues(new Int32Array(2)), seedAt)
    return memory
  }

  constructor(memory: SharedArrayBuffer) {
    // With a length: one that follows the memory's is slower to read.
    this.#words = new Int32Array(memory, 0, memory.byteLength / 4)
    this.#due = new Float64Array(memory, 16, 1)
    const slots = (this.#words.length - headWords) / (slotWords + 1 / 4)
    this.#mask = slots - 1
    this.#crowdAt = headWords + slots * slotWords
    this.#crowdMask = slots / 4 - 1
  }

  get open(): number {
    return Atomics.load(this.#words, 1)
  }

  take(source: string, limits: CountLimits, nowMs: number): LimitReason | null {
    const [high, low] = this.#hash(source)
    this.#lock()
    try {
      return this.#take(high, low, limits, nowMs)
    } finally {
      this.#unlock()
    }
  }

  release(source: string): void {
    const [high, low] = this.#hash(source)
    this.#lock()
    try {
      const words = this.#words
      words[1] = (words[1] as number) - 1
      const slot = this.#find(high, low)
      const count = words[slot + 2] as number
      const crowd = this.#crowdOf(high)
      if (count > 1) words[slot + 2] = count - 1
      else if (count === 1) this.#remove(slot)
      else if ((words[crowd] as number) > 0) words[crowd] = (words[crowd] as number) - 1
    } finally {
      this.#unlock()
    }
  }

  #take(high: number, low: number, limits: CountLimits, nowMs: number): LimitReason | null {
    const words = this.#words
    const slot = this.#find(high, low)
    // Some slots always stay empty, so that a search ends, and soon.
    const full = words[slot + 2] === 0 && (words[2] as number) >= mostLoad * (this.#mask + 1)
    const count = full ? this.#crowdOf(high) : slot + 2
    const here = words[count] as number
    if (limits.connections !== null && (words[1] as number) >= limits.connections) return 'limit-connections'
    if (limits.perSource !== null && here >= limits.perSource) return 'limit-source'
    if (limits.newPerSecond !== null) {
      const due = nextDue(this.#due[0] as number, limits.newPerSecond, nowMs)
      if (due === null) return 'limit-rate'
      this.#due[0] = due
    }
    words[1] = (words[1] as number) + 1
    words[count] = here + 1
    if (full || here > 0) return null
    words[2] = (words[2] as number) + 1
    words[slot] = high
    words[slot + 1] = low
    return null
  }

  /** Where those are counted that a full table has no slot for. */
  #crowdOf(high: number): number {
    return this.#crowdAt + ((high ^ (high >>> 16)) & this.#crowdMask)
  }

  /** Two 32-bit hashes of an address's text, after FNV-1a. */
  #hash(text: string): readonly [high: number, low: number] {
    let high = this.#words[seedAt] as number
    let low = this.#words[seedAt + 1] as number
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      high = Math.imul(high ^ code, 0x9e3779b1)
      high ^= high >>> 13
      low = Math.imul(low ^ code, 0x85ebca6b)
      low ^= low >>> 15
    }
    return [high, low]
  }

  /** Index of the source's slot, or of the empty one where it would go. */
  #find(high: number, low: number): number {
    let at = low & this.#mask
    for (;;) {
      const slot = headWords + at * slotWords
      if (this.#words[slot + 2] === 0) return slot
      if (this.#words[slot] === high && this.#words[slot + 1] === low) return slot
      at = (at + 1) & this.#mask
    }
  }

  /** Empties a slot and moves back those that had been pushed past it (Knuth, volume 3, 6.4, algorithm R). */
  #remove(slot: number): void {
    const words = this.#words
    words[2] = (words[2] as number) - 1
    let hole = (slot - headWords) / slotWords
    for (let at = (hole + 1) & this.#mask; ; at = (at + 1) & this.#mask) {
      const from = headWords + at * slotWords
      if (words[from + 2] === 0) break
      const home = (words[from + 1] as number) & this.#mask
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue
      words.copyWithin(headWords + hole * slotWords, from, from + slotWords)
      hole = at
    }
    const emptied = headWords + hole * slotWords
    words[emptied] = words[emptied + 1] = words[emptied + 2] = 0
  }

  /** A thread that was ended while it held the lock must not stop the rest: after 100 ms it is taken over. */
  #lock(): void {
    for (let tries = 0; Atomics.compareExchange(this.#words, 0, free, held) !== free; tries++) {
      if (tries < 1000) continue
      if (tries > 1100) return
      if (Atomics.compareExchange(this.#words, 0, held, awaited) !== free)
        Atomics.wait(this.#words, 0, awaited, 1)
    }
  }

  #unlock(): void {
    // Nobody is woken where nobody sleeps: that call costs more than all the rest.
    if (Atomics.exchange(this.#words, 0, free) === awaited) Atomics.notify(this.#words, 0, 1)
  }
}
