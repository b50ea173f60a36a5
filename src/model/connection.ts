/** The truth about connections: who, how many bytes, and why it ended. */
import { say, type Text } from '../base/text.ts'
import type { Protocol } from '../base/port.ts'

/** Every connection and UDP session ends for exactly one of these reasons; the first that happened counts. */
export const closeReasons = {
  finished: say('both sides finished'),
  'client-reset': say('the client reset it'),
  'target-reset': say('the target reset it'),
  'client-lost': say('the client no longer answers'),
  'target-lost': say('the target no longer answers'),
  reset: say('one side reset it'),
  'target-refused': say('the target refused it'),
  'target-unreachable': say('no way to the target'),
  'connect-timeout': say('the target did not answer in time'),
  'name-not-found': say('the target’s name has no address'),
  denied: say('the client is not allowed'),
  'limit-connections': say('the rule’s connection limit'),
  'limit-source': say('the limit for one source'),
  'limit-rate': say('too many new connections a second'),
  'proxy-header': say('a bad or untrusted PROXY header'),
  loop: say('the target leads back to the rule itself, maybe by way of others'),
  'no-such-name': say('no target serves the name it asked for'),
  idle: say('idle for too long'),
  cut: say('cut by hand'),
  drained: say('the rule ended and its drain time was over'),
  evicted: say('made room for a newer UDP session'),
  shutdown: say('Naru stopped'),
  'no-local-port': say('this machine had no free port left to dial from'),
  'no-local-address': say('this machine has no address of that family to dial from'),
  'no-room': say('this machine had no file descriptor or memory left'),
  'engine-error': say('the engine failed'),
} as const satisfies Record<string, Text>

export type CloseReason = keyof typeof closeReasons

export interface Connection {
  /** Unique within this run of Naru. */
  readonly id: string
  readonly rule: string
  readonly engine: string
  readonly protocol: Protocol | 'unix'
  /** `192.168.1.7:50123`; empty for a Unix client. */
  readonly client: string
  /** Which of the rule's listens it came in by. */
  readonly listen: string
  /** Address it was carried to; null while it is still dialled. */
  readonly target: string | null
  /** Milliseconds since the Unix epoch. */
  readonly openedAt: number
  readonly bytesToTarget: number
  readonly bytesToClient: number
  readonly state: 'dialling' | 'open' | 'half-closed' | 'closed'
  readonly closedAt: number | null
  readonly closeReason: CloseReason | null
}

/** Sums over a rule since it was opened; they only grow, but for `open` and `offloaded`. */
export interface Counters {
  readonly open: number
  /** How many of the open ones the kernel carries by itself now (offload), past sockets and conntrack. */
  readonly offloaded: number
  readonly opened: number
  /** How many ended for each reason. */
  readonly closed: Readonly<Partial<Record<CloseReason, number>>>
  readonly bytesToTarget: number
  readonly bytesToClient: number
  /** UDP datagrams each way, and those that could not be delivered. */
  readonly datagramsToTarget: number
  readonly datagramsToClient: number
  readonly datagramsLost: number
}
