/** What a rule may say, one key at a time: which formats carry it is the table of docs/import-export.md. */
import { say, type Text } from '../../base/text.ts'
import type { Rule } from '../../model/rule.ts'
import { defaultTimeouts } from '../../model/rule-keys.ts'

interface AspectEntry {
  /** Does the rule say it? */
  readonly in: (rule: Rule) => boolean
  /** Without it the rule would be another one or open to others, so it is left out whole. */
  readonly vital?: boolean
  readonly text: Text
}

const protocols = ({ listen }: Rule): readonly string[] => (listen.kind === 'inet' ? listen.protocols : [])
const ranged = ({ listen }: Rule): boolean =>
  listen.kind === 'inet' && listen.ports.first !== listen.ports.last

const targetIs =
  (test: (to: Rule['targets'][number]['to']) => boolean) =>
  ({ targets }: Rule): boolean =>
    targets.some(({ to }) => test(to))

const isAddress = (host: string): boolean => host.includes(':') || /^[\d.]+$/.test(host)

/** In the order of a rule's keys. */
export const capabilities = {
  udp: { in: (rule) => protocols(rule).includes('udp'), text: say('UDP', 'UDP') },
  range: { in: ranged, text: say('a range of ports', '포트 범위'), vital: true },
  unixListen: {
    in: ({ listen }) => listen.kind === 'unix',
    text: say('listen on a Unix socket', 'Unix 소켓에서 수신'),
    vital: true,
  },
  unixTarget: {
    in: targetIs((to) => to.kind === 'unix'),
    text: say('a Unix socket as target', '대상이 Unix 소켓'),
    vital: true,
  },
  nameTarget: {
    in: targetIs((to) => to.kind === 'inet' && !isAddress(to.host)),
    text: say('a name as target', '대상이 호스트 이름'),
    vital: true,
  },
  guestTarget: {
    in: targetIs((to) => to.kind === 'guest'),
    text: say('a guest as target', '대상이 게스트'),
    vital: true,
  },
  targets: {
    in: ({ targets }) => targets.length > 1,
    text: say('several targets', '여러 대상'),
    vital: true,
  },
  weight: {
    in: ({ targets }) => targets.some(({ weight }) => weight !== (targets[0]?.weight ?? 1)),
    text: say('weights of targets', '대상별 가중치'),
  },
  backup: {
    in: ({ targets }) => targets.some(({ backup }) => backup),
    text: say('backup targets', '예비 대상'),
    vital: true,
  },
  serverName: {
    in: ({ targets }) => targets.some(({ name }) => name !== null),
    text: say('targets by server name', '서버 이름별 대상'),
    vital: true,
  },
  leastConnections: {
    in: ({ balance }) => balance === 'least-connections',
    text: say('balance: least-connections', 'balance: least-connections'),
  },
  sourceHash: {
    in: ({ balance }) => balance === 'source-hash',
    text: say('balance: source-hash', 'balance: source-hash'),
  },
  health: { in: ({ health }) => health !== null, text: say('health checks', '상태 검사') },
  publish: {
    in: ({ publish }) =>
      publish.firewall !== 'off' ||
      publish.router !== 'off' ||
      publish.guest === 'nat' ||
      publish.externalPort !== null,
    text: say('publish on firewall and router', '방화벽·공유기 공개'),
  },
  allow: { in: ({ allow }) => allow.length > 0, text: say('allow', 'allow'), vital: true },
  deny: { in: ({ deny }) => deny.length > 0, text: say('deny', 'deny'), vital: true },
  'limits.connections': {
    in: ({ limits }) => limits.connections !== null,
    text: say('limit: connections', '한도: 연결 수'),
  },
  'limits.perSource': {
    in: ({ limits }) => limits.perSource !== null,
    text: say('limit: per source', '한도: 주소당 연결 수'),
  },
  'limits.newPerSecond': {
    in: ({ limits }) => limits.newPerSecond !== null,
    text: say('limit: new per second', '한도: 초당 새 연결'),
  },
  'limits.bandwidth': {
    in: ({ limits }) => limits.bytesPerSecond !== null,
    text: say('limit: bandwidth', '한도: 대역폭'),
  },
  'timeouts.connect': {
    in: ({ timeouts }) => timeouts.connectMs !== defaultTimeouts.connectMs,
    text: say('timeout: connect', '시간 제한: 연결'),
  },
  'timeouts.idle': {
    in: ({ timeouts }) => timeouts.idleMs !== defaultTimeouts.idleMs,
    text: say('timeout: idle', '시간 제한: 무통신'),
  },
  'timeouts.udp': {
    in: ({ timeouts }) => timeouts.udpMs !== defaultTimeouts.udpMs,
    text: say('timeout: UDP session', '시간 제한: UDP 세션'),
  },
  'timeouts.drain': {
    in: ({ timeouts }) => timeouts.drainMs !== defaultTimeouts.drainMs,
    text: say('timeout: drain', '시간 제한: 마무리'),
  },
  'timeouts.hello': {
    in: ({ timeouts }) => timeouts.helloMs !== defaultTimeouts.helloMs,
    text: say('timeout: hello', '시간 제한: hello'),
  },
  'timeouts.keepalive': {
    in: ({ timeouts }) => timeouts.keepaliveMs !== defaultTimeouts.keepaliveMs,
    text: say('TCP keepalive', 'TCP keepalive'),
  },
  keep: { in: ({ source }) => source === 'keep', text: say('source: keep', 'source: keep') },
  proxyV1: {
    in: ({ source }) => source === 'proxy-v1',
    text: say('source: proxy-v1', 'source: proxy-v1'),
    vital: true,
  },
  proxyV2: {
    in: ({ source }) => source === 'proxy-v2',
    text: say('source: proxy-v2', 'source: proxy-v2'),
    vital: true,
  },
  acceptProxy: {
    in: ({ acceptProxy }) => acceptProxy.length > 0,
    text: say('acceptProxy', 'acceptProxy'),
    vital: true,
  },
  engine: { in: ({ engine }) => engine !== 'auto', text: say('engine', 'engine') },
  until: { in: ({ until }) => until !== null, text: say('until', 'until') },
  disabled: { in: ({ enabled }) => !enabled, text: say('enabled: false', 'enabled: false'), vital: true },
} as const satisfies Record<string, AspectEntry>

export type Capability = keyof typeof capabilities

export const capabilityIds = Object.keys(capabilities) as Capability[]

/** The aspects of which a rule makes use. */
export function capabilitiesOf(rule: Rule): Capability[] {
  return capabilityIds.filter((id) => capabilities[id].in(rule))
}

export function isVital(aspect: Capability): boolean {
  const entry: AspectEntry = capabilities[aspect]
  return entry.vital === true
}

/** What most formats say to most things. */
export const carriesNothing = Object.fromEntries(capabilityIds.map((id) => [id, false])) as Record<
  Capability,
  false
>
