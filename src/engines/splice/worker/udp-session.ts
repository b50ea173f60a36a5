/**
 * One client of one local address: a session with an upstream socket of its own, so that its target sees one stable
 * port. It finds a target, goes to another where that one refuses, and follows its name.
 */
import { constants } from 'node:os'
import type { Ticket } from '../../../relay/admit.ts'
import { speaksForAll } from '../../../relay/blame.ts'
import { bestFirst, hashOf, type TargetState } from '../../../relay/pick.ts'
import type { Peer } from '../../../relay/proxy/header.ts'
import { writeProxyV2 } from '../../../relay/proxy/write.ts'
import type { Seat } from '../../../relay/room.ts'
import { isOwnFault } from '../../../relay/own-lack.ts'
import { targetsFault } from '../../../relay/undelivered.ts'
import type { CloseReason } from '../../../model/connection.ts'
import { EPERM } from '../../../linux/libc.ts'
import { addressOf, peerIn, type Sockaddr } from '../../../linux/sockaddr-fields.ts'
import type { OffloadedPair as CarriedByKernel, Pair } from '../../../linux/bpf/flows.ts'
import type { ListenerData } from '../shared/messages.ts'
import { cell } from '../shared/records.ts'
import type { Datagrams } from './datagrams.ts'
import { lackIn } from './dial.ts'
import { FlowBase } from './flow.ts'
import type { CachedAddresses } from './resolve-cache.ts'
import type { RuleRevision } from './rule-revision.ts'
import type { Thread } from './thread.ts'
import { dialDatagrams } from './udp-dial.ts'
import { pairOf, UdpOffload, type OffloadedSession } from './udp-offload.ts'
import type { Outlet } from './udp-replies.ts'
import { UdpUpstream, type UpstreamSession } from './udp-upstream.ts'

/** Datagrams that wait for a name; those that come after are lost. */
const mostQueued = 64
/** How soon a name that could not be asked for is tried again. */
const retryNameMs = 5000

/** The listener whose sessions they are. */
export interface SessionHost extends Outlet {
  readonly thread: Thread
  readonly data: ListenerData
  /** Which address of ours the session's client wrote to. */
  askedBy(session: UdpSession): Peer | null
  heard(session: UdpSession, from: 'client' | 'target'): void
  /** Descriptors are short. @returns whether there is one more now */
  makeRoomFor(session: UdpSession): boolean
  tellMarks(): boolean
  removed(session: UdpSession): void
}

interface SessionDoor extends Outlet {
  close(): void
}

export class UdpSession extends FlowBase implements UpstreamSession, OffloadedSession {
  readonly host: SessionHost
  readonly key: number
  readonly client: Uint8Array
  /** The address of ours that the client wrote to; null where the socket has only one. */
  readonly local: Uint8Array | null
  sameKey: UdpSession | null = null
  seat: Seat<UdpSession> | null = null
  readonly source: string
  readonly #offload = new UdpOffload(this)
  /** Its own way in, once the shared one is a successor's. */
  door: SessionDoor | null = null
  #upstream: UdpUpstream | null = null
  /** Targets that were not tried yet. */
  #targets: TargetState[] = []
  /** Addresses of the target that were not tried yet. */
  #addresses: Sockaddr[] = []
  /** How many there are in all: with one, there is nowhere else to go. */
  #ways = 0
  /** The first of them had its turn. */
  #turned = false
  /** Some of them could be sent to, so it is worth beginning with the first again. */
  #reached = false
  /** The address does not take datagrams: the next one goes elsewhere. */
  #refused = false
  /** The address answers, and its target knows. */
  #isGood = false
  /** Counts targets that were asked for, so that a late answer is known as one. */
  #asked = 0
  #queued: Uint8Array[] = []
  #header: Buffer | null = null
  /** The target knows who calls. */
  #told = false
  #address: Sockaddr = new Uint8Array(0)
  /** When the target's name is to be asked for again. */
  #freshUntil = Number.POSITIVE_INFINITY

