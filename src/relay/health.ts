/**
 * Asks each target of a rule at an even pace whether it accepts a connection (TCP, at once closed again), and takes
 * it down after `fall` failures in a row and up after `rise` successes. Clients that meet a dead target first tell
 * the same by passive ejection; a check that succeeds lifts it.
 */
import type { Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'
import type { Rule } from '../model/rule.ts'
import { Dial, type Endpoint } from './dial.ts'
import type { Targets, TargetState } from './pick.ts'
import type { Intake } from './intake.ts'
import { reset } from './pipe.ts'
import type { Peer } from './proxy/header.ts'
import { writeProxyOwn } from './proxy/write.ts'
import { plainRoute, portOf, type ResolveTarget } from './route.ts'

/** A target that does not hang up is hung up on. */
const hangUpMs = 1000
/** How long a target may take to see to who sent a header. */
const stayMs = 200

export interface HealthOptions {
  readonly clock: Clock
  readonly resolve: ResolveTarget
  /** A target has answered or not; `state` says what follows from it. For engines whose threads keep their own states. */
  readonly onHeard?: (state: TargetState) => void
}

export class HealthChecks implements Disposable {
  readonly #rule: Rule
  readonly #targets: Targets
  readonly #options: HealthOptions
  readonly #timer: Disposable
  readonly #stop = new AbortController()
  /** Answers of the same kind in a row: above 0 successes, below failures. */
  readonly #streaks = new Map<TargetState, number>()
  readonly #asking = new Set<TargetState>()
  readonly #dials = new Set<Dial>()

  /** Null where the rule asks for none. The first round is at once. */
  static of(rule: Rule, targets: Targets, options: HealthOptions): HealthChecks | null {
    if (rule.health !== null) return new HealthChecks(rule, targets, options)
    // Without checks nobody would ever bring back what a check of an earlier revision took down.
    for (const state of targets.states) state.up = true
    return null
  }

  private constructor(rule: Rule, targets: Targets, options: HealthOptions) {
    this.#rule = rule
    this.#targets = targets
    this.#options = options
    this.#timer = options.clock.every(rule.health?.everyMs ?? 0, () => this.#round())
    this.#round()
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]()
    this.#stop.abort()
    for (const dial of this.#dials) dial.cancel()
    this.#dials.clear()
  }

  #round(): void {
    for (const state of this.#targets.states) {
      // A target that is slow to answer is not asked twice at once.
      if (this.#asking.has(state)) continue
      this.#asking.add(state)
      void this.#ask(state).then((answers) => {
        this.#asking.delete(state)
        if (!this.#stop.signal.aborted) this.#heard(state, answers)
      })
    }
  }

  async #ask(state: TargetState): Promise<boolean> {
    try {
      const endpoints = await this.#endpoints(state)
      return endpoints.length > 0 && (await this.#connects(endpoints))
    } catch {
      return false
    }
  }

  async #endpoints({ choice: { to } }: TargetState): Promise<readonly Endpoint[]> {
    if (to.kind === 'unix') return [{ path: to.path }]
    const { listen } = this.#rule
    // Of a range the first port speaks for all.
    const port = portOf(to, listen, listen.kind === 'inet' ? listen.ports.first : 0)
    const plain = plainRoute(to, port)
    const { addresses } = plain ?? (await this.#options.resolve(to, { signal: this.#stop.signal }))
    return addresses.map((host) => ({ host, port }))
  }

  #connects(endpoints: readonly Endpoint[]): Promise<boolean> {
    const { clock } = this.#options
    const connectMs = Math.min(this.#rule.timeouts.connectMs, this.#rule.health?.everyMs ?? 0)
    return new Promise((resolve) => {
      const over = (answers: boolean): void => {
        this.#dials.delete(dial)
        resolve(answers)
      }
      const dial = new Dial(endpoints, {
        connectMs,
        keepaliveMs: 0,
        clock,
        onSocket: (socket, intake) => {
          this.#hangUp(socket, intake)
          over(true)
        },
        onFailure: () => over(false),
      })
      this.#dials.add(dial)
    })
  }

  /**
   * At once, by RST, as haproxy's own checks do. A target that wants a PROXY header would log that as an error: it gets
   * one of a proxy that speaks for itself, and FIN.
   */
  #hangUp(socket: Socket, intake: Intake): void {
    const { source } = this.#rule
    socket.on('error', () => {})
    if (source !== 'proxy-v1' && source !== 'proxy-v2') return reset(socket)
    intake.sink = () => true
    socket.write(writeProxyOwn(source === 'proxy-v1' ? 1 : 2, ...endsOf(socket)))
    // A proxy that is still connecting to its own server would log FIN as a client that gave up.
    const { clock } = this.#options
    const timers = [clock.after(stayMs, () => socket.end()), clock.after(hangUpMs, () => reset(socket))]
    socket.once('end', () => socket.end())
    socket.once('close', () => timers.forEach((timer) => timer[Symbol.dispose]()))
  }

  #heard(state: TargetState, answers: boolean): void {
    const { rise = 1, fall = 1 } = this.#rule.health ?? {}
    const before = this.#streaks.get(state) ?? 0
    const streak = answers ? Math.max(before, 0) + 1 : Math.min(before, 0) - 1
    this.#streaks.set(state, streak)
    if (streak <= -fall) state.up = false
    if (streak >= rise) {
      state.up = true
      state.succeeded()
    }
    this.#options.onHeard?.(state)
  }
}

/** This machine's end of a connection and the target's; null each where it is no internet socket's. */
function endsOf(socket: Socket): [Peer | null, Peer | null] {
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  return [peerOf(localAddress, localPort), peerOf(remoteAddress, remotePort)]
}

function peerOf(address: string | undefined, port: number | undefined): Peer | null {
  return address === undefined || port === undefined ? null : { address, port }
}
