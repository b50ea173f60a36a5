/**
 * The engine that runs wherever Node does: streams by net, datagrams by dgram. It composes what relay/ has and adds
 * nothing to it; what it cannot do it says beforehand.
 */
import { withLimit, type Clock } from '../../base/clock.ts'
import { onAbort } from '../../base/on-abort.ts'
import type { Log } from '../../base/log.ts'
import { messageOf, NaruError, toNaruError } from '../../base/errors.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { Host } from '../../host/contract.ts'
import { takeError } from '../../linux/socket-error.ts'
import { outstandingOf } from '../../linux/tcp-info.ts'
import { socketMaker } from '../../linux/udp-connected-twin.ts'
import { udpDoors } from '../../host/linux/udp-bind.ts'
import type { CloseReason, Connection, Counters } from '../../model/connection.ts'
import type { Effect, Json, LeaseDescription, OpenOptions, Verdict } from '../../model/hop.ts'
import { formatListen } from '../../model/listen.ts'
import type { Rule } from '../../model/rule.ts'
import type { Support } from '../../model/support.ts'
import { formatTarget } from '../../model/target.ts'
import { Descriptors } from '../../relay/descriptors.ts'
import { inRanges } from '../../relay/in-ranges.ts'
import { HealthChecks } from '../../relay/health.ts'
import { targetsItself } from '../../relay/loop.ts'
import { Meter } from '../../relay/meter.ts'
import { LocalTally } from '../../relay/tally.ts'
import type { StreamRelay } from './tcp.ts'
import { termsOf, type Terms } from '../../relay/terms.ts'
import type { DatagramRelay } from './udp.ts'
import { undoUnixEffect, unixEffect } from '../../relay/unix-path.ts'
import { watchLink } from '../../relay/zone.ts'
import type { Engine, EngineLease, EngineRequest, EngineTools, MakeEngine, Passing } from '../contract.ts'

export const makeSocketsEngine: MakeEngine = (tools) => new SocketsEngine(tools)

class SocketsEngine implements Engine {
  readonly id = 'sockets'
  readonly #tools: EngineTools
  readonly #leases = new Set<SocketsLease>()
  #descriptors: Descriptors | null = null

  constructor(tools: EngineTools) {
    this.#tools = tools
  }

  supports(rule: Rule): Support {
    const why = whyNot(rule)
    if (why) return { ok: false, why }
    return {
      ok: true,
      why: say('carries everything, on any system'),
    }
  }

  async open(request: EngineRequest, { record }: Pick<OpenOptions, 'record'>): Promise<EngineLease> {
    const { rule } = request
    if (rule.targets.some(({ to }) => targetsItself(rule.listen, to))) {
      throw new NaruError('TARGET_LOOP', { name: rule.name, listen: formatListen(rule.listen) })
    }
    // Made at the first use, so that what the program itself holds open is counted in.
    this.#descriptors ??= new Descriptors({ clock: this.#tools.clock })
    // Only a Unix socket leaves something behind a process that died.
    const path = rule.listen.kind === 'unix' ? rule.listen.path : null
    const effect = path === null ? null : await record.intend(unixEffect(path))
    const lease = new SocketsLease(request, effect, (ended) => this.#leases.delete(ended))
    try {
      await lease.start(this.#tools, this.#descriptors)
      if (path !== null) await effect?.amend(unixEffect(path, lease.file))
    } catch (error) {
      await effect?.undone()
      throw error
    }
    this.#leases.add(lease)
    return lease
  }

  /** Takes away the socket file that a dead process left; anything else ended with it. */
  async undo(effect: Json): Promise<void> {
    await undoUnixEffect(effect)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((lease) => lease.release()))
  }
}

/** A policy that this engine cannot keep is a "no, because …". */
function whyNot(rule: Rule): Text | null {
  const { listen, targets } = rule
  const udp = listen.kind === 'inet' && listen.protocols.includes('udp')
  const unixTarget = targets.some(({ to }) => to.kind === 'unix')
  const itself = targets.find(({ to }) => targetsItself(listen, to))
  if (itself) {
    const to = formatTarget(itself.to)
    return say`${to} is the rule's own listen`
  }
  if (rule.source === 'keep') {
    return say(
      'a relay in user space connects with its own address; only kernel and splice can keep the client’s',
    )
  }
  if (udp && unixTarget) {
    return say('datagrams cannot go to a Unix socket')
  }
  if (udp && rule.source === 'proxy-v1') {
    return say('version 1 of the PROXY protocol has no datagrams; use proxy-v2')
  }
  if (udp && targets.some(({ name }) => name !== null)) {
    return say('datagrams name no server: choosing by name is for TLS and HTTP over TCP')
  }
  if (listen.kind === 'unix' && rule.allow.length + rule.deny.length > 0) {
    return say('clients of a Unix socket have no address that allow and deny could hold')
  }
  const unixPath = listen.kind === 'unix' ? listen.path : null
  if (process.platform === 'win32' && (unixTarget || (unixPath !== null && !unixPath.startsWith('\\\\')))) {
    return say('Node has no Unix sockets on Windows')
  }
  return null
}

const faultsToldEveryMs = 5000

class SocketsLease implements EngineLease {
  readonly goodUntil = null
  readonly renewAfter = null
  readonly #request: EngineRequest
  readonly #effect: Effect | null
  readonly #onEnded: (lease: SocketsLease) => void
  readonly #meter: Meter
  readonly #tally = new LocalTally()
  /** Who waits for the last connection. */
  readonly #waiting = new Set<() => void>()
  #terms: Terms
  #streams: StreamRelay | null = null
  #datagrams: DatagramRelay | null = null
  #health: HealthChecks | null = null
  #link: Disposable | null = null
  #clock: Clock | null = null
  #retired = false
  #faults = { untold: 0, toldAtMs: -Infinity }
  /** False while a predecessor still accepts by the same sockets. */
  #begun: boolean

