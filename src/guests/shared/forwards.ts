/**
 * The life of a hypervisor's forward, the same for every kind: journalled, added, read back, renewed after it was
 * lost, removed. A kind only tells how it lists, adds and removes one (`ForwardTable`).
 */
import { withLimit } from '../../base/clock.ts'
import { z } from 'zod'
import { isNaruError, NaruError } from '../../base/errors.ts'
import { formatPortRange, portCount, type PortRange, type Protocol } from '../../base/port.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import { formatEndpoint } from '../../base/address.ts'
import type { Effect, Json, LeaseDescription, Recorder, Verdict } from '../../model/hop.ts'
import type { GuestKind } from '../../model/target.ts'
import type { GuestForwardRequest, GuestLease } from '../contract.ts'
import { freePorts } from './free-port.ts'

/** One port's forward. */
export interface Forward {
  readonly protocol: Protocol
  /** Null is every address. */
  readonly hostAddress: string | null
  readonly hostPort: number
  readonly guestPort: number
}

export interface ListedForward extends Forward {
  /** The tag that says whose it is, where the hypervisor keeps one. */
  readonly tag: string | null
  /** It leads to another guest, or to an address where this one was before. */
  readonly elsewhere?: boolean
}

/** How one guest's forwards are read and changed. Every call finds the guest anew, as it may have moved. */
export interface ForwardTable {
  /** @throws NaruError GUEST_UNKNOWN, GUEST_STOPPED, GUEST_SILENT … */
  list(signal: AbortSignal): Promise<readonly ListedForward[]>
  /** @throws NaruError GUEST_REFUSED, GUEST_FORWARD_TAKEN */
  add(forward: Forward, tag: string, signal: AbortSignal): Promise<void>
  /**
   * Where forwards outlive the guest: what is there, also while it is off or gone. Left out where they go with it.
   */
  remaining?(signal: AbortSignal): Promise<readonly ListedForward[]>
  /** Only one that `list` or `remaining` just showed. */
  remove(forward: ListedForward, signal: AbortSignal): Promise<void>
  /** Set where the hypervisor listens on every address of this machine, whatever is asked. */
  readonly everywhere?: true
  /** Set where forwards can be seen but not added while the guest runs: why, and which way works. */
  readonly cannotAdd?: NaruError
  /**
   * What the forwards live in, such as a process: when it is another one, ours went with it. Left out where they
   * outlive the guest.
   */
  instance?(signal: AbortSignal): Promise<string>
}

const ForwardEffect = z.object({
  type: z.literal('forward'),
  guest: z.string(),
  tag: z.string(),
  protocol: z.enum(['tcp', 'udp']),
  hostAddress: z.string().nullable(),
  hostPort: z.number(),
  guestPort: z.number(),
  instance: z.string().nullable(),
})
type ForwardEffect = z.infer<typeof ForwardEffect>

/** The guest's name in an effect that `openForwards` wrote, or null where it is none. */
export function guestOfForward(effect: Json): string | null {
  return ForwardEffect.safeParse(effect).data?.guest ?? null
}

/** What marks a forward as ours where a hypervisor keeps names: `naru-web`, and the port where there are several. */
export function forwardTag(rule: string, port: number | null): string {
  return port === null ? `naru-${rule}` : `naru-${rule}-${port}`
}

export function isOurTag(tag: string | null): boolean {
  return tag?.startsWith('naru-') ?? false
}

export interface OpenForwards {
  readonly kind: GuestKind
  readonly table: ForwardTable
  readonly request: GuestForwardRequest
  readonly record: Recorder
  readonly signal: AbortSignal
  /** What the hypervisor does otherwise than asked: shown with the lease. */
  readonly notes?: readonly Text[]
}

/** How often another free port is tried where the chosen one was taken meanwhile. */
const portTries = 5

/**
 * Opens every port of the request, or none. One that somebody else opened the same way is used and left alone.
 * @throws NaruError GUEST_FORWARD_TAKEN, GUEST_REFUSED, VALUE_INVALID and what the table throws
 */
