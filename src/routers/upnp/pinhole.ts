/**
 * A hole in the router's IPv6 firewall (WANIPv6FirewallControl:1): asked for over IPv6 from the very address it is
 * for, because routers check that; known by the identifier they give; extended by UpdatePinhole.
 */
import { NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import { describeMapping } from '../../model/mapping.ts'
import type { Effect, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import type { MappingLease, MappingRequest } from '../contract.ts'
import type { Device } from './device.ts'
import { explainFault, faultCode } from './fault.ts'
import { reachedNobody } from './http.ts'
import type { Clock } from '../../base/clock.ts'

export interface PinholeTarget {
  readonly device: Device
  /** The router by IPv6. */
  readonly routerAddress: string
  /** Ours, that the internet can reach. */
  readonly clientAddress: string
  readonly clock: Clock
}

export interface PinholeEffect {
  readonly [key: string]: string | number | null
  readonly kind: 'pinhole'
  /** Where the device is found, by IPv4. */
  readonly router: string
  readonly source: string | null
  readonly location: string
  readonly routerAddress: string
  readonly internalAddress: string
  readonly internalPort: number
  readonly protocol: string
  /** Null while it is asked for. */
  readonly uniqueId: number | null
  readonly until: number
}

/** WANIPv6FirewallControl:1 §2.3.1: a pinhole lives at most a day. */
const longestLeaseSeconds = 86_400
const protocolNumbers = { tcp: 6, udp: 17 } as const
/** 702: the router's firewall is off, everything is let in. 704: no such entry. */
const [firewallOff, noSuchEntry] = [702, 704]

export async function openPinhole(
  target: PinholeTarget,
  request: MappingRequest,
  { record, signal }: OpenOptions,
): Promise<MappingLease> {
  const lease = new PinholeLease(target, request)
  await lease.begin(record, signal)
  return lease
}

class PinholeLease implements MappingLease {
  readonly #target: PinholeTarget
  readonly #request: MappingRequest
  readonly #leaseSeconds: number
  #effect: Effect | null = null
  #uniqueId: number | null = null
  #until = 0
  #firewallIsOff = false
  #released = false

  constructor(target: PinholeTarget, request: MappingRequest) {
    this.#target = target
    this.#request = request
    this.#leaseSeconds = Math.min(Math.max(request.leaseSeconds, 1), longestLeaseSeconds)
  }

  get externalAddress(): string {
    return this.#internalAddress
  }

  get externalPort(): number {
    return this.#request.internalPort
  }

  get goodUntil(): number | null {
    return this.#firewallIsOff ? null : this.#until
  }

  get renewAfter(): number | null {
    return this.#firewallIsOff ? null : this.#until - this.#leaseSeconds * 500
  }

  describe(): LeaseDescription {
    const { protocol, internalPort, externalPort, leaseSeconds, allow } = this.#request
    const facts = {
      member: 'upnp',
      flavour: 'upnp-pinhole',
      router: this.#target.routerAddress,
      protocol,
      externalAddress: this.externalAddress,
      externalPort: this.externalPort,
      internalAddress: this.#internalAddress,
      internalPort,
      leaseSeconds: this.#leaseSeconds,
      goodUntil: this.goodUntil ?? this.#until,
    }
    return describeMapping(facts, { externalPort, leaseSeconds, allow, filter: 'none' }, this.#notes())
  }

  async begin(record: OpenOptions['record'], signal: AbortSignal): Promise<void> {
    this.#until = this.#target.clock.now() + this.#leaseSeconds * 1000
    this.#effect = await record.intend(this.#effectNow())
    try {
      await this.#add(signal)
    } catch (failure) {
      const code = faultCode(failure)
      // Silence may mean that only the answer was lost: what was asked and not answered stays in the journal.
      if (code !== null || reachedNobody(failure)) await this.#effect.undone()
      if (code === firewallOff) this.#firewallIsOff = true
      else throw this.#explain(failure)
    }
  }

  /** GetPinholePackets answers for a pinhole that is there, and 704 for one that is not. */
  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    if (this.#firewallIsOff) return { state: 'held', notes: this.#notes() }
    try {
      await this.#call('GetPinholePackets', [['UniqueID', this.#uniqueId ?? 0]], signal)
      return { state: 'held', notes: [] }
    } catch (failure) {
      const code = faultCode(failure)
      if (code === noSuchEntry)
        return {
          state: 'lost',
          why: this.#gone(say('the router has no such pinhole')),
        }
      if (code !== null)
        return {
          state: 'held',
          notes: [say('this router cannot be read back')],
        }
      if (failure instanceof NaruError && failure.code !== 'ABORTED') return { state: 'lost', why: failure }
      throw failure
    }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#firewallIsOff) return
    try {
      await this.#call(
        'UpdatePinhole',
        [
          ['UniqueID', this.#uniqueId ?? 0],
          ['NewLeaseTime', this.#leaseSeconds],
        ],
        signal,
      )
      await this.#extended()
    } catch (failure) {
      if (faultCode(failure) === null) throw failure
      await this.#add(signal).catch((again: unknown) => Promise.reject(this.#explain(again)))
    }
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#released) return
    if (this.#uniqueId !== null) await deletePinhole(this.#target, this.#uniqueId, signal)
    this.#released = true
    await this.#effect?.undone()
  }

  async #add(signal: AbortSignal): Promise<void> {
    this.#uniqueId = await addPinhole(this.#target, this.#effectNow(), this.#leaseSeconds, signal)
    await this.#extended()
  }

  async #extended(): Promise<void> {
    this.#until = this.#target.clock.now() + this.#leaseSeconds * 1000
    await this.#effect?.amend(this.#effectNow())
  }

  #call(
    action: string,
    values: [string, string | number][],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    return callFirewall(this.#target, action, values, signal)
  }

  #notes(): Text[] {
    return this.#firewallIsOff ? [say('the router does not filter IPv6: no pinhole is needed')] : []
  }

  #explain(failure: unknown): NaruError {
    return explainFault(failure, this.#target.routerAddress, this.#request.internalPort, true)
  }

  #gone(why: Text): NaruError {
    return new NaruError('ROUTER_MAPPING_LOST', {
      router: this.#target.routerAddress,
      port: this.externalPort,
      why,
    })
  }

  get #internalAddress(): string {
    return this.#request.internalAddress ?? this.#target.clientAddress
  }

  #effectNow(): PinholeEffect {
    const { device, routerAddress } = this.#target
    return {
      kind: 'pinhole',
      router: device.place.address,
      source: device.place.source,
      location: device.location.href,
      routerAddress,
      internalAddress: this.#internalAddress,
      internalPort: this.#request.internalPort,
      protocol: this.#request.protocol,
      uniqueId: this.#uniqueId,
      until: this.#until,
    }
  }
}

