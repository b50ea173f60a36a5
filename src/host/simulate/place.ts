/**
 * Where an accept has to stand so that a packet gets in: as late as possible, right before what would drop it, so
 * that bans of single sources above it keep their effect. It never goes before a rule that looks at the source and
 * drops, also where that is everybody but a few: whoever is let in by name only stays out, and is told by what. Nor
 * before a drop of which it cannot be told whom it meets (a mark, a hardware address, raw bytes): it may be a ban.
 */
import { isOurChain } from '../../linux/own-names.ts'
import type { Packets } from './packets.ts'
import { chainKey, type Chain, type FilterRule, type Packet, type PacketFilter } from './program.ts'
import { walk, type ChainFate, type ChainPlace } from './walk.ts'

/** One place that needs an accept, and the packets that need it there. */
export interface Opening {
  readonly chain: Chain
  /** The accept goes before this rule; null is the end of the chain. */
  readonly before: FilterRule | null
  /** False where the packet gets in here today, by somebody else's rule. */
  readonly blocked: boolean
  readonly packets: readonly Packet[]
  /** Chains that they came into on the way there. */
  readonly entered: ReadonlySet<Chain>
}

export function openingsFor(filter: PacketFilter, { packets, wayOut }: Packets): Opening[] {
  const openings = new Map<
    string,
    { chain: Chain; before: FilterRule | null; blocked: boolean; packets: Packet[]; entered: Set<Chain> }
  >()
  for (const packet of packets) {
    for (const fate of walk(filter, packet, { wayOut, pressOn: true }).chains) {
      const found = placeFor(filter, fate)
      if (!found) continue
      const place = besideDocker(filter, found)
      const key = `${place.chain.key} ${place.rule?.handle ?? 'end'}`
      const blocked = fate.fate !== 'accept'
      const { chain, rule: before } = place
      const opening = openings.get(key) ?? { chain, before, blocked, packets: [], entered: new Set() }
      opening.packets.push(fate.packet)
      for (const one of fate.entered) opening.entered.add(one)
      openings.set(key, opening)
    }
  }
  return [...openings.values()]
}

/** Null where this chain is not in the way. */
function placeFor(filter: PacketFilter, { base, fate, at, packet }: ChainFate): ChainPlace | null {
  if (isOurs(base)) return null
  if (fate !== 'accept') return at
  const hook = base.base?.hook
  // What lets in everybody but some keeps those some out.
  if (packet.source === null && at.rule?.bySource) return null
  return at.rule !== null && (hook === 'input' || hook === 'forward') && canDrop(filter, base) ? at : null
}

/** Docker writes its chains anew as it likes and leaves one to others: DOCKER-USER, which it runs first. */
function besideDocker(filter: PacketFilter, place: ChainPlace): ChainPlace {
  const { owner, family, table, name } = place.chain
  if (owner === 'nft' || !/^DOCKER\b/.test(name)) return place
  const chain = filter.chains.get(chainKey(owner, family, table, 'DOCKER-USER'))
  return chain ? { chain, rule: chain.rules[0] ?? null } : place
}

/** Chains of our own engine: what they drop is the rule's policy. */
export const isOurs = (chain: Chain): boolean => chain.owner === 'nft' && isOurChain(chain)

/** Is there a drop in this chain or in one it leads to? */
export function canDrop(filter: PacketFilter, chain: Chain, seen = new Set<string>()): boolean {
  if (seen.has(chain.key)) return false
  seen.add(chain.key)
  if (chain.base?.policy === 'drop') return true
  return chain.rules.some(({ action }) => {
    if (action.do === 'drop' || action.do === 'reject') return true
    if (action.do !== 'jump' && action.do !== 'goto') return false
    const next = filter.chains.get(action.chain)
    return next !== undefined && canDrop(filter, next, seen)
  })
}