export async function openForwards(options: OpenForwards): Promise<GuestLease> {
  const { request, kind } = options
  checkCounts(request)
  if (request.hostPorts !== null)
    return openOn(options, options.table.everywhere ? null : request.hostAddress, request.hostPorts)
  const address = options.table.everywhere ? null : (request.hostAddress ?? '127.0.0.1')
  const before = portsBefore(options)
  if (before !== null) return openOn(options, address, before)
  const existing = await alreadyThere(options)
  if (existing) return existing
  if (options.table.cannotAdd) throw options.table.cannotAdd
  for (let attempt = 1; ; attempt++) {
    const ports = await freePorts(request.protocol, portCount(request.guestPorts))
    try {
      return await openOn(options, address, ports)
    } catch (error) {
      if (attempt === portTries || !isNaruError(error, 'GUEST_FORWARD_TAKEN')) throw error
    }
  }
  function checkCounts({ hostPorts, guestPorts, name }: GuestForwardRequest): void {
    if (hostPorts === null || portCount(hostPorts) === portCount(guestPorts)) return
    throw new NaruError('VALUE_INVALID', {
      what: 'port range',
      value: formatPortRange(hostPorts),
      why: say`${kind}:${name} is to serve ${portCount(guestPorts)} ports; both ranges must be of one length`,
    })
  }
}

/** The ports that the process whose place this one takes forwards by. */
function portsBefore({ request, record }: OpenForwards): PortRange | null {
  const effects = (record.before ?? []).flatMap((effect) => ForwardEffect.safeParse(effect).data ?? [])
  const first = effects.find(
    ({ guest, protocol, guestPort }) =>
      guest === request.name && protocol === request.protocol && guestPort === request.guestPorts.first,
  )
  return first ? { first: first.hostPort, last: first.hostPort + portCount(request.guestPorts) - 1 } : null
}

/** Any port will do, and somebody forwards one to the guest already: a lease on theirs, which changes nothing. */
async function alreadyThere(options: OpenForwards): Promise<GuestLease | null> {
  const { table, request, signal } = options
  if (portCount(request.guestPorts) > 1) return null
  const there = (await table.list(signal)).find(
    (forward) =>
      forward.guestPort === request.guestPorts.first &&
      forward.protocol === request.protocol &&
      !forward.elsewhere &&
      !isOurTag(forward.tag) &&
      isDialledLocally(forward.hostAddress),
  )
  if (!there) return null
  const ports = { first: there.hostPort, last: there.hostPort }
  return new ForwardLease(options, {
    address: there.hostAddress,
    ports,
    held: [{ forward: there, effect: null }],
  })
}

function isDialledLocally(address: string | null): boolean {
  return address === null || address.startsWith('127.')
}

/** A forward of the lease; one without an effect is somebody else's. */
interface Held {
  readonly forward: Forward
  effect: { readonly handle: Effect; readonly written: ForwardEffect } | null
}

async function openOn(options: OpenForwards, address: string | null, ports: PortRange): Promise<GuestLease> {
  const { table, request, signal } = options
  const held: Held[] = []
  try {
    const before = await table.list(signal)
    for (let offset = 0; offset < portCount(ports); offset++) {
      const forward: Forward = {
        protocol: request.protocol,
        hostAddress: address,
        hostPort: ports.first + offset,
        guestPort: request.guestPorts.first + offset,
      }
      held.push(await openOne(options, forward, before))
    }
    return new ForwardLease(options, { address, ports, held })
  } catch (error) {
    for (const one of held.reverse()) await closeOne(options, one, withLimit(undefined, 15_000))
    throw error
  }
}

