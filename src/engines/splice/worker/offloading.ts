/**
 * UDP sessions of a thread that are busy enough to be carried by the kernel alone (linux/bpf): their
 * datagrams pass no socket of ours. A relayed round trip takes the relay 9 to 11 µs, an offloaded one less than one
 * (docs/performance.md). What came to the session before is sent on first. Where a route changes, or somebody else begins
 * to filter, the session takes all of them back at the next look.
 */
import { sameWay, type Way } from '../../../linux/bpf/ways.ts'
import {
  Flows,
  type OffloadedPair,
  type CarriedPair,
  type Ends,
  type Pair,
  type Share,
} from '../../../linux/bpf/flows.ts'
import { Deadline, type Timed } from './deadlines.ts'
import type { Loop } from './loop.ts'

const lookEveryMs = 500
/** So long is a session that the kernel cannot carry not offered again, ms; and one whose own sending was refused. */
const [restMs, refusedRestMs] = [3000, 60_000]

export interface Offloadable {
  /** From now on it tells which datagrams came to it: `came`. @returns whether it can. */
  tellNumbers(): boolean
  /** Null where it cannot be told in addresses alone. */
  pair(): Pair | null
  /** One more is, or one less. */
  offloaded(by: 1 | -1): void
  /** So much was carried since it was told last. */
  carried(there: OffloadedPair, back: OffloadedPair): void
}

interface Offloaded {
  readonly pair: CarriedPair
  readonly told: Pair
  readonly ways: Ends<Way>
  /** Of each way, the number of the last datagram that came in this turn; 0 where none did. */
  readonly came: { there: number; back: number }
}

export class Offloading implements Timed {
  readonly #loop: Loop
  readonly #ask: () => void
  readonly #hold: (device: number) => void
  readonly #look = new Deadline(this)
  readonly #sessions = new Map<Offloadable, Offloaded>()
  readonly #restUntil = new WeakMap<Offloadable, number>()
  /** Those to which datagrams came in this turn. */
  #heard: Offloaded[] = []
  #flows: Flows | null = null
  #state: 'unasked' | 'asked' | 'told' = 'unasked'

  /** @param ask asks for a share, which `told` brings. @param hold for the program to be on a device. */
  constructor(loop: Loop, ask: () => void, hold: (device: number) => void) {
    this.#loop = loop
    this.#ask = ask
    this.#hold = hold
  }

  /** @param share null where this machine cannot. */
  told(share: Share | null): void {
    this.#state = 'told'
    this.#flows = share && new Flows(share, this.#hold)
  }

  /** The session is busy. */
  offer(session: Offloadable): void {
    if (this.#state === 'unasked') {
      this.#state = 'asked'
      this.#ask()
    }
    if (!this.#flows || this.#sessions.has(session)) return
    if (this.#loop.now < (this.#restUntil.get(session) ?? 0)) return
    const told = session.pair()
    if (this.#sessions.size === 0) this.#beat()
    const ways = told && this.#flows.ways(told, 'relay', this.#loop.now)
    const may = ways && !this.#flows.isRewritten(told) && session.tellNumbers()
    const pair = may && this.#flows.carry(told, ways, 'relay')
    if (!told || !pair) return this.#rest(session, restMs)
    session.offloaded(1)
    this.#sessions.set(session, { pair, told, ways, came: { there: 0, back: 0 } })
  }

  /** A datagram of that number came to the session; it is sent on before the turn ends. */
  came(session: Offloadable, way: 'there' | 'back', number: number): void {
    const offloaded = this.#sessions.get(session)
    if (!offloaded || number === 0) return
    const { came } = offloaded
    if (came.there === 0 && came.back === 0) this.#heard.push(offloaded)
    came[way] = number
  }

  /** All that came in this turn has been sent on. */
  sentOn(): void {
    if (this.#heard.length === 0) return
    for (const { pair, came } of this.#heard)
      for (const way of ['there', 'back'] as const) {
        if (came[way] !== 0) pair.sentOn(way, came[way])
        came[way] = 0
      }
    this.#heard = []
  }

  /** The session gets all its datagrams itself from now on. */
  takeBack(session: Offloadable): void {
    const offloaded = this.#sessions.get(session)
    if (!offloaded) return
    this.#sessions.delete(session)
    offloaded.came.there = offloaded.came.back = 0
    session.offloaded(-1)
    const { there, back } = offloaded.pair.close()
    session.carried(there, back)
  }

  /** What the session itself sends is refused: the kernel is not to send it either. */
  refused(session: Offloadable): void {
    if (!this.#sessions.has(session)) return
    this.#rest(session, refusedRestMs)
    this.takeBack(session)
  }

  onDeadline(): void {
    for (const [session, offloaded] of this.#sessions) this.#lookAt(session, offloaded)
    if (this.#sessions.size > 0) this.#beat()
  }

  #beat(): void {
    this.#flows?.beat()
    this.#loop.deadlines.arm(this.#look, lookEveryMs, this.#loop.now)
  }

  #lookAt(session: Offloadable, offloaded: Offloaded): void {
    const carried = offloaded.pair.look()
    session.carried(carried.there, carried.back)
    if (!this.#leavesAs(offloaded)) this.takeBack(session)
  }

  #rest(session: Offloadable, ms: number): void {
    this.#restUntil.set(session, this.#loop.now + ms)
  }

  /** Routes and neighbours are as they were, and nobody else has a say. */
  #leavesAs({ told, ways }: Offloaded): boolean {
    const now = this.#flows?.ways(told, 'relay', this.#loop.now)
    return now ? sameWay(now.there, ways.there) && sameWay(now.back, ways.back) : false
  }
}
