/** Options of `open`, `add` and `edit`, and how they become a rule with the keys of the file. */
import { parseDuration } from '../base/duration.ts'
import { isNaruError, NaruError } from '../base/errors.ts'
import { say } from '../base/text.ts'
import type { RuleInput } from '../model/naru-api.ts'
import type { Json } from '../model/hop.ts'
import { balances, engineIds, sourceModes } from '../model/rule.ts'
import { parseTarget } from '../model/target.ts'
import { isMap } from '../model/schema.ts'
import { usage } from './parse.ts'
import type { Context, VerbOption } from './verb.ts'

export const ruleOptions: readonly VerbOption[] = [
  { name: 'title', value: 'TEXT', text: say('what people call it, in any language', '사람이 부르는 이름') },
  { name: 'description', value: 'TEXT', text: say('what it is for', '설명') },
  {
    name: 'tag',
    value: 'WORD',
    many: true,
    text: say('to group and find rules by', '규칙을 묶고 찾는 태그'),
  },
  {
    name: 'publish',
    text: say(
      'open the host firewall and the router too: --firewall --router',
      '방화벽과 공유기까지 엽니다: --firewall --router와 같음',
    ),
  },
  {
    name: 'firewall',
    value: 'MEMBER',
    bare: 'auto',
    choices: ['auto', 'off', 'nftables', 'iptables', 'ufw', 'firewalld', 'windows', 'macos'],
    text: say('open the host firewall', '호스트 방화벽을 엽니다'),
  },
  {
    name: 'router',
    value: 'MEMBER',
    bare: 'auto',
    choices: ['auto', 'off', 'pcp', 'nat-pmp', 'upnp'],
    text: say('map the port on the router', '공유기에 포트를 매핑합니다'),
  },
  {
    name: 'guest',
    value: 'WAY',
    bare: 'nat',
    choices: ['direct', 'nat'],
    text: say(
      'how the guest is reached: by its own address, or by its hypervisor’s forward',
      '게스트에 닿는 방법: 게스트 주소로 직접, 또는 하이퍼바이저의 포트 전달로',
    ),
  },
  {
    name: 'external-port',
    value: 'PORT|any',
    text: say('the port on the router (default: the listen port)', '공유기의 외부 포트 (기본: 수신 포트)'),
  },
  {
    name: 'allow',
    value: 'CIDR',
    many: true,
    text: say('let in only these', '이 대역만 허용'),
  },
  { name: 'deny', value: 'CIDR', many: true, text: say('keep these out', '이 대역은 차단') },
  {
    name: 'for',
    value: 'DURATION',
    text: say('close it after this long: 30m, 2h, 1d', '이 시간이 지나면 닫음: 30m, 2h, 1d'),
  },
  {
    name: 'until',
    value: 'TIME',
    text: say(
      'close it at this time: 2026-12-24T18:00:00+09:00',
      '이 시각에 닫음: 2026-12-24T18:00:00+09:00',
    ),
  },
  {
    name: 'engine',
    value: 'ENGINE',
    choices: ['auto', ...engineIds],
    text: say('how bytes are moved', '전달 엔진'),
  },
  {
    name: 'source',
    value: 'MODE',
    choices: sourceModes,
    text: say('which address the target sees', '대상이 보게 되는 출발지 주소'),
  },
  {
    name: 'proxy-udp',
    value: 'WHICH',
    choices: ['every', 'first'],
    text: say('which datagrams carry a PROXY v2 header', 'PROXY v2 헤더를 붙일 데이터그램'),
  },
  {
    name: 'accept-proxy',
    value: 'CIDR',
    many: true,
    text: say('believe PROXY headers from these', '이 대역이 보낸 PROXY 헤더를 신뢰'),
  },
  {
    name: 'balance',
    value: 'HOW',
    choices: balances,
    text: say('how several targets share', '여러 대상에 나누는 방법'),
  },
  {
    name: 'health',
    value: 'EVERY[,RISE,FALL]',
    text: say('ask the targets whether they are up: 5s,2,3', '대상이 살아 있는지 확인: 5s,2,3'),
  },
  { name: 'limit-connections', value: 'N', text: say('connections at once', '동시 연결 수 제한') },
  {
    name: 'limit-per-source',
    value: 'N',
    text: say('connections at once from one address', '출발지별 동시 연결 수 제한'),
  },
  { name: 'limit-new-per-second', value: 'N', text: say('new connections a second', '초당 새 연결 수 제한') },
  {
    name: 'limit-bandwidth',
    value: 'RATE',
    text: say('both ways together: 100mbit', '양방향 합계 대역폭: 100mbit'),
  },
  {
    name: 'timeout-connect',
    value: 'DURATION',
    text: say('for the target to answer', '대상 연결 제한 시간'),
  },
  {
    name: 'timeout-idle',
    value: 'DURATION',
    text: say('without a byte; 0 is never', '유휴 제한 시간, 0은 무제한'),
  },
  {
    name: 'timeout-udp',
    value: 'DURATION',
    text: say('for a silent UDP session', 'UDP 세션 유휴 제한 시간'),
  },
  {
    name: 'timeout-drain',
    value: 'DURATION',
    text: say('for connections to finish once the rule ends', '규칙이 끝난 뒤 연결을 정리할 시간'),
  },
  {
    name: 'timeout-keepalive',
    value: 'DURATION',
    text: say('before TCP keepalive probes', 'TCP keepalive 시작 시간'),
  },
  {
    name: 'set',
    value: 'KEY=VALUE',
    many: true,
    text: say('any key of the file: timeouts.idle=5m', '파일의 키를 직접 지정: timeouts.idle=5m'),
  },
]

