/**
 * A rule's UDP sessions and who of them makes room for a newer one. First those that nobody has answered for a while,
 * then whoever was silent longest among those that are no conversation, or were none lately: a flood of single datagrams
 * from made-up addresses pushes out itself, and a burst of questions does not push out each other before they are
 * answered (as conntrack spares what it calls assured). Each step is O(1).
 */
import { sourceKey } from '../base/address.ts'
import type { Admission, Admitted } from './admit.ts'
import { Recency, type Linked } from './recency.ts'

/** One source may have this share of the sessions where the rule sets no limit of its own. */
const shareOfOneSource = 1 / 4
/** Who was not answered within this time may never be, ms: a name server's answer takes seconds at worst. */
const answerMs = 5000
/** A conversation that was silent for so long may be over, ms (`nf_conntrack_udp_timeout`). */
const talkingMs = 30_000

/** How far a session has come: nobody answered, somebody did, and either said more after that. */
type Rank = 0 | 1 | 2
const [asked, answered, talking]: readonly [Rank, Rank, Rank] = [0, 1, 2]

/** A session's place in the room. */
export class Seat<T> {
  readonly session: T
  readonly source: Source<T>
  /** Among all sessions, and among those of its source. */
  readonly all: Chair<T> = { seat: this, newer: null, older: null }
  readonly own: Chair<T> = { seat: this, newer: null, older: null }
  rank = asked
  usedAtMs: number

  constructor(session: T, source: Source<T>, nowMs: number) {
    this.session = session
    this.source = source
    this.usedAtMs = nowMs
  }
}

interface Chair<T> extends Linked<Chair<T>> {
  readonly seat: Seat<T>
}

/** Sessions by rank, each in the order of their last use. */
class Ranks<T> {
  readonly #byRank = [asked, answered, talking].map(() => new Recency<Chair<T>>())

  get size(): number {
    return this.#byRank.reduce((sum, { size }) => sum + size, 0)
  }

  of({ rank }: Seat<T>): Recency<Chair<T>> {
    return this.#byRank[rank] as Recency<Chair<T>>
  }

  seats(): Seat<T>[] {
    return this.#byRank.flatMap((rank) => rank.all().map(({ seat }) => seat))
  }

  /** @param anyone a conversation, too, goes where nobody else can. @param but who stays in any case. */
  first(nowMs: number, anyone: boolean, but: T | null = null): Seat<T> | null {
    const oldest = this.#byRank.map(
      (rank) => rank.findOldest(({ seat }) => seat.session !== but)?.seat ?? null,
    )
    const [unanswered, once, conversation] = oldest as [Seat<T> | null, Seat<T> | null, Seat<T> | null]
    if (unanswered && nowMs - unanswered.usedAtMs >= answerMs) return unanswered
    if (unanswered && once) return unanswered.usedAtMs < once.usedAtMs ? unanswered : once
    if (unanswered || once) return unanswered ?? once
    if (conversation && (anyone || nowMs - conversation.usedAtMs >= talkingMs)) return conversation
    return null
  }
}

interface Source<T> {
  readonly key: string
  readonly seats: Ranks<T>
}

export interface RoomOptions<T> {
  /** Most sessions, whatever the rule says. */
  readonly most: number
  /** Ends it, which leaves its seat. */
  readonly evict: (session: T) => void
}

export class Room<T> {
  readonly #options: RoomOptions<T>
  readonly #all = new Ranks<T>()
  readonly #sources = new Map<string, Source<T>>()
  size = 0

  constructor(options: RoomOptions<T>) {
    this.#options = options
  }

  /**
   * A full house is no reason to turn anyone away, as long as somebody can make room: of the rule's own limits, a
   * session that is no conversation now; where this process has no place left, anybody.
   * @param tight descriptors are short
   */
  admit(admission: Admission, address: string, nowMs: number, tight: boolean): Admitted {
    const source = this.#sources.get(sourceKey(address))
    if (admission.allows(address)) {
      if (this.size >= this.#options.most || (tight && this.size > 0)) this.makeRoom(nowMs)
      const share = Math.max(1, Math.floor(this.#options.most * shareOfOneSource))
      if (source && source.seats.size >= share) this.#evict(source.seats.first(nowMs, true))
    }
    const first = admission.admit(address, nowMs)
    if (first.ok || first.reason === 'denied' || first.reason === 'limit-rate') return first
    const seats = first.reason === 'limit-source' ? source?.seats : this.#all
    if (!this.#evict(seats?.first(nowMs, false) ?? null)) return first
    return admission.admit(address, nowMs)
  }

  take(session: T, address: string, nowMs: number): Seat<T> {
    const key = sourceKey(address)
    let source = this.#sources.get(key)
    if (!source) this.#sources.set(key, (source = { key, seats: new Ranks() }))
    const seat = new Seat(session, source, nowMs)
    this.#sit(seat)
    this.size++
    return seat
  }

  /** A datagram of the client, or of the target. */
  heard(seat: Seat<T>, from: 'client' | 'target', nowMs: number): void {
    seat.usedAtMs = nowMs
    const rank = seat.rank !== asked ? talking : from === 'target' ? answered : asked
    if (rank !== seat.rank) {
      this.#rise(seat)
      seat.rank = rank
      return this.#sit(seat)
    }
    this.#all.of(seat).used(seat.all)
    seat.source.seats.of(seat).used(seat.own)
  }

  leave(seat: Seat<T>): void {
    this.#rise(seat)
    this.size--
    if (seat.source.seats.size === 0) this.#sources.delete(seat.source.key)
  }

  /** @param but who asks for it. @returns false where there is nobody to go. */
  makeRoom(nowMs: number, but: T | null = null): boolean {
    return this.#evict(this.#all.first(nowMs, true, but))
  }

  seats(): Seat<T>[] {
    return this.#all.seats()
  }

  #sit(seat: Seat<T>): void {
    this.#all.of(seat).add(seat.all)
    seat.source.seats.of(seat).add(seat.own)
  }

  #rise(seat: Seat<T>): void {
    this.#all.of(seat).remove(seat.all)
    seat.source.seats.of(seat).remove(seat.own)
  }

  #evict(seat: Seat<T> | null): boolean {
    if (seat) this.#options.evict(seat.session)
    return seat !== null
  }
}