  constructor(request: EngineRequest, effect: Effect | null, onEnded: (lease: SocketsLease) => void) {
    this.#request = request
    this.#effect = effect
    this.#onEnded = onEnded
    this.#terms = termsOf(request.rule, this.#tally)
    this.#begun = request.inherit === undefined
    void request.inherit?.begun.then(() => (this.#begun = true))
    this.#meter = new Meter({
      rule: request.rule.name,
      engine: 'sockets',
      now: () => this.#clock?.now() ?? Date.now(),
      onEvent: (event) => {
        request.onEvent(
          event.type === 'refused' ? event : { type: event.type, connection: () => event.connection },
        )
        if (event.type === 'closed' && this.#meter.open === 0) this.#lastOneLeft()
      },
    })
  }

  /** What one datagram brings about a thousand may: the first is told, and how many there were since. */
  #tellFault(error: Error, clock: Clock, log: Log): void {
    this.#faults.untold++
    if (clock.monotonic() - this.#faults.toldAtMs < faultsToldEveryMs) return
    const rule = this.#request.rule.name
    log.error({ rule, count: this.#faults.untold, why: error.stack ?? messageOf(error) }, 'sockets: a fault')
    this.#faults = { untold: 0, toldAtMs: clock.monotonic() }
  }

  /** Both protocols or none. Each is loaded when a rule has it: a rule that another engine carries needs neither. */
  async start({ host, clock, log }: EngineTools, descriptors: Descriptors): Promise<void> {
    this.#clock = clock
    const { listen } = this.#request.rule
    const options = {
      meter: this.#meter,
      clock,
      resolve: this.#request.resolve,
      inherit: this.#request.inherit,
      descriptors,
      outstanding: outstandingOf,
      takeError,
      onTrouble: (error: Error) =>
        log.warn({ rule: this.#request.rule.name, why: messageOf(error) }, 'listening'),
      onFault: (error: Error) => this.#tellFault(error, clock, log),
    }
    const ownerOf = (protocol: 'tcp' | 'udp') => (port: number) => owner(host, protocol, port)
    try {
      if (listen.kind === 'unix' || listen.protocols.includes('tcp')) {
        const { StreamRelay } = await import('./tcp.ts')
        const onPaused = (paused: boolean): void => this.#tellPaused(paused)
        this.#streams = await StreamRelay.open(this.#terms, { ...options, owner: ownerOf('tcp'), onPaused })
      }
      if (listen.kind === 'inet' && listen.protocols.includes('udp')) {
        const { DatagramRelay } = await import('./udp.ts')
        const besides = udpDoors()
        this.#datagrams = await DatagramRelay.open(listen, this.#terms, {
          ...options,
          besides,
          sockets: besides && socketMaker,
          owner: ownerOf('udp'),
        })
      }
    } catch (error) {
      await this.#streams?.close()
      throw error
    }
    this.#link = watchLink(listen.kind === 'inet' ? listen.address : null, clock, (why) =>
      this.#request.onEvent({
        type: 'state',
        rule: this.#terms.rule.name,
        state: { state: 'adrift', why },
      }),
    )
    this.#checkHealth()
  }

  /** A UDP target gives no answer that a check could rely on; it is asked only where the rule carries streams, too. */
  #checkHealth(): void {
    this.#health?.[Symbol.dispose]()
    if (this.#streams === null || this.#clock === null) return
    const { resolve } = this.#request
    this.#health = HealthChecks.of(this.#terms.rule, this.#terms.targets, { clock: this.#clock, resolve })
  }

