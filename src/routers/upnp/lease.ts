/**
 * A mapping made by UPnP: asked for, read back, renewed by asking again, deleted only while it is still ours. What a
 * router of some make does differently is told by its error code, never by its name.
 */
import type { Clock } from '../../base/clock.ts'
import { isPublic } from '../../base/address.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import { describeMapping, mappingDescription } from '../../model/mapping.ts'
import type { Effect, Json, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import type { Mapping, MappingLease, MappingRequest } from '../contract.ts'
import type { Device } from './device.ts'
import { explainFault, faultCode, isUnknownAction } from './fault.ts'
import type { TableReader } from './reader.ts'
import {
  addAnyMapping,
  addMapping,
  dropMapping,
  externalAddress,
  readMapping,
  type NewMapping,
} from './table.ts'

/** What the journal keeps: enough to find the router again and to know our mapping among others. */
export interface UpnpEffect {
  readonly [key: string]: string | number | null
  readonly kind: 'mapping'
  readonly router: string
  readonly source: string | null
  readonly location: string
  readonly protocol: string
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  readonly description: string
  /** Milliseconds since the Unix epoch; after it nothing is left to delete. Null is permanent. */
  readonly until: number | null
}

const mostTries = 6

export interface UpnpTarget {
  readonly device: Device
  readonly reader: TableReader
  readonly flavour: string
  readonly clientAddress: string
  readonly clock: Clock
}

export async function openMapping(
  target: UpnpTarget,
  request: MappingRequest,
  { record, signal }: OpenOptions,
): Promise<MappingLease> {
  const lease = new UpnpLease(target, asBefore(request, record.before), (effect) => record.intend(effect))
  await lease.begin(signal)
  return lease
}

/** Where any port will do, the one that the process whose place this one takes was given. */
function asBefore(request: MappingRequest, before: readonly Json[] | undefined): MappingRequest {
  if (!request.anyPort) return request
  for (const effect of before ?? []) {
    const was = effect as Partial<UpnpEffect> | null
    const same = was?.protocol === request.protocol && was.internalPort === request.internalPort
    if (same && typeof was.externalPort === 'number') return { ...request, externalPort: was.externalPort }
  }
  return request
}

type Granted = {
  readonly externalPort: number
  /** Null is permanent. */
  readonly leaseSeconds: number | null
  readonly until: number | null
  readonly renewAfter: number | null
}

class UpnpLease implements MappingLease {
  readonly #target: UpnpTarget
  readonly #request: MappingRequest
  readonly #description: string
  readonly #intend: (effect: UpnpEffect) => Promise<Effect>
  #effect: Effect | null = null
  #granted: Granted = { externalPort: 0, leaseSeconds: 0, until: null, renewAfter: null }
  #externalAddress: string | null = null
  /** 0 once the router has said that it knows permanent leases only. */
  #askSeconds: number
  /** Somebody else's row that leads to us already: used, never touched. */
  #adopted: Mapping | null = null
  #readable = true
  #released = false

  constructor(target: UpnpTarget, request: MappingRequest, intend: (effect: UpnpEffect) => Promise<Effect>) {
    this.#target = target
    this.#request = request
    this.#intend = intend
    this.#askSeconds = request.leaseSeconds
    this.#description = mappingDescription(request.rule, request.owner)
  }

  get externalAddress(): string | null {
    return this.#externalAddress
  }

  get externalPort(): number {
    return this.#granted.externalPort
  }

  get goodUntil(): number | null {
    return this.#granted.until
  }

  get renewAfter(): number | null {
    return this.#granted.renewAfter
  }

  describe(): LeaseDescription {
    const { protocol, internalPort, externalPort, leaseSeconds, allow } = this.#request
    const facts = {
      member: 'upnp',
      flavour: this.#target.flavour,
      router: this.#router,
      protocol,
      externalAddress: this.#externalAddress,
      externalPort: this.externalPort,
      internalAddress: this.#internalAddress,
      internalPort,
      leaseSeconds: this.#granted.leaseSeconds,
      goodUntil: this.goodUntil,
    }
    const wish = { externalPort, allow, filter: 'none' as const }
    const asked = this.#adopted ? (this.#granted.leaseSeconds ?? leaseSeconds) : leaseSeconds
    return describeMapping(facts, { ...wish, leaseSeconds: asked }, this.#notes())
  }

  /** The address and the table as it is, while nothing is done; then ask; then read back. */
  async begin(signal: AbortSignal): Promise<void> {
    const port = this.#request.externalPort
    const [address, found] = await Promise.all([this.#askAddress(signal), this.#read(port, signal)])
    this.#externalAddress = address
    const existing = await this.#withoutFormer(found, port, signal)
    if (existing && this.#leadsToUs(existing) && !existing.ours) return this.#adopt(existing)
    if (existing && !this.#isMine(existing) && !this.#request.anyPort) throw this.#taken(existing)
    await this.#openOwn(
      existing && !this.#isMine(existing) ? this.#otherPort() : this.#request.externalPort,
      signal,
    )
  }

  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    const found = await this.#lookup(signal)
    if (found instanceof NaruError) return { state: 'lost', why: found }
    if (found === 'unknown')
      return {
        state: 'held',
        notes: [say('this router cannot be read back', '이 공유기는 다시 읽어 확인할 수 없습니다')],
      }
    if (found === null) return this.#lost(say('it is not in the list any more', '목록에 더 이상 없습니다'))
    if (!this.#leadsToUs(found))
      return this.#lost(
        say(`it leads to ${ownerOf(found).en} now`, `이제 ${ownerOf(found).ko}(으)로 향합니다`),
      )
    if (!found.enabled) return this.#lost(say('it was switched off', '비활성화되었습니다'))
    return { state: 'held', notes: [] }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    const found = await this.#read(this.externalPort, signal)
    const existing = await this.#withoutFormer(found, this.externalPort, signal)
    if (this.#adopted && existing && this.#leadsToUs(existing)) return
    this.#adopted = null
    if (existing && !this.#isMine(existing)) throw this.#taken(existing)
    try {
      await this.#add(this.externalPort, signal)
    } catch (failure) {
      if (faultCode(failure) !== 718 || !existing) throw await this.#explain(failure, signal)
      await this.#renewRefused(existing, signal)
    }
    await this.#settle(this.externalPort, signal)
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#released) return
    if (this.#effect && !this.#adopted) {
      await dropIfOurs(
        this.#target.device,
        this.#effectOf(this.externalPort || this.#request.externalPort),
        signal,
      )
      await this.#effect.undone()
    }
    this.#released = true
  }

  /** Null where the router says that it has none. */
  #askAddress(signal: AbortSignal): Promise<string | null> {
    return externalAddress(this.#target.device, { signal }).catch((failure: unknown) => {
      if (faultCode(failure) !== null) return null
      throw failure
    })
  }

  async #openOwn(externalPort: number, signal: AbortSignal): Promise<void> {
    this.#effect = await this.#intend(this.#effectOf(externalPort))
    try {
      const port = await this.#ask(externalPort, signal)
      await this.#settle(port, signal)
    } catch (failure) {
      // Silence may mean that only the answer was lost: what is not answered stays in the journal.
      if (!isNaruError(failure, 'ROUTER_SILENT', 'ABORTED', 'ROUTER_ANSWER_BAD')) await this.#effect.undone()
      throw failure
    }
  }

  /** Asks, and asks otherwise as often as the answer tells how: permanent, on an equal port, on another one. */
  async #ask(externalPort: number, signal: AbortSignal): Promise<number> {
    let port = externalPort
    for (let tries = 1; ; tries++) {
      try {
        return await this.#add(port, signal)
      } catch (failure) {
        const next = tries < mostTries ? await this.#otherwise(failure, port, signal) : null
        if (next === null) throw await this.#explain(failure, signal)
        port = next
        await this.#effect?.amend(this.#effectOf(port))
      }
    }
  }

  /** The port to try next, or null where trying again is of no use. */
  async #otherwise(failure: unknown, port: number, signal: AbortSignal): Promise<number | null> {
    const code = faultCode(failure)
    const { anyPort, internalPort } = this.#request
    // 725 OnlyPermanentLeasesSupported; some say 402 to any lease but 0.
    if ((code === 725 || code === 402) && this.#askSeconds > 0) {
      this.#askSeconds = 0
      return port
    }
    // 724 SamePortValuesRequired.
    if (code === 724 && anyPort && port !== internalPort) return internalPort
    if (code !== 718 && code !== 729) return null
    const existing = await this.#read(port, signal)
    if (existing && this.#leadsToUs(existing) && existing.ours)
      return this.#renewInPlace(port, existing, signal)
    return anyPort ? this.#otherPort() : null
  }

  /** A row of ours from before that may not be added again: away with it, then once more. */
  async #renewInPlace(port: number, existing: Mapping, signal: AbortSignal): Promise<number> {
    await dropMapping(this.#target.device, existing, { signal })
    return port
  }

  /** Some answer 718 to an early renewal: while much of the lease is left that is well, else the row is made anew. */
  async #renewRefused(existing: Mapping, signal: AbortSignal): Promise<void> {
    if ((existing.leaseSecondsLeft ?? Infinity) > 60) return
    await dropMapping(this.#target.device, existing, { signal })
    try {
      await this.#add(this.externalPort, signal)
    } catch (failure) {
      throw await this.#explain(failure, signal)
    }
  }

  async #add(externalPort: number, signal: AbortSignal): Promise<number> {
    const mapping: NewMapping = {
      protocol: this.#request.protocol,
      externalPort,
      internalAddress: this.#internalAddress,
      internalPort: this.#request.internalPort,
      description: this.#description,
      leaseSeconds: this.#askSeconds,
    }
    const { device } = this.#target
    if (this.#request.anyPort && this.#target.flavour === 'upnp-2')
      try {
        return await addAnyMapping(device, mapping, { signal })
      } catch (failure) {
        if (!isUnknownAction(failure)) throw failure
      }
    await addMapping(device, mapping, { signal })
    return externalPort
  }

  /** Reads back what the router really did, and keeps that. "Success" without an entry is none (seen). */
  async #settle(port: number, signal: AbortSignal): Promise<void> {
    const found = await this.#read(port, signal)
    if (this.#readable && !(found && this.#leadsToUs(found))) {
      const why = found
        ? say(`the entry leads to ${ownerOf(found).en}`, `항목이 ${ownerOf(found).ko}(으)로 향합니다`)
        : say('there is no such entry', '그런 항목이 없습니다')
      if (found && this.#carriesOurTag(found)) await dropMapping(this.#target.device, found, { signal })
      throw new NaruError('ROUTER_NOT_DONE', { router: this.#router, port, why })
    }
    const leaseSeconds = found ? found.leaseSecondsLeft : this.#askSeconds || null
    const now = this.#target.clock.now()
    this.#granted = {
      externalPort: port,
      // A second may have passed between asking and reading.
      leaseSeconds: near(leaseSeconds, this.#request.leaseSeconds)
        ? this.#request.leaseSeconds
        : leaseSeconds,
      until: leaseSeconds === null ? null : now + leaseSeconds * 1000,
      renewAfter: leaseSeconds === null ? null : now + leaseSeconds * 500,
    }
    await this.#effect?.amend(this.#effectOf(port))
  }

  #adopt(existing: Mapping): void {
    this.#adopted = existing
    const { externalPort, leaseSecondsLeft } = existing
    const now = this.#target.clock.now()
    const until = leaseSecondsLeft === null ? null : now + leaseSecondsLeft * 1000
    // Looked at again just after it ends: then nobody else's row stands in the way of ours.
    this.#granted = { externalPort, leaseSeconds: leaseSecondsLeft, until, renewAfter: until && until + 1000 }
  }

  #notes(): Text[] {
    const by = this.#adopted?.description || '?'
    return this.#adopted
      ? [
          say(
            `"${by}" opened this port to this machine already; Naru uses it and leaves it alone`,
            `"${by}"이(가) 이미 이 포트를 이 컴퓨터로 열어 두었습니다. Naru는 그대로 쓰고 건드리지 않습니다`,
          ),
        ]
      : []
  }

  async #read(port: number, signal: AbortSignal): Promise<Mapping | null> {
    const found = await readMapping(
      this.#target.device,
      { protocol: this.#request.protocol, externalPort: port },
      { signal },
    ).catch((failure: unknown) => {
      // Routers without a better word say 402 or 501 to "there is none".
      if (faultCode(failure) !== null) return null
      throw failure
    })
    if (found === 'unknown') this.#readable = false
    return found === 'unknown' ? null : found
  }

  async #lookup(signal: AbortSignal): Promise<Mapping | null | 'unknown' | NaruError> {
    if (!this.#readable) return 'unknown'
    try {
      const { protocol } = this.#request
      return await this.#target.reader.read({ protocol, externalPort: this.externalPort }, signal)
    } catch (failure) {
      // Routers without a better word say 402 or 501 to "there is none".
      if (faultCode(failure) !== null) return null
      if (failure instanceof NaruError && failure.code !== 'ABORTED') return failure
      throw failure
    }
  }

  #leadsToUs(mapping: Mapping): boolean {
    return (
      mapping.internalAddress === this.#internalAddress && mapping.internalPort === this.#request.internalPort
    )
  }

  /**
   * What this very rule of this very machine mapped at an address it no longer has is taken away first. The owner in
   * the tag tells that it is; a router that lets only the old address delete it keeps it until its lease ends.
   */
  async #withoutFormer(existing: Mapping | null, port: number, signal: AbortSignal): Promise<Mapping | null> {
    const former =
      existing !== null &&
      this.#request.owner !== undefined &&
      existing.description === this.#description &&
      existing.internalAddress !== this.#internalAddress
    if (!former) return existing
    await dropMapping(this.#target.device, existing, { signal }).catch((failure: unknown) => {
      if (faultCode(failure) === null) throw failure
    })
    return this.#read(port, signal)
  }

  /** Ours to replace: what this rule made before, or what any Naru left that leads to the very port we serve. */
  #isMine(mapping: Mapping): boolean {
    if (this.#leadsToUs(mapping)) return mapping.ours
    return mapping.internalAddress === this.#internalAddress && this.#carriesOurTag(mapping)
  }

  #carriesOurTag(mapping: Mapping): boolean {
    return sameDescription(mapping.description, this.#description)
  }

  /** Unprivileged, as a person would pick one. */
  #otherPort(): number {
    return 20_000 + Math.floor(Math.random() * 40_000)
  }

  async #explain(failure: unknown, signal: AbortSignal): Promise<NaruError> {
    if (failure instanceof NaruError) return failure
    const port = this.#request.externalPort
    const code = faultCode(failure)
    if (code === 718 || code === 729) {
      const existing = await this.#read(port, signal)
      if (existing) return this.#taken(existing)
    }
    const hasAddress = this.#externalAddress !== null && isPublic(this.#externalAddress)
    return explainFault(failure, this.#router, port, hasAddress)
  }

  #taken(existing: Mapping): NaruError {
    const { externalPort: port } = existing
    return new NaruError('ROUTER_PORT_TAKEN', { router: this.#router, port, owner: ownerOf(existing) })
  }

  #lost(why: Text): Verdict {
    const port = this.externalPort
    return { state: 'lost', why: new NaruError('ROUTER_MAPPING_LOST', { router: this.#router, port, why }) }
  }

  get #router(): string {
    return this.#target.device.place.address
  }

  get #internalAddress(): string {
    return this.#request.internalAddress ?? this.#target.clientAddress
  }

  #effectOf(externalPort: number): UpnpEffect {
    const { device, clock } = this.#target
    const granted = this.#granted.externalPort > 0
    const asked = this.#askSeconds > 0 ? clock.now() + this.#askSeconds * 1000 : null
    return {
      kind: 'mapping',
      router: device.place.address,
      source: device.place.source,
      location: device.location.href,
      protocol: this.#request.protocol,
      externalPort,
      internalAddress: this.#internalAddress,
      internalPort: this.#request.internalPort,
      description: this.#description,
      until: granted ? this.#granted.until : asked,
    }
  }
}

