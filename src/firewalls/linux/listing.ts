/** What the kernel's input chains let in, as a list for people: protocol, ports and source read from each rule's words. */
import { parsePortRange, type PortRange, type Protocol } from '../../base/port.ts'
import {
  isOurs,
  placeText,
  walk,
  type Chain,
  type FilterRule,
  type PacketFilter,
  type Packets,
} from '../../host/simulate/index.ts'
import { parseTag } from '../../model/tag.ts'
import type { FirewallStatus } from '../contract.ts'

type OpenPort = FirewallStatus['open'][number]

/** Accepts in chains that input leads to. */
export function openPorts(filter: PacketFilter): OpenPort[] {
  return reachable(filter).flatMap((chain) =>
    chain.rules.filter(({ action }) => action.do === 'accept').flatMap((rule) => entriesOf(chain, rule)),
  )
}

/** A port that nobody names says what happens to those that no rule opens. */
export const unnamedPort = 59_999

export function defaultInput(
  filter: PacketFilter,
  { packets, wayOut }: Packets,
): FirewallStatus['defaultInput'] {
  const [packet] = packets
  if (!packet || filter.unread.length > 0) return 'unknown'
  const { verdict } = walk(filter, packet, { wayOut })
  return verdict === 'allowed' ? 'allow' : verdict === 'blocked' ? 'block' : 'unknown'
}

export function reachable(filter: PacketFilter): Chain[] {
  const found = new Map<string, Chain>()
  const visit = (chain: Chain | undefined): void => {
    if (!chain || found.has(chain.key)) return
    found.set(chain.key, chain)
    for (const { action } of chain.rules)
      if (action.do === 'jump' || action.do === 'goto') visit(filter.chains.get(action.chain))
  }
  for (const chain of filter.chains.values()) if (chain.base?.hook === 'input' && !isOurs(chain)) visit(chain)
  return [...found.values()]
}

function entriesOf(chain: Chain, rule: FilterRule): OpenPort[] {
  const { text, comment } = rule
  const protocol = protocolIn(text)
  const ports = portsIn(text)
  if (protocol === 'any' && ports === null) return []
  const from = /(?:\bsaddr|\s-s) (\{[^}]*\}|\S+)/.exec(text)?.[1]?.replaceAll(/[{}]/g, '').trim() ?? null
  const entry = { protocol, from, ours: parseTag(comment)?.rule ?? null, text: placeText({ chain, rule }) }
  return (ports ?? [null]).map((range) => ({ ...entry, ports: range }))
}

function protocolIn(text: string): Protocol | 'any' {
  const named = /\b(tcp|udp) dport\b|\s-p (tcp|udp)\b|\bl4proto (tcp|udp)\b/.exec(text)
  return (named?.[1] ?? named?.[2] ?? named?.[3] ?? 'any') as Protocol | 'any'
}

/** Ports by number; null where none are named. */
function portsIn(text: string): PortRange[] | null {
  const written = /\bdport (\{[^{}]*\}|[\d-]+)|--dports? ([\d:,]+)/.exec(text)
  const list = (written?.[1] ?? written?.[2]?.replaceAll(':', '-'))?.replaceAll(/[{}\s]/g, '')
  if (!list) return null
  return list
    .split(',')
    .filter((one) => /^\d+(-\d+)?$/.test(one) && one !== '0')
    .map(parsePortRange)
}