  constructor(
    host: SessionHost,
    revision: RuleRevision,
    key: number,
    client: Uint8Array,
    local: Uint8Array | null,
    source: string,
    ticket: Ticket,
  ) {
    super(host.thread, revision, host.data.id, client, ticket)
    this.host = host
    this.key = key
    this.client = client
    this.local = local
    this.source = source
  }

  get outlet(): Outlet {
    return this.door ?? this.host
  }

  is(batch: Datagrams, i: number, withLocal: boolean): boolean {
    const { bytes } = batch.arena
    const at = batch.nameAt(i)
    for (let b = 0; b < this.client.length; b++) if (bytes[at + b] !== this.client[b]) return false
    return !withLocal || !this.local || batch.cameTo(i, this.local)
  }

  start(): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.revision.timeouts.udpMs, loop.now)
    this.#takeTurn()
    this.#aimNext('no-such-name')
  }

  /** All targets, in the order of this moment. */
  #takeTurn(): void {
    this.#targets = [...this.revision.order(this.source, this.thread.loop.now)]
    this.#ways = this.#targets.length
    this.#reached = this.#turned = false
  }

  /** @param reason why the one before failed: what the record says if none can even be sent to. */
  #aimNext(reason: CloseReason): void {
    if (this.#targets.length === 0 && this.#reached) this.#takeTurn()
    if (this.#turned) this.revision.again(this.#targets, 0, this.source, this.thread.loop.now)
    this.#turned = true
    const state = this.#targets.shift()
    if (!state) return this.end(reason)
    const asked = ++this.#asked
    const found = this.#find(state, (later) => {
      if (!this.ended && this.#asked === asked) this.#aim(state, later)
    })
    if (found !== undefined) this.#aim(state, found)
  }

  /** Its target refuses, and an edit took that out of the rule: nothing holds the session to it. */
  get isLeft(): boolean {
    return (
      this.#refused &&
      !this.revision.ruleOnThread.revision.targets.states.includes(this.target as TargetState)
    )
  }

  /** To the next address of the name, or to the next target; after the last of them it begins with the first. */
  #goElsewhere(): void {
    this.#refused = false
    const state = this.target
    if (this.#ways < 2 || !state) return
    this.#leave()
    if (this.#addresses.length > 0) return this.#connectNext(state)
    if (this.#targets.length === 0) this.#takeTurn()
    this.#aimNext('target-refused')
  }

  #leave(): void {
    this.#offload.takeBack()
    this.#upstream?.close()
    this.#upstream = null
  }

  #find(state: TargetState, tell: (found: CachedAddresses) => void): CachedAddresses | undefined {
    const { rule, ruleOnThread } = this.revision
    return ruleOnThread.names.find(
      state.choice.to,
      this.host.data.port,
      rule.listen,
      this.thread.loop.now,
      (later) => {
        // Others wait for the same answer.
        try {
          tell(later)
        } catch (thrown) {
          this.thread.loop.fault(this, thrown)
        }
      },
    )
  }

  #aim(state: TargetState, found: CachedAddresses): void {
    if (typeof found === 'string') {
      this.revision.failed(state, this.thread.loop.now)
      return this.#aimNext(found)
    }
    this.#addresses = bestFirst(found, this.revision.goodOf(state), (one) => addressOf(one))
    this.#ways += found.length - 1
    this.#connectNext(state)
  }

  /** To the first of the target's addresses that can be sent to. */
  #connectNext(state: TargetState): void {
    let reason: CloseReason = 'target-unreachable'
    for (let address = this.#addresses.shift(); address; address = this.#addresses.shift()) {
      const error = this.#connect(address)
      if (this.ended) return
      if (error === 0) return this.#connected(state, address)
      reason = lackIn(-error, address) ?? 'target-unreachable'
    }
    if (reason === 'no-room') return this.end(reason)
    // What this client or this machine does not have is not the target's fault.
    if (!isOwnFault(reason)) this.revision.failed(state, this.thread.loop.now)
    this.#aimNext(reason)
  }

  #connected(state: TargetState, address: Sockaddr): void {
    this.#settle(state, address)
    this.#reached = true
    this.#told = false
    this.thread.records.setState(this.record, 'open')
    for (const datagram of this.#queued.splice(0)) this.#upstream?.sendCopy(datagram)
  }

  #settle(state: TargetState, address: Sockaddr): void {
    this.settle(state, address)
    if (address !== this.#address) this.#isGood = false
    this.#address = address
    this.#freshUntil = this.revision.ruleOnThread.names.freshUntil(state.choice.to)
  }

  /** The name is old: where it has moved, the same socket, with the same port of ours, goes on to the new address. */
  #freshen(): void {
    const state = this.target as TargetState
    this.#freshUntil = Number.POSITIVE_INFINITY
    const found = this.#find(state, (later) => {
      if (!this.ended) this.#move(state, later)
    })
    if (found !== undefined) this.#move(state, found)
  }

  #move(state: TargetState, found: CachedAddresses): void {
    if (typeof found === 'string') {
      this.#freshUntil = this.thread.loop.now + retryNameMs
      return
    }
    const here = found.some((address) => Buffer.compare(address, this.#address) === 0)
    const next = here ? this.#address : found.find(([family]) => family === this.#address[0])
    // A socket has one family; the session starts anew where the name changed it.
    if (!next) return this.end('target-lost')
    if (!here) {
      this.#offload.takeBack()
      this.#told = false
      if (this.#upstream && this.#upstream.moveTo(next) < 0) return this.end('target-unreachable')
    }
    this.#settle(state, next)
  }

  /** @returns 0 or an errno below zero */
  #connect(address: Sockaddr): number {
    const { source } = this
    const { keeps } = this.revision
    const socket = dialDatagrams(address, {
      as: keeps ? source : null,
      makeRoom: () => this.host.makeRoomFor(this),
    })
    if (typeof socket === 'number') return socket
    this.#upstream = new UdpUpstream(this, socket, this.client)
    if (this.ended) this.#upstream.close()
    return 0
  }

  /** Datagrams came from the client, or from the target. */
  hear(way: 'there' | 'back', count: number, batch: Datagrams, last: number): void {
    if (way === 'back') this.#heardOf()
    this.touch(way)
    this.#offload.came(way, count, batch, last)
  }

  /** Where its datagrams come from and go to, as the kernel is told; null while there is no way to the target. */
  ends(): Pair | null {
    const upstream = this.#upstream?.own()
    if (!upstream) return null
    return pairOf(peerIn(this.client), this.host.askedBy(this), upstream, peerIn(this.#address))
  }

  tellMarks(): boolean {
    return this.host.tellMarks() && (this.#upstream?.tellMarks() ?? false)
  }

  /** The kernel carried so much past us. */
  carried(there: CarriedByKernel, back: CarriedByKernel): void {
    this.sent(there.bytes, there.packets)
    this.answered(back.bytes, back.packets)
    if (this.ended) return
    if (there.packets > 0) this.touch('there')
    if (back.packets > 0) this.touch('back')
    if (back.packets > 0) this.#heardOf()
    if (this.thread.loop.now > this.#freshUntil) this.#freshen()
  }

  /** The target answers. */
  #heardOf(): void {
    this.#refused = false
    if (!this.target) return
    this.revision.succeeded(this.target)
    if (!this.#isGood) this.revision.found(this.target, hashOf(addressOf(this.#address)))
    this.#isGood = true
  }

  toTarget(batch: Datagrams, first: number, count: number): void {
    this.hear('there', count, batch, first + count - 1)
    if (this.#refused) this.#goElsewhere()
    if (!this.ended && this.thread.loop.now > this.#freshUntil) this.#freshen()
    if (this.ended) return this.lost(count)
    if (this.#upstream) return this.#upstream.send(batch, first, count)
    for (let i = first; i < first + count; i++) {
      if (this.#queued.length >= mostQueued) this.lost(1)
      else this.#queued.push(batch.arena.bytes.slice(batch.dataAt(i), batch.dataAt(i) + batch.length(i)))
    }
  }

  touch(way: 'there' | 'back'): void {
    const { loop } = this.thread
    loop.deadlines.arm(this.deadline, this.revision.timeouts.udpMs, loop.now)
    this.host.heard(this, way === 'there' ? 'client' : 'target')
  }

  /** Counted before they are sent, so that whoever has them sees them counted; `unsent` takes them back. */
  sent(bytes: number, datagrams: number): void {
    const { cells } = this.revision.ruleOnThread
    if (!this.ended) this.thread.records.addToTarget(this.record, bytes)
    cells[cell.toTarget]! += bytes
    cells[cell.datagramsToTarget]! += datagrams
  }

  answered(bytes: number, datagrams: number): void {
    const { cells } = this.revision.ruleOnThread
    if (!this.ended) this.thread.records.addToClient(this.record, bytes)
    cells[cell.toClient]! += bytes
    cells[cell.datagramsToClient]! += datagrams
  }

  unsent(bytes: number, datagrams: number, error: number): void {
    if (error === -EPERM) this.#offload.refused()
    this.sent(-bytes, -datagrams)
    this.lost(datagrams)
    this.#blame(error)
  }

  unanswered(bytes: number, datagrams: number, error: number): void {
    if (error === -EPERM) this.#offload.refused()
    if (!this.ended) this.answered(-bytes, -datagrams)
    this.lost(datagrams)
  }

  get tellsTarget(): boolean {
    return this.revision.rule.source === 'proxy-v2'
  }

  /** The PROXY header of the next datagram: of every one (specification of April 2026), or of the first. */
  nextHeader(): Buffer | null {
    if (!this.tellsTarget || (this.#told && this.revision.rule.proxyUdp === 'first')) return null
    this.#header ??= writeProxyV2(peerIn(this.client), this.host.askedBy(this), { transport: 'datagram' })
    return this.#header
  }

  told(): void {
    this.#told = true
  }

  /** A datagram came back (ICMP): the session goes on, as the target may just be starting, or elsewhere. */
  turnedAway(error: number): void {
    this.lost(1)
    this.#blame(error)
  }

  #blame(error: number): void {
    const { target } = this
    if (!target || !targetsFaults.has(-error)) return
    if (this.#isGood) this.revision.found(target, 0)
    this.#isGood = false
    const { rule } = this.revision
    if (this.#addresses.length === 0 && speaksForAll(rule, target.choice.to, this.host.data.port))
      this.revision.failed(target, this.thread.loop.now)
    this.#refused = true
    // The next datagram is to come here.
    this.#offload.takeBack()
  }

  lost(datagrams: number): void {
    this.revision.ruleOnThread.cells[cell.lost]! += datagrams
  }

  /** Over the rule's bandwidth, datagrams are lost, as a slow line would lose them: delay helps no real-time stream. */
  mayPass(bytes: number): boolean {
    const { bucket } = this.revision
    if (!bucket) return true
    const { now } = this.thread.loop
    if (bucket.spend(0, now) > 0) return false
    bucket.spend(bytes, now)
    return true
  }

  onDeadline(): void {
    this.end('idle')
  }

  protected release(): void {
    this.#offload.takeBack()
    this.#upstream?.close()
    this.lost(this.#queued.splice(0).length)
    this.door?.close()
    this.host.removed(this)
  }
}

const targetsFaults: ReadonlySet<number> = new Set(
  [...targetsFault].map((name) => (constants.errno as Readonly<Record<string, number>>)[name] ?? 0),
)
