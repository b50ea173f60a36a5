/** A mapping made by NAT-PMP: opened, renewed at half its life, deleted by its internal port (RFC 6886 §3.3–3.4). */
import { withLimit, type Clock } from '../../base/clock.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { describeMapping } from '../../model/mapping.ts'
import type { Effect, Json, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import type { MappingLease, MappingRequest } from '../contract.ts'
import { NatPmpEpoch } from './epoch.ts'
import { refusal, type NatPmpGateway } from './gateway.ts'
import type { NatPmpMapAnswer } from './codec.ts'

/** What the journal keeps: enough to delete the mapping without finding the gateway again. */
export interface NatPmpEffect {
  readonly [key: string]: Json
  readonly gateway: string
  readonly port: number
  readonly source: string | null
  readonly protocol: string
  readonly internalPort: number
  /** Milliseconds since the Unix epoch; after it nothing is left to delete. */
  readonly until: number
  /** The gateway's last word, by which a process that takes this one's place goes on; null before the first. */
  readonly granted: Granted | null
}

type Granted = {
  /** What was asked for: the word is one to that alone. */
  readonly asked: string
  readonly externalPort: number
  readonly leaseSeconds: number
  /** Milliseconds since the Unix epoch, and the gateway's own seconds at that moment. */
  readonly atMs: number
  readonly epochSeconds: number
}

/**
 * Where `record.before` tells of the same mapping of the process whose place this one takes, and the gateway has not
 * restarted since, nothing is asked anew: a gateway that renews may have no mapping for a moment (miniupnpd, seen).
 */
export async function openMapping(
  gateway: NatPmpGateway,
  clientAddress: string,
  request: MappingRequest,
  clock: Clock,
  { record, signal }: OpenOptions,
): Promise<MappingLease> {
  const effect = await record.intend(effectOf(gateway, request, clock.now() + request.leaseSeconds * 1000))
  const lease = new NatPmpLease({ gateway, client: clientAddress, request, clock, effect })
  const granted = grantedBefore(record.before, gateway, request)
  if (!granted || !(await lease.goOn(granted, signal))) await lease.begin(signal, granted !== null)
  return lease
}

/** What the process whose place this one takes was granted for that port. */
function grantedBefore(
  before: readonly Json[] | undefined,
  gateway: NatPmpGateway,
  { protocol, internalPort }: MappingRequest,
): Granted | null {
  const same = before
    ?.map((effect) => effect as Partial<NatPmpEffect> | null)
    .find(
      (was) =>
        was?.gateway === gateway.address &&
        was.port === gateway.port &&
        was.source === gateway.source &&
        was.protocol === protocol &&
        was.internalPort === internalPort,
    )
  return same?.granted ?? null
}

class NatPmpLease implements MappingLease {
  readonly #gateway: NatPmpGateway
  readonly #client: string
  readonly #request: MappingRequest
  readonly #clock: Clock
  readonly #effect: Effect
  #granted = { externalPort: 0, leaseSeconds: 0, until: 0 }
  /** Restarts of the gateway before this lease was granted. */
  #restarts = 0
  #released = false

  constructor(parts: {
    readonly gateway: NatPmpGateway
    /** Our address that it is mapped to. */
    readonly client: string
    readonly request: MappingRequest
    readonly clock: Clock
    readonly effect: Effect
  }) {
    this.#gateway = parts.gateway
    this.#client = parts.client
    this.#request = parts.request
    this.#clock = parts.clock
    this.#effect = parts.effect
  }

  get externalAddress(): string | null {
    return this.#gateway.externalAddress
  }

  get externalPort(): number {
    return this.#granted.externalPort
  }

  get goodUntil(): number {
    return this.#granted.until
  }

  get renewAfter(): number {
    return this.#granted.until - (this.#granted.leaseSeconds * 1000) / 2
  }

  /** @param isBefores the mapping is the process's before this one, whose journal entry stays */
  async begin(signal: AbortSignal, isBefores: boolean): Promise<void> {
    try {
      await this.#map(this.#request.externalPort, signal)
    } catch (failure) {
      const mayStand = isNaruError(failure, 'ROUTER_SILENT', 'ABORTED')
      if (!mayStand || isBefores || (await this.#takeBack(signal))) await this.#effect.undone()
      throw failure
    }
    if (this.#gateway.externalAddress === null) await this.#gateway.askAddress(signal)
  }

  /** @returns false where `granted` is not what is wanted, is half over, or the gateway may have lost it. */
  async goOn(granted: Granted, signal: AbortSignal): Promise<boolean> {
    const { asked, leaseSeconds, atMs, epochSeconds } = granted
    const now = this.#clock.now()
    if (asked !== askedOf(this.#request) || now < atMs || now >= atMs + leaseSeconds * 500) return false
    const answer = await this.#gateway.isThere(signal)
    if (!answer) return false
    const epoch = new NatPmpEpoch()
    epoch.restarted(epochSeconds, atMs)
    if (epoch.restarted(answer.epoch, this.#clock.now())) return false
    await this.#hold(granted)
    return true
  }

  describe(): LeaseDescription {
    const { protocol, internalPort, externalPort, leaseSeconds, allow } = this.#request
    const facts = {
      member: 'nat-pmp',
      flavour: 'nat-pmp',
      router: this.#gateway.address,
      protocol,
      externalAddress: this.externalAddress,
      externalPort: this.externalPort,
      internalAddress: this.#client,
      internalPort,
      leaseSeconds: this.#granted.leaseSeconds,
      goodUntil: this.goodUntil,
    }
    return describeMapping(facts, { externalPort, leaseSeconds, allow, filter: 'none' }, [])
  }

  /** NAT-PMP cannot be read back: that the gateway answers, has not restarted and the lease runs is all it tells. */
  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    const { address } = this.#gateway
    const lost = (why: ReturnType<typeof say>): Verdict => ({
      state: 'lost',
      why: new NaruError('ROUTER_MAPPING_LOST', { router: address, port: this.externalPort, why }),
    })
    const answer = await this.#gateway.isThere(signal)
    if (!answer) return { state: 'lost', why: this.#gateway.silence() }
    if (this.#gateway.restarts > this.#restarts) return lost(say('the router restarted'))
    if (this.#clock.now() >= this.goodUntil) return lost(say('its lease ran out'))
    const notes = [say('NAT-PMP cannot be read back')]
    return { state: 'held', notes }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    await this.#map(this.externalPort, signal)
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#released) return
    await deleteMapping(this.#gateway, this.#request, signal)
    this.#released = true
    await this.#effect.undone()
  }

  /** Silence may mean that only the answer was lost, or comes late: false leaves it in the journal. */
  #takeBack(signal: AbortSignal): Promise<boolean> {
    return deleteMapping(this.#gateway, this.#request, withLimit(signal, 3000)).then(
      () => true,
      () => false,
    )
  }

  async #map(externalPort: number, signal: AbortSignal): Promise<void> {
    const { protocol, internalPort, leaseSeconds } = this.#request
    const answer = await this.#gateway.map(protocol, { internalPort, externalPort }, leaseSeconds, signal)
    if (answer.result !== 0) throw refusal(answer.result, this.#gateway.address, this.#request.externalPort)
    await this.#accept(answer, signal)
  }

  /** A denied or taken port comes back as success with another port (seen): unless any will do, it is given back. */
  async #accept(answer: NatPmpMapAnswer, signal: AbortSignal): Promise<void> {
    const wanted = this.#request.externalPort
    if (answer.externalPort !== wanted && !this.#request.anyPort) {
      await deleteMapping(this.#gateway, this.#request, signal)
      throw new NaruError('ROUTER_OTHER_PORT', {
        router: this.#gateway.address,
        port: wanted,
        granted: answer.externalPort,
      })
    }
    // A success for no time at all (RFC 6886 §3.3: that is what a deletion says), or on no port, is none.
    if (answer.lifetimeSeconds === 0 || answer.externalPort === 0)
      throw new NaruError('ROUTER_NOT_DONE', {
        router: this.#gateway.address,
        port: wanted,
        why: say('its answer is for no time at all'),
      })
    const leaseSeconds = answer.lifetimeSeconds
    const { externalPort, epoch: epochSeconds } = answer
    await this.#hold({ externalPort, leaseSeconds, atMs: this.#clock.now(), epochSeconds })
  }

  async #hold(granted: Omit<Granted, 'asked'>): Promise<void> {
    const { externalPort, leaseSeconds, atMs } = granted
    this.#restarts = this.#gateway.restarts
    this.#granted = { externalPort, leaseSeconds, until: atMs + leaseSeconds * 1000 }
    const word = { ...granted, asked: askedOf(this.#request) }
    await this.#effect.amend(effectOf(this.#gateway, this.#request, this.goodUntil, word))
  }
}

/** @throws NaruError ROUTER_SILENT, ROUTER_REFUSED. A mapping that is not there is a success (§3.4). */
export async function deleteMapping(
  gateway: NatPmpGateway,
  { protocol, internalPort }: Pick<MappingRequest, 'protocol' | 'internalPort'>,
  signal: AbortSignal,
): Promise<void> {
  const answer = await gateway.map(protocol, { internalPort, externalPort: 0 }, 0, signal)
  if (answer.result !== 0) throw refusal(answer.result, gateway.address, internalPort)
}

function askedOf({ externalPort, anyPort, leaseSeconds }: MappingRequest): string {
  return JSON.stringify([externalPort, anyPort, leaseSeconds])
}

function effectOf(
  gateway: NatPmpGateway,
  request: MappingRequest,
  until: number,
  granted: Granted | null = null,
): NatPmpEffect {
  return {
    gateway: gateway.address,
    port: gateway.port,
    source: gateway.source,
    protocol: request.protocol,
    internalPort: request.internalPort,
    until,
    granted,
  }
}