/**
 * What was not said stays as it was: a map under `publish` closes the hops that it does not name, so that where all were
 * open they are written out beside what was said.
 */
export function publishedAsSaid(rule: RuleInput, before: Json | undefined): RuleInput {
  const said = rule['publish']
  if (!isMap(said) || isMap(before)) return rule
  const unsaid = before === true ? 'auto' : 'off'
  return { ...rule, publish: { firewall: unsaid, router: unsaid, ...said } }
}

type Ask = Pick<Context, 'option' | 'options' | 'switched'>

/** Only what was said: defaults are the file's business. @throws NaruError USAGE, VALUE_INVALID */
export function ruleFrom(asked: Ask, command: string, now: number): RuleInput {
  const set = {
    ...whole(asked),
    ...group('publish', publishFrom(asked, command)),
    ...group('limits', limitsFrom(asked, command)),
    ...group('timeouts', timeoutsFrom(asked)),
    ...group('health', healthFrom(asked.option('health'), command)),
    ...untilFrom(asked, command, now),
  }
  return asked.options('set').reduce<RuleInput>((rule, text) => withKey(rule, text, command), set)
}

/** A target may carry its share: `10.0.0.2:80,weight=2`, `10.0.0.3:80,backup`, `docker:a:443,name=a.example.org`. */
export function targetsFrom(texts: readonly string[], command: string): RuleInput {
  const [only] = texts
  if (only === undefined) return {}
  if (texts.length === 1 && !only.includes(',')) return { target: only }
  return { targets: texts.map((text) => targetFrom(text, command)) }
}

function targetFrom(text: string, command: string): RuleInput {
  const [to = '', ...words] = text.split(',')
  // Wrong, it is told by itself: whoever wrote no file has no `targets.1.to`.
  parseTarget(to)
  const target: Record<string, Json> = { to }
  for (const word of words) {
    const [key, value] = word.split('=', 2)
    if (key === 'backup' && value === undefined) target['backup'] = true
    else if (key === 'weight' && value !== undefined) target['weight'] = numberFrom(value, 'weight', command)
    else if (key === 'name' && value !== undefined) target['name'] = value
    else
      throw usage(
        command,
        say(
          `"${word}" says nothing about a target: write weight=N, backup or name=HOST`,
          `"${word}": 대상에는 weight=N, backup, name=호스트만 쓸 수 있습니다`,
        ),
      )
  }
  return target
}

