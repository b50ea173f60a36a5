/** What lines of iptables ask for, held against one another and against what is sent out. */
import { formatCidr, type Cidr, type Family } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { holds } from '../shared/access.ts'
import type { IptablesMatch, IptablesRule } from './parse.ts'
import { portsOfBoth } from './ports.ts'

/** What both ask; null where nothing could be both. */
export function together(a: IptablesMatch, b: IptablesMatch): IptablesMatch | null {
  const one = <T>(
    x: T | null,
    y: T | null,
    both = (p: T, q: T): T | null | undefined => (p === q ? p : undefined),
  ): T | null | undefined => (x === null ? y : y === null ? x : both(x, y))
  const narrower = (x: Cidr, y: Cidr): Cidr | undefined => (holds(x, y) ? y : holds(y, x) ? x : undefined)
  const protocol = one(a.protocol, b.protocol)
  const ports = one(a.ports, b.ports, (x, y) => portsOfBoth(x, y) ?? undefined)
  const source = one(a.source, b.source, narrower)
  const destination = one(a.destination, b.destination, narrower)
  const family = one(a.family, b.family)
  if (protocol === undefined || ports === undefined || source === undefined) return null
  if (destination === undefined || family === undefined) return null
  return {
    protocol,
    ports,
    source,
    notSources: [...a.notSources, ...b.notSources],
    destination,
    family,
    comment: isClusterAddress(a.comment) ? a.comment : (b.comment ?? a.comment),
    changed: a.changed || b.changed,
    asked: b.asked ?? a.asked,
    local: a.local || b.local,
    never: a.never || b.never,
    others: [...a.others, ...b.others],
  }
}

/** Null where it is no single address. */
export function addressOf({ destination }: IptablesMatch, family: Family): string | null {
  if (destination === null) return family === 6 ? '::' : '0.0.0.0'
  return destination.bits === (destination.family === 4 ? 32 : 128) ? destination.address : null
}

/** Does what goes out to the target leave with our address? */
export function hides(
  { source, notSources, destination, protocol, ports, asked, changed, others }: IptablesMatch,
  to: { host: string; ports: string; asked: string; protocol: Protocol },
): boolean {
  if (source !== null || notSources.length > 0 || others.length > 0) return false
  if (protocol !== null && protocol !== to.protocol) return false
  if (ports !== null && ports.replace(':', '-') !== to.ports) return false
  if (asked !== null && asked.replace(':', '-') !== to.asked) return false
  if (destination === null) return changed || protocol === null
  return formatCidr(destination) === to.host
}

/** kube-proxy marks what is to leave with the node's own address. */
export function hidesWhatIsMarked(chain: readonly IptablesRule[]): boolean {
  const asks = chain.some(({ text }) => /(?:^|\s)--mark\s/.test(text))
  return asks && chain.some(({ target }) => target === 'MASQUERADE')
}

/** As kube-proxy remarks it of addresses that no machine has. */
export function isClusterAddress(comment: string | null): boolean {
  return /\bcluster IP$/.test(comment ?? '')
}
