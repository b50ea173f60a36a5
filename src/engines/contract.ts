/** How bytes are moved on this machine. One engine carries a rule; editing it never touches the connections it has. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Text } from '../base/text.ts'
import type { Host } from '../host/contract.ts'
import type { MarkedEntry } from '../model/marked-entry.ts'
import type { CloseReason, Connection, Counters } from '../model/connection.ts'
import type { Facts } from '../model/facts.ts'
import type { Json, Lease, OpenOptions } from '../model/hop.ts'
import type { Heritage, Inheritance, LentSocket, SocketMaker } from '../model/handover-sockets.ts'
import type { EngineId, Rule } from '../model/rule.ts'
import type { Support } from '../model/support.ts'
import type { Target } from '../model/target.ts'

export interface EngineTools {
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
}

/** What a member exports. Making an engine starts nothing; the first `open` does. */
export type MakeEngine = (tools: EngineTools) => Engine

export interface Engine {
  readonly id: EngineId
  /** True where what a dead process left in force is taken over by `open`, and undone only where no rule wants it. */
  readonly adopts?: boolean
  /** True where what is in force knows when its rule is over, so that an edit of that is told to it. */
  readonly keepsEnd?: boolean
  /** True where what is opened at the same time is one change, for ten thousand as for one. */
  readonly opensTogether?: boolean
  supports(rule: Rule, facts: Facts): Support
  /**
   * Why this machine, as it is now, keeps it from carrying that rule; null where nothing does. Left out where nothing
   * can. It is asked for each plan; what comes later is told by the state `unfit`.
   */
  obstacle?(rule: Rule): Promise<Text | null>
  /** @throws NaruError LISTEN_IN_USE, LISTEN_PRIVILEGED, LISTEN_NO_ADDRESS, LISTEN_FAILED, ENGINE_UNFIT */
  open(request: EngineRequest, options: OpenOptions): Promise<EngineLease>
  /** Process `pid` hands over to this one: what it left in force may be taken over although it lives. */
  succeed?(pid: number): void
  /** Undoes what the journal says an engine of a dead process did. An engine without traces outside its process does nothing. */
  undo(effect: Json, options: { signal: AbortSignal }): Promise<void>
  /**
   * What there is of Narus that are gone, or that cannot be seen from here: a saved ruleset brings back what it held.
   * Left out where nothing comes back that way.
   */
  carried?(options: { signal: AbortSignal }): Promise<readonly MarkedEntry[]>
  /** Ends this side alone: what it has in force outside of this process stays so, for a successor. */
  abandon?(): void
  /** Ends threads and tables shared by all leases; open leases are cut. */
  close(): Promise<void>
}

export interface EngineRequest {
  readonly rule: Rule
  readonly resolve: Resolve
  readonly onEvent: (event: EngineEvent) => void
  /** Set while another process hands over to this one, and where another engine carried the rule until now. */
  readonly inherit?: Inheritance
}

/** How a rule passes to the process that takes this one's place. */
export interface Passing {
  lend(): readonly LentSocket[]
  /**
   * Reads no more datagrams of clients without a session; those with one get a socket of their own, so that the
   * successor may read the shared ones. Streams go on being accepted.
   */
  yieldDatagrams(sockets: SocketMaker): Promise<void>
  /** The successor did not come up: as before. */
  resume(): void
  /** The successor listens: this side accepts no more and takes nothing away. Connections go on without limit. */
  leave(): Promise<void>
  /**
   * After `leave`: ends the datagram sessions that go on, and lets go of their port for a process that starts anew.
   * Streams go on.
   */
  letGo(): Promise<void>
}

/**
 * Addresses of a target when it is dialled: names by DNS, guests by their hypervisor. The order is the order to
 * try. A Unix target and a plain address never come here. @throws NaruError NAME_NOT_FOUND, GUEST_…
 */
export type Resolve = (
  target: Target,
  options: { signal: AbortSignal },
) => Promise<{ readonly addresses: readonly string[]; readonly ttlMs: number }>

/** `connection()` is as it was then; most are looked at by nobody, so it may be put into words only once it is asked. */
export type EngineEvent =
  | { readonly type: 'opened' | 'closed'; readonly connection: () => Connection }
  /** Turned away before a connection existed. */
  | { readonly type: 'refused'; readonly rule: string; readonly client: string; readonly reason: CloseReason }
  /** Accepting stopped or went on (out of descriptors), or the engine can no longer carry the rule. */
  | { readonly type: 'state'; readonly rule: string; readonly state: EngineState }

export type EngineState =
  | { readonly state: 'carrying' }
  | { readonly state: 'paused'; readonly why: 'out-of-descriptors' }
  | { readonly state: 'failed'; readonly why: string }
  /** The machine or the target is no more such that it may carry the rule. It does until it is told otherwise. */
  | { readonly state: 'unfit'; readonly why: Text }
  /** Nobody arrives any more where it listens; opened anew it would be heard. */
  | { readonly state: 'adrift'; readonly why: Text }

export interface EngineLease extends Lease {
  /** Its faults are seen only when it is looked at. @default it tells them by events, as it is in this process */
  readonly mustBeLookedAt?: true
  /** As bound: `0.0.0.0:8888/tcp`. */
  readonly listening: readonly string[]
  /**
   * New connections follow the edited rule, those there are go on as they began. False where it takes another
   * listen: then open anew and `retire` this one.
   */
  update(rule: Rule): boolean
  /** Resolves once what it was told last is in force. @default it is at once */
  settled?(): Promise<void>
  /** Listens no more; the connections there are go on without limit. The lease ends with the last of them. */
  retire(): Promise<void>
  /** Listens no more, waits up to `drainMs` for connections to finish, cuts the rest. */
  drain(options: { drainMs: number; reason: CloseReason; signal: AbortSignal }): Promise<void>
  connections(): readonly Connection[]
  counters(): Counters
  /** False where no such connection is open. */
  cut(id: string, reason: CloseReason): boolean
  /** Left out where a rule cannot pass to another process. */
  readonly passing?: Passing
  /** Ports that it keeps without a socket that serves; lent to a successor, they stay its own. */
  held?(): readonly LentSocket[]
  /** Before `retire`: those ports outlive it, for whichever engine takes the rule up. */
  bequeath?(): Heritage
}
