/**
 * The fastest way through user space on Linux: threads with an epoll loop each, calling the kernel through FFI. This
 * file is the engine as `control` sees it; side.ts, dial.ts and udp.ts are what the threads do.
 */
import { availableParallelism } from 'node:os'
import { withLimit } from '../../../base/clock.ts'
import { sourceKey } from '../../../base/address.ts'
import { messageOf, NaruError } from '../../../base/errors.ts'
import { say, verbatim, type Text } from '../../../base/text.ts'
import type { Connection } from '../../../model/connection.ts'
import type { Facts } from '../../../model/facts.ts'
import type { Effect, Json, OpenOptions } from '../../../model/hop.ts'
import { formatListen } from '../../../model/listen.ts'
import type { Rule } from '../../../model/rule.ts'
import type { Support } from '../../../model/support.ts'
import { formatTarget, type Target } from '../../../model/target.ts'
import { descriptorLimit } from '../../../relay/descriptors.ts'
import { targetsItself } from '../../../relay/loop.ts'
import { SharedTally } from '../../../relay/tally.ts'
import { undoUnixEffect, unixEffect } from '../../../relay/unix-path.ts'
import type {
  Engine,
  EngineEvent,
  EngineLease,
  EngineRequest,
  EngineTools,
  MakeEngine,
} from '../../contract.ts'
import { close } from '../../../linux/libc.ts'
import type { Share } from '../../../linux/bpf/flows.ts'
import { Offload } from '../../../linux/bpf/offload.ts'
import { WorkerPool, whyNotBuilt } from './worker-pool.ts'
import { whyFfiCannot } from './probe.ts'
import { TproxyRules, whyNoTproxy } from './tproxy.ts'
import { SpliceLease, type Numbers } from './lease.ts'
import { openListeners, type Listener } from './listeners.ts'
import { happened, happenedRecordAt, happeningBytes } from '../shared/messages.ts'
import type { WorkerAnswer, FromThread, Thresholds } from '../shared/messages.ts'
import { TargetHealth } from '../shared/target-health.ts'
import { Block, cell, cellsOf, revisionIn, reasonCell } from '../shared/records.ts'
import type { RevisionNames, RecordNames, RecordReader } from '../shared/records.ts'

const carriedByKernel = say('splice: the kernel carries busy UDP sessions by itself')

export interface SpliceOptions extends Partial<Thresholds> {
  /** @default one a core, at most 8 */
  readonly threads?: number
}

export const makeSpliceEngine: MakeEngine = (tools) => new SpliceEngine(tools)

const mostThreads = 8
const usual: Thresholds = {
  // A short connection is over before; what goes on pays back the two calls that it takes.
  messagesBeforeRing: 16,
  // Alone, a message arrives sooner by recv and send: 74.1 instead of 75.0 µs a round trip, p99 138 instead of 179.
  eventsBeforeRing: 2,
  // 8 Gbit/s: below, a wake-up brings too little work to be worth a wait.
  gatherFrom: 1 << 20,
  // A hop of a lone round trip is 18 µs longer for the sleep in it; a single core is better left to whom it waits for.
  busyPollMs: availableParallelism() > 1 ? 0.03 : 0,
  // What is rarer costs little either way.
  datagramsBeforeOffload: 64,
}
/** Largest fdOwners: one byte a descriptor. */
const mostDescriptors = 1 << 20
/** An answer to a thread that no longer waits is no use. */
const resolveWithinMs = 30_000

export class SpliceEngine implements Engine {
  readonly id = 'splice'
  readonly #tools: EngineTools
  readonly #threads: number
  readonly #thresholds: Thresholds
  readonly #leases = new Map<number, SpliceLease>()
  readonly #revisions = new Map<number, { lease: SpliceLease; names: RevisionNames }>()
  readonly #listeners = new Map<number, Listener>()
  readonly #keeper: TproxyRules
  /** What ends with a lease that shows its targets the clients' addresses. */
  readonly #keeping = new Map<number, () => Promise<void>>()
  #pool: Promise<WorkerPool> | null = null
  /** Null where this machine cannot; undefined until a thread asks. */
  #offload: Offload | null | undefined
  #count = 0
  #works = false
  #closed = false

