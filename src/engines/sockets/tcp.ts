/**
 * A rule's streams, in order: a client comes in, is admitted or turned away with a reset, its target is dialled,
 * the two are piped. One object a rule; it lives until its last connection ends.
 */
import type { Socket } from 'node:net'
import { formatEndpoint, unmapped } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { CloseReason } from '../../model/connection.ts'
import type { Inheritance, LentSocket } from '../../model/handover-sockets.ts'
import type { Descriptors } from '../../relay/descriptors.ts'
import type { Live, Meter } from '../../relay/meter.ts'
import type { Peer } from '../../relay/proxy/header.ts'
import type { ResolveTarget } from '../../relay/route.ts'
import type { RefuseReason, Ticket } from '../../relay/admit.ts'
import { Anteroom } from '../../relay/anteroom.ts'
import { Crossing } from './crossing.ts'
import { mostCrossings, OwnStreamDials } from '../../relay/own-dials.ts'
import { reset, type AskOutstanding, type TakeError } from '../../relay/pipe.ts'
import { openDoors, type Door } from './tcp-listen.ts'
import { proxyDuty, type Terms } from '../../relay/terms.ts'

export interface StreamOptions {
  readonly meter: Meter
  readonly clock: Clock
  readonly resolve: ResolveTarget
  readonly descriptors: Descriptors
  readonly outstanding: AskOutstanding
  readonly takeError: TakeError
  readonly owner: (port: number) => Promise<string | null>
  /** Accepting stopped for want of descriptors, or goes on. */
  readonly onPaused: (paused: boolean) => void
  /** A door could not be opened again. */
  readonly onTrouble: (error: Error) => void
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | undefined
}

/** A client's socket and a target's. */
const descriptorsEach = 2
/** How long a reset of who has finished speaking may go unheard: a system call for each half-closed connection. */
const lookAtHalfClosedMs = 1000

/** A client that came in, and under which terms. */
interface Caller {
  readonly socket: Socket
  readonly door: Door
  readonly terms: Terms
  readonly address: string
  /** Null for a Unix client. */
  readonly source: Peer | null
  readonly client: string
  /** How many crossings of ours it has behind it. */
  readonly behind: number
}

export class StreamRelay {
  #terms: Terms
  readonly #options: StreamOptions
  readonly #crossings = new Map<string, Crossing>()
  #doors: readonly Door[] = []
  #closed = false
  readonly #registered: Disposable
  readonly #anteroom: Anteroom
  /** Those of which a side has finished speaking, and who looks after them. */
  readonly #halfClosed = new Set<Crossing>()
  #halfClosedTimer: Disposable | null = null
  #quietTimer: { everyMs: number; timer: Disposable } | null = null

  private constructor(terms: Terms, options: StreamOptions) {
    this.#terms = terms
    this.#options = options
    this.#anteroom = new Anteroom(options.clock)
    this.#registered = options.descriptors.register(this)
    this.#watchQuiet()
  }

