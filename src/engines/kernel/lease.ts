/**
 * One rule in the kernel: its elements in the table, and what conntrack tells of its connections. The kernel carries
 * on whether or not we live; this is the handle by which it is changed, looked at and ended.
 */
import type { Family } from '../../base/address.ts'
import { messageOf, NaruError, isNaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { CloseReason, Connection, Counters } from '../../model/connection.ts'
import type { Effect, Lease, LeaseDescription, Verdict } from '../../model/hop.ts'
import { formatListen, type InetListen } from '../../model/listen.ts'
import type { Heritage, LentSocket } from '../../model/handover-sockets.ts'
import type { Rule } from '../../model/rule.ts'
import { formatTarget } from '../../model/target.ts'
import type { EngineLease, EngineRequest, EngineState } from '../contract.ts'
import { compile, isAnyAddress, listenFamily, elementId, type Aim, type Compiled } from './compile.ts'
import type { ConntrackFlow } from './flows.ts'
import type { EngineContext } from './engine-context.ts'
import type { ElementTag } from './element-tag.ts'
import type { HeldPorts } from './held-ports.ts'
import { Traffic } from './traffic.ts'
import type { Arrival, PolledRule } from './conntrack-poll.ts'

/** Names are asked again no more often than this, whatever their TTL says. */
const shortestTtlMs = 1000
const lookWhileDrainingMs = 250
/** How long flows are looked for at an address that a name has left. */
const leavingMs = 30_000
/** Of an offloaded connection conntrack sees a packet a second; one that it forgets sooner than this is not. */
const leastPatienceMs = 5000

export class KernelLease implements EngineLease, Lease {
  readonly goodUntil = null
  readonly renewAfter = null
  readonly #context: EngineContext
  readonly #request: EngineRequest
  readonly #tag: ElementTag
  readonly #effect: Effect
  readonly #holding: HeldPorts
  readonly #traffic: Traffic
  readonly #watched: PolledRule
  readonly #stopped = new AbortController()
  /** Its end is asked for: nothing is waited for that would only carry it on. */
  readonly #closing = new AbortController()
  #rule: Rule
  #why: Text = verbatim('')
  #address: string | null = null
  /** Where the target's flows may be, and which target that is. */
  readonly #aimedAt = new Set<string>()
  /** Where the target's name has been, and until when (monotonic ms) flows there are looked for. */
  readonly #leaving = new Map<string, number>()
  #target = ''
  #compiled: Compiled | null = null
  readonly mustBeLookedAt = true
  #aimed = false
  #listening = true
  /** Set once nothing of it is in the table any more. */
  #closed = false
  #ending: Promise<void> | null = null
  #reaim: Disposable | null = null
  #turn: Promise<unknown> = Promise.resolve()

  constructor(
    machine: EngineContext,
    request: EngineRequest,
    tag: ElementTag,
    effect: Effect,
    holding: HeldPorts,
  ) {
    this.#context = machine
    this.#request = request
    this.#rule = request.rule
    this.#tag = tag
    this.#effect = effect
    this.#holding = holding
    this.#traffic = new Traffic(request.rule.name, listenOf, request.onEvent)
    this.#watched = {
      traffic: this.#traffic,
      family: listenFamily(this.#listen),
      offloads: () => this.#rule.timeouts.udpMs >= leastPatienceMs,
      arrivals: () => (this.#closed || !this.#aimed ? [] : arrivalsOf(this.#listen)),
      looked: () => this.#afterLook(),
    }
  }

  get listening(): readonly string[] {
    const { protocols } = this.#listen
    return protocols.map((protocol) => {
      const text = formatListen({ ...this.#listen, protocols: ['tcp'] })
      return `${text}/${protocol}`
    })
  }

  /** Puts the rule into the table for the first time. @throws NaruError ABORTED where it was ended before */
  async start(signal: AbortSignal): Promise<void> {
    // In turn: an end that did not wait for it would find nothing to take out.
    await this.#inTurn(async () => {
      if (!this.#listening) throw this.#aborted()
      this.#context.watch.add(this.#watched)
      this.#traffic.startAfter(await this.#context.watch.arriving(arrivalsOf(this.#listen)))
      await this.#aim(this.#rule, AbortSignal.any([signal, this.#closing.signal]))
      if (!this.#aimed) throw this.#aborted()
    })
  }

  get family(): Family {
    return this.#watched.family
  }

  /** Puts back what somebody took out of the table. */
  async repair(signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      if (!this.#listening || !this.#aimed) return
      await this.#aim(this.#rule, signal)
    })
  }

  update(rule: Rule): boolean {
    if (formatListen(rule.listen) !== formatListen(this.#rule.listen)) return false
    this.#rule = rule
    void this.#inTurn(() => (this.#listening ? this.#aim(rule) : Promise.resolve())).catch((error: unknown) =>
      this.#fail(error),
    )
    return true
  }

  async settled(): Promise<void> {
    await this.#turn.catch(() => {})
  }

  held(): readonly LentSocket[] {
    return this.#holding.sockets
  }

  bequeath(): Heritage {
    return this.#holding.bequeath()
  }

  async retire(): Promise<void> {
    await this.#shut()
    this.#afterLook()
  }

  async drain(options: { drainMs: number; reason: CloseReason; signal: AbortSignal }): Promise<void> {
    const { drainMs, reason, signal } = options
    await this.#shut()
    const { clock, watch } = this.#context
    const end = clock.monotonic() + drainMs
    while (this.#traffic.openCount > 0 && clock.monotonic() < end && !signal.aborted) {
      const pause = Math.min(lookWhileDrainingMs, end - clock.monotonic())
      await clock.sleep(pause, signal).catch(() => {})
      await watch.lookLately(pause)
    }
    await this.#cutAll(reason)
  }

  connections(): readonly Connection[] {
    this.#context.watch.interest()
    return this.#traffic.connections()
  }

  counters(): Counters {
    this.#context.watch.interest()
    return this.#traffic.counters()
  }

  cut(id: string, reason: CloseReason): boolean {
    const flow = this.#traffic.find(id)
    if (!flow) return false
    void this.#cutFlows([flow], reason).catch((error: unknown) => this.#fail(error))
    return true
  }

  describe(): LeaseDescription {
    const listen = formatListen(this.#listen)
    const target = this.#rule.targets[0]
    const to = target ? formatTarget(target.to) : ''
    return {
      member: 'kernel',
      text: say`${listen} → ${to} by nftables; ${this.#why}`,
      differs: [],
      data: { listen, target: to, address: this.#address, table: 'inet naru', owner: this.#tag.owner },
    }
  }

  async verify(): Promise<Verdict> {
    await this.settled()
    if (!this.#listening) return { state: 'lost', why: this.#lost(say('the rule has ended')) }
    const there = await this.#context.reading()
    const missing = (this.#compiled?.elements ?? []).filter((element) => {
      const held = there.get(elementId(element))
      return !held || JSON.stringify(held.element.value) !== JSON.stringify(element.value)
    })
    const off = this.#context.ground.missing(this.#watched.family)
    if (off.length > 0)
      return {
        state: 'lost',
        why: this.#lost(say`somebody turned back ${off.join(', ')}`),
      }
    // What the target sees is said where the hop is described; nothing is amiss.
    if (missing.length === 0) return { state: 'held', notes: [] }
    const count = missing.length
    const why = say`${count} elements of the table inet naru were taken out by somebody else`
    return { state: 'lost', why: this.#lost(why) }
  }

  async renew({ signal }: { signal: AbortSignal }): Promise<void> {
    const { ground, reading } = this.#context
    await reading()
    ground.recheck()
    await ground.prepare(this.#watched.family)
    await this.#inTurn(async () => {
      if (!this.#listening) return
      await this.#aim(this.#rule, signal)
    })
  }

  release(): Promise<void> {
    return (this.#ending ??= this.#finish())
  }

  /** Lets go of it without touching the kernel: it carries on, and the next start takes it over. */
  abandon(): void {
    this.#ending ??= Promise.resolve()
    this.#listening = false
    this.#closing.abort()
    this.#stop()
  }

  #aborted(): NaruError {
    return new NaruError('ABORTED', { what: this.#rule.name })
  }

  #lost(why: Text): NaruError {
    return new NaruError('LISTEN_FAILED', { listen: formatListen(this.#listen), why })
  }

  get #listen(): InetListen {
    return this.#rule.listen as InetListen
  }

  /** Points the rule at its target as it is now; nothing is touched where nothing changed. */
  async #aim(rule: Rule, signal = this.#closing.signal): Promise<void> {
    const answer = await this.#resolve(rule, signal)
    if (answer === null) return
    const { found, addresses } = answer
    const no = await this.#context.bridges.noOf(found)
    if (no) throw unfit(rule, no)
    const way = await this.#context.wayBack(rule.source, found)
    if (way.link && way.wayBack === 'keep') await this.#context.ground.hairpin(way.link)
    const target = rule.targets[0]?.to
    if (!target || target.kind === 'unix') throw unfit(rule, say('it has no port'))
    const aim: Aim = { rule, address: found, ports: target.ports, wayBack: way.wayBack }
    const next = compile(aim)
    // Meanwhile its end was asked for, or another process carries it.
    if (this.#closing.signal.aborted) return
    await this.#context.table
      .change({ tag: this.#tag, remove: this.#compiled, add: next })
      .catch((error: unknown) => Promise.reject(named(error, rule)))
    this.#compiled = next
    this.#aimed = true
    await this.#context.freshen(arrivalsOf(this.#listen))
    await this.#leaveFormer(formatTarget(target), found, addresses)
    this.#address = found
    this.#why = way.why
    this.#context.watch.changed()
  }

  /**
   * A UDP client may send for ever: where the name has left an address, what the client sends next begins anew. A
   * connection of TCP ends by itself, and after an edit those there are keep the target they began with. A flow that
   * one look did not show, or that could not be ended, is ended by the next.
   */
  async #leaveFormer(target: string, found: string, addresses: readonly string[]): Promise<void> {
    const { watch, clock } = this.#context
    if (this.#target !== target) for (const those of [this.#aimedAt, this.#leaving]) those.clear()
    this.#target = target
    const former = [...this.#aimedAt].filter((address) => !addresses.includes(address))
    for (const address of former) this.#aimedAt.delete(address)
    this.#aimedAt.add(found)
    const now = clock.monotonic()
    for (const address of former) this.#leaving.set(address, now + leavingMs)
    for (const [address, until] of this.#leaving)
      if (addresses.includes(address) || until < now) this.#leaving.delete(address)
    if (this.#leaving.size === 0 || !this.#listen.protocols.includes('udp')) return
    await watch.look()
    const flows = this.#traffic
      .flows()
      .filter(({ protocol, target: at }) => protocol === 'udp' && this.#leaving.has(at))
    await this.#cutFlows(flows, 'target-lost')
  }

  /** Null keeps the last good address. @returns the one that is taken, and all there are */
  async #resolve(
    rule: Rule,
    signal: AbortSignal,
  ): Promise<{ found: string; addresses: readonly string[] } | null> {
    const target = rule.targets[0]?.to
    this.#reaim?.[Symbol.dispose]()
    this.#reaim = null
    if (!target || target.kind === 'unix') return null
    const literal = target.kind === 'inet' && isAddress(target.host)
    const answer = literal
      ? { addresses: [target.host], ttlMs: null }
      : await this.#request.resolve(target, { signal }).catch((error: unknown) => {
          if (this.#address === null) throw error
          return null
        })
    if (answer?.ttlMs !== null) this.#reaimAfter(answer?.ttlMs ?? shortestTtlMs)
    if (answer === null) return null
    const chosen = await this.#context.choose(answer.addresses, this.#watched.family)
    if (chosen.address === null) throw unfit(rule, chosen.why)
    return { found: chosen.address, addresses: answer.addresses }
  }

  #reaimAfter(ttlMs: number): void {
    this.#reaim?.[Symbol.dispose]()
    const again = (): void => {
      const aim = async (): Promise<void> => {
        if (this.#listening) await this.#aim(this.#rule)
      }
      void this.#inTurn(aim).catch((error: unknown) => this.#fail(error))
    }
    this.#reaim = this.#context.clock.after(Math.max(shortestTtlMs, ttlMs), again)
  }

  /** New connections come no more; those there are conntrack's. */
  async #close(): Promise<void> {
    if (!this.#listening) return
    this.#listening = false
    this.#stop({ watching: true })
    await this.#context.table.change({ tag: this.#tag, remove: this.#compiled, add: null })
    this.#compiled = null
    this.#holding[Symbol.dispose]()
    // What came since the last look is still ours; after this one nothing new is.
    await this.#context.watch.look()
    this.#closed = true
    this.#context.watch.changed()
  }

  #shut(): Promise<void> {
    this.#closing.abort()
    return this.#inTurn(() => this.#close())
  }

  async #finish(): Promise<void> {
    await this.#shut()
    await this.#cutAll('shutdown')
    await this.#end()
  }

  async #cutAll(reason: CloseReason): Promise<void> {
    await this.#cutFlows(this.#traffic.flows(), reason)
  }

  /** A client that goes on sending has a new flow at once, which conntrack may give the key of the one that was cut. */
  async #cutFlows(flows: readonly ConntrackFlow[], reason: CloseReason): Promise<void> {
    if (flows.length === 0) return
    const keys = flows.map(({ key }) => key)
    this.#traffic.cut(keys, reason, this.#context.clock.now())
    try {
      await this.#context.cut(flows)
    } finally {
      await this.#context.watch.settled()
      this.#traffic.comeAnew(keys)
    }
  }

  #afterLook(): void {
    if (!this.#closed || this.#ending || this.#traffic.openCount > 0) return
    this.#ending = this.#end()
    this.#ending.catch((error: unknown) => this.#fail(error))
  }

  async #end(): Promise<void> {
    this.#stop()
    await this.#context.left(this.#tag.serial)
    await this.#effect.undone()
  }

  #stop({ watching = false } = {}): void {
    this.#reaim?.[Symbol.dispose]()
    this.#reaim = null
    if (watching) return
    this.#holding[Symbol.dispose]()
    this.#context.watch.remove(this.#watched)
    this.#stopped.abort()
  }

  /** A bridge may have been made, or a switch been turned, since it was aimed. */
  async lookAtBridges(): Promise<void> {
    const no = this.#address === null ? null : await this.#context.bridges.noOf(this.#address)
    if (no) this.unfit(no)
  }

  /** Whoever opened it decides what becomes of it. */
  unfit(why: Text): void {
    if (this.#listening) this.#tell({ state: 'unfit', why })
  }

  #fail(error: unknown): void {
    if (isNaruError(error, 'ENGINE_UNFIT')) return this.unfit(error.params.why as Text)
    this.#tell({ state: 'failed', why: messageOf(error) })
  }

  #tell(state: EngineState): void {
    if (this.#stopped.signal.aborted) return
    this.#request.onEvent({ type: 'state', rule: this.#rule.name, state })
  }

  /** One change of this lease after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.catch(() => {}).then(work)
    this.#turn = next.catch(() => {})
    return next
  }
}

function arrivalsOf(listen: InetListen): Arrival[] {
  const family = listenFamily(listen)
  const address = isAnyAddress(listen) ? null : listen.address
  return listen.protocols.map((protocol) => ({ protocol, ports: listen.ports, address, family }))
}

function listenOf({ listen, listenPort, protocol }: ConntrackFlow): string {
  return formatListen({
    kind: 'inet',
    address: listen,
    ports: { first: listenPort, last: listenPort },
    protocols: [protocol],
  })
}

const isAddress = (host: string): boolean => host.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(host)

export function unfit({ name }: Rule, why: Text): NaruError {
  return new NaruError('ENGINE_UNFIT', { engine: 'kernel', name, why })
}

/** The table knows keys; people know what they wrote. */
function named(error: unknown, rule: Rule): unknown {
  if (!isNaruError(error, 'LISTEN_IN_USE')) return error
  const owner = error.params.owner ?? ''
  return new NaruError('LISTEN_IN_USE', { listen: formatListen(rule.listen), owner }, { cause: error })
}