  constructor(tools: EngineTools, options: SpliceOptions = {}) {
    this.#tools = tools
    this.#keeper = new TproxyRules(tools.host.runner)
    this.#thresholds = {
      messagesBeforeRing: options.messagesBeforeRing ?? usual.messagesBeforeRing,
      eventsBeforeRing: options.eventsBeforeRing ?? usual.eventsBeforeRing,
      gatherFrom: options.gatherFrom ?? usual.gatherFrom,
      busyPollMs: options.busyPollMs ?? usual.busyPollMs,
      datagramsBeforeOffload: options.datagramsBeforeOffload ?? usual.datagramsBeforeOffload,
    }
    this.#threads = options.threads ?? Math.min(availableParallelism(), mostThreads)
  }

  supports(rule: Rule, facts: Facts): Support {
    const keep = rule.source === 'keep' ? whyNoTproxy(rule, facts) : null
    const why = this.#whyNotHere(facts) ?? keep ?? whyNotRule(rule)
    if (why) return { ok: false, why }
    return {
      ok: true,
      why: say('moves bytes between sockets without copying them'),
    }
  }

  /** Tried for real until it works once: a no may have been for want of descriptors. */
  #whyNotHere({ platform }: Facts): Text | null {
    if (platform !== 'linux') return say('it needs Linux')
    if (!this.#works) {
      const why = whyFfiCannot() ?? whyNotBuilt()
      if (why) return why
    }
    this.#works = true
    return null
  }

  async open(request: EngineRequest, { record, signal }: OpenOptions): Promise<EngineLease> {
    const { rule } = request
    if (rule.targets.some(({ to }) => targetsItself(rule.listen, to)))
      throw new NaruError('TARGET_LOOP', { name: rule.name, listen: formatListen(rule.listen) })
    const why = this.#whyNotHere({ platform: process.platform } as Facts)
    if (why) throw new NaruError('ENGINE_UNFIT', { engine: this.id, name: rule.name, why })
    const pool = await this.#startPool().catch((error: unknown) => {
      this.#pool = null
      const why = verbatim(messageOf(error).split('\n')[0] as string)
      throw new NaruError('ENGINE_UNFIT', { engine: this.id, name: rule.name, why }, { cause: error })
    })
    // Only a Unix socket leaves something behind a process that died.
    const { listen } = rule
    const effect = listen.kind === 'unix' ? await record.intend(unixEffect(listen.path)) : null
    const letGo = rule.source === 'keep' ? await this.#keeper.hold({ record, signal }) : null
    try {
      const lease = await this.#openOn(pool, request, effect)
      if (listen.kind === 'unix') await effect?.amend(unixEffect(listen.path, lease.file))
      if (letGo) this.#keeping.set(lease.number, letGo)
      return lease
    } catch (error) {
      await effect?.undone()
      await letGo?.()
      throw error
    }
  }

  async #openOn(pool: WorkerPool, request: EngineRequest, effect: Effect | null): Promise<SpliceLease> {
    const { rule } = request
    const { connections, perSource } = rule.limits
    const { sockets } = this.#tools.host
    if (rule.listen.kind === 'inet' && rule.listen.protocols.includes('udp')) await pool.whole()
    const listeners = await openListeners(rule.listen, {
      threads: pool.size,
      together: connections !== null || perSource !== null,
      keepaliveMs: rule.timeouts.keepaliveMs,
      inherit: request.inherit,
      owner: (protocol, port) => sockets.owner(protocol, port, { signal: withLimit(undefined, 3000) }),
    })
    if (this.#closed) {
      for (const { socket } of listeners) close(socket)
      throw new NaruError('ABORTED', { what: formatListen(rule.listen) })
    }
    const number = ++this.#count
    const lease = new SpliceLease({ number, request, pool, numbers: this.#numbers, listeners, effect })
    this.#leases.set(number, lease)
    return lease
  }

  /** Takes away the socket file that a dead process left; anything else ended with it. */
  async undo(effect: Json): Promise<void> {
    await undoUnixEffect(effect)
    await this.#keeper.undo(effect)
  }

  async close(): Promise<void> {
    this.#closed = true
    const pool = await this.#pool?.catch(() => null)
    await Promise.all([...this.#leases.values()].map((lease) => lease.release()))
    await pool?.close()
    this.#offload?.close()
    await this.#keeper.settled()
    this.#pool = null
  }

  /** Ends a thread as a crash would; for tests. */
  async killThread(thread: number): Promise<void> {
    await (await this.#pool)?.kill(thread)
  }

  #startPool(): Promise<WorkerPool> {
    this.#pool ??= WorkerPool.start({
      threads: this.#threads,
      thresholds: this.#thresholds,
      descriptorLimit: Math.min(descriptorLimit(), mostDescriptors),
      names: this.#names,
      onMessage: (thread, message) => this.#onMessage(thread, message),
      onDeath: (thread, reader, why) => this.#onWorkerExit(thread, reader, why),
      onJoined: (thread) => {
        for (const lease of this.#leases.values()) lease.openOn(thread)
      },
      onGivenUp: (thread, why) => {
        this.#tools.log.error({ thread, why }, 'splice: a thread keeps dying')
        for (const lease of this.#leases.values()) lease.fail(why.split('\n')[0] as string)
      },
    })
    return this.#pool
  }

  readonly #numbers: Numbers = {
    revision: (lease, rule) => {
      const number = ++this.#count
      this.#revisions.set(number, { lease, names: namesOf(rule) })
      return number
    },
    listener: (listener) => {
      const number = ++this.#count
      this.#listeners.set(number, listener)
      return number
    },
    forget: (lease) => {
      this.#leases.delete(lease.number)
      // Answers of the target came back by it until the last connection ended.
      void this.#keeping
        .get(lease.number)?.()
        .catch(() => {})
      this.#keeping.delete(lease.number)
      for (const revision of lease.revisions) this.#revisions.delete(revision)
      for (const listener of lease.listenerNumbers) this.#listeners.delete(listener)
    },
  }

  readonly #names: RecordNames = {
    revision: (id) => this.#revisions.get(id)?.names ?? null,
    listener: (id) => {
      const found = this.#listeners.get(id)
      return found ? { protocol: found.protocol, text: found.label } : null
    },
  }

  #onMessage(thread: number, message: FromThread): void {
    switch (message.type) {
      case 'happened':
        return void this.#deliverEvents(thread, message)
      case 'state':
        return this.#leases.get(message.lease)?.stateOn(thread, message.state)
      case 'unlistened':
        return this.#leases.get(message.lease)?.unlistened(thread)
      case 'yielded':
        return this.#leases.get(message.lease)?.yielded(thread)
      case 'resolve':
        return void this.#resolve(thread, message)
      case 'offload':
        return void this.#share(thread)
      case 'hold':
        return this.#offload?.hold(message.device)
      case 'fault':
        return this.#tools.log.error(
          { thread, where: message.where, why: message.message },
          'splice: a fault',
        )
      default:
    }
  }

  /** Hands a batch of events on, in order. */
  async #deliverEvents(
    thread: number,
    { batch, count }: Extract<FromThread, { type: 'happened' }>,
  ): Promise<void> {
    const reader = (await this.#pool)?.reader(thread)
    const touched = new Set<SpliceLease>()
    const block = new Block(batch)
    for (let at = 0; at < count * happeningBytes; at += happeningBytes) {
      const kind = block.bytes[at] as number
      const lease = this.#revisions.get(revisionIn(block, at + happenedRecordAt))?.lease
      const connection = reader?.told(block, at + happenedRecordAt)
      if (!lease || !connection) continue
      touched.add(lease)
      lease.request.onEvent(eventOf(kind, connection))
    }
    for (const lease of touched) lease.moved()
  }

  async #share(thread: number): Promise<void> {
    const share = this.#joinOffload()
    const pool = await this.#pool
    pool?.post(thread, { type: 'offload', share })
  }

  #joinOffload(): Share | null {
    if (this.#offload === undefined) {
      const opened = Offload.open()
      this.#offload = opened instanceof Offload ? opened : null
      const { log } = this.#tools
      if (opened instanceof Offload) log.info({}, carriedByKernel)
      else log.debug({ why: opened.en }, 'splice: the kernel carries no UDP sessions by itself')
    }
    return this.#offload?.join() ?? null
  }

  async #resolve(thread: number, ask: Extract<FromThread, { type: 'resolve' }>): Promise<void> {
    const answer = await this.#answer(ask.lease, ask.target)
    const pool = await this.#pool
    pool?.post(thread, { type: 'resolved', asked: ask.asked, answer })
  }

  async #answer(lease: number, target: Target): Promise<WorkerAnswer> {
    try {
      const resolve = this.#leases.get(lease)?.request.resolve
      if (!resolve) return { ok: false }
      const { addresses, ttlMs } = await resolve(target, { signal: withLimit(undefined, resolveWithinMs) })
      return { ok: true, addresses, ttlMs }
    } catch {
      return { ok: false }
    }
  }

  /** What a dead thread carried ends here: by the record it left. */
  #onWorkerExit(thread: number, reader: RecordReader, why: string): void {
    this.#tools.log.error(
      { thread, why },
      'splice: a thread died; its connections are lost, a new one starts',
    )
    for (const lease of this.#leases.values()) {
      const tally = new SharedTally(lease.memory.tally)
      const cells = cellsOf(lease.memory.cells, thread)
      cells[cell.offloaded] = 0
      for (const connection of reader.list((revision) => lease.revisions.has(revision))) {
        cells[cell.ended]!++
        cells[reasonCell('engine-error')]!++
        tally.release(sourceKey(sourceOf(connection.client)))
        const ended = { state: 'closed', closedAt: Date.now(), closeReason: 'engine-error' } as const
        lease.request.onEvent({ type: 'closed', connection: () => ({ ...connection, ...ended }) })
      }
      new TargetHealth(lease.memory.targetHealth, thread).forgetThread()
      lease.unlistened(thread)
      lease.moved()
    }
  }
}

