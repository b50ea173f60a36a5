/**
 * What all threads know of a rule's targets: whose turn it is, which lately failed, how many connections each
 * carries. relay/pick.ts decides; this brings its state in from shared memory and takes it back, under a short lock.
 */
import type { TargetState, Targets } from '../../../relay/pick.ts'

/** Targets of a lease that are told apart over all its revisions; those beyond are known to each thread alone. */
export const mostTargets = 64

const slotDoubles = 5
const at = { turn: 0, ejectedUntil: 1, failures: 2, down: 3, good: 4 } as const
/** The first double is the lock. */
const head = 1

export class TargetHealth {
  readonly #lock: Int32Array
  readonly #doubles: Float64Array
  readonly #thread: number
  readonly #threads: number

  static allocate(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer((head + mostTargets * (slotDoubles + threads)) * 8)
  }

  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#lock = new Int32Array(memory, 0, 2)
    this.#doubles = new Float64Array(memory)
    this.#thread = thread
    this.#threads = (this.#doubles.length - head) / mostTargets - slotDoubles
  }

  /** @param slots of each target of this revision; −1 has none. */
  order(
    targets: Targets,
    slots: readonly number[],
    source: string,
    nowMs: number,
    name: string | null,
  ): readonly TargetState[] {
    return this.#turn(targets, slots, () => targets.order(source, nowMs, name))
  }

  /** As `Targets.again`. */
  again(
    targets: Targets,
    slots: readonly number[],
    order: readonly TargetState[],
    from: number,
    source: string,
    nowMs: number,
  ): void {
    this.#turn(targets, slots, () => targets.again(order, from, source, nowMs))
  }

  #turn<T>(targets: Targets, slots: readonly number[], take: () => T): T {
    this.#take()
    try {
      targets.states.forEach((state, index) => this.#bringIn(state, slots[index] ?? -1))
      const taken = take()
      targets.states.forEach(({ turn }, index) => this.#set(slots[index] ?? -1, at.turn, turn))
      return taken
    } finally {
      this.#give()
    }
  }

  #bringIn(state: TargetState, slot: number): void {
    if (slot === -1) return
    const from = this.#of(slot)
    state.turn = this.#doubles[from + at.turn] as number
    state.ejectedUntil = this.#doubles[from + at.ejectedUntil] as number
    state.failures = this.#doubles[from + at.failures] as number
    state.up = this.#doubles[from + at.down] === 0
    state.open = 0
    for (let thread = 0; thread < this.#threads; thread++)
      state.open += this.#doubles[from + slotDoubles + thread] as number
  }

  failed(state: TargetState, slot: number, nowMs: number): void {
    if (slot !== -1) this.#bringIn(state, slot)
    state.failed(nowMs)
    this.#set(slot, at.ejectedUntil, state.ejectedUntil)
    this.#set(slot, at.failures, state.failures)
  }

  succeeded(state: TargetState, slot: number): void {
    const failures = slot === -1 ? state.failures : this.#doubles[this.#of(slot) + at.failures]
    if (failures === 0) return
    state.succeeded()
    this.#set(slot, at.ejectedUntil, 0)
    this.#set(slot, at.failures, 0)
  }

  /** `TargetState.good`, as any thread has found it. */
  good(state: TargetState, slot: number): number {
    return slot === -1 ? state.good : (this.#doubles[this.#of(slot) + at.good] as number)
  }

  found(state: TargetState, slot: number, good: number): void {
    state.good = good
    this.#set(slot, at.good, good)
  }

  /** One more (or less) is carried there by this thread. */
  carries(state: TargetState, slot: number, change: 1 | -1): void {
    if (slot === -1) state.open += change
    else this.#doubles[this.#of(slot) + slotDoubles + this.#thread]! += change
  }

  /** What an active check found. */
  check(slot: number, up: boolean): void {
    this.#set(slot, at.down, up ? 0 : 1)
  }

  /** Another target gets the slot, or the thread that counted here is gone. */
  clear(slot: number): void {
    this.#doubles.fill(0, this.#of(slot), this.#of(slot + 1))
  }

  forgetThread(): void {
    for (let slot = 0; slot < mostTargets; slot++)
      this.#doubles[this.#of(slot) + slotDoubles + this.#thread] = 0
  }

  #of(slot: number): number {
    return head + slot * (slotDoubles + this.#threads)
  }

  #set(slot: number, field: number, value: number): void {
    if (slot !== -1) this.#doubles[this.#of(slot) + field] = value
  }

  /** Held for microseconds. Whose holder died is taken over: at worst one turn is taken twice. */
  #take(): void {
    for (let tries = 0; Atomics.compareExchange(this.#lock, 0, 0, 1) !== 0; tries++) {
      if (tries > 20_000) return
      if (tries > 1000) Atomics.wait(this.#lock, 1, 0, 0.01)
    }
  }

  #give(): void {
    Atomics.store(this.#lock, 0, 0)
  }
}
