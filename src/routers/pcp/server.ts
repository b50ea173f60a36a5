/** One PCP server: asks it from one address of ours, and keeps the epoch of everything it answers. */
import type { Clock } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { SingleFlight } from '../../base/single-flight.ts'
import { say, type Text } from '../../base/text.ts'
import { askUdp, isSilence } from '../../host/ask-udp.ts'
import { lookWaitsMs } from '../contract.ts'
import {
  announceRequest,
  isNatPmpOnly,
  mapRequest,
  parseAnnounceAnswer,
  parseMapAnswer,
  pcpPort,
  type PcpMapAnswer,
  type MapWish,
  type Result,
} from './codec.ts'
import { PcpEpoch } from './epoch.ts'

/** RFC 6887 §8.1.1 waits 3 s at first and doubles; on a LAN an answer takes milliseconds, so a lost one is asked for sooner. */
export const retryWaitsMs = [500, 1000, 2000, 3000] as const

export interface ServerPlace {
  readonly address: string
  /** The address we send from; null lets the system choose. */
  readonly source: string | null
  /** What we say we are: our own address, or behind another NAT the one the server sees (§16.4). */
  readonly client: string
  /** @default 5351 */
  readonly port?: number
}

export class Server {
  readonly place: ServerPlace
  readonly #clock: Clock
  readonly #epoch = new PcpEpoch()
  readonly #announced = new SingleFlight('PCP ANNOUNCE', (signal) =>
    this.announce(signal, { waitsMs: lookWaitsMs }),
  )
  /** Called when an answer tells that the server lost its mappings. */
  onRestart: ((why: Text) => void) | null = null
  /** How often that has happened; a lease made before it is lost. */
  restarts = 0
  /** As it gave it with the last mapping. */
  externalAddress: string | null = null
  epochSeconds: number | null = null

  constructor(place: ServerPlace, clock: Clock) {
    this.place = place
    this.#clock = clock
  }

  /** As `announce`, once for all who want to know at the same moment. */
  isThere(signal: AbortSignal): Promise<Result | null> {
    return this.#announced.get(signal)
  }

  /** Null where nobody answers PCP. Any answer of version 2 is one, also a refusal. */
  async announce(
    signal: AbortSignal,
    { waitsMs = retryWaitsMs, announced = false }: { waitsMs?: readonly number[]; announced?: boolean } = {},
  ): Promise<Result | null> {
    const answer = await this.#ask(
      announceRequest(this.place.client),
      { signal, waitsMs, announced },
      (bytes) => (isNatPmpOnly(bytes) ? 'nat-pmp' : parseAnnounceAnswer(bytes)),
    )
    return answer === 'nat-pmp' || 'silent' in answer ? null : answer.result
  }

  silence(why: string | Text = say('no answer')): NaruError {
    return new NaruError('ROUTER_SILENT', { router: this.place.address, protocol: 'PCP', why })
  }

  /** @throws NaruError ROUTER_SILENT */
  async map(wish: MapWish, lifetimeSeconds: number, signal: AbortSignal): Promise<PcpMapAnswer> {
    const bytes = mapRequest(this.place.client, wish, lifetimeSeconds)
    const answer = await this.#ask(bytes, { signal, waitsMs: retryWaitsMs }, (received) =>
      isNatPmpOnly(received) ? 'nat-pmp' : parseMapAnswer(received, wish),
    )
    if (answer !== 'nat-pmp' && !('silent' in answer)) return answer
    throw this.silence(answer === 'nat-pmp' ? 'it speaks NAT-PMP only' : answer.why)
  }

  async #ask<T extends { epoch: number }>(
    bytes: Uint8Array,
    { signal, waitsMs, announced }: { signal: AbortSignal; waitsMs: readonly number[]; announced?: boolean },
    accept: (bytes: Uint8Array) => T | 'nat-pmp' | undefined,
  ): Promise<T | 'nat-pmp' | { silent: true; why: string }> {
    const { address, source, port = pcpPort } = this.place
    const answer = await askUdp<T | 'nat-pmp'>({
      address,
      port,
      from: source,
      bytes,
      waitsMs,
      accept,
      signal,
    })
    if (answer === 'nat-pmp' || isSilence(answer)) return answer
    this.epochSeconds = answer.epoch
    if (this.#epoch.restarted(answer.epoch, this.#clock.monotonic() / 1000, announced))
      this.#lostEverything(answer.epoch)
    return answer
  }

  #lostEverything(epoch: number): void {
    this.restarts++
    this.onRestart?.(say`the router's PCP epoch jumped to ${epoch} s: it restarted`)
  }
}

/** What a refusal means; only called with a result other than SUCCESS. */
export function refusal(result: Result, router: string, port: number): NaruError {
  switch (result) {
    case 'CANNOT_PROVIDE_EXTERNAL':
      return new NaruError('ROUTER_PORT_TAKEN', {
        router,
        port,
        owner: say('another device, or the router keeps it for itself'),
      })
    case 'ADDRESS_MISMATCH':
      return new NaruError('ROUTER_NAT_BETWEEN', { router })
    case 'NETWORK_FAILURE':
      return new NaruError('ROUTER_NO_ADDRESS', {
        router,
        why: say('it says its own connection is down'),
      })
    case 'NO_RESOURCES':
    case 'USER_EX_QUOTA':
      return new NaruError('ROUTER_TABLE_FULL', { router, why: `PCP ${result}` })
    default:
      return new NaruError('ROUTER_REFUSED', {
        router,
        port,
        why: say`PCP says ${result}`,
      })
  }
}
