/**
 * Keeps the process out of the corner where it has no file descriptors left: there libuv takes clients only to hang
 * up on them. While few are free the greediest rule stops accepting, near the end all do, and they go on by
 * themselves once there is room. Costs a comparison a connection.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { systemClock, type Clock } from '../base/clock.ts'
import { errnoOf } from '../base/errors.ts'

/** A rule, as far as it takes descriptors. */
export interface DescriptorUser {
  /** Descriptors that its connections hold. */
  readonly held: number
  pause(): void
  resume(): void
}

export interface DescriptorOptions {
  /** Most descriptors this process may have. @default what the system says; no limit on Windows */
  readonly limit?: number
  /** How many it has. @default counted in /proc/self/fd or /dev/fd */
  readonly count?: () => number
  readonly clock?: Clock
}

/** How often those who wait are looked after, and the process's own count is taken anew when it gets tight. */
const lookEveryMs = 200

export class Descriptors {
  readonly limit: number
  readonly #count: () => number
  readonly #clock: Clock
  /** Below this many free ones the greediest user pauses. */
  readonly #reserve: number
  readonly #users = new Set<DescriptorUser>()
  readonly #paused = new Set<DescriptorUser>()
  /** Taken by rules, as they report it. */
  #held = 0
  /** Taken by everything else. */
  #others: number
  #countedAt = Number.NEGATIVE_INFINITY
  #look: Disposable | null = null

  constructor({
    limit = descriptorLimit(),
    count = countDescriptors,
    clock = systemClock,
  }: DescriptorOptions = {}) {
    this.limit = limit
    this.#count = count
    this.#clock = clock
    this.#reserve = Math.min(Math.max(Math.floor(limit / 10), 8), 512)
    this.#others = 0
    this.#recount()
  }

  get free(): number {
    return this.limit - this.#held - this.#others
  }

  register(user: DescriptorUser): Disposable {
    this.#users.add(user)
    return {
      [Symbol.dispose]: () => {
        this.#users.delete(user)
        this.#paused.delete(user)
      },
    }
  }

  took(count: number): void {
    this.#held += count
    if (this.free < this.#reserve * 2) this.#tighten()
  }

  /**
   * The system gives the lowest number that is free, so all below it are taken, also by those who report nothing
   * here. Cheap: no look at the system.
   */
  given(number: number): void {
    if (number + 1 - this.#held > this.#others) this.#others = number + 1 - this.#held
  }

  gave(count: number): void {
    this.#held -= count
  }

  /** EMFILE or ENFILE was met all the same: someone else, maybe of another process, took the last. */
  exhausted(): void {
    for (const user of this.#users) if (!this.#paused.has(user)) this.#pause(user)
  }

  #tighten(): void {
    if (this.#clock.monotonic() - this.#countedAt > lookEveryMs) this.#recount()
    if (this.free >= this.#reserve) return
    const active = [...this.#users].filter((user) => !this.#paused.has(user))
    if (this.free < this.#reserve / 2) active.forEach((user) => this.#pause(user))
    else if (this.#paused.size === 0) {
      const greediest = active.sort((a, b) => b.held - a.held)[0]
      if (greediest) this.#pause(greediest)
    }
  }

  #pause(user: DescriptorUser): void {
    this.#paused.add(user)
    user.pause()
    this.#look ??= this.#clock.every(lookEveryMs, () => this.#resumeWhereRoom())
  }

  /** The most modest first, and one at a time, so that they do not all rush in. */
  #resumeWhereRoom(): void {
    this.#recount()
    const waiting = [...this.#paused].sort((a, b) => a.held - b.held)[0]
    // With half the reserve to spare only the modest go on; the greediest waits for more.
    const enough = this.#paused.size === 1 ? this.#reserve * 1.5 : this.#reserve
    if (waiting && this.free >= enough) {
      this.#paused.delete(waiting)
      waiting.resume()
    }
    if (this.#paused.size > 0) return
    this.#look?.[Symbol.dispose]()
    this.#look = null
  }

  #recount(): void {
    if (this.limit === Number.POSITIVE_INFINITY) return
    this.#countedAt = this.#clock.monotonic()
    this.#others = Math.max(0, this.#count() - this.#held)
  }
}

/** What it was when it could last be asked: asking takes a descriptor. */
let lastKnown = Number.POSITIVE_INFINITY

/** The soft limit; Node has raised it to the hard one when it started. */
export function descriptorLimit(): number {
  lastKnown = readLimit() ?? lastKnown
  return lastKnown
}

/** Null where it cannot be asked now. */
function readLimit(): number | null {
  try {
    if (process.platform === 'linux') {
      const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
      return line ? Number(line[1]) : Number.POSITIVE_INFINITY
    }
    if (process.platform === 'win32') return Number.POSITIVE_INFINITY
    const { userLimits } = process.report.getReport() as unknown as {
      userLimits?: { open_files?: { soft?: number | string } }
    }
    const soft = Number(userLimits?.open_files?.soft)
    return soft > 0 ? soft : Number.POSITIVE_INFINITY
  } catch {
    return null
  }
}

/** @param folder has an entry for each; without it (a sandbox without /proc) what `given` and `took` tell is all that is known. */
export function countDescriptors(
  folder = process.platform === 'linux' ? '/proc/self/fd' : '/dev/fd',
): number {
  try {
    return readdirSync(folder).length
  } catch (error) {
    // The listing itself needs one.
    return ['EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '') ? Number.MAX_SAFE_INTEGER : 0
  }
}