/** Deletes what is still as we made it. Gone, or somebody else's by now: nothing is left of ours. */
export async function dropIfOurs(device: Device, effect: UpnpEffect, signal: AbortSignal): Promise<void> {
  const key = {
    protocol: effect.protocol === 'udp' ? 'udp' : 'tcp',
    externalPort: effect.externalPort,
  } as const
  try {
    const found = await readMapping(device, key, { signal })
    if (found === null) return
    const ours =
      found === 'unknown' ||
      (found.internalAddress === effect.internalAddress &&
        sameDescription(found.description, effect.description))
    if (ours) await dropMapping(device, key, { signal })
  } catch (failure) {
    if (failure instanceof NaruError) throw failure
    const code = faultCode(failure)
    if (code === 402 || code === 501) return
    throw explainFault(failure, device.place.address, effect.externalPort, true)
  }
}

/** Routers cut long descriptions. */
function sameDescription(found: string, made: string): boolean {
  return found === made || (found.length >= 8 && made.startsWith(found))
}

function near(granted: number | null, asked: number): boolean {
  return granted !== null && granted <= asked && asked - granted <= 3
}

export function ownerOf({ internalAddress, internalPort, description }: Mapping): Text {
  const name = description ? ` ("${description}")` : ''
  const who = `${internalAddress}:${internalPort}${name}`
  return { en: who, ko: who }
}
