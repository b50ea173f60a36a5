/**
 * The keys of a rule, one table: from it come the parsed rule and its type, everything that is wrong with it, how it is
 * written back, its JSON Schema, the library's types, the options of the command line, fields of the web page's form,
 * what a format loses, and the tables in the docs.
 */
import type { Cidr } from '../../base/address.ts'
import { NaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { formatListen, parseListen } from '../listen.ts'
import { freeText, listOf, oneOf, record, written, yesNo, type Read, type Written } from '../schema.ts'
import type { Target } from '../target.ts'
import { balances, engineIds, sourceModes } from './choices.ts'
import { health, type Health } from './health.ts'
import { limits } from './limits.ts'
import { notPublished, publish } from './publish.ts'
import type { KeyRows } from './row.ts'
import { cidrs, numeric } from './shapes.ts'
import { target, targets, type TargetChoice } from './targets.ts'
import { timeouts } from './timeouts.ts'

const mostTags = 16

/** In the order in which they are written. */
export const ruleKeys = {
  /** What people call it, in any language; null where the name is enough. */
  title: {
    shape: freeText({ most: 80, lines: 1 }),
    doc: say('what people call it, in any language', '사람이 부르는 이름. 한글도 가능'),
    fallback: null,
    option: {
      name: 'title',
      value: 'TEXT',
      text: say('what people call it, in any language', '사람이 부르는 이름'),
    },
    loss: false,
  },
  description: {
    shape: freeText({ most: 1000, lines: 20 }),
    doc: say('what it is for', '설명'),
    fallback: null,
    option: { name: 'description', value: 'TEXT' },
    loss: false,
  },
  /** Words to group and find rules by. */
  tags: {
    shape: listOf(freeText({ most: 40, lines: 1 }), { most: mostTags }),
    doc: say('words to group and find rules by', '규칙을 묶고 찾는 태그'),
    fallback: [] as readonly string[],
    option: {
      name: 'tag',
      value: 'WORD',
      many: 'one-each',
      text: say('to group and find rules by', '규칙을 묶고 찾는 태그'),
    },
    loss: false,
  },
  listen: {
    shape: written(parseListen, { examples: [8888, '127.0.0.1:8080', '8000-8100/tcp+udp'] }, (listen) =>
      numeric(formatListen(listen)),
    ),
    doc: say('where traffic arrives', '들어오는 곳'),
  },
  target: {
    shape: target,
    doc: say('where it goes', '보낼 곳'),
    fallback: null as Target | null,
  },
  targets: {
    shape: targets,
    doc: say('several targets, instead of target', '여러 대상(target 대신)'),
    fallback: null as readonly TargetChoice[] | null,
  },
  balance: {
    shape: oneOf(balances),
    doc: say('which of several targets is next', '여러 대상 중 고르는 방법'),
    fallback: 'round-robin',
    option: {
      name: 'balance',
      value: 'HOW',
      text: say('how several targets share', '여러 대상에 나누는 방법'),
    },
    form: {
      place: 'targets',
      label: say('Which is next', '다음 대상을 고르는 방법'),
      choices: {
        'round-robin': say('In turn', '차례대로'),
        'least-connections': say('The one with the fewest connections', '연결이 가장 적은 대상'),
        'source-hash': say('Always the same for a client', '클라이언트마다 늘 같은 대상'),
      },
    },
  },
  /** Null dials without asking first. */
  health: {
    shape: health,
    doc: say('ask targets whether they are up', '대상 상태 검사'),
    fallback: null as Health | null,
    option: {
      name: 'health',
      value: 'EVERY[,RISE,FALL]',
      text: say('ask the targets whether they are up: 5s,2,3', '대상이 살아 있는지 확인: 5s,2,3'),
    },
    form: {
      place: 'health',
      label: say('Ask targets whether they are up', '대상 상태 검사'),
      hint: say(
        'One that does not answer gets no new connections',
        '응답하지 않는 대상에는 새 연결을 보내지 않습니다',
      ),
    },
    loss: { text: say('health checks', '상태 검사') },
  },
  publish: {
    shape: publish,
    doc: say(
      'how far out to open: true, false, or hop by hop',
      '외부 공개 범위: true, false 또는 구간별 설정',
    ),
    fallback: notPublished,
    option: {
      name: 'publish',
      text: say(
        'open the host firewall and the router too: --firewall --router',
        '방화벽과 공유기까지 엽니다: --firewall --router와 같음',
      ),
    },
    loss: { text: say('publish on firewall and router', '방화벽·공유기 공개') },
  },
  allow: {
    shape: cidrs,
    doc: say('only these clients', '허용할 클라이언트'),
    fallback: [] as readonly Cidr[],
    option: {
      name: 'allow',
      value: 'CIDR',
      many: 'by-commas',
      text: say('let in only these', '이 대역만 허용'),
    },
    loss: { vital: true },
  },
  deny: {
    shape: cidrs,
    doc: say('never these clients', '거부할 클라이언트'),
    fallback: [] as readonly Cidr[],
    option: { name: 'deny', value: 'CIDR', many: 'by-commas', text: say('keep these out', '이 대역은 차단') },
    loss: { vital: true },
  },
  limits: { shape: limits, doc: say('how much at once', '한도'), fallback: limits.usual },
  timeouts: { shape: timeouts, doc: say('how long to wait', '시간 제한'), fallback: timeouts.usual },
  source: {
    shape: oneOf(sourceModes),
    doc: say('whose address the target sees', '대상이 보게 될 출발지 주소'),
    fallback: 'auto',
    option: {
      name: 'source',
      value: 'MODE',
      text: say('which address the target sees', '대상이 보게 되는 출발지 주소'),
    },
    form: {
      place: 'limits',
      label: say('Address the target sees', '대상이 보는 출발지 주소'),
      choices: {
        auto: say('The client’s where possible', '가능하면 클라이언트 주소'),
        relay: say('This machine’s', '이 컴퓨터 주소'),
        keep: say('The client’s', '클라이언트 주소'),
        'proxy-v1': say('This machine’s, with a PROXY v1 header', '이 컴퓨터 주소와 PROXY v1 헤더'),
        'proxy-v2': say('This machine’s, with a PROXY v2 header', '이 컴퓨터 주소와 PROXY v2 헤더'),
      },
    },
  },
  /** Which datagrams of a UDP session carry a PROXY v2 header. */
  proxyUdp: {
    shape: oneOf(['every', 'first']),
    doc: say('which datagrams carry the PROXY header', 'PROXY 헤더를 붙일 데이터그램'),
    fallback: 'every',
    option: {
      name: 'proxy-udp',
      value: 'WHICH',
      text: say('which datagrams carry a PROXY v2 header', 'PROXY v2 헤더를 붙일 데이터그램'),
    },
    form: {
      place: 'limits',
      label: say('PROXY header over UDP', 'UDP의 PROXY 헤더'),
      hint: say('With a PROXY v2 header to the target', '대상에 PROXY v2 헤더를 보낼 때'),
      choices: {
        every: say('On every datagram', '모든 데이터그램에'),
        first: say('On the first of a session', '세션의 첫 데이터그램에만'),
      },
    },
    // It says something beside `source: proxy-v2` alone, and that is told.
    loss: false,
  },
  /** Peers whose PROXY header is believed; from any other peer a header is refused. Empty: none is expected. */
  acceptProxy: {
    shape: cidrs,
    doc: say(
      'peers whose PROXY header is believed. A UDP source can be made up: docs/udp.md',
      'PROXY 헤더를 믿을 상대. UDP 출발지 주소는 속일 수 있음: docs/udp.md 참고',
    ),
    fallback: [] as readonly Cidr[],
    option: {
      name: 'accept-proxy',
      value: 'CIDR',
      many: 'by-commas',
      text: say('believe PROXY headers from these', '이 대역이 보낸 PROXY 헤더를 신뢰'),
    },
    form: {
      place: 'limits',
      label: say('Proxies that are believed', '신뢰할 프록시'),
      hint: say(
        'Their PROXY header says who the client is; one address or network a line. Empty: no header is expected',
        'PROXY 헤더로 클라이언트 주소를 알려 주는 프록시의 주소나 네트워크를 한 줄에 하나씩. 비우면 헤더를 받지 않음',
      ),
    },
    loss: { vital: true },
  },
  engine: {
    shape: oneOf(['auto', ...engineIds]),
    doc: say('how bytes are moved', '전달 엔진'),
    fallback: 'auto',
    option: { name: 'engine', value: 'ENGINE' },
    form: {
      place: 'limits',
      label: say('Engine', '엔진'),
      choices: { auto: say('The best that can', '가능한 것 중 가장 좋은 것') },
    },
  },
  /** Milliseconds since the Unix epoch at which the rule expires, or null. */
  until: {
    shape: written(parseInstant, { examples: ['2026-12-24T18:00:00+09:00'] }, (ms) =>
      new Date(ms).toISOString(),
    ),
    doc: say('when the rule expires', '규칙이 만료되는 시각'),
    fallback: null as number | null,
    option: {
      name: 'until',
      value: 'TIME',
      text: say(
        'close it at this time: 2026-12-24T18:00:00+09:00',
        '이 시각에 닫음: 2026-12-24T18:00:00+09:00',
      ),
    },
  },
  enabled: {
    shape: yesNo,
    doc: say('false keeps the rule but closes it', 'false면 규칙은 두고 닫음'),
    fallback: true,
  },
} as const satisfies KeyRows

export const ruleShape = record(ruleKeys)

/** A rule as it is read, before its one target or its several are one list. */
export type RuleKeys = Read<typeof ruleKeys>

/** A rule as a program writes it, key by key (docs/rules.md): a key that is none does not compile. */
export type WrittenRule = Written<typeof ruleShape>

export const ruleSchema = ruleShape.schema

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