/** @returns its number; that of the very same pinhole where there is one already, as the specification wants. */
async function addPinhole(
  target: Omit<PinholeTarget, 'clock'>,
  wish: { readonly internalAddress: string; readonly internalPort: number; readonly protocol: string },
  leaseSeconds: number,
  signal: AbortSignal,
): Promise<number | null> {
  const values = await callFirewall(
    target,
    'AddPinhole',
    [
      ['RemoteHost', ''],
      ['RemotePort', 0],
      ['InternalClient', wish.internalAddress],
      ['InternalPort', wish.internalPort],
      ['Protocol', protocolNumbers[wish.protocol === 'udp' ? 'udp' : 'tcp']],
      ['LeaseTime', leaseSeconds],
    ],
    signal,
  )
  const id = Number(values.get('UniqueID'))
  return Number.isInteger(id) && id >= 0 && id <= 65_535 ? id : null
}

/**
 * Takes away what the journal says was made. Whoever was ended before the answer came knows no number: asking for the
 * same pinhole once more tells it, also where there was none yet. @throws NaruError ROUTER_…
 */
export async function undoPinhole(device: Device, effect: PinholeEffect, signal: AbortSignal): Promise<void> {
  const { routerAddress, internalAddress: clientAddress } = effect
  const target = { device, routerAddress, clientAddress }
  const uniqueId = effect.uniqueId ?? (await numberAgain(target, effect, signal))
  if (uniqueId !== null) await deletePinhole(target, uniqueId, signal)
}

/** Long enough to be deleted, short enough where that is lost as well. */
const askedAgainSeconds = 60

/** A router that refuses it has none. */
async function numberAgain(
  target: Omit<PinholeTarget, 'clock'>,
  effect: PinholeEffect,
  signal: AbortSignal,
): Promise<number | null> {
  return addPinhole(target, effect, askedAgainSeconds, signal).catch((failure: unknown) => {
    if (faultCode(failure) === null) throw failure
    return null
  })
}

/** A pinhole that is not there is a success. @throws NaruError ROUTER_… */
async function deletePinhole(
  target: Omit<PinholeTarget, 'clock'>,
  uniqueId: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await callFirewall(target, 'DeletePinhole', [['UniqueID', uniqueId]], signal)
  } catch (failure) {
    const code = faultCode(failure)
    // Some have another word for what is not there (miniupnpd, seen: 402): whether it is there tells.
    if (code === noSuchEntry || (code !== null && (await isGone(target, uniqueId, signal)))) return
    throw explainFault(failure, target.routerAddress, uniqueId, true)
  }
}

async function isGone(
  target: Omit<PinholeTarget, 'clock'>,
  uniqueId: number,
  signal: AbortSignal,
): Promise<boolean> {
  const seen = callFirewall(target, 'GetPinholePackets', [['UniqueID', uniqueId]], signal)
  return seen.then(
    () => false,
    (failure: unknown) => [noSuchEntry, 402].includes(faultCode(failure) ?? 0),
  )
}

function callFirewall(
  { device, routerAddress, clientAddress }: Omit<PinholeTarget, 'clock'>,
  action: string,
  values: [string, string | number][],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  return device.call('firewall', action, values, {
    signal,
    through: { address: routerAddress, source: clientAddress },
  })
}