function whole({ option, options }: Ask): Record<string, Json> {
  const found: Record<string, Json> = {}
  const single = {
    title: 'title',
    description: 'description',
    engine: 'engine',
    source: 'source',
    proxyUdp: 'proxy-udp',
    balance: 'balance',
  }
  for (const [key, name] of Object.entries(single)) {
    const value = option(name)
    if (value !== null) found[key] = value
  }
  const lists = { allow: 'allow', deny: 'deny', acceptProxy: 'accept-proxy' }
  for (const [key, name] of Object.entries(lists)) {
    const values = options(name)
      .flatMap((value) => value.split(','))
      .filter(Boolean)
    if (values.length > 0) found[key] = values
  }
  const tags = options('tag')
  if (tags.length > 0) found['tags'] = tags
  return found
}

function publishFrom({ option, switched }: Ask, command: string): Record<string, Json> {
  const found: Record<string, Json> = switched('publish') ? { firewall: 'auto', router: 'auto' } : {}
  for (const hop of ['firewall', 'router', 'guest']) {
    const member = option(hop)
    if (member !== null) found[hop] = member
  }
  const port = option('external-port')
  if (port !== null)
    found['externalPort'] = port === 'any' ? port : numberFrom(port, '--external-port', command)
  return found
}

function limitsFrom({ option }: Ask, command: string): Record<string, Json> {
  const found: Record<string, Json> = {}
  const counts = {
    connections: 'limit-connections',
    perSource: 'limit-per-source',
    newPerSecond: 'limit-new-per-second',
  }
  for (const [key, name] of Object.entries(counts)) {
    const value = option(name)
    if (value !== null) found[key] = numberFrom(value, `--${name}`, command)
  }
  const bandwidth = option('limit-bandwidth')
  if (bandwidth !== null) found['bandwidth'] = bandwidth
  return found
}

function timeoutsFrom({ option }: Ask): Record<string, Json> {
  const found: Record<string, Json> = {}
  for (const key of ['connect', 'idle', 'udp', 'drain', 'keepalive']) {
    const value = option(`timeout-${key}`)
    if (value !== null) found[key] = value
  }
  return found
}

function healthFrom(text: string | null, command: string): Record<string, Json> {
  if (text === null) return {}
  const [every = '', rise, fall] = text.split(',')
  return {
    every,
    ...(rise === undefined ? {} : { rise: numberFrom(rise, '--health', command) }),
    ...(fall === undefined ? {} : { fall: numberFrom(fall, '--health', command) }),
  }
}

function untilFrom({ option }: Ask, command: string, now: number): Record<string, Json> {
  const [span, until] = [option('for'), option('until')]
  if (span !== null && until !== null)
    throw usage(command, say('give --for or --until, not both', '--for와 --until은 함께 쓸 수 없습니다'))
  if (span === null) return until === null ? {} : { until }
  return { until: new Date(now + spanOf(span)).toISOString() }
}

/** Named as it was written on the command line. */
function spanOf(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    if (!isNaruError(error, 'VALUE_INVALID')) throw error
    throw new NaruError('VALUE_INVALID', { what: '--for', value: text, why: error.params['why'] ?? '' })
  }
}

/** `timeouts.idle=5m`: a value that reads as JSON is that, anything else is text. */
function withKey(rule: RuleInput, text: string, command: string): RuleInput {
  const at = text.indexOf('=')
  const path = text.slice(0, at).split('.')
  if (at < 1 || path.some((key) => !/^\w+$/.test(key) || key === '__proto__'))
    throw usage(
      command,
      say('--set wants KEY=VALUE, such as timeouts.idle=5m', '--set은 timeouts.idle=5m처럼 키=값으로 씁니다'),
    )
  return placed(rule, path, valueOf(text.slice(at + 1)))
}

function placed(rule: RuleInput, [key = '', ...rest]: readonly string[], value: Json): RuleInput {
  if (rest.length === 0) return { ...rule, [key]: value }
  const inner = rule[key]
  const group =
    inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? (inner as RuleInput) : {}
  return { ...rule, [key]: placed(group, rest, value) }
}

function valueOf(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    return text
  }
}

function group(key: string, found: Record<string, Json>): Record<string, Json> {
  return Object.keys(found).length === 0 ? {} : { [key]: found }
}

function numberFrom(text: string, what: string, command: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw usage(
    command,
    say(`${what} wants a whole number, not "${text}"`, `${what}에는 정수를 쓰세요 ("${text}"{은/는} 아님)`),
  )
}
