/**
 * A mapping made by PCP MAP: one nonce for its whole life, kept in the journal because renewing and deleting need it
 * (RFC 6887 §11.2, §15), renewed at a random moment between half and five eighths of its lease (§11.2.1).
 */
import { randomBytes } from 'node:crypto'
import { familyOf } from '../../base/address.ts'
import { withLimit, type Clock } from '../../base/clock.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { Effect, Json, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import { describeMapping } from '../../model/mapping.ts'
import type { MappingLease, MappingRequest } from '../contract.ts'
import { nonceBytes, type PcpMapAnswer, type MapWish, type Result } from './codec.ts'
import { PcpEpoch } from './epoch.ts'
import { refusal, type Server } from './server.ts'

/** What the journal keeps: enough to delete the mapping without finding the server again. */
export interface PcpEffect {
  readonly [key: string]: Json
  readonly server: string
  readonly port: number | null
  readonly source: string | null
  readonly client: string
  /** 12 bytes in hexadecimal. */
  readonly nonce: string
  readonly protocol: string
  readonly internalPort: number
  readonly thirdParty: string | null
  /** Milliseconds since the Unix epoch; after it nothing is left to delete. */
  readonly until: number
  /** The server's last word, by which a process that takes this one's place goes on; null before the first. */
  readonly granted: Granted | null
}

type Granted = {
  /** What was asked for: the word is one to that alone. */
  readonly asked: string
  readonly externalPort: number
  readonly externalAddress: string | null
  readonly leaseSeconds: number
  readonly filtered: 'unverified' | 'none'
  /** Milliseconds since the Unix epoch, and the server's own seconds at that moment. */
  readonly atMs: number
  readonly epochSeconds: number
}

/**
 * Where `record.before` tells of the same mapping of the process whose place this one takes, and the server has not
 * restarted since, nothing is asked anew: a server that renews may have no mapping for a moment (miniupnpd, seen: it
 * deletes and adds, and refuses a connection that comes between).
 */
export async function openMapping(
  server: Server,
  request: MappingRequest,
  clock: Clock,
  { record, signal }: OpenOptions,
): Promise<MappingLease> {
  const before = sameOf(record.before, server, request)
  // Asking with the nonce of before renews what is there; another one would be refused (RFC 6887 §15).
  const nonce = before?.nonce ?? randomBytes(nonceBytes)
  const effect = await record.intend(
    effectOf(server, nonce, request, clock.now() + request.leaseSeconds * 1000),
  )
  const lease = new PcpLease({ server, nonce, request, clock, effect })
  if (!before?.granted || !(await lease.goOn(before.granted, signal)))
    await lease.begin(signal, before !== null)
  return lease
}

/** How the process whose place this one takes mapped that port. */
function sameOf(
  before: readonly Json[] | undefined,
  server: Server,
  request: MappingRequest,
): { readonly nonce: Uint8Array; readonly granted: Granted | null } | null {
  const { thirdParty } = wishOf(server, request, new Uint8Array(nonceBytes))
  for (const effect of before ?? []) {
    const was = effect as Partial<PcpEffect> | null
    const same =
      was?.server === server.place.address &&
      was.client === server.place.client &&
      was.protocol === request.protocol &&
      was.internalPort === request.internalPort &&
      was.thirdParty === thirdParty
    const nonce = same ? Buffer.from(String(was.nonce), 'hex') : null
    if (nonce?.length === nonceBytes) return { nonce, granted: was?.granted ?? null }
  }
  return null
}

class PcpLease implements MappingLease {
  readonly #server: Server
  readonly #nonce: Uint8Array
  readonly #request: MappingRequest
  readonly #clock: Clock
  readonly #effect: Effect
  #granted = { externalPort: 0, leaseSeconds: 0, until: 0, renewAfter: 0 }
  #externalAddress: string | null = null
  #filtered: 'unverified' | 'none' = 'none'
  /** Options the server does not know are left out from then on. */
  #plain = false
  /** Restarts of the server before this lease was granted. */
  #restarts = 0
  #released = false