async function openOne(
  options: OpenForwards,
  forward: Forward,
  before: readonly ListedForward[],
): Promise<Held> {
  const same = before.find((other) => leadsThere(other, forward))
  if (same && !isOurTag(same.tag) && !isFromBefore(options, forward)) return { forward, effect: null }
  if (!same && options.table.cannotAdd) throw options.table.cannotAdd
  const inTheWay = before.find((other) => !leadsThere(other, forward) && forwardsMeet(other, forward))
  if (inTheWay && inTheWay.tag !== tagOf(options, forward)) throw taken(options, forward, inTheWay)
  const written = await effectOf(options, forward)
  const held: Held = { forward, effect: { handle: await options.record.intend(written), written } }
  try {
    if (inTheWay) await options.table.remove(inTheWay, options.signal)
    if (!same) await addAndReadBack(options, forward, options.signal)
    return held
  } catch (error) {
    await closeOne(options, held, withLimit(undefined, 15_000))
    throw error
  }
}

/** Some hypervisors keep no names: that it is ours is known from the journal alone. */
function isFromBefore({ request, record }: OpenForwards, forward: Forward): boolean {
  return (record.before ?? []).some((effect) => {
    const was = ForwardEffect.safeParse(effect).data
    return (
      was?.guest === request.name &&
      was.protocol === forward.protocol &&
      was.hostPort === forward.hostPort &&
      was.guestPort === forward.guestPort
    )
  })
}

/** A hypervisor that says yes and does nothing is found out here. */
async function addAndReadBack(options: OpenForwards, forward: Forward, signal: AbortSignal): Promise<void> {
  const { kind, table } = options
  await table.add(forward, tagOf(options, forward), signal)
  if ((await table.list(signal)).some((other) => leadsThere(other, forward))) return
  throw new NaruError('GUEST_REFUSED', {
    kind,
    what: forwardText(forward),
    why: say('it said yes, but its list does not show the forward'),
  })
}

async function effectOf(options: OpenForwards, forward: Forward): Promise<ForwardEffect> {
  const { protocol, hostAddress, hostPort, guestPort } = forward
  return {
    type: 'forward',
    guest: options.request.name,
    tag: tagOf(options, forward),
    protocol,
    hostAddress,
    hostPort,
    guestPort,
    instance: (await options.table.instance?.(options.signal)) ?? null,
  }
}

async function closeOne({ table }: { table: ForwardTable }, held: Held, signal: AbortSignal): Promise<void> {
  if (!held.effect) return
  await removeForward(table, held.effect.written, signal)
  await held.effect.handle.undone()
  held.effect = null
}

/** Undoes an effect of `openForwards` from the journal alone. Gone already, or gone with its guest, is done. */
export async function undoForward(table: ForwardTable, effect: Json, signal: AbortSignal): Promise<void> {
  await removeForward(table, ForwardEffect.parse(effect), signal)
}

async function removeForward(
  table: ForwardTable,
  written: ForwardEffect,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { instance, tag } = written
    if (instance !== null && (await table.instance?.(signal)) !== instance) return
    const rows = await (table.remaining ? table.remaining(signal) : table.list(signal))
    const there = rows.find((other) => sameForward(other, written))
    // Another tag says that ours is gone and somebody else's took its place.
    if (there && (there.tag === null || there.tag === tag)) await table.remove(there, signal)
  } catch (error) {
    if (!isNaruError(error, 'GUEST_UNKNOWN', 'GUEST_STOPPED')) throw error
  }
}

interface Opened {
  /** Of the host, where the guest is reached; null is every one. */
  readonly address: string | null
  readonly ports: PortRange
  readonly held: readonly Held[]
}

class ForwardLease implements GuestLease {
  readonly goodUntil = null
  readonly renewAfter = null
  readonly leadsTo: GuestLease['leadsTo']
  readonly host: { readonly address: string; readonly ports: PortRange }
  readonly #options: OpenForwards
  readonly #held: readonly Held[]

