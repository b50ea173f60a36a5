/**
 * Rules that lead to each other would carry a client round and round until descriptors run out. Whoever comes in from a
 * port that a dial of ours leaves from has come through us before: how often is noted by that port, in memory that all
 * threads share. Names, NAT and other rules in between hide nothing from it. A stranger who has the same port elsewhere
 * looks like it, which matters only beyond more crossings than anybody builds; and who builds them on purpose, to have
 * others with such ports turned away, has to go on doing so: a TCP dial comes round at once or never.
 */

/** Who has so many crossings behind it goes round. */
export const mostCrossings = 8

/** A dial that was made longer ago is not what comes in now, s: twice what `timeouts.connect` is where nobody says it. */
const comesRoundWithin = 10

const ports = 65_536
const mostThreads = 256
const wordsApart = 16
/** UDP's crossings, TCP's with the time of each in its upper bits, how many places there are, and the dials under way. */
const [streamsAt, placesAt, dialsAt] = [ports, 3 * ports, 3 * ports + 64]
const crossingBits = 4
const mostSeconds = 2 ** (16 - crossingBits) - 1

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

  constructor(memory = dialsOfProcess) {
    this.#crossings = new Uint8Array(memory, 0, ports)
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
  /** Crossings, and above them the second of the dial. */
  readonly #noted: Uint16Array
  readonly #seconds: () => number
  /** How many places there are. */
  readonly #places: Int32Array
  /** By place, so far apart that no two threads write to one cache line. */
  readonly #underWay: Int32Array
  readonly #own: number

  /** @param place of this thread alone. @param seconds a clock that all threads have alike */
  constructor(memory = dialsOfProcess, place = 0, seconds = () => process.hrtime()[0]) {
    this.#noted = new Uint16Array(memory, streamsAt, ports)
    this.#seconds = seconds
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
    return this.#behindDialFrom(port) || underWay
  }

  #behindDialFrom(port: number): number {
    const noted = this.#noted[port] as number
    if (noted === 0) return 0
    const age = (this.#seconds() - (noted >> crossingBits)) & mostSeconds
    return age > comesRoundWithin ? 0 : noted & (2 ** crossingBits - 1)
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
    const second = this.#seconds() & mostSeconds
    this.#noted[port] = (second << crossingBits) | Math.min(behind + 1, mostCrossings)
    Atomics.store(this.#underWay, this.#own, 0)
  }

  fails(): void {
    Atomics.store(this.#underWay, this.#own, 0)
  }

  /** The one from `port` is over. */
  ended(port: number): void {
    this.#noted[port] = 0
  }
}