  constructor(parts: {
    readonly server: Server
    readonly nonce: Uint8Array
    readonly request: MappingRequest
    readonly clock: Clock
    readonly effect: Effect
  }) {
    this.#server = parts.server
    this.#nonce = parts.nonce
    this.#request = parts.request
    this.#clock = parts.clock
    this.#effect = parts.effect
  }

  get externalAddress(): string | null {
    return this.#externalAddress
  }

  get externalPort(): number {
    return this.#granted.externalPort
  }

  get goodUntil(): number {
    return this.#granted.until
  }

  get renewAfter(): number {
    return this.#granted.renewAfter
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
  }

  /** @returns false where `granted` is not what is wanted, is half over, or the server may have lost it. */
  async goOn(granted: Granted, signal: AbortSignal): Promise<boolean> {
    const { asked, externalPort, externalAddress, leaseSeconds, filtered, atMs, epochSeconds } = granted
    const now = this.#clock.now()
    if (asked !== askedOf(this.#request) || now < atMs || now >= atMs + leaseSeconds * 500) return false
    if ((await this.#server.isThere(signal)) === null || this.#server.epochSeconds === null) return false
    const epoch = new PcpEpoch()
    epoch.restarted(epochSeconds, atMs / 1000)
    if (epoch.restarted(this.#server.epochSeconds, this.#clock.now() / 1000)) return false
    this.#filtered = filtered
    await this.#hold({ externalPort, externalAddress, leaseSeconds, atMs, epochSeconds })
    return true
  }

  describe(): LeaseDescription {
    const { protocol, internalPort, externalPort, leaseSeconds, allow } = this.#request
    const facts = {
      member: 'pcp',
      flavour: 'pcp',
      router: this.#server.place.address,
      protocol,
      externalAddress: this.externalAddress,
      externalPort: this.externalPort,
      internalAddress: this.#request.internalAddress ?? this.#server.place.client,
      internalPort,
      leaseSeconds: this.#granted.leaseSeconds,
      goodUntil: this.goodUntil,
    }
    return describeMapping(facts, { externalPort, leaseSeconds, allow, filter: this.#filtered }, [])
  }

  /** PCP cannot be read back: that the server answers, has not restarted and the lease runs is all it tells. */
  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    const result = await this.#server.isThere(signal)
    if (result === null) return { state: 'lost', why: this.#server.silence() }
    if (this.#server.restarts > this.#restarts) return this.#lost(say('the router restarted'))
    if (this.#clock.now() >= this.goodUntil) return this.#lost(say('its lease ran out'))
    return { state: 'held', notes: [say('PCP cannot be read back')] }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    await this.#map(this.externalPort, signal)
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#released) return
    await deleteMapping(this.#server, wishOf(this.#server, this.#request, this.#nonce), signal)
    this.#released = true
    await this.#effect.undone()
  }

  /** Silence may mean that only the answer was lost, or comes late: false leaves it in the journal. */
  #takeBack(signal: AbortSignal): Promise<boolean> {
    const wish = wishOf(this.#server, this.#request, this.#nonce)
    return deleteMapping(this.#server, wish, withLimit(signal, 3000)).then(
      () => true,
      () => false,
    )
  }

  async #map(externalPort: number, signal: AbortSignal): Promise<void> {
    const { anyPort, allow, leaseSeconds } = this.#request
    const base = {
      ...wishOf(this.#server, this.#request, this.#nonce),
      externalPort,
      externalAddress: this.#externalAddress,
    }
    const full: MapWish = this.#plain ? base : { ...base, preferFailure: !anyPort, filters: allow }
    const answer = await this.#server.map(full, leaseSeconds, signal)
    const optionsTrouble = ['UNSUPP_OPTION', 'MALFORMED_OPTION', 'EXCESSIVE_REMOTE_PEERS'].includes(
      answer.result,
    )
    if (optionsTrouble && !this.#plain) {
      this.#plain = true
      return this.#map(externalPort, signal)
    }
    if (answer.result !== 'SUCCESS')
      throw refusal(answer.result, this.#server.place.address, this.#request.externalPort)
    this.#filtered = full.filters.length > 0 ? 'unverified' : 'none'
    await this.#accept(answer, signal)
  }

  /** Servers ignore PREFER_FAILURE and succeed with another port (seen): unless any will do, it is given back. */
  async #accept(answer: PcpMapAnswer, signal: AbortSignal): Promise<void> {
    const wanted = this.#request.externalPort
    if (answer.externalPort !== wanted && !this.#request.anyPort) {
      await deleteMapping(this.#server, wishOf(this.#server, this.#request, this.#nonce), signal)
      const router = this.#server.place.address
      throw new NaruError('ROUTER_OTHER_PORT', { router, port: wanted, granted: answer.externalPort })
    }
    const { externalPort, externalAddress, epoch } = answer
    // A success for no time at all (§15: that is what a deletion says), or on no port, is none.
    const leaseSeconds = answer.lifetimeSeconds
    if (leaseSeconds === 0 || externalPort === 0)
      throw new NaruError('ROUTER_NOT_DONE', {
        router: this.#server.place.address,
        port: wanted,
        why: say('its answer is for no time at all'),
      })
    await this.#hold({
      externalPort,
      externalAddress,
      leaseSeconds,
      atMs: this.#clock.now(),
      epochSeconds: epoch,
    })
  }

  async #hold(granted: Omit<Granted, 'asked' | 'filtered'>): Promise<void> {
    const { externalPort, externalAddress, leaseSeconds, atMs } = granted
    const leaseMs = leaseSeconds * 1000
    this.#restarts = this.#server.restarts
    this.#externalAddress = externalAddress
    this.#server.externalAddress = externalAddress
    const renewAfter = atMs + leaseMs * (0.5 + Math.random() / 8)
    this.#granted = { externalPort, leaseSeconds, until: atMs + leaseMs, renewAfter }
    const word = { ...granted, asked: askedOf(this.#request), filtered: this.#filtered }
    await this.#effect.amend(effectOf(this.#server, this.#nonce, this.#request, atMs + leaseMs, word))
  }

  #lost(why: Text): Verdict {
    const router = this.#server.place.address
    return {
      state: 'lost',
      why: new NaruError('ROUTER_MAPPING_LOST', { router, port: this.externalPort, why }),
    }
  }
}

/** Another's nonce, or (miniupnpd, seen) no such mapping: RFC 6887 §15 would have that a success. */
const leavesNothing: ReadonlySet<Result> = new Set([
  'NOT_AUTHORIZED',
  'NO_RESOURCES',
  'CANNOT_PROVIDE_EXTERNAL',
])

/**
 * A mapping that is gone, or is no longer under our nonce, leaves nothing of ours to delete. Over IPv6 its life is
 * cut short first: miniupnpd says SUCCESS to the deletion of a pinhole and keeps it (seen). @throws NaruError ROUTER_…
 */
export async function deleteMapping(server: Server, wish: MapWish, signal: AbortSignal): Promise<void> {
  if (familyOf(server.place.client) === 6) await server.map(wish, 1, signal)
  const answer = await server.map(wish, 0, signal)
  if (answer.result === 'SUCCESS' || leavesNothing.has(answer.result)) return
  throw refusal(answer.result, server.place.address, wish.internalPort)
}

function wishOf(server: Server, request: MappingRequest, nonce: Uint8Array): MapWish {
  const { protocol, internalPort, internalAddress } = request
  return {
    nonce,
    protocol,
    internalPort,
    externalPort: 0,
    externalAddress: null,
    preferFailure: false,
    filters: [],
    // For ourselves the option would be malformed (§13.1).
    thirdParty: internalAddress === server.place.client ? null : internalAddress,
  }
}

function askedOf({ externalPort, anyPort, leaseSeconds, allow }: MappingRequest): string {
  return JSON.stringify([externalPort, anyPort, leaseSeconds, allow])
}

function effectOf(
  server: Server,
  nonce: Uint8Array,
  request: MappingRequest,
  until: number,
  granted: Granted | null = null,
): PcpEffect {
  const { address, source, client, port = null } = server.place
  return {
    server: address,
    port,
    source,
    client,
    nonce: Buffer.from(nonce).toString('hex'),
    protocol: request.protocol,
    internalPort: request.internalPort,
    thirdParty: wishOf(server, request, nonce).thirdParty,
    until,
    granted,
  }
}
