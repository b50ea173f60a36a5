/** One gateway that speaks NAT-PMP: asks it, and keeps the epoch of everything it answers. */
import { NaruError } from '../../base/errors.ts'
import { SingleFlight } from '../../base/single-flight.ts'
import { say, type Text } from '../../base/text.ts'
import type { Clock } from '../../base/clock.ts'
import type { Protocol } from '../../base/port.ts'
import { askUdp, isSilence } from '../../host/ask-udp.ts'
import { lookWaitsMs } from '../contract.ts'
import {
  addressRequest,
  mapRequest,
  natPmpPort,
  parseAddressAnswer,
  parseMapAnswer,
  resultNames,
  type AddressAnswer,
  type NatPmpMapAnswer,
} from './codec.ts'
import { NatPmpEpoch } from './epoch.ts'

/** RFC 6886 §3.1: 250 ms doubling, here to 7.75 s in all; the RFC's ninth doubling is two minutes nobody waits. */
export const retryWaitsMs = [250, 500, 1000, 2000, 4000] as const

export class NatPmpGateway {
  readonly address: string
  /** Our address towards it; null lets the system choose. */
  readonly source: string | null
  readonly port: number
  readonly #clock: Clock
  readonly #epoch = new NatPmpEpoch()
  readonly #asked = new SingleFlight('NAT-PMP', (signal) => this.askAddress(signal, { waitsMs: lookWaitsMs }))
  /** Called when an answer tells that the gateway lost its mappings. */
  onRestart: ((why: Text) => void) | null = null
  /** How often that has happened; a lease made before it is lost. */
  restarts = 0
  /** As it said last. */
  externalAddress: string | null = null

  constructor(place: { address: string; source: string | null; port?: number }, clock: Clock) {
    this.address = place.address
    this.source = place.source
    this.port = place.port ?? natPmpPort
    this.#clock = clock
  }

  /** As `askAddress`, once for all who want to know at the same moment. */
  isThere(signal: AbortSignal): Promise<AddressAnswer | null> {
    return this.#asked.get(signal)
  }

  /** Null where nobody answers. */
  async askAddress(
    signal: AbortSignal,
    { waitsMs = retryWaitsMs, announced = false }: { waitsMs?: readonly number[]; announced?: boolean } = {},
  ): Promise<AddressAnswer | null> {
    const answer = await this.#ask(addressRequest(), parseAddressAnswer, { signal, waitsMs, announced })
    if ('silent' in answer) return null
    if (answer.result === 0) this.externalAddress = answer.externalAddress
    return answer
  }

  silence(why: string | Text = say('no answer')): NaruError {
    return new NaruError('ROUTER_SILENT', { router: this.address, protocol: 'NAT-PMP', why })
  }

  /** @throws NaruError ROUTER_SILENT */
  async map(
    protocol: Protocol,
    ports: { internalPort: number; externalPort: number },
    lifetimeSeconds: number,
    signal: AbortSignal,
  ): Promise<NatPmpMapAnswer> {
    const accept = (bytes: Uint8Array): NatPmpMapAnswer | undefined =>
      parseMapAnswer(bytes, protocol, ports.internalPort)
    const answer = await this.#ask(mapRequest(protocol, ports, lifetimeSeconds), accept, {
      signal,
      waitsMs: retryWaitsMs,
    })
    if (!('silent' in answer)) return answer
    throw this.silence(answer.why)
  }

  async #ask<T extends { epoch: number }>(
    bytes: Uint8Array,
    accept: (bytes: Uint8Array) => T | undefined,
    { signal, waitsMs, announced }: { signal: AbortSignal; waitsMs: readonly number[]; announced?: boolean },
  ): Promise<T | { silent: true; why: string }> {
    const { address, port, source } = this
    const answer = await askUdp({ address, port, from: source, bytes, waitsMs, accept, signal })
    if (isSilence(answer)) return answer
    if (this.#epoch.restarted(answer.epoch, this.#clock.monotonic(), announced))
      this.#lostEverything(answer.epoch)
    return answer
  }

  #lostEverything(epoch: number): void {
    this.restarts++
    this.onRestart?.(say`the router's NAT-PMP epoch fell to ${epoch} s: it restarted`)
  }
}

/** What a refusal means; only called with a result other than 0. */
export function refusal(result: number, router: string, port: number): NaruError {
  const name = resultNames[result as 0] ?? `result ${result}`
  if (result === 3)
    return new NaruError('ROUTER_NO_ADDRESS', {
      router,
      why: say('it says it has no address of its own yet'),
    })
  if (result === 4) return new NaruError('ROUTER_TABLE_FULL', { router, why: 'NAT-PMP 4' })
  return new NaruError('ROUTER_REFUSED', {
    router,
    port,
    why: say`NAT-PMP says "${name}"`,
  })
}
