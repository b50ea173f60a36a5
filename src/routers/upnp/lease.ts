/**
 * A mapping made by UPnP: asked for, read back, renewed by asking again, deleted only while it is still ours. What a
 * router of some make does differently is told by its error code, never by its name.
 */
import type { Clock } from '../../base/clock.ts'
import { isPublic } from '../../base/address.ts'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { describeMapping, mappingDescription } from '../../model/mapping.ts'
import type { Effect, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import type { Mapping, MappingLease, MappingRequest } from '../contract.ts'
import type { CallOptions, Device } from './device.ts'
import { dropIfOurs, effectsBefore, sameDescription, type UpnpEffect } from './effect.ts'
import { explainFault, faultCode, isUnknownAction, tellsNoCause } from './fault.ts'
import { reachedNobody } from './http.ts'
import type { TableReader } from './reader.ts'
import {
  addAnyMapping,
  addMapping,
  dropMapping,
  externalAddress,
  findMapping,
  listMappings,
  type NewMapping,
} from './table.ts'

const mostTries = 6
/** What IGD 2 makes of a permanent lease (WANIPConnection:2 §2.3.20), and all that some take. */
const weekSeconds = 604_800
/** A list may be as many questions as it has rows. */
const listEveryMs = 30_000
/** After these answers nothing is there, or what was has been taken back; after any other there may be. */
const nothingThere = [
  'ROUTER_PORT_TAKEN',
  'ROUTER_OTHER_PORT',
  'ROUTER_REFUSED',
  'ROUTER_TABLE_FULL',
  'ROUTER_NO_ADDRESS',
  'ROUTER_NOT_DONE',
] as const

export interface UpnpTarget {
  readonly device: Device
  readonly reader: TableReader
  readonly flavour: string
  readonly clientAddress: string
  readonly clock: Clock
  /** Where it is asked from another address of ours than the one it was found from. */
  readonly through?: CallOptions['through']
}

export async function openMapping(
  target: UpnpTarget,
  request: MappingRequest,
  { record, signal }: OpenOptions,
): Promise<MappingLease> {
  const before = effectsBefore(request, record.before)
  const [last] = before
  const asked =
    request.anyPort && typeof last?.externalPort === 'number'
      ? { ...request, externalPort: last.externalPort }
      : request
  const intend = (effect: UpnpEffect): Promise<Effect> => record.intend(effect)
  const lease = new UpnpLease({ target, request: asked, before, intend })
  await lease.begin(signal)
  return lease
}

type Granted = {
  readonly externalPort: number
  /** Null is permanent. */
  readonly leaseSeconds: number | null
  readonly until: number | null
  readonly renewAfter: number | null
  /** The router told no end of it: what was asked for may end, or stay for ever. */
  readonly mayStay: boolean
}

interface Looked {
  /** Undefined where the router has no way to tell. */
  readonly mapping: Mapping | null | undefined
  readonly by: 'row' | 'list' | 'nothing'
}

class UpnpLease implements MappingLease {
  readonly #target: UpnpTarget
  readonly #request: MappingRequest
  readonly #description: string
  readonly #before: readonly Partial<UpnpEffect>[]
  readonly #intend: (effect: UpnpEffect) => Promise<Effect>
  #effect: Effect | null = null
  #granted: Granted = {
    externalPort: 0,
    leaseSeconds: 0,
    until: null,
    renewAfter: null,
    mayStay: true,
  }
  #externalAddress: string | null = null
  /** 0 once the router has said that it knows permanent leases only; a week where it knows none. */
  #askSeconds: number
  /** When the router was asked for the lease that it holds, of the monotonic clock. */
  #askedAt = 0
  #triedOtherLease = false
  /** Null where it was not told; the router may have one all the same. */
  #hasPublicAddress: boolean | null = null
  /** Somebody else's row that leads to us already: used, never touched. */
  #adopted: Mapping | null = null
  #seen: { readonly description: string; readonly by: 'row' | 'list' | 'nothing' } | null = null
  #listedAt = -Infinity
  #released = false
  readonly #now = (): number => this.#target.clock.monotonic()

  constructor(parts: {
    readonly target: UpnpTarget
    readonly request: MappingRequest
    /** What the process whose place this one takes did for the same port. */
    readonly before: readonly Partial<UpnpEffect>[]
    readonly intend: (effect: UpnpEffect) => Promise<Effect>
  }) {
    const { request } = parts
    this.#before = parts.before
    this.#target = parts.target
    this.#request = request
    this.#intend = parts.intend
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
    const asked = this.#adopted ? (this.#granted.leaseSeconds ?? 0) : leaseSeconds
    return describeMapping(facts, { ...wish, leaseSeconds: asked }, this.#notes())
  }

  /** The address and the table as it is, while nothing is done; then ask; then read back. */
  async begin(signal: AbortSignal): Promise<void> {
    const port = this.#request.externalPort
    const [address, found] = await Promise.all([this.#askAddress(signal), this.#read(port, signal)])
    if (address !== undefined) {
      this.#externalAddress = address
      this.#hasPublicAddress = address !== null && isPublic(address)
    }
    const existing = await this.#withoutFormer(found, port, signal)
    if (existing && this.#leadsToUs(existing) && !this.#isMine(existing)) return this.#adopt(existing)
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
        notes: this.#seen?.by === 'list' ? [] : [say('this router cannot be read back')],
      }
    if (found === null) return this.#lost(say('it is not in the list any more'))
    if (!this.#leadsToUs(found)) return this.#lost(say`it leads to ${ownerOf(found)} now`)
    if (!found.enabled) return this.#lost(say('it was switched off'))
    return { state: 'held', notes: [] }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    const port = this.externalPort
    const existing = await this.#withoutFormer(await this.#read(port, signal), port, signal)
    if (this.#adopted && existing && this.#leadsToUs(existing)) return this.#adopt(existing)
    this.#adopted = null
    if (existing && !this.#isMine(existing)) throw this.#taken(existing)
    this.#effect ??= await this.#intend(this.#effectOf(port))
    const usual = this.#granted.leaseSeconds
    try {
      await this.#add(port, signal)
    } catch (failure) {
      if (faultCode(failure) !== 718 || !existing) throw await this.#explain(failure, signal)
      if ((existing.leaseSecondsLeft ?? Infinity) <= 60) await this.#makeAnew(existing, signal)
    }
    const renewed = await this.#look(port, signal)
    if (existing && renewed.mapping && !grew(existing, renewed.mapping, usual)) {
      await this.#makeAnew(existing, signal)
      return this.#settle(port, await this.#look(port, signal), signal)
    }
    await this.#settle(port, renewed, signal)
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#released) return
    if (this.#effect && !this.#adopted) {
      const effect = this.#effectOf(this.externalPort || this.#request.externalPort)
      await dropIfOurs(this.#target.device, effect, { ...this.#how(signal), now: this.#now })
      await this.#effect.undone()
    }
    this.#released = true
  }

  /** Null where the router says that it has none; undefined where it does not tell. */
  #askAddress(signal: AbortSignal): Promise<string | null | undefined> {
    return externalAddress(this.#target.device, this.#how(signal)).catch((failure: unknown) => {
      if (faultCode(failure) !== null) return null
      if (isNaruError(failure, 'ROUTER_SILENT', 'ROUTER_ANSWER_BAD')) return undefined
      throw failure
    })
  }

  async #openOwn(externalPort: number, signal: AbortSignal): Promise<void> {
    this.#effect = await this.#intend(this.#effectOf(externalPort))
    try {
      let port = await this.#ask(externalPort, signal)
      let seen = await this.#look(port, signal)
      // Some say yes to a lease and make nothing of it.
      if (seen.mapping === null && this.#askOtherLease()) {
        port = await this.#ask(port, signal)
        seen = await this.#look(port, signal)
      }
      await this.#settle(port, seen, signal)
    } catch (failure) {
      if (isNaruError(failure, ...nothingThere)) await this.#effect.undone()
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
    // 725 OnlyPermanentLeasesSupported; some say 402, 501 or a number of their own to a lease, some to a permanent one.
    const aboutLease = code !== null && (tellsNoCause(code) || (code === 725 && this.#askSeconds > 0))
    if (aboutLease && this.#askOtherLease()) return port
    // 724 SamePortValuesRequired.
    if (code === 724 && anyPort && port !== internalPort) return internalPort
    if (code !== 718 && code !== 729) return null
    const existing = await this.#read(port, signal)
    if (existing && this.#leadsToUs(existing) && this.#isMine(existing)) {
      await dropMapping(this.#target.device, existing, this.#how(signal))
      return port
    }
    return anyPort ? this.#otherPort() : null
  }

  /** Permanent in place of a lease, a week in place of a permanent one; once. */
  #askOtherLease(): boolean {
    if (this.#triedOtherLease) return false
    this.#triedOtherLease = true
    this.#askSeconds = this.#askSeconds > 0 ? 0 : weekSeconds
    return true
  }

  /** Some answer 718 to an early renewal, some take it and lengthen nothing: away with it, then once more. */
  async #makeAnew(existing: Mapping, signal: AbortSignal): Promise<void> {
    await dropMapping(this.#target.device, existing, this.#how(signal))
    try {
      await this.#add(existing.externalPort, signal)
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
    this.#askedAt = this.#now()
    try {
      return await this.#addAs(mapping, signal)
    } catch (failure) {
      const unsaid = isNaruError(failure, 'ROUTER_SILENT', 'ROUTER_ANSWER_BAD') && !reachedNobody(failure)
      // It may have done it, and answered late or nothing that is one.
      const found = unsaid ? await this.#read(externalPort, signal).catch(() => null) : null
      if (found && this.#leadsToUs(found) && this.#isMine(found)) return externalPort
      throw failure
    }
  }

  async #addAs(mapping: NewMapping, signal: AbortSignal): Promise<number> {
    const { device, flavour } = this.#target
    if (this.#request.anyPort && flavour === 'upnp-2')
      try {
        return await addAnyMapping(device, mapping, this.#how(signal))
      } catch (failure) {
        if (!isUnknownAction(failure)) throw failure
      }
    await addMapping(device, mapping, this.#how(signal))
    return mapping.externalPort
  }

  /** What the router really did. */
  async #look(port: number, signal: AbortSignal): Promise<Looked> {
    const key = { protocol: this.#request.protocol, externalPort: port }
    const how = { ...this.#how(signal), now: this.#now, list: 'unseen' as const }
    const { mapping, by } = await findMapping(this.#target.device, key, how)
    if (mapping === 'unknown') return { mapping: undefined, by: 'nothing' }
    return { mapping, by: by ?? 'nothing' }
  }

  /** Keeps what the router really did. "Success" without an entry is none (seen). */
  async #settle(port: number, { mapping, by }: Looked, signal: AbortSignal): Promise<void> {
    if (mapping === null || (mapping && !this.#leadsToUs(mapping)))
      return this.#settleElsewhere(port, mapping, signal)
    this.#seen = { description: mapping?.description ?? '', by }
    // Some tell 0 of a lease that they took and that ends: it is renewed all the same.
    const untold = mapping?.leaseSecondsLeft == null
    const leaseSeconds = mapping?.leaseSecondsLeft ?? (this.#askSeconds || null)
    const now = this.#target.clock.now()
    this.#granted = {
      externalPort: port,
      leaseSeconds: this.#isAsAsked(leaseSeconds) ? this.#askSeconds : leaseSeconds,
      until: leaseSeconds === null ? null : now + leaseSeconds * 1000,
      renewAfter: leaseSeconds === null ? null : now + leaseSeconds * 500,
      mayStay: untold,
    }
    await this.#effect?.amend(this.#effectOf(port))
  }

  /** What is left of it has run since it was asked for, which a slow router makes long; seconds are rounded. */
  #isAsAsked(leftSeconds: number | null): boolean {
    const runSeconds = (this.#now() - this.#askedAt) / 1000
    const lessSeconds = this.#askSeconds - (leftSeconds ?? Infinity)
    return lessSeconds >= 0 && lessSeconds <= runSeconds + 3
  }

  /** What it made in place of what was asked is taken back, or taken where any port will do. */
  async #settleElsewhere(port: number, found: Mapping | null, signal: AbortSignal): Promise<void> {
    const { device } = this.#target
    const rows = await listMappings(device, this.#how(signal), this.#now).catch(() => [])
    const stray = rows.find(
      (row) =>
        row.protocol === this.#request.protocol &&
        row.externalPort !== port &&
        this.#leadsToUs(row) &&
        this.#carriesOurTag(row),
    )
    if (stray && this.#request.anyPort)
      return this.#settle(stray.externalPort, { mapping: stray, by: 'list' }, signal)
    const mine = [
      ...(found === null ? [{ protocol: this.#request.protocol, externalPort: port }] : []),
      stray,
    ]
    if (found && this.#carriesOurTag(found)) mine.push(found)
    for (const row of mine) if (row) await dropMapping(device, row, this.#how(signal)).catch(unlessFault)
    if (stray)
      throw new NaruError('ROUTER_OTHER_PORT', { router: this.#router, port, granted: stray.externalPort })
    const why = found ? say`the entry leads to ${ownerOf(found)}` : say('there is no such entry')
    throw new NaruError('ROUTER_NOT_DONE', { router: this.#router, port: this.#portText(port), why })
  }

  /** @throws NaruError ROUTER_ROW_OFF */
  #adopt(existing: Mapping): void {
    if (!existing.enabled)
      throw new NaruError('ROUTER_ROW_OFF', {
        router: this.#router,
        port: this.#portText(existing.externalPort),
      })
    this.#adopted = existing
    const { externalPort, leaseSecondsLeft } = existing
    const now = this.#target.clock.now()
    const until = leaseSecondsLeft === null ? null : now + leaseSecondsLeft * 1000
    // Looked at again just after it ends: then nobody else's row stands in the way of ours.
    const renewAfter = until && until + 1000
    this.#granted = { externalPort, leaseSeconds: leaseSecondsLeft, until, renewAfter, mayStay: true }
  }

  #notes(): Text[] {
    const by = this.#adopted?.description || '?'
    return this.#adopted
      ? [say`"${by}" opened this port to this machine already; Naru uses it and leaves it alone`]
      : []
  }

  /** Null where there is none, or the router does not tell. Its list is looked at where it alone was seen to tell. */
  async #read(port: number, signal: AbortSignal): Promise<Mapping | null> {
    const key = { protocol: this.#request.protocol, externalPort: port }
    const list = this.#seen?.by === 'list' ? 'unseen' : 'never'
    const how = { ...this.#how(signal), now: this.#now, list } as const
    const { mapping } = await findMapping(this.#target.device, key, how)
    return mapping === 'unknown' ? null : mapping
  }

  async #lookup(signal: AbortSignal): Promise<Mapping | null | 'unknown' | NaruError> {
    const key = { protocol: this.#request.protocol, externalPort: this.externalPort }
    try {
      if (this.#seen?.by === 'nothing') return 'unknown'
      if (this.#seen?.by === 'list') return await this.#lookAtList(signal)
      return await this.#target.reader.read(key, signal)
    } catch (failure) {
      // Routers without a better word say 402 or 501 to "there is none".
      if (faultCode(failure) !== null) return (await this.#look(key.externalPort, signal)).mapping ?? null
      if (failure instanceof NaruError && failure.code !== 'ABORTED') return failure
      throw failure
    }
  }

  async #lookAtList(signal: AbortSignal): Promise<Mapping | null | 'unknown'> {
    if (this.#now() - this.#listedAt < listEveryMs) return 'unknown'
    const { mapping = 'unknown' } = await this.#look(this.externalPort, signal)
    if (mapping) this.#listedAt = this.#now()
    return mapping
  }

  #leadsToUs(mapping: Mapping): boolean {
    if (mapping.internalAddress !== this.#internalAddress) return false
    // Some read every row back with port 0 (miniupnpd 2.3.0 on nftables): the tag tells that it is this rule's.
    const untold = mapping.internalPort === 0 && this.#carriesOurTag(mapping)
    return untold || mapping.internalPort === this.#request.internalPort
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
    await dropMapping(this.#target.device, existing, this.#how(signal)).catch(unlessFault)
    return this.#read(port, signal)
  }

  /** Ours to replace: what this rule made before, or what any Naru left that leads to the very port we serve. */
  #isMine(mapping: Mapping): boolean {
    if (this.#leadsToUs(mapping))
      return mapping.ours || this.#carriesOurTag(mapping) || this.#isAsShown(mapping)
    return mapping.internalAddress === this.#internalAddress && this.#carriesOurTag(mapping)
  }

  /** A router that shows no description, or its own, shows it of what this process or the one before it made. */
  #isAsShown({ description, externalPort }: Mapping): boolean {
    const here = this.externalPort === externalPort && this.#seen?.description === description
    return here || this.#before.some((was) => was.externalPort === externalPort && was.shown === description)
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
    return explainFault(failure, this.#router, port, this.#hasPublicAddress ?? true)
  }

  #taken(existing: Mapping): NaruError {
    const { externalPort: port } = existing
    return new NaruError('ROUTER_PORT_TAKEN', { router: this.#router, port, owner: ownerOf(existing) })
  }

  #lost(why: Text): Verdict {
    const port = this.#portText(this.externalPort)
    return { state: 'lost', why: new NaruError('ROUTER_MAPPING_LOST', { router: this.#router, port, why }) }
  }

  /** With its protocol: of two that were asked for one may be kept. */
  #portText(port: number): string {
    return `${port}/${this.#request.protocol}`
  }

  #how(signal: AbortSignal): CallOptions {
    const { through } = this.#target
    return { signal, ...(through && { through }) }
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
    const until = this.#granted.mayStay ? null : this.#granted.until
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
      shown: this.#seen?.description ?? null,
      seenBy: this.#seen?.by ?? null,
      until: granted ? until : asked,
    }
  }
}

/** False where the lease that was left runs on, as if nobody had asked for more. */
function grew(before: Mapping, after: Mapping, usual: number | null): boolean {
  const [was, is] = [before.leaseSecondsLeft, after.leaseSecondsLeft]
  return was === null || is === null || usual === null || is > was || is >= usual * 0.75
}

function unlessFault(failure: unknown): void {
  if (faultCode(failure) === null) throw failure
}

export function ownerOf({ internalAddress, internalPort, description }: Mapping): Text {
  const name = description ? ` ("${description}")` : ''
  const who = `${internalAddress}:${internalPort}${name}`
  return verbatim(who)
}
