/**
 * The truth about one rule's connections, told from one look at conntrack to the next: which came, how far each is,
 * which went and why. conntrack keeps a finished connection for 120 s and a reset one for 10 s, so looking every few
 * seconds misses none.
 */
import { formatEndpoint } from '../../base/address.ts'
import type { CloseReason, Connection, Counters } from '../../model/connection.ts'
import type { EngineEvent } from '../contract.ts'
import type { ConntrackFlow } from './flows.ts'

interface Tracked {
  flow: ConntrackFlow
  connection: Connection
}

/** conntrack's TCP states in which both directions have ended. */
const over = new Set(['TIME_WAIT', 'CLOSE'])
const isOver = ({ protocol, state }: ConntrackFlow): boolean => protocol === 'tcp' && over.has(state)
const halfClosed = new Set(['FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK'])

export class Traffic {
  readonly #rule: string
  readonly #listen: (flow: ConntrackFlow) => string
  readonly #onEvent: (event: EngineEvent) => void
  readonly #open = new Map<string, Tracked>()
  /** As they were before this rule was in force: what an earlier one carried is not ours to count. */
  #older = new Map<string, ConntrackFlow>()
  /** Ended, but still shown by conntrack, and whether conntrack says so too: not to be taken for new ones. */
  #ended = new Map<string, 'over' | 'cut'>()
  #opened = 0
  #closed: Partial<Record<CloseReason, number>> = {}
  #bytesToTarget = 0
  #bytesToClient = 0
  #datagramsToTarget = 0
  #datagramsToClient = 0
  #next = 1

  constructor(rule: string, listen: (flow: ConntrackFlow) => string, onEvent: (event: EngineEvent) => void) {
    this.#rule = rule
    this.#listen = listen
    this.#onEvent = onEvent
  }

  get openCount(): number {
    return this.#open.size
  }

  /** Flows that were there before the rule: those that live are ours from now on, those that ended are not. */
  startAfter(flows: readonly ConntrackFlow[]): void {
    this.#older = new Map(flows.map((flow) => [flow.key, flow]))
    for (const flow of flows) if (isOver(flow)) this.#ended.set(flow.key, 'over')
  }

  /** All of the rule's flows as they are at `at` (milliseconds since the epoch). */
  seen(flows: readonly ConntrackFlow[], at: number): void {
    const present = new Set<string>()
    for (const flow of flows) {
      present.add(flow.key)
      // A client that takes its port again may be given the very key: an entry's place in memory is part of it.
      if (this.#ended.get(flow.key) === 'over' && !isOver(flow)) this.#ended.delete(flow.key)
      if (!this.#ended.has(flow.key)) this.#follow(flow, at)
    }
    for (const [key, tracked] of this.#open) if (!present.has(key)) this.#end(key, goneReason(tracked), at)
    for (const key of this.#ended.keys()) if (!present.has(key)) this.#ended.delete(key)
  }

  connections(): readonly Connection[] {
    return [...this.#open.values()].map(({ connection }) => connection)
  }

  flows(): readonly ConntrackFlow[] {
    return [...this.#open.values()].map(({ flow }) => flow)
  }

  find(id: string): ConntrackFlow | null {
    for (const { flow, connection } of this.#open.values()) if (connection.id === id) return flow
    return null
  }

  /** Why it ends is known before conntrack has forgotten it. */
  cut(keys: readonly string[], reason: CloseReason, at: number): void {
    for (const key of keys) if (this.#open.has(key)) this.#end(key, reason, at)
  }

  /** What a look that begins after now shows under these keys is new: they are gone, or could not be ended. */
  comeAnew(keys: readonly string[]): void {
    for (const key of keys) this.#ended.delete(key)
  }

  counters(): Counters {
    return {
      open: this.#open.size,
      offloaded: this.flows().filter(({ offloaded }) => offloaded).length,
      opened: this.#opened,
      closed: { ...this.#closed },
      bytesToTarget: this.#bytesToTarget,
      bytesToClient: this.#bytesToClient,
      datagramsToTarget: this.#datagramsToTarget,
      datagramsToClient: this.#datagramsToClient,
      datagramsLost: 0,
    }
  }

  #follow(flow: ConntrackFlow, at: number): void {
    const known = this.#open.get(flow.key)
    this.#count(known?.flow ?? this.#older.get(flow.key) ?? null, flow)
    if (known) {
      known.flow = flow
      known.connection = { ...known.connection, ...amounts(flow) }
    } else {
      const id = `kernel-${this.#rule}-${this.#next++}`
      const connection = this.#describe(id, flow, at)
      this.#open.set(flow.key, { flow, connection })
      this.#opened++
      this.#onEvent({ type: 'opened', connection: () => connection })
    }
    if (isOver(flow)) this.#end(flow.key, overReason(flow), at)
  }

  #describe(id: string, flow: ConntrackFlow, at: number): Connection {
    return {
      id,
      rule: this.#rule,
      engine: 'kernel',
      protocol: flow.protocol,
      client: formatEndpoint(flow.client, flow.clientPort),
      listen: this.#listen(flow),
      target: formatEndpoint(flow.target, flow.targetPort),
      openedAt: at,
      ...amounts(flow),
      closedAt: null,
      closeReason: null,
    }
  }

  #count(before: ConntrackFlow | null, now: ConntrackFlow): void {
    this.#bytesToTarget += grown(before?.bytesToTarget, now.bytesToTarget)
    this.#bytesToClient += grown(before?.bytesToClient, now.bytesToClient)
    if (now.protocol === 'tcp') return
    this.#datagramsToTarget += grown(before?.packetsToTarget, now.packetsToTarget)
    this.#datagramsToClient += grown(before?.packetsToClient, now.packetsToClient)
  }

  #end(key: string, reason: CloseReason, at: number): void {
    const tracked = this.#open.get(key)
    if (!tracked) return
    this.#open.delete(key)
    this.#ended.set(key, isOver(tracked.flow) ? 'over' : 'cut')
    this.#closed[reason] = (this.#closed[reason] ?? 0) + 1
    const connection: Connection = {
      ...tracked.connection,
      state: 'closed',
      closedAt: at,
      closeReason: reason,
    }
    this.#onEvent({ type: 'closed', connection: () => connection })
  }
}

const grown = (before: number | undefined, now: number): number => Math.max(0, now - (before ?? 0))

function amounts(flow: ConntrackFlow): Pick<Connection, 'bytesToTarget' | 'bytesToClient' | 'state'> {
  const { bytesToTarget, bytesToClient } = flow
  const state = flow.unreplied ? 'dialling' : halfClosed.has(flow.state) ? 'half-closed' : 'open'
  return { bytesToTarget, bytesToClient, state: flow.protocol === 'udp' ? 'open' : state }
}

/** A SYN answered by RST alone was refused; after that the kernel does not tell who reset. */
function overReason(flow: ConntrackFlow): CloseReason {
  if (flow.state === 'TIME_WAIT') return 'finished'
  return flow.packetsToClient <= 1 && flow.packetsToTarget <= 1 ? 'target-refused' : 'reset'
}

function goneReason({ flow }: Tracked): CloseReason {
  if (flow.protocol === 'udp') return 'idle'
  if (flow.unreplied) return 'connect-timeout'
  return halfClosed.has(flow.state) ? 'finished' : 'idle'
}
