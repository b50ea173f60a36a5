/** What the main thread and the engine's threads say to each other. Plain data; memory in it is shared, not copied. */
import type { CloseReason } from '../../../model/connection.ts'
import type { Rule } from '../../../model/rule.ts'
import type { Target } from '../../../model/target.ts'
import type { Share } from '../../../linux/bpf/flows.ts'
import type { EngineState } from '../../contract.ts'

/** From when on a direction's bytes move otherwise than by recv, send and splice as epoll tells of them. */
export interface Thresholds {
  /** After so many small messages io_uring moves them; `Infinity` is never. */
  readonly messagesBeforeRing: number
  /** They count in turns of the loop that bring so many events: io_uring saves calls where many are served together. */
  readonly eventsBeforeRing: number
  /** From this pace on, bytes a millisecond, what comes in gathers; 0 is always, `Infinity` never. */
  readonly gatherFrom: number
  /** So long, ms, events are looked for instead of sleeping, where that pays; 0 is never. */
  readonly busyPollMs: number
  /** A UDP session of so many datagrams within a second is offered to the kernel; `Infinity` is never. */
  readonly datagramsBeforeOffload: number
}

/** What a thread is born with. */
export interface ThreadData {
  readonly thread: number
  /** eventfd that wakes it; the main thread closes it. */
  readonly wakeup: number
  /** One byte a descriptor: which thread holds it. See `keepFdOwners`. */
  readonly fdOwners: SharedArrayBuffer
  readonly firstSerial: number
  /** See own-dials.ts. */
  readonly dials: SharedArrayBuffer
  /** Of this thread, in there. */
  readonly place: number
  /** Most descriptors this process may have. */
  readonly descriptorLimit: number
  readonly thresholds: Thresholds
}

/** What a thread is born with that is begun before anyone wants it; its `ThreadData` is its first message, or null. */
export interface EarlyData {
  /** An Int32: what it does with its add-on, one of `addOn`. */
  readonly gate: SharedArrayBuffer
}

/** What an early thread does with its native add-on: ending a thread that loads one would abort the process. */
export const addOn = { unloaded: 0, loading: 1, loaded: 2, unwanted: 3 } as const

export interface ListenerData {
  readonly id: number
  /** Stays the main thread's. */
  readonly fd: number
  readonly protocol: 'tcp' | 'udp' | 'unix'
  /** The port that is listened on; 0 for a Unix listener. */
  readonly port: number
  /** Among several sockets of one port. */
  readonly part: number
}

/** Memory that all threads share for one rule, whatever its revision. */
export interface RuleMemory {
  readonly cells: SharedArrayBuffer
  readonly tally: SharedArrayBuffer
  readonly bucket: SharedArrayBuffer
  readonly targetHealth: SharedArrayBuffer
}

export type ToThread =
  | {
      readonly type: 'open'
      readonly lease: number
      readonly revision: number
      readonly rule: Rule
      readonly memory: RuleMemory
      /** Where in `memory.targetHealth` each of the rule's targets is; −1 is nowhere. */
      readonly slots: readonly number[]
      readonly listeners: readonly ListenerData[]
    }
  | {
      readonly type: 'update'
      readonly lease: number
      readonly revision: number
      readonly rule: Rule
      readonly memory: RuleMemory
      /** Where in `memory.targetHealth` each of the rule's targets is; −1 is nowhere. */
      readonly slots: readonly number[]
    }
  /** Take what waits in the queues, unless a successor does, then listen no more; answered by `unlistened`. */
  | {
      readonly type: 'unlisten'
      readonly lease: number
      readonly queued: 'take' | 'leave'
      /** UDP sessions are to have sockets of their own, or to end: the shared ones close. */
      readonly apart: boolean
    }
  /** Give UDP sessions sockets of their own and read the shared one no more; answered by `yielded`. */
  | { readonly type: 'yield'; readonly lease: number }
  /** End the UDP sessions; answered by `yielded`. */
  | { readonly type: 'let-go'; readonly lease: number }
  /** Read the shared sockets again. */
  | { readonly type: 'resume'; readonly lease: number }
  /** Cut one connection, or all of a lease (`serial` null). */
  | {
      readonly type: 'cut'
      readonly lease: number
      readonly serial: number | null
      readonly reason: CloseReason
    }
  | { readonly type: 'forget'; readonly lease: number }
  | { readonly type: 'resolved'; readonly asked: number; readonly answer: WorkerAnswer }
  /** Answers `offload`: null where this machine cannot. */
  | { readonly type: 'offload'; readonly share: Share | null }
  | { readonly type: 'stop' }

export type WorkerAnswer =
  | { readonly ok: true; readonly addresses: readonly string[]; readonly ttlMs: number }
  | { readonly ok: false }

export type FromThread =
  | { readonly type: 'ready' }
  | { readonly type: 'block'; readonly memory: SharedArrayBuffer }
  | { readonly type: 'happened'; readonly batch: ArrayBuffer; readonly count: number }
  | { readonly type: 'state'; readonly lease: number; readonly state: EngineState }
  | { readonly type: 'unlistened'; readonly lease: number }
  | { readonly type: 'yielded'; readonly lease: number }
  | { readonly type: 'resolve'; readonly asked: number; readonly lease: number; readonly target: Target }
  /** Some session is busy enough for the kernel to carry it; answered by `offload`. */
  | { readonly type: 'offload' }
  /** Flows of this thread arrive at the device. */
  | { readonly type: 'hold'; readonly device: number }
  | { readonly type: 'fault'; readonly where: string; readonly message: string }
  | { readonly type: 'stopped' }

/** One event in a `happened` batch: a kind, and the record as it was then. */
export const happenedRecordAt = 8
export const happeningBytes = happenedRecordAt + 128
export const happened = { opened: 1, closed: 2, refused: 3 } as const
