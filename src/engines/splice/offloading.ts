/**
 * UDP sessions of a thread that are busy enough to be carried by the kernel alone (host/linux/offload): their
 * datagrams pass no socket of ours. A relayed round trip takes the relay 9 to 11 µs, an offloaded one less than one
 * (docs/performance.md). A datagram a second comes to the session all the same; where none does while the kernel goes
 * on carrying, somebody's filter holds them up, and the session takes all of them back.
 */
import { sameWay, type Way } from '../../host/linux/offload/ways.ts'
import {
  Flows,
  type Carried,
  type CarriedPair,
  type Ends,
  type Pair,
  type Share,
} from '../../host/linux/offload/flows.ts'
import { Deadline, type Timed } from './deadlines.ts'
import type { Loop } from './loop.ts'

const lookEveryMs = 500
/** So long may the kernel carry one way without a datagram the ordinary way, ms. */
const mostSilentMs = 3000
/** So long is a session that was taken back not offered again, ms. */
const restMs = 60_000

export interface Offloadable {
  /** Datagrams that came to the session so far. */
  readonly came: Ways
  /** Null where it cannot be told in addresses alone. */
  pair(): Pair | null
  /** One more is, or one less. */
  offloaded(by: 1 | -1): void
  /** So much was carried since it was told last. */
  carried(there: Carried, back: Carried): void
}

/** From the client, and from the target. */
export interface Ways {
  there: number
  back: number
}

interface Offloaded {
  readonly pair: CarriedPair
  readonly told: Pair
  readonly ways: Ends<Way>
  /** `came` as of the last look, and how long it did not move while the kernel carried, ms. */
  readonly came: Ways
  readonly silentMs: Ways
}

export class Offloading implements Timed {
  readonly #loop: Loop
  readonly #ask: () => void
  readonly #hold: (device: number) => void
  readonly #look = new Deadline(this)
  readonly #sessions = new Map<Offloadable, Offloaded>()
  readonly #restUntil = new WeakMap<Offloadable, number>()
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
    const pair = ways && this.#flows.carry(told, ways, 'relay')
    if (!told || !pair) return this.#rest(session)
    const came = { ...session.came }
    session.offloaded(1)
    this.#sessions.set(session, { pair, told, ways, came, silentMs: { there: 0, back: 0 } })
  }

  /** The session gets all its datagrams itself from now on. */
  takeBack(session: Offloadable): void {
    const offloaded = this.#sessions.get(session)
    if (!offloaded) return
    this.#sessions.delete(session)
    session.offloaded(-1)
    const { there, back } = offloaded.pair.close()
    session.carried(there, back)
  }

  /** What the session itself sends is refused: the kernel is not to send it either. */
  refused(session: Offloadable): void {
    if (!this.#sessions.has(session)) return
    this.#rest(session)
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
    const { pair, came, silentMs } = offloaded
    const carried = pair.look()
    let silent = false
    for (const way of ['there', 'back'] as const) {
      const heldUp = carried[way].packets > 0 && session.came[way] === came[way]
      silentMs[way] = heldUp ? silentMs[way] + lookEveryMs : 0
      came[way] = session.came[way]
      silent ||= silentMs[way] > mostSilentMs
    }
    session.carried(carried.there, carried.back)
    if (!silent && this.#leavesAs(offloaded)) return
    if (silent) this.refused(session)
    else this.takeBack(session)
  }

  #rest(session: Offloadable): void {
    this.#restUntil.set(session, this.#loop.now + restMs)
  }

  /** Routes and neighbours are as they were. */
  #leavesAs({ told, ways }: Offloaded): boolean {
    const now = this.#flows?.ways(told, 'relay', this.#loop.now)
    return now ? sameWay(now.there, ways.there) && sameWay(now.back, ways.back) : false
  }
}
