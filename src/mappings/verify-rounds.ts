/**
 * One look around for everybody: all ports are looked at in the same moment, so that one question to a router answers
 * for every mapping on it. Of ports that a router must be asked for one by one, a few take their turn each time: a
 * weak router is not asked a hundred things every two seconds.
 */
import { withLimit, type Clock } from '../base/clock.ts'
import type { PublishedPort } from './published-port.ts'

/** What somebody deleted is missed within 5 s: a round, the next tick of who asks, and the second look. */
const everyMs = 2000
const lookLimitMs = 10_000
/** Ports a router is asked for one by one in a round; an exchange by HTTP is about ten packets. */
const oneByOne = 2

export class VerifyRounds {
  readonly #clock: Clock
  readonly #ports: () => Iterable<PublishedPort>
  #lastAt = -Infinity

  constructor(clock: Clock, ports: () => Iterable<PublishedPort>) {
    this.#clock = clock
    this.#ports = ports
  }

  /** Starts a round where one is due. Who wants to know what it saw asks the port. */
  begin(): void {
    const now = this.#clock.monotonic()
    if (now - this.#lastAt < everyMs) return
    this.#lastAt = now
    const signal = withLimit(undefined, lookLimitMs)
    for (const port of inTurn([...this.#ports()]))
      port.look(signal).then(
        () => this.#spread(port),
        () => {},
      )
  }

  /** A router that does not answer for one port does so for none: the others need not wait for their turn. */
  #spread({ silence, router }: PublishedPort): void {
    if (silence === null || router === null) return
    for (const port of this.#ports()) if (port.router === router) port.hearOfSilence(silence)
  }
}

/** Those that cost no question of their own, and of the others the longest unseen of each router. */
function inTurn(ports: readonly PublishedPort[]): readonly PublishedPort[] {
  const asked = new Map<string, number>()
  return ports
    .toSorted((a, b) => a.seenAt - b.seenAt)
    .filter(({ asksFor: router }) => {
      if (router === null) return true
      const count = (asked.get(router) ?? 0) + 1
      asked.set(router, count)
      return count <= oneByOne
    })
}
