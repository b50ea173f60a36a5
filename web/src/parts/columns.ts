/** A rule as the seven columns that a router's page has. */
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { formatPortRange } from '../../../src/base/port.ts'
import type { Json } from '../../../src/model/hop.ts'
import { inRows, mappedBy } from '../../../src/model/mapped.ts'

export interface ColumnCount {
  /** What a client asks for: the router's port where one is opened there, else the one listened on. */
  readonly externalPort: string
  readonly internalPort: string
  /** Address, name or guest; empty is this machine. */
  readonly target: string
  readonly moreTargets: number
  /** `TCP`, `UDP`, `TCP+UDP` or `unix`. */
  readonly protocol: string
  /** Empty is anyone. */
  readonly source: readonly string[]
}

export function columnsOf(rule: RuleStatus): ColumnCount {
  const { port, protocol } = listenParts(rule.listen)
  const { host, ports } = targetParts(rule.targets[0] ?? '')
  return {
    externalPort: externalPortOf(rule) ?? port,
    internalPort: ports,
    target: /^127\.0\.0\.1$/.test(host) ? '' : host,
    moreTargets: Math.max(0, rule.targets.length - 1),
    protocol,
    source: listOf(rule.rule.allow),
  }
}

/** Nothing but programs of this machine gets there, whoever is allowed. */
export function isLoopbackOnly({ listen }: Pick<RuleStatus, 'listen'>): boolean {
  return listen.startsWith('unix:') || /^(127\.|::1$|localhost$)/.test(listenParts(listen).address)
}

/** `[::1]:53/udp` in its parts; a Unix listen has its path as port. */
export function listenParts(listen: string): { address: string; port: string; protocol: string } {
  if (listen.startsWith('unix:')) return { address: '', port: listen, protocol: 'unix' }
  const [where = '', protocol = 'tcp'] = listen.split('/')
  const { host, ports } = targetParts(where)
  return { address: host, port: ports, protocol: protocol.toUpperCase() }
}

/** `10.0.0.5:80`, `docker:web:80`, `8080` or `unix:/run/x` in its parts. */
export function targetParts(target: string): { host: string; ports: string } {
  if (target.startsWith('unix:')) return { host: target, ports: '' }
  const colon = target.lastIndexOf(':')
  if (colon === -1) return { host: '', ports: target }
  return { host: target.slice(0, colon).replace(/^\[|\]$/g, ''), ports: target.slice(colon + 1) }
}

/** What the router granted, or what is asked of it; null where nothing is opened there. */
function externalPortOf({ rule, hops }: RuleStatus): string | null {
  const granted = mappedBy(hops.find(({ hop }) => hop === 'router')?.data ?? null).map(({ port }) => port)
  if (granted.length > 0) return inRows(granted).map(formatPortRange).join(', ')
  const { publish } = rule
  if (publish === null || typeof publish !== 'object' || !('externalPort' in publish)) return null
  const wish: Json | undefined = publish.externalPort
  return wish === undefined || wish === null ? null : typeof wish === 'object' ? null : String(wish)
}

export function listOf(value: Json | undefined): readonly string[] {
  if (value === undefined || value === null) return []
  return (Array.isArray(value) ? (value as readonly Json[]) : [value]).map((one) =>
    typeof one === 'string' ? one : JSON.stringify(one),
  )
}