  /** @throws NaruError LISTEN_… with no port left open */
  static async open(terms: Terms, options: StreamOptions): Promise<StreamRelay> {
    const relay = new StreamRelay(terms, options)
    try {
      relay.#doors = await openDoors(terms.rule.listen, {
        keepaliveMs: terms.rule.timeouts.keepaliveMs,
        onSocket: (socket, door) => relay.#comeIn(socket, door),
        onError: options.onTrouble,
        owner: options.owner,
        inherit: options.inherit,
      })
      return relay
    } catch (error) {
      relay.#stop()
      throw error
    }
  }

  get listening(): readonly string[] {
    return this.#doors.map(({ label }) => label)
  }

  /** Which file a Unix listen's socket is. */
  get file(): string | null {
    return this.#doors[0]?.file ?? null
  }

  get accepting(): boolean {
    return this.#doors.every((door) => door.accepting)
  }

  /** For new connections; those there are keep theirs. */
  set terms(terms: Terms) {
    this.#terms = terms
    this.#watchQuiet()
  }

  lend(): readonly LentSocket[] {
    return this.#doors.map((door) => door.lend()).filter((lent) => lent !== null)
  }

  /** Listens no more, as a successor does by the same sockets; what is under way goes on. */
  leave(): void {
    for (const door of this.#doors) door.leave()
    this.#close()
  }

  /** Listens no more; what is under way goes on. */
  async close(): Promise<void> {
    await Promise.all(this.#doors.map((door) => door.close()))
    this.#close()
  }

  #close(): void {
    this.#closed = true
    this.#registered[Symbol.dispose]()
    if (this.#crossings.size === 0) this.#stop()
  }

  /** False where no such connection is open. */
  cut(id: string, reason: CloseReason): boolean {
    const crossing = this.#crossings.get(id)
    crossing?.abort(reason)
    return crossing !== undefined
  }

  /** Descriptors that the connections hold. */
  get held(): number {
    return this.#crossings.size * descriptorsEach
  }

  pause(): void {
    for (const door of this.#doors) door.pause()
    this.#options.onPaused(true)
  }

  resume(): void {
    for (const door of this.#doors) door.resume()
    this.#options.onPaused(false)
  }

  #comeIn(socket: Socket, door: Door): void {
    const { clock } = this.#options
    const terms = this.#terms
    const address = unmapped(socket.remoteAddress ?? '')
    const inet = door.port !== 0
    // A client that has gone before it was looked at has no address any more.
    if (inet && address === '') return void socket.on('error', ignore).destroy()
    const source = inet ? { address, port: socket.remotePort ?? 0 } : null
    const client = source ? formatEndpoint(address, source.port) : ''
    const behind = source ? OwnStreamDials.main.behind(source.port, door.port) : 0
    if (behind >= mostCrossings) {
      reset(socket.on('error', ignore))
      return this.#options.meter.refuse(client, 'loop')
    }
    // Behind a trusted proxy it is the address in its header that is admitted.
    const admitted =
      proxyDuty(terms, address) === 'required' ? null : terms.admission.admit(address, clock.monotonic())
    const caller = { socket, door, terms, address, source, client, behind }
    if (admitted?.ok === false) return this.#noPlace(caller, admitted.reason)
    this.#carry(caller, admitted?.ticket ?? null)
  }

  /** It may have a moment to wait for one. */
  #noPlace(caller: Caller, reason: RefuseReason): void {
    const { socket, terms, address } = caller
    socket.on('error', ignore)
    const turnAway = (why: RefuseReason): void => {
      reset(socket)
      this.#options.meter.refuse(caller.client, why)
    }
    const waits = this.#anteroom.wait(
      address,
      reason,
      () => {
        if (socket.destroyed) return null
        if (this.#closed) return { ok: false, reason: 'denied' }
        return terms.admission.admit(address, this.#options.clock.monotonic())
      },
      (admitted) => {
        if (!admitted.ok) return turnAway(this.#closed ? reason : admitted.reason)
        socket.off('error', ignore)
        this.#carry(caller, admitted.ticket)
      },
    )
    if (!waits) turnAway(reason)
  }

  #carry({ socket, door, terms, source, client, behind }: Caller, ticket: Ticket | null): void {
    const { meter, clock, descriptors } = this.#options
    const inet = source !== null
    const live = meter.begin({ protocol: inet ? 'tcp' : 'unix', client, listen: door.label })
    descriptors.took(descriptorsEach)
    const crossing = new Crossing(socket, {
      terms,
      live,
      clock,
      source,
      destination:
        inet && tellsTarget(terms) ? { address: unmapped(socket.localAddress ?? ''), port: door.port } : null,
      behind,
      port: door.port,
      ticket,
      anteroom: this.#anteroom,
      resolve: this.#options.resolve,
      outstanding: this.#options.outstanding,
      takeError: this.#options.takeError,
      onExhausted: () => descriptors.exhausted(),
      onHalfClosed: () => this.#watchHalfClosed(crossing),
      onClosed: (reason) => {
        this.#halfClosed.delete(crossing)
        this.#ended(live, reason)
      },
    })
    this.#crossings.set(live.id, crossing)
    crossing.start()
  }

  #ended(live: Live, reason: CloseReason): void {
    this.#crossings.delete(live.id)
    this.#options.descriptors.gave(descriptorsEach)
    this.#options.meter.end(live, reason)
    if (this.#closed && this.#crossings.size === 0) this.#stop()
  }

  /** The shortest limit of any terms in use sets the pace; a connection without one is let be. */
  #watchQuiet(): void {
    const { idleMs, keepaliveMs } = this.#terms.rule.timeouts
    const paces = [idleMs / 4, keepaliveMs / 2].filter((ms) => ms > 0)
    if (paces.length === 0) return
    const everyMs = Math.max(Math.min(...paces), 10)
    if (this.#quietTimer && this.#quietTimer.everyMs <= everyMs) return
    this.#quietTimer?.timer[Symbol.dispose]()
    this.#quietTimer = { everyMs, timer: this.#options.clock.every(everyMs, () => this.#endQuiet()) }
  }

  #endQuiet(): void {
    const nowMs = this.#options.clock.monotonic()
    for (const crossing of this.#crossings.values()) {
      const reason = crossing.verdict(nowMs)
      if (reason !== null) crossing.abort(reason)
    }
  }

  #watchHalfClosed(crossing: Crossing): void {
    this.#halfClosed.add(crossing)
    this.#halfClosedTimer ??= this.#options.clock.every(lookAtHalfClosedMs, () => this.#lookAtHalfClosed())
  }

  #lookAtHalfClosed(): void {
    for (const crossing of this.#halfClosed) crossing.lookAtHalfClosed()
    if (this.#halfClosed.size === 0) this.#endHalfClosedTimer()
  }

  #endHalfClosedTimer(): void {
    this.#halfClosedTimer?.[Symbol.dispose]()
    this.#halfClosedTimer = null
  }

  #stop(): void {
    this.#endHalfClosedTimer()
    this.#registered[Symbol.dispose]()
    this.#quietTimer?.timer[Symbol.dispose]()
    this.#quietTimer = null
  }
}

/** Asking for our own address costs a system call; only a PROXY header needs it. */
function tellsTarget({ rule }: Terms): boolean {
  return rule.source === 'proxy-v1' || rule.source === 'proxy-v2'
}

function ignore(): void {}
