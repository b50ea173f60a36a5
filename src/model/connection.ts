/** The truth about connections: who, how many bytes, and why it ended. */
import type { Text } from '../base/text.ts'
import { say } from '../base/text.ts'
import type { Protocol } from '../base/port.ts'

/** Every connection and UDP session ends for exactly one of these reasons; the first that happened counts. */
export const closeReasons = {
  finished: say('both sides finished', '양쪽 모두 정상 종료'),
  'client-reset': say('the client reset it', '클라이언트가 연결을 끊음(RST)'),
  'target-reset': say('the target reset it', '대상이 연결을 끊음(RST)'),
  'client-lost': say('the client no longer answers', '클라이언트가 더 이상 응답하지 않음'),
  'target-lost': say('the target no longer answers', '대상이 더 이상 응답하지 않음'),
  reset: say('one side reset it', '한쪽이 연결을 끊음(RST)'),
  'target-refused': say('the target refused it', '대상이 연결을 거부함'),
  'target-unreachable': say('no way to the target', '대상까지 경로가 없음'),
  'connect-timeout': say('the target did not answer in time', '대상이 제한 시간 안에 응답하지 않음'),
  'name-not-found': say('the target’s name has no address', '대상 이름의 주소를 찾지 못함'),
  denied: say('the client is not allowed', '허용되지 않은 클라이언트'),
  'limit-connections': say('the rule’s connection limit', '규칙의 연결 수 제한'),
  'limit-source': say('the limit for one source', '출발지별 연결 수 제한'),
  'limit-rate': say('too many new connections a second', '초당 새 연결 수 제한'),
  'proxy-header': say('a bad or untrusted PROXY header', '잘못되었거나 신뢰할 수 없는 PROXY 헤더'),
  loop: say(
    'the target leads back to the rule itself, maybe by way of others',
    '대상이 (다른 규칙을 거쳐서라도) 다시 이 규칙으로 돌아옴',
  ),
  'no-such-name': say('no target serves the name it asked for', '요청한 이름을 제공하는 대상이 없음'),
  idle: say('idle for too long', '유휴 시간 초과'),
  cut: say('cut by hand', '수동으로 끊음'),
  drained: say('the rule ended and its drain time was over', '규칙이 끝나고 정리 시간이 지남'),
  evicted: say('made room for a newer UDP session', '새 UDP 세션을 위해 자리를 비움'),
  shutdown: say('Naru stopped', 'Naru 종료'),
  'no-local-port': say(
    'this machine had no free port left to dial from',
    '이 컴퓨터에 연결에 쓸 포트가 남아 있지 않음',
  ),
  'no-local-address': say(
    'this machine has no address of that family to dial from',
    '이 컴퓨터에 그 주소 체계로 연결할 주소가 없음',
  ),
  'no-room': say(
    'this machine had no file descriptor or memory left',
    '이 컴퓨터에 파일 디스크립터나 메모리가 모자람',
  ),
  'engine-error': say('the engine failed', '엔진 오류'),
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
