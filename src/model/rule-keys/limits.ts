/** `limits`: how much a rule carries at once. */
import { say } from '../../base/text.ts'
import { formatBandwidth, parseBandwidth } from '../rate.ts'
import { written } from '../schema.ts'
import { group, type Inside } from './row.ts'
import { count } from './shapes.ts'

export const limits = group({
  /** Connections (TCP) or sessions (UDP) at once; null is no limit. */
  connections: {
    shape: count,
    doc: say('connections or UDP sessions at once', '동시 연결(UDP 세션) 수'),
    fallback: null,
    option: {
      name: 'limit-connections',
      value: 'N',
      text: say('connections at once', '동시 연결 수 제한'),
    },
    form: {
      place: 'limits',
      label: say('Connections at once', '동시 연결 수'),
      hint: say('UDP sessions, too. Empty: no limit', 'UDP 세션도 포함. 비우면 제한 없음'),
    },
    loss: { text: say('limit: connections', '한도: 연결 수') },
  },
  perSource: {
    shape: count,
    doc: say(
      'of them, from one address; in IPv6 from one /64. docs/udp.md tells which UDP session makes room',
      '한 주소당 동시 연결 수. IPv6는 /64 하나당. 어떤 UDP 세션이 자리를 비우는지는 docs/udp.md 참고',
    ),
    fallback: null,
    option: {
      name: 'limit-per-source',
      value: 'N',
      text: say('connections at once from one address', '출발지별 동시 연결 수 제한'),
    },
    form: {
      place: 'limits',
      label: say('Of them, from one address', '한 주소당 연결 수'),
      hint: say('In IPv6 from one /64. Empty: no limit', 'IPv6는 /64 하나당. 비우면 제한 없음'),
    },
    loss: { text: say('limit: per source', '한도: 주소당 연결 수') },
  },
  newPerSecond: {
    shape: count,
    doc: say('new connections a second', '초당 새 연결 수'),
    fallback: null,
    option: {
      name: 'limit-new-per-second',
      value: 'N',
      text: say('new connections a second', '초당 새 연결 수 제한'),
    },
    form: {
      place: 'limits',
      label: say('New connections a second', '초당 새 연결 수'),
      hint: say('Empty: no limit', '비우면 제한 없음'),
    },
    loss: { text: say('limit: new per second', '한도: 초당 새 연결') },
  },
  /** Bytes, both directions together. */
  bandwidth: {
    inside: 'bytesPerSecond',
    shape: written(parseBandwidth, { examples: ['100mbit'] }, formatBandwidth),
    doc: say('both directions together', '양방향을 합한 대역폭'),
    fallback: null,
    option: {
      name: 'limit-bandwidth',
      value: 'RATE',
      text: say('both ways together: 100mbit', '양방향 합계 대역폭: 100mbit'),
    },
    form: {
      place: 'limits',
      label: say('Bandwidth', '대역폭'),
      hint: say('Both directions together, such as 100mbit', '양방향 합계. 예: 100mbit'),
    },
    loss: { text: say('limit: bandwidth', '한도: 대역폭') },
  },
})

export type Limits = Inside<typeof limits.rows>
