/**
 * Rules that lead to each other would carry a client round and round until descriptors run out. Whoever comes in from a
 * port that a dial of ours leaves from has come through us before: how often is noted by that port, in memory that all
 * threads share. Names, NAT and other rules in between hide nothing from it. A stranger who has the same port elsewhere
 * looks like it, which matters only beyond more crossings than anybody builds.
 */

/** Who has so many crossings behind it goes round. */
export const mostCrossings = 8

const ports = 65_536
const mostThreads = 256
const wordsApart = 16
const [placesAt, dialsAt] = [2 * ports, 2 * ports + 64]

/** @returns memory for both protocols. */
export function allocateDials(): SharedArrayBuffer {
  return new SharedArrayBuffer(dialsAt + mostThreads * wordsApart * 4)
}

/** This process has one for all its engines. */
export const dialsOfProcess = allocateDials()

const free: number[] = []
let given = 0

/** A place for a thread; 0 is the main one's. Those beyond the last share it, and a circle there goes further round. */
export function takePlace(): number {
  return free.pop() ?? Math.min(++given, mostThreads - 1)
}

/** A thread that died may have done so within a dial. */
export function givePlace(place: number): void {
  Atomics.store(new Int32Array(dialsOfProcess, dialsAt), place * wordsApart, 0)
  free.push(place)
}

/** UDP's: who is sent to hears of it after it was noted. */
export class OwnDials {
  /** Those of this process, for who is on its main thread. */
  static readonly udp = new OwnDials()
  readonly #crossings: Uint8Array

  constructor(memory = dialsOfProcess, protocol: 'tcp' | 'udp' = 'udp') {
    this.#crossings = new Uint8Array(memory, protocol === 'tcp' ? 0 : ports, ports)
  }

  /** How many crossings of ours lie behind a client from `port`: none, for nearly all. */
  behind(port: number): number {
    return this.#crossings[port] as number
  }

  /** A dial leaves from `port`, for a client with `behind` crossings. */
  leaves(port: number, behind: number): void {
    this.#crossings[port] = behind + 1
  }

  /** That one is over. */
  ended(port: number): void {
    this.#crossings[port] = 0
  }
}

/**
 * TCP's, as one thread makes and sees them. On this machine a dial is through before its own thread hears of it, and
 * another may have taken it by then: what is being dialled is told beforehand.
 */
export class OwnStreamDials {
  /** Those of this process, for who is on its main thread. */
  static readonly main = new OwnStreamDials()
  readonly #noted: OwnDials
  /** How many places there are. */
  readonly #places: Int32Array
  /** By place, so far apart that no two threads write to one cache line. */
  readonly #underWay: Int32Array
  readonly #own: number

  /** @param place of this thread alone */
  constructor(memory = dialsOfProcess, place = 0) {
    this.#noted = new OwnDials(memory, 'tcp')
    this.#places = new Int32Array(memory, placesAt, 1)
    this.#underWay = new Int32Array(memory, dialsAt)
    this.#own = place * wordsApart
    for (let had = this.#count; had <= place; had = this.#count)
      Atomics.compareExchange(this.#places, 0, had, place + 1)
  }

  get #count(): number {
    return Atomics.load(this.#places, 0)
  }

  /** How many crossings of ours lie behind a client from `port` that came in at `listen`: none, for nearly all. */
  behind(port: number, listen: number): number {
    // In this order: whoever is under way no more has been noted.
    const underWay = this.#behindDialTo(listen)
    return this.#noted.behind(port) || underWay
  }

  #behindDialTo(listen: number): number {
    const end = this.#count * wordsApart
    let behind = 0
    for (let at = 0; at < end; at += wordsApart) {
      const dial = Atomics.load(this.#underWay, at)
      if (dial !== 0 && (dial & 0xffff) === listen) behind = Math.max(behind, dial >>> 16)
    }
    return behind
  }

  /** This thread is about to dial `to`, for a client with `behind` crossings; `leaves` or `fails` follows at once. */
  begins(to: number, behind: number): void {
    Atomics.store(this.#underWay, this.#own, ((behind + 1) << 16) | to)
  }

  /** The dial leaves from `port`. */
  leaves(port: number, behind: number): void {
    this.#noted.leaves(port, behind)
    Atomics.store(this.#underWay, this.#own, 0)
  }

  fails(): void {
    Atomics.store(this.#underWay, this.#own, 0)
  }

  /** The one from `port` is over. */
  ended(port: number): void {
    this.#noted.ended(port)
  }
}
