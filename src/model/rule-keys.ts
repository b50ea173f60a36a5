/**
 * The keys of a rule, one table: from it come the parsed rule, everything that is wrong with it, its JSON Schema, the
 * library's types and the option table in the docs.
 */
import { parseCidr, type Cidr } from '../base/address.ts'
import { formatDuration, parseDuration } from '../base/duration.ts'
import { NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import { parseListen } from './listen.ts'
import { parseBandwidth } from './rate.ts'
import {
  balances,
  engineIds,
  sourceModes,
  type Health,
  type Limits,
  type Publish,
  type TargetChoice,
  type Timeouts,
} from './rule.ts'
import {
  either,
  freeText,
  isMap,
  listOf,
  mapped,
  oneOf,
  record,
  whole,
  written,
  yesNo,
  type Written,
} from './schema.ts'
import { asciiName, parseTarget, type Target } from './target.ts'

const mostConnections = 10_000_000

const duration = {
  ...written(parseDuration, { examples: ['30s', '5m', '2h'] }),
  write: formatDuration,
}
const cidrs = listOf(written(parseCidr, { examples: ['192.168.0.0/16'] }), { most: 10_000 })
const target = written(parseTarget, { examples: ['192.168.79.128:80', 'docker:web:80'] })
const count = whole(1, mostConnections)

const instant = written(parseInstant, { examples: ['2026-12-24T18:00:00+09:00'] })

const member = written(
  (text) => {
    if (/^[a-z][a-z0-9-]{0,30}$/.test(text)) return text
    throw new NaruError('VALUE_INVALID', {
      what: 'member',
      value: text,
      why: say('write auto, off or a member’s name', 'auto, off 또는 멤버 이름을 쓰세요'),
    })
  },
  { type: 'string', examples: ['auto', 'off'] },
)

const notPublished: Publish = { firewall: 'off', router: 'off', guest: 'direct', externalPort: null }

/** A hop that is not named stays closed: nobody opens a router by asking for a firewall (`publish: true` opens both). */
const publishKeys = record({
  firewall: {
    shape: member,
    doc: say('open the host firewall: auto, off, or one by name', '호스트 방화벽 열기: auto, off 또는 이름'),
    fallback: 'off',
  },
  router: {
    shape: member,
    doc: say(
      'map the port on the router: auto, off, pcp, nat-pmp or upnp',
      '공유기 포트 매핑: auto, off, pcp, nat-pmp, upnp',
    ),
    fallback: 'off',
  },
  guest: {
    shape: oneOf(['direct', 'nat']),
    doc: say(
      'reach a guest by its own address, or by its hypervisor’s forward',
      '게스트 주소로 직접 연결하거나 하이퍼바이저의 포트 포워딩 사용',
    ),
    fallback: 'direct' as const,
  },
  externalPort: {
    shape: either((value) => value === 'any', oneOf(['any']), whole(1, 65_535)),
    doc: say(
      'the router’s port; any takes what the router gives',
      '공유기의 외부 포트. any는 공유기가 주는 포트를 받음',
    ),
    fallback: null as number | 'any' | null,
  },
})

const publish = either(
  (value) => typeof value === 'boolean',
  mapped(yesNo, (yes): Publish =>
    yes ? { ...notPublished, firewall: 'auto', router: 'auto' } : notPublished,
  ),
  publishKeys,
)

const limits = mapped(
  record({
    connections: {
      shape: count,
      doc: say('connections or UDP sessions at once', '동시 연결(UDP 세션) 수'),
      fallback: null as number | null,
    },
    perSource: {
      shape: count,
      doc: say(
        'of them, from one address; in IPv6 from one /64. docs/udp.md tells which UDP session makes room',
        '한 주소당 동시 연결 수. IPv6는 /64 하나당. 어떤 UDP 세션이 자리를 비우는지는 docs/udp.md 참고',
      ),
      fallback: null as number | null,
    },
    newPerSecond: {
      shape: count,
      doc: say('new connections a second', '초당 새 연결 수'),
      fallback: null as number | null,
    },
    bandwidth: {
      shape: written(parseBandwidth, { examples: ['100mbit'] }),
      doc: say('both directions together', '양방향을 합한 대역폭'),
      fallback: null as number | null,
    },
  }),
  ({ bandwidth, ...rest }): Limits => ({ ...rest, bytesPerSecond: bandwidth }),
)

const noLimits: Limits = { connections: null, perSource: null, newPerSecond: null, bytesPerSecond: null }

export const defaultTimeouts: Timeouts = {
  connectMs: 5000,
  idleMs: 0,
  udpMs: 300_000,
  drainMs: 30_000,
  helloMs: 5000,
  keepaliveMs: 60_000,
}

const timeouts = mapped(
  record({
    connect: {
      shape: duration,
      doc: say('until the target answers', '대상이 응답할 때까지'),
      fallback: defaultTimeouts.connectMs,
    },
    idle: {
      shape: duration,
      doc: say(
        'without a byte either way, read or taken; 0 is never',
        '양쪽 모두 읽거나 받아 간 바이트가 없는 시간. 0은 제한 없음',
      ),
      fallback: defaultTimeouts.idleMs,
    },
    udp: {
      shape: duration,
      doc: say('a UDP session without a datagram', 'UDP 세션 유휴 시간'),
      fallback: defaultTimeouts.udpMs,
    },
    drain: {
      shape: duration,
      doc: say('for connections to finish after the rule ends', '규칙이 끝난 뒤 연결을 마무리할 시간'),
      fallback: defaultTimeouts.drainMs,
    },
    hello: {
      shape: duration,
      doc: say(
        'for a TLS hello, an HTTP head or a PROXY header that the rule needs; then a target without a name serves',
        '규칙에 필요한 TLS hello, HTTP 헤더, PROXY 헤더를 기다릴 시간. 지나면 이름 없는 대상으로 연결',
      ),
      fallback: defaultTimeouts.helloMs,
    },
    keepalive: {
      shape: duration,
      doc: say(
        'of silence before TCP keepalive; 0 is never',
        'TCP keepalive를 시작할 무통신 시간. 0은 사용 안 함',
      ),
      fallback: defaultTimeouts.keepaliveMs,
    },
  }),
  ({ connect, idle, udp, drain, hello, keepalive }): Timeouts => ({
    connectMs: connect,
    idleMs: idle,
    udpMs: udp,
    drainMs: drain,
    helloMs: hello,
    keepaliveMs: keepalive,
  }),
)

const health = mapped(
  record({
    every: { shape: duration, doc: say('time between checks', '검사 간격'), fallback: 5000 },
    rise: {
      shape: whole(1, 100),
      doc: say('successes in a row that bring a target up', '대상을 살리는 연속 성공 횟수'),
      fallback: 2,
    },
    fall: {
      shape: whole(1, 100),
      doc: say('failures in a row that take it down', '대상을 내리는 연속 실패 횟수'),
      fallback: 3,
    },
  }),
  ({ every, rise, fall }): Health => ({ everyMs: Math.max(every, 100), rise, fall }),
)

const targetKeys = record({
  to: { shape: target, doc: say('where it goes', '보낼 곳') },
  weight: {
    shape: whole(1, 256),
    doc: say('its share of new connections', '새 연결을 나누는 비율'),
    fallback: 1,
  },
  backup: {
    shape: yesNo,
    doc: say('only while no other is up', '다른 대상이 모두 죽었을 때만 사용'),
    fallback: false,
  },
  name: {
    shape: written(parseServerName, { type: 'string', examples: ['a.example.org', '*.example.org'] }),
    doc: say('TLS server name or HTTP host that it serves', '담당하는 TLS 서버 이름 또는 HTTP 호스트'),
    fallback: null as string | null,
  },
})

const targets = listOf(
  either((value) => !isMap(value), mapped(target, aloneTo), targetKeys),
  { least: 1, most: 256 },
)

const mostTags = 16

/** The keys of a rule, in the order in which they are written. */
export const ruleKeys = {
  title: {
    shape: freeText({ most: 80, lines: 1 }),
    doc: say('what people call it, in any language', '사람이 부르는 이름. 한글도 가능'),
    fallback: null as string | null,
  },
  description: {
    shape: freeText({ most: 1000, lines: 20 }),
    doc: say('what it is for', '설명'),
    fallback: null as string | null,
  },
  tags: {
    shape: listOf(freeText({ most: 40, lines: 1 }), { most: mostTags }),
    doc: say('words to group and find rules by', '규칙을 묶고 찾는 태그'),
    fallback: [] as readonly string[],
  },
  listen: {
    shape: written(parseListen, { examples: [8888, '127.0.0.1:8080', '8000-8100/tcp+udp'] }),
    doc: say('where traffic arrives', '들어오는 곳'),
  },
  target: { shape: target, doc: say('where it goes', '보낼 곳'), fallback: null as Target | null },
  targets: {
    shape: targets,
    doc: say('several targets, instead of target', '여러 대상(target 대신)'),
    fallback: null as readonly TargetChoice[] | null,
  },
  balance: {
    shape: oneOf(balances),
    doc: say('which of several targets is next', '여러 대상 중 고르는 방법'),
    fallback: 'round-robin' as const,
  },
  health: {
    shape: health,
    doc: say('ask targets whether they are up', '대상 상태 검사'),
    fallback: null as Health | null,
  },
  publish: {
    shape: publish,
    doc: say(
      'how far out to open: true, false, or hop by hop',
      '외부 공개 범위: true, false 또는 구간별 설정',
    ),
    fallback: notPublished,
  },
  allow: {
    shape: cidrs,
    doc: say('only these clients', '허용할 클라이언트'),
    fallback: [] as readonly Cidr[],
  },
  deny: {
    shape: cidrs,
    doc: say('never these clients', '거부할 클라이언트'),
    fallback: [] as readonly Cidr[],
  },
  limits: { shape: limits, doc: say('how much at once', '한도'), fallback: noLimits },
  timeouts: { shape: timeouts, doc: say('how long to wait', '시간 제한'), fallback: defaultTimeouts },
  source: {
    shape: oneOf(sourceModes),
    doc: say('whose address the target sees', '대상이 보게 될 출발지 주소'),
    fallback: 'auto' as const,
  },
  proxyUdp: {
    shape: oneOf(['every', 'first']),
    doc: say('which datagrams carry the PROXY header', 'PROXY 헤더를 붙일 데이터그램'),
    fallback: 'every' as const,
  },
  acceptProxy: {
    shape: cidrs,
    doc: say(
      'peers whose PROXY header is believed. A UDP source can be made up: docs/udp.md',
      'PROXY 헤더를 믿을 상대. UDP 출발지 주소는 속일 수 있음: docs/udp.md 참고',
    ),
    fallback: [] as readonly Cidr[],
  },
  engine: {
    shape: oneOf(['auto', ...engineIds]),
    doc: say('how bytes are moved', '전달 엔진'),
    fallback: 'auto' as const,
  },
  until: {
    shape: instant,
    doc: say('when the rule expires', '규칙이 만료되는 시각'),
    fallback: null as number | null,
  },
  enabled: {
    shape: yesNo,
    doc: say('false keeps the rule but closes it', 'false면 규칙은 두고 닫음'),
    fallback: true,
  },
} as const

export const ruleShape = record(ruleKeys)

/** A rule as a program writes it, key by key (docs/rules.md): a key that is none does not compile. */
export type WrittenRule = Written<typeof ruleShape>

export const ruleSchema = ruleShape.schema

/** A rule's only target. */
export function aloneTo(to: Target): TargetChoice {
  return { to, weight: 1, backup: false, name: null }
}

/** ISO 8601 with a zone, as RFC 3339 has it. */
function parseInstant(text: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isFinite(ms)) return ms
  const why = say(
    'write a time with its zone, such as 2026-12-24T18:00:00+09:00',
    '2026-12-24T18:00:00+09:00처럼 시간대까지 쓰세요',
  )
  throw new NaruError('VALUE_INVALID', { what: 'time', value: text, why })
}

function parseServerName(text: string): string {
  const name = asciiName(text)
  if (
    name.length <= 253 &&
    /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(name)
  )
    return name
  throw new NaruError('VALUE_INVALID', {
    what: 'name',
    value: text,
    why: say(
      'write a host name such as a.example.org or *.example.org',
      'a.example.org나 *.example.org 같은 이름을 쓰세요',
    ),
  })
}