  constructor(options: OpenForwards, opened: Opened) {
    const { address, ports, held } = opened
    this.#options = options
    this.#held = held
    this.leadsTo = { kind: options.kind, name: options.request.name }
    const everywhere = address === null || address === '0.0.0.0'
    this.host = {
      address: everywhere && options.request.hostPorts === null ? '127.0.0.1' : (address ?? '0.0.0.0'),
      ports,
    }
  }

  describe(): LeaseDescription {
    const { kind, request, notes = [] } = this.#options
    const { address, ports } = this.host
    const from = formatEndpoint(address, formatPortRange(ports))
    const to = `${kind}:${request.name}:${formatPortRange(request.guestPorts)}`
    const foreign = this.#held.every(({ effect }) => effect === null)
    const line = `${from} → ${to}/${request.protocol}`
    return {
      member: kind,
      text: foreign ? say`${line}, which was there already and stays` : verbatim(line),
      differs: notes,
      data: {
        address,
        ports: { ...ports },
        guestPorts: { ...request.guestPorts },
        protocol: request.protocol,
        ours: !foreign,
      },
    }
  }

  async verify({ signal }: { signal: AbortSignal }): Promise<Verdict> {
    try {
      const missing = await this.#missing(signal)
      if (missing.length === 0) return { state: 'held', notes: [] }
      const { kind, request } = this.#options
      const forward = missing.map((held) => forwardText(held.forward)).join(', ')
      return {
        state: 'lost',
        why: new NaruError('GUEST_FORWARD_LOST', { kind, name: request.name, forward }),
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof NaruError) return { state: 'lost', why: error }
      throw error
    }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    const options = { ...this.#options, signal }
    for (const held of await this.#missing(signal)) {
      if (options.table.cannotAdd) throw options.table.cannotAdd
      const written = await effectOf(options, held.forward)
      const handle = held.effect?.handle
      if (handle) await handle.amend(written)
      held.effect = { handle: handle ?? (await options.record.intend(written)), written }
      await addAndReadBack(options, held.forward, signal)
    }
  }

  async release({ signal }: { signal: AbortSignal }): Promise<void> {
    for (const held of this.#held) await closeOne(this.#options, held, signal)
  }

  async #missing(signal: AbortSignal): Promise<readonly Held[]> {
    const there = await this.#options.table.list(signal)
    return this.#held.filter(({ forward }) => !there.some((other) => leadsThere(other, forward)))
  }
}

function tagOf({ request }: OpenForwards, forward: Forward): string {
  return forwardTag(request.rule, portCount(request.guestPorts) === 1 ? null : forward.hostPort)
}

function taken(
  { kind, request }: OpenForwards,
  forward: Forward,
  other: Forward & { tag: string | null },
): NaruError {
  const owner = other.tag ?? forwardText(other)
  return new NaruError('GUEST_FORWARD_TAKEN', { kind, name: request.name, port: portText(forward), owner })
}

function leadsThere(listed: ListedForward, wanted: Forward): boolean {
  return sameForward(listed, wanted) && !listed.elsewhere
}

function sameForward(a: Forward, b: Forward): boolean {
  return (
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    a.guestPort === b.guestPort &&
    everywhereIsNull(a.hostAddress) === everywhereIsNull(b.hostAddress)
  )
}

/** Both would listen on one socket. */
function forwardsMeet(a: Forward, b: Forward): boolean {
  const [one, other] = [everywhereIsNull(a.hostAddress), everywhereIsNull(b.hostAddress)]
  return (
    a.protocol === b.protocol &&
    a.hostPort === b.hostPort &&
    (one === null || other === null || one === other)
  )
}

function everywhereIsNull(address: string | null): string | null {
  return address === '0.0.0.0' || address === '' || address === '*' ? null : address
}

function portText({ protocol, hostAddress, hostPort }: Forward): string {
  return `${hostAddress === null ? hostPort : formatEndpoint(hostAddress, hostPort)}/${protocol}`
}

/** `127.0.0.1:8888/tcp → 80`. */
function forwardText(forward: Forward): string {
  return `${portText(forward)} → ${forward.guestPort}`
}
