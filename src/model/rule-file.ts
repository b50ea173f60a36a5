/**
 * A rule as it is written in the file, the API and `open`'s flags: one table of keys from which come the parsed rule,
 * everything that is wrong with it, its JSON Schema and the option table in the docs.
 */
import { addressRange, formatCidr, parseCidr, type Cidr } from '../base/address.ts'
import { formatDuration, parseDuration } from '../base/duration.ts'
import { NaruError } from '../base/errors.ts'
import { isWellKnown, portCount } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { RuleInput } from './naru-api.ts'
import type { Json } from './hop.ts'
import { formatListen, parseListen, type Listen } from './listen.ts'
import { formatBandwidth, parseBandwidth } from './rate.ts'
import {
  balances,
  engineIds,
  sourceModes,
  type Health,
  type Limits,
  type Publish,
  type Rule,
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
  type Problem,
  type Written,
  mostProblems,
} from './schema.ts'
import { asciiName, formatTarget, parseTarget, type Target } from './target.ts'

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

const defaultTimeouts: Timeouts = {
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

const ruleShape = record(ruleKeys)

/** A rule as a program writes it, key by key (docs/rules.md): a key that is none does not compile. */
export type WrittenRule = Written<typeof ruleShape>

export const ruleSchema = ruleShape.schema

export const longestName = 40

/** Names are words that fit into a firewall comment and a router's description. */
export const rulePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$/

export function nameProblem(name: string): Text | null {
  if (rulePattern.test(name)) return null
  return say(
    'a name has 1 to 40 letters, digits, ".", "_" or "-" and begins with a letter or digit; any other word may be its title',
    '이름은 영문자나 숫자로 시작하고 영문자, 숫자, ".", "_", "-"로 40자까지 씁니다. 한글 이름은 title에 쓰세요',
  )
}

/** Everything that is wrong with a rule at once, or the rule. Paths start at the rule itself. */
export function readRule(
  name: string,
  input: unknown,
): { rule: Rule; problems: [] } | { rule: null; problems: Problem[] } {
  const problems: Problem[] = []
  const bad = nameProblem(name)
  if (bad) problems.push({ path: [], text: bad })
  const read = ruleShape.read(input, [], problems)
  if (read === undefined) {
    if (problems.length >= mostProblems)
      problems.push({ path: [], text: say('there may be more', '더 있을 수 있습니다') })
    return { rule: null, problems }
  }
  const { target, targets, ...rest } = read
  if ((target === null) === (targets === null)) {
    problems.push({
      path: [],
      text: say('write either target or targets', 'target과 targets 중 하나만 쓰세요'),
    })
  }
  const rule: Rule = { name, ...rest, targets: targets ?? (target ? [aloneTo(target)] : []) }
  if (problems.length === 0) problems.push(...contradictions(rule))
  return problems.length > 0 ? { rule: null, problems } : { rule, problems: [] }
}

/** @throws NaruError RULE_INVALID with every problem. */
export function parseRule(name: string, input: unknown): Rule {
  const { rule, problems } = readRule(name, input)
  if (rule) return rule
  throw new NaruError('RULE_INVALID', { name: name.slice(0, 60), problems: joined(problems) })
}

/** Back to what `readRule` reads, without the keys that say what would be so anyway. */
export function formatRule(rule: Rule): RuleInput {
  const [only] = rule.targets
  const alone = rule.targets.length === 1 && only && only.weight === 1 && !only.backup && only.name === null
  const entries: [string, Json | undefined][] = [
    ['title', rule.title ?? undefined],
    ['description', rule.description ?? undefined],
    ['tags', rule.tags.length > 0 ? rule.tags : undefined],
    ['listen', numeric(formatListen(rule.listen))],
    ['target', alone ? numeric(formatTarget(only.to)) : undefined],
    ['targets', alone ? undefined : rule.targets.map(formatChoice)],
    ['balance', unless(rule.balance, 'round-robin')],
    [
      'health',
      rule.health
        ? { every: formatDuration(rule.health.everyMs), rise: rule.health.rise, fall: rule.health.fall }
        : undefined,
    ],
    ['publish', formatPublish(rule.publish)],
    ['allow', formatCidrs(rule.allow)],
    ['deny', formatCidrs(rule.deny)],
    ['limits', formatLimits(rule.limits)],
    ['timeouts', formatTimeouts(rule.timeouts)],
    ['source', unless(rule.source, 'auto')],
    ['proxyUdp', unless(rule.proxyUdp, 'every')],
    ['acceptProxy', formatCidrs(rule.acceptProxy)],
    ['engine', unless(rule.engine, 'auto')],
    ['until', rule.until === null ? undefined : new Date(rule.until).toISOString()],
    ['enabled', rule.enabled ? undefined : false],
  ]
  return compact(entries)
}

/** What is right alone but not together. */
function contradictions(rule: Rule): Problem[] {
  const found: Problem[] = []
  const at = (path: Problem['path'], en: string, ko: string): void =>
    void found.push({ path, text: say(en, ko) })
  rule.targets.forEach(({ to }, index) => {
    const path = rule.targets.length > 1 ? ['targets', index] : ['target']
    if (rule.listen.kind === 'inet' && to.kind !== 'unix') {
      const [listening, wanted] = [portCount(rule.listen.ports), portCount(to.ports)]
      if (wanted !== 1 && wanted !== listening) {
        at(
          path,
          `a range of ${wanted} ports cannot take ${listening}: use as many, or one`,
          `포트 ${wanted}개로는 ${listening}개를 받을 수 없습니다. 같은 개수나 하나로 쓰세요`,
        )
      }
    }
    if (to.kind === 'unix' && rule.listen.kind === 'inet' && rule.listen.protocols.includes('udp')) {
      at(path, 'UDP cannot go to a Unix socket', 'UDP는 Unix 소켓으로 보낼 수 없습니다')
    }
    if (loops(rule.listen, to))
      at(path, 'the rule would forward to itself', '규칙이 자기 자신에게 전달하게 됩니다')
  })
  if (takesUdp(rule.listen) && rule.acceptProxy.some(isAnybody)) {
    at(
      ['acceptProxy'],
      'on UDP this would let anybody say who the client is: list the proxies, 10.0.0.0/8 at the widest',
      'UDP에서는 누구나 클라이언트 주소를 꾸며낼 수 있게 됩니다. 프록시 주소를 적으세요(가장 넓게는 10.0.0.0/8)',
    )
  }
  if (rule.listen.kind === 'unix' && (rule.publish.firewall !== 'off' || rule.publish.router !== 'off')) {
    at(['publish'], 'a Unix socket cannot be published', 'Unix 소켓은 외부에 공개할 수 없습니다')
  }
  if (typeof rule.publish.externalPort === 'number' && rule.listen.kind === 'inet') {
    const span = portCount(rule.listen.ports)
    if (rule.publish.externalPort + span - 1 > 65_535) {
      at(
        ['publish', 'externalPort'],
        `${span} ports do not fit above it`,
        `그 위로 포트 ${span}개가 들어가지 않습니다`,
      )
    }
  }
  return found
}

function takesUdp(listen: Listen): boolean {
  return listen.kind === 'inet' && listen.protocols.includes('udp')
}

/** Wider than any network of one's own: 10.0.0.0/8 (RFC 1918), fc00::/7 (RFC 4193). */
function isAnybody({ family, bits }: Cidr): boolean {
  return bits < (family === 4 ? 8 : 7)
}

/** Would what arrives at `listen` be sent to `listen` again? Names are only known when dialled; the relay looks again then. */
function loops(listen: Listen, to: Target): boolean {
  if (listen.kind === 'unix' || to.kind === 'unix')
    return listen.kind === 'unix' && to.kind === 'unix' && listen.path === to.path
  if (to.kind === 'guest') return false
  const here =
    to.host === listen.address || (isThisMachine(to.host) && isHere(listen.address, bareName(to.host)))
  const offset = portCount(to.ports) === 1 ? null : to.ports.first - listen.ports.first
  const meets =
    offset === null
      ? to.ports.first >= listen.ports.first && to.ports.first <= listen.ports.last
      : offset === 0
  return here && meets
}

const anywhere: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Loopback, and the unspecified address, which whoever dials it takes for loopback (connect(2)). */
function isThisMachine(host: string): boolean {
  return /^(127\.|::1$|localhost\.?$)/.test(host) || anywhere.has(host)
}

function bareName(host: string): string {
  return host.replace(/\.$/, '')
}

/** `localhost` is both families. */
function isHere(listening: string | null, host: string): boolean {
  const [four, six] = host === 'localhost' ? [true, true] : [!host.includes(':'), host.includes(':')]
  if (listening === null) return true
  if (listening === '0.0.0.0') return four
  if (listening === '::') return six
  if (host !== 'localhost' && !anywhere.has(host)) return false
  return (four && listening === '127.0.0.1') || (six && listening === '::1')
}

/** Remarks that stop nothing (law 8). */
export function ruleNotes(rule: Rule): Text[] {
  return [noteOfWellKnown(rule), noteOfMadeUpProxy(rule)].filter((note) => note !== null)
}

function noteOfWellKnown(rule: Rule): Text | null {
  if (rule.publish.router === 'off' || rule.listen.kind !== 'inet') return null
  const port = rule.publish.externalPort ?? rule.listen.ports.first
  if (typeof port !== 'number' || !isWellKnown({ first: port, last: port })) return null
  return say(
    `${rule.name}: port ${port} is a well-known port (0–1023) and will be scanned by strangers; a high one such as ${port + 8000} draws less: publish: { externalPort: ${port + 8000} }`,
    `${rule.name}: ${port}번은 잘 알려진 포트(0–1023)라 외부에서 자주 스캔됩니다. ${port + 8000}번 같은 높은 포트를 권합니다: publish: { externalPort: ${port + 8000} }`,
  )
}

/** From outside nobody reaches a loopback listen in the name of a loopback address (martian, RFC 1812 §5.3.7). */
function noteOfMadeUpProxy({ name, listen, acceptProxy }: Rule): Text | null {
  if (acceptProxy.length === 0 || listen.kind !== 'inet' || !takesUdp(listen)) return null
  if (listen.address !== null && addressRange(listen.address) === 'loopback') return null
  const from = acceptProxy.map(formatCidr).join(', ')
  return say(
    `${name}: whoever can send UDP in the name of ${from} says who the client is, past allow, deny and limits: listen only where the proxies alone reach it (an address of their network, a tunnel, 127.0.0.1), or let the firewall hold that source to its interface`,
    `${name}: ${from} 주소로 위장해 UDP를 보낼 수 있는 사람은 클라이언트 주소를 꾸며 allow, deny, limits를 피할 수 있습니다. 프록시만 닿는 곳(프록시 네트워크의 주소, 터널, 127.0.0.1)에서만 수신하거나, 방화벽에서 그 출발지를 해당 인터페이스로 제한하세요`,
  )
}

/** Several problems as one line each: `limits.connections: …`. */
export function joined(problems: readonly Problem[]): Text {
  const line = (language: keyof Text): string =>
    problems
      .map(({ path, text }) => (path.length > 0 ? `${path.join('.')}: ` : '') + text[language])
      .join('; ')
  return { en: line('en'), ko: line('ko') }
}

function aloneTo(to: Target): TargetChoice {
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

function formatChoice({ to, weight, backup, name }: TargetChoice): Json {
  return compact([
    ['to', formatTarget(to)],
    ['weight', unless(weight, 1)],
    ['backup', backup ? true : undefined],
    ['name', name ?? undefined],
  ])
}

function formatPublish(publish: Publish): Json | undefined {
  if (
    publish.firewall === 'off' &&
    publish.router === 'off' &&
    publish.guest === 'direct' &&
    publish.externalPort === null
  )
    return undefined
  const { externalPort, ...rest } = publish
  return externalPort === null ? rest : { ...rest, externalPort }
}

function formatCidrs(cidrs: readonly Cidr[]): Json | undefined {
  return cidrs.length > 0 ? cidrs.map(formatCidr) : undefined
}

function formatLimits(limits: Limits): Json | undefined {
  const { bytesPerSecond, ...counts } = limits
  const entries: [string, Json | undefined][] = Object.entries(counts).map(([key, value]) => [
    key,
    value ?? undefined,
  ])
  if (bytesPerSecond !== null) entries.push(['bandwidth', formatBandwidth(bytesPerSecond)])
  return nonEmpty(compact(entries))
}

function formatTimeouts(timeouts: Timeouts): Json | undefined {
  const entries = (Object.keys(defaultTimeouts) as (keyof Timeouts)[]).map(
    (key): [string, Json | undefined] => [
      key.replace(/Ms$/, ''),
      timeouts[key] === defaultTimeouts[key] ? undefined : formatDuration(timeouts[key]),
    ],
  )
  return nonEmpty(compact(entries))
}

function compact(entries: readonly [string, Json | undefined][]): RuleInput {
  return Object.fromEntries(entries.filter((entry): entry is [string, Json] => entry[1] !== undefined))
}

function nonEmpty(map: RuleInput): RuleInput | undefined {
  return Object.keys(map).length > 0 ? map : undefined
}

function unless<T extends Json>(value: T, usual: T): T | undefined {
  return value === usual ? undefined : value
}

/** `8888` is written as the number it is. */
function numeric(text: string): Json {
  return /^\d+$/.test(text) ? Number(text) : text
}