  get listening(): readonly string[] {
    return [...(this.#streams?.listening ?? []), ...(this.#datagrams?.listening ?? [])]
  }

  get file(): string | null {
    return this.#streams?.file ?? null
  }

  update(rule: Rule): boolean {
    const before = this.#terms.rule
    if (rule.name !== before.name || formatListen(rule.listen) !== formatListen(before.listen)) return false
    if (rule.targets.some(({ to }) => targetsItself(rule.listen, to))) {
      throw new NaruError('TARGET_LOOP', { name: rule.name, listen: formatListen(rule.listen) })
    }
    this.#terms = termsOf(rule, this.#tally, this.#terms)
    if (this.#streams) this.#streams.terms = this.#terms
    if (this.#datagrams) this.#datagrams.terms = this.#terms
    this.#checkHealth()
    return true
  }

  retire(): Promise<void> {
    return this.#retire('keep')
  }

  /** @param sessions whether those of UDP are to go on. */
  async #retire(sessions: 'keep' | CloseReason): Promise<void> {
    this.#link?.[Symbol.dispose]()
    this.#health?.[Symbol.dispose]()
    await this.#streams?.close()
    if (this.#left) this.#datagrams?.leave()
    else if (sessions === 'keep') await this.#datagrams?.retire()
    else this.#datagrams?.close(sessions)
    // What was never begun is the predecessor's.
    if (this.#begun && !this.#left) await this.#effect?.undone()
    if (this.#meter.open === 0) this.#lastOneLeft()
    this.#retired = true
  }

  #left = false

  readonly passing: Passing = {
    lend: () => [...(this.#streams?.lend() ?? []), ...(this.#datagrams?.lend() ?? [])],
    yieldDatagrams: async (sockets) => this.#datagrams?.yield(sockets),
    resume: () => this.#datagrams?.takeBack(),
    leave: async () => {
      if (this.#retired) return
      this.#left = true
      this.#streams?.leave()
      await this.retire()
    },
    letGo: () => Promise.resolve(this.#datagrams?.close()),
  }

  async drain({ drainMs, reason, signal }: Parameters<EngineLease['drain']>[0]): Promise<void> {
    await this.#retire(drainMs > 0 ? 'keep' : reason)
    await this.#empty(drainMs, signal)
    await this.#cutAll(reason)
  }

  async release(): Promise<void> {
    await this.#retire('shutdown')
    await this.#cutAll('shutdown')
  }

  connections(): readonly Connection[] {
    return this.#meter.connections()
  }

  counters(): Counters {
    return this.#meter.counters()
  }

  cut(id: string, reason: CloseReason): boolean {
    return (this.#streams?.cut(id, reason) ?? false) || (this.#datagrams?.cut(id, reason) ?? false)
  }

  describe(): LeaseDescription {
    const listening = this.listening
    const targets = this.#terms.rule.targets.map(({ to }) => formatTarget(to))
    const text = `${inRanges(listening)} → ${targets.join(', ')}`
    return {
      member: 'sockets',
      text: verbatim(text),
      differs: [],
      data: { listening, targets },
    }
  }

  /** Reads the sockets themselves; a pause for want of descriptors is held, with a note. */
  verify(): Promise<Verdict> {
    if (this.#retired) {
      const why = say('it was closed')
      return Promise.resolve({ state: 'lost', why: this.#listenFailed(why) })
    }
    const paused = this.#streams?.accepting === false
    const note = say('accepts nobody for now: this process is out of file descriptors')
    return Promise.resolve({ state: 'held', notes: paused ? [note] : [] })
  }

  /** Listening sockets do not run out. */
  renew(): Promise<void> {
    return Promise.resolve()
  }

  #listenFailed(why: Text): NaruError {
    return new NaruError('LISTEN_FAILED', { listen: formatListen(this.#terms.rule.listen), why })
  }

  #tellPaused(paused: boolean): void {
    const state = paused
      ? ({ state: 'paused', why: 'out-of-descriptors' } as const)
      : ({ state: 'carrying' } as const)
    this.#request.onEvent({ type: 'state', rule: this.#terms.rule.name, state })
  }

  /** Every record is closed when it resolves. */
  async #cutAll(reason: CloseReason): Promise<void> {
    for (const { id } of this.#meter.connections()) this.cut(id, reason)
    await this.#empty(1000)
  }

  /** Resolves with the last connection, after `limitMs`, or with the signal. */
  #empty(limitMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#meter.open === 0 || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        timer?.[Symbol.dispose]()
        wait?.[Symbol.dispose]()
        this.#waiting.delete(done)
        resolve()
      }
      const timer = this.#clock?.after(limitMs, done)
      const wait = signal && onAbort(signal, done)
      this.#waiting.add(done)
    })
  }

  #lastOneLeft(): void {
    for (const done of this.#waiting) done()
    if (this.#retired) this.#onEnded(this)
  }
}

function owner(host: Host, protocol: 'tcp' | 'udp', port: number): Promise<string | null> {
  return host.sockets
    .owner(protocol, port, { signal: withLimit(undefined, 3000) })
    .catch((error: unknown) => {
      throw toNaruError(error)
    })
}