function namesOf({ name, targets }: Rule): RevisionNames {
  return {
    rule: name,
    target(index) {
      const choice = targets[index]
      return choice ? formatTarget(choice.to) : ''
    },
  }
}

function eventOf(kind: number, connection: () => Connection): EngineEvent {
  if (kind !== happened.refused) return { type: kind === happened.opened ? 'opened' : 'closed', connection }
  const { rule, client, closeReason } = connection()
  return { type: 'refused', rule, client, reason: closeReason ?? 'denied' }
}

/** `[::1]:80` → `::1`. */
function sourceOf(client: string): string {
  return client.slice(0, Math.max(0, client.lastIndexOf(':'))).replace(/^\[|\]$/g, '')
}

/** A policy that this engine cannot keep is a "no, because …". */
function whyNotRule(rule: Rule): Text | null {
  const { listen, targets } = rule
  const udp = listen.kind === 'inet' && listen.protocols.includes('udp')
  const itself = targets.find(({ to }) => targetsItself(listen, to))
  if (itself) {
    const to = formatTarget(itself.to)
    return say`${to} is the rule's own listen`
  }
  if (udp && rule.source === 'proxy-v1') {
    return say('version 1 of the PROXY protocol has no datagrams; use proxy-v2')
  }
  if (udp && rule.acceptProxy.length > 0) return say('it does not read PROXY headers on datagrams')
  if (udp && targets.some(({ name }) => name !== null)) {
    return say('datagrams name no server: choosing by name is for TLS and HTTP over TCP')
  }
  if (udp && targets.some(({ to }) => to.kind === 'unix')) return say('datagrams cannot go to a Unix socket')
  if (listen.kind === 'unix' && rule.allow.length + rule.deny.length > 0) {
    return say('clients of a Unix socket have no address that allow and deny could hold')
  }
  return null
}
