/** `timeouts`: how long a rule waits for what. */
import { say } from '../../base/text.ts'
import { group } from './row.ts'
import { duration } from './shapes.ts'

export const timeouts = group({
  connect: {
    inside: 'connectMs',
    shape: duration,
    doc: say('until the target answers', '대상이 응답할 때까지'),
    fallback: 5000,
    option: {
      name: 'timeout-connect',
      value: 'DURATION',
      text: say('for the target to answer', '대상 연결 제한 시간'),
    },
    form: {
      place: 'waiting',
      label: say('Connecting', '연결 대기'),
      hint: say('Until the target answers. Empty: 5s', '대상이 응답할 때까지. 비우면 5s'),
    },
    loss: { text: say('timeout: connect', '시간 제한: 연결') },
  },
  /** Without a byte either way; 0 is never. */
  idle: {
    inside: 'idleMs',
    shape: duration,
    doc: say(
      'without a byte either way, read or taken; 0 is never',
      '양쪽 모두 읽거나 받아 간 바이트가 없는 시간. 0은 제한 없음',
    ),
    fallback: 0,
    option: {
      name: 'timeout-idle',
      value: 'DURATION',
      text: say('without a byte; 0 is never', '유휴 제한 시간, 0은 무제한'),
    },
    form: {
      place: 'waiting',
      label: say('Idle time', '유휴 시간'),
      hint: say(
        'Ends connections without a byte for so long, such as 10m. Empty: never',
        '이 시간 동안 통신이 없으면 끊습니다. 예: 10m. 비우면 끊지 않음',
      ),
    },
    loss: { text: say('timeout: idle', '시간 제한: 무통신') },
  },
  /** A UDP session without a datagram. */
  udp: {
    inside: 'udpMs',
    shape: duration,
    doc: say('a UDP session without a datagram', 'UDP 세션 유휴 시간'),
    fallback: 300_000,
    option: {
      name: 'timeout-udp',
      value: 'DURATION',
      text: say('for a silent UDP session', 'UDP 세션 유휴 제한 시간'),
    },
    form: {
      place: 'waiting',
      label: say('UDP session', 'UDP 세션'),
      hint: say('Without a datagram. Empty: 5m', '데이터그램이 없는 시간. 비우면 5m'),
    },
    loss: { text: say('timeout: UDP session', '시간 제한: UDP 세션') },
  },
  /** How long connections may finish after `rm`, `disable` or expiry. */
  drain: {
    inside: 'drainMs',
    shape: duration,
    doc: say('for connections to finish after the rule ends', '규칙이 끝난 뒤 연결을 마무리할 시간'),
    fallback: 30_000,
    option: {
      name: 'timeout-drain',
      value: 'DURATION',
      text: say('for connections to finish once the rule ends', '규칙이 끝난 뒤 연결을 정리할 시간'),
    },
    form: {
      place: 'waiting',
      label: say('To finish', '마무리 시간'),
      hint: say(
        'For connections to end after the rule is off. Empty: 30s',
        '규칙을 끈 뒤 연결을 마무리할 시간. 비우면 30s',
      ),
    },
    loss: { text: say('timeout: drain', '시간 제한: 마무리') },
  },
  /** For a client's TLS hello, HTTP head or PROXY header, where a rule has to know it before it dials. */
  hello: {
    inside: 'helloMs',
    shape: duration,
    doc: say(
      'for a TLS hello, an HTTP head or a PROXY header that the rule needs; then a target without a name serves',
      '규칙에 필요한 TLS hello, HTTP 헤더, PROXY 헤더를 기다릴 시간. 지나면 이름 없는 대상으로 연결',
    ),
    fallback: 5000,
    option: {
      name: 'timeout-hello',
      value: 'DURATION',
      text: say(
        'for the TLS hello, HTTP head or PROXY header',
        'TLS hello, HTTP 헤더, PROXY 헤더 대기 제한 시간',
      ),
    },
    form: {
      place: 'waiting',
      label: say('First bytes', '첫 데이터 대기'),
      hint: say(
        'For a TLS hello, HTTP head or PROXY header that the rule needs. Empty: 5s',
        '규칙에 필요한 TLS hello, HTTP 헤더, PROXY 헤더를 기다릴 시간. 비우면 5s',
      ),
    },
    loss: { text: say('timeout: hello', '시간 제한: hello') },
  },
  /** TCP keepalive probes start after this much silence; 0 is never. */
  keepalive: {
    inside: 'keepaliveMs',
    shape: duration,
    doc: say(
      'of silence before TCP keepalive; 0 is never',
      'TCP keepalive를 시작할 무통신 시간. 0은 사용 안 함',
    ),
    fallback: 60_000,
    option: {
      name: 'timeout-keepalive',
      value: 'DURATION',
      text: say('before TCP keepalive probes', 'TCP keepalive 시작 시간'),
    },
    form: {
      place: 'waiting',
      label: say('Keepalive', 'Keepalive'),
      hint: say(
        'Silence before TCP asks whether the other end is there. Empty: 1m',
        '통신이 없을 때 상대가 살아 있는지 확인하기까지의 시간. 비우면 1m',
      ),
    },
    loss: { text: say('TCP keepalive', 'TCP keepalive') },
  },
})
