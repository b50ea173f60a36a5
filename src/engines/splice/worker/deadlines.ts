/**
 * Who waits for what time. Each length of time has its own queue, in which the first to come is the first to expire,
 * so that setting, moving and dropping a deadline are a few pointer writes however many there are.
 */
export interface Timed {
  onDeadline(): void
}

/** Beyond so many lengths of time those that nobody waits for are forgotten. */
const mostQueues = 64

/** One deadline that may be set, moved and dropped. */
export class Deadline {
  readonly owner: Timed
  at = 0
  queue: Queue | null = null
  before: Deadline | null = null
  after: Deadline | null = null

  constructor(owner: Timed) {
    this.owner = owner
  }

  get set(): boolean {
    return this.queue !== null
  }
}

class Queue {
  readonly ms: number
  first: Deadline | null = null
  last: Deadline | null = null

  constructor(ms: number) {
    this.ms = ms
  }

  append(deadline: Deadline): void {
    deadline.queue = this
    deadline.before = this.last
    deadline.after = null
    if (this.last) this.last.after = deadline
    else this.first = deadline
    this.last = deadline
  }

  take(deadline: Deadline): void {
    if (deadline.before) deadline.before.after = deadline.after
    else this.first = deadline.after
    if (deadline.after) deadline.after.before = deadline.before
    else this.last = deadline.before
    deadline.queue = null
    deadline.before = null
    deadline.after = null
  }
}

export class Deadlines {
  readonly #byLength = new Map<number, Queue>()
  /** The same, to walk: each turn of the loop does, twice. */
  #queues: Queue[] = []

  /** Sets or moves `deadline` to `ms` from `now`. Lengths are rounded up to a few hundred different ones. */
  arm(deadline: Deadline, ms: number, now: number): void {
    const length = rounded(ms)
    if (deadline.queue?.ms !== length) {
      this.drop(deadline)
      this.#queueOf(length).append(deadline)
    } else if (deadline.queue.last !== deadline) {
      const { queue } = deadline
      queue.take(deadline)
      queue.append(deadline)
    }
    deadline.at = now + length
  }

  drop(deadline: Deadline): void {
    deadline.queue?.take(deadline)
  }

  /** Milliseconds until the next one expires, at most `longest`; whole ones unless it is less than one. */
  untilNext(now: number, longest: number): number {
    let next = longest
    for (const { first } of this.#queues) if (first) next = Math.min(next, first.at - now)
    return next < 1 ? Math.max(0, next) : Math.ceil(next)
  }

  /** Tells every owner whose time has come. */
  expire(now: number): void {
    for (const queue of this.#queues) {
      for (let { first } = queue; first && first.at <= now; { first } = queue) {
        queue.take(first)
        first.owner.onDeadline()
      }
    }
    if (this.#queues.length > mostQueues) this.#forgetEmpty()
  }

  #queueOf(ms: number): Queue {
    let queue = this.#byLength.get(ms)
    if (!queue) {
      this.#byLength.set(ms, (queue = new Queue(ms)))
      this.#queues.push(queue)
    }
    return queue
  }

  #forgetEmpty(): void {
    for (const { first, ms } of this.#queues) if (!first) this.#byLength.delete(ms)
    this.#queues = [...this.#byLength.values()]
  }
}

/** Up to the next of 16 steps a power of two: 1000 → 1024, 1025 → 1088; below 1 in sixteenths. */
function rounded(ms: number): number {
  if (ms < 1) return Math.ceil(ms * 16) / 16
  if (ms <= 16) return Math.max(1, Math.ceil(ms))
  const step = ms < 2 ** 31 ? 1 << (27 - Math.clz32(ms)) : 2 ** (Math.floor(Math.log2(ms)) - 4)
  return Math.ceil(ms / step) * step
}
