/** What every router protocol says of a mapping in the same words: its description on the router, and what differs. */
import type { Cidr } from '../base/address.ts'
import { formatEndpoint } from '../base/address.ts'
import { formatDuration } from '../base/duration.ts'
import type { Protocol } from '../base/port.ts'
import { say, type Text } from '../base/text.ts'
import type { LeaseDescription } from './hop.ts'

/** The tag of our mappings: `naru:RULE`, with `@OWNER` where several of us share a machine. */
export interface MappingTag {
  readonly rule: string
  readonly owner: string | null
}

/** At most 60 printable ASCII characters: routers cut or refuse what is longer or stranger. */
export function mappingDescription(rule: string, owner?: string | null): string {
  const tail = owner ? `@${printable(owner).slice(0, 12)}` : ''
  return `naru:${printable(rule)
    .replaceAll('@', '_')
    .slice(0, 55 - tail.length)}${tail}`
}

/** Null where the mapping is not ours. */
export function parseMappingTag(description: string): MappingTag | null {
  const found = /^naru:([^@]*)(?:@(.*))?$/s.exec(description)
  return found ? { rule: found[1] as string, owner: found[2] ?? null } : null
}

export interface MappingFacts {
  readonly member: string
  readonly flavour: string
  readonly router: string
  readonly protocol: Protocol
  readonly externalAddress: string | null
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
  /** Null is permanent. */
  readonly leaseSeconds: number | null
  /** Milliseconds since the Unix epoch. */
  readonly goodUntil: number | null
}

/** What was asked, where it may differ from what was granted. */
export interface MappingWish {
  readonly externalPort: number
  readonly leaseSeconds: number
  readonly allow: readonly Cidr[]
  /** What the router says of the source filter. */
  readonly filter: 'confirmed' | 'unverified' | 'none'
}

export function describeMapping(
  facts: MappingFacts,
  wish: MappingWish,
  notes: readonly Text[],
): LeaseDescription {
  return {
    member: facts.member,
    text: mappingText(facts),
    differs: [...differences(facts, wish), ...notes],
    data: { ...facts },
  }
}

function mappingText(facts: MappingFacts): Text {
  const outside = formatEndpoint(facts.externalAddress ?? '?', facts.externalPort)
  const inside = formatEndpoint(facts.internalAddress, facts.internalPort)
  const way = `${outside} → ${inside}/${facts.protocol}`
  if (facts.goodUntil === null) return say`${way}, permanent`
  const until = localTime(facts.goodUntil)
  return say`${way} until ${until}`
}

/** `2026-11-22 21:15`, by this machine's clock: for people, the data say it to the millisecond. */
function localTime(at: number): string {
  return new Date(at).toLocaleString('sv-SE').slice(0, 16)
}

function differences({ externalPort, leaseSeconds }: MappingFacts, wish: MappingWish): Text[] {
  const found: Text[] = []
  if (externalPort !== wish.externalPort)
    found.push(say`the router gave external port ${externalPort}, not ${wish.externalPort}`)
  const lease = leaseDifference(leaseSeconds, wish.leaseSeconds)
  if (lease) found.push(lease)
  if (wish.allow.length > 0 && wish.filter !== 'confirmed')
    found.push(
      wish.filter === 'none'
        ? say('the router lets every source in; the allow-list is enforced on this machine')
        : say(
            'the router took the filter by source, which cannot be read back (some take it and let everyone in); the allow-list is also enforced on this machine',
          ),
    )
  return found
}

function leaseDifference(granted: number | null, asked: number): Text | null {
  if (granted === asked || (granted === null && asked === 0)) return null
  if (granted === null)
    return say('the router keeps mappings for ever; Naru removes this one when the rule ends')
  const given = formatDuration(granted * 1000)
  if (asked === 0) return say`the router keeps it for ${given}`
  const wanted = formatDuration(asked * 1000)
  return say`the router gave a lease of ${given}, not ${wanted}; Naru renews it`
}

function printable(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '_')
}
