/** What became of the packets, in words: the verdict, the rule that decides as its tool prints it, and why. */
import { formatCidr, formatEndpoint } from '../../base/address.ts'
import { say, verbatim, type Text } from '../../base/text.ts'
import type { SentOn } from '../../model/firewall.ts'
import type { Packets } from './packets.ts'
import type { Chain, Packet, PacketFilter } from './program.ts'
import { walk, type Journey, type ChainPlace } from './walk.ts'

export interface FilterAnswer {
  readonly verdict: 'allowed' | 'blocked' | 'unknown'
  readonly by: string
  /** Where it is blocked: a rule that lets some sources in all the same. */
  readonly partly?: string
  readonly why: Text
  readonly sentOn?: SentOn
}

/** The first packet decides; where another fares differently, `why` says so. */
export function answerFor(filter: PacketFilter, { packets, wayOut }: Packets): FilterAnswer {
  const journeys = packets.map((packet) => ({ packet, journey: walk(filter, packet, { wayOut }) }))
  const [first] = journeys
  if (!first || filter.unread.length > 0) return unread(filter)
  const { verdict } = first.journey
  const other = journeys.find(({ journey }) => journey.verdict !== verdict)
  const parts = [reason(first.journey), ...remarks(first.journey)]
  if (other) parts.push(differs(other.packet, other.journey))
  const { at, some, sentOn } = first.journey
  const open = verdict === 'blocked' ? some.find(({ fate }) => fate === 'accept') : undefined
  return {
    verdict,
    by: at ? placeText(at) : '',
    ...(open && { partly: placeText(open.at) }),
    why: joined(parts),
    ...(sentOn && { sentOn: { to: sentOn.to, by: placeText(sentOn.at) } }),
  }
}

function unread({ unread: parts }: PacketFilter): FilterAnswer {
  const what = parts.join(', ') || 'network'
  return {
    verdict: 'unknown',
    by: '',
    why: say`there are ${what} rules that cannot be read here`,
  }
}

function reason({ verdict, at }: Journey): Text {
  if (verdict === 'unknown') return say('whether this rule matches cannot be told from here')
  if (verdict === 'allowed') return at?.rule ? say('this rule lets it in') : say('no rule drops it')
  return at?.rule ? say('this rule blocks it') : say('no rule lets it in, and the policy is drop')
}

function remarks({ verdict, some, limited, forwardedTo, sentOn }: Journey): Text[] {
  const found: Text[] = []
  if (limited) found.push(say('within a rate limit'))
  const where = sentOn?.to ?? (forwardedTo && formatEndpoint(forwardedTo.address, forwardedTo.port))
  if (where) found.push(say`it is sent on to ${where}`)
  const exception = some.find(({ fate }) => (verdict === 'blocked' ? fate === 'accept' : fate === 'drop'))
  if (exception) {
    const rule = placeText(exception.at)
    found.push(
      verdict === 'blocked'
        ? say`some sources are let in by: ${rule}`
        : say`some sources are blocked by: ${rule}`,
    )
  }
  return found
}

function differs(packet: Packet, { verdict, at }: Journey): Text {
  const how = {
    allowed: say('allowed'),
    blocked: say('blocked'),
    unknown: say('unknown'),
  }[verdict]
  const which = [`IPv${packet.family}`, packet.from, packet.source && formatCidr(packet.source)]
    .filter(Boolean)
    .join(' ')
  const by = at ? `: ${placeText(at)}` : ''
  return say`${which} is ${how}${by}`
}

function joined(parts: readonly Text[]): Text {
  return parts.reduce((all, one) => (all.en === '' ? one : say`${all}; ${one}`), verbatim(''))
}

/** `inet filter input: tcp dport 22 accept`, `iptables -A INPUT -j DROP`, `… policy drop`. */
export function placeText({ chain, rule }: ChainPlace): string {
  if (chain.owner === 'nft')
    return `${chain.family} ${chain.table} ${chain.name}: ${rule ? rule.text : endText(chain)}`
  const tool = toolOf(chain)
  const table = chain.table === 'filter' ? '' : ` -t ${chain.table}`
  if (rule) return `${tool}${table} ${rule.text}`
  return `${tool}${table} -P ${chain.name} ${chain.base?.policy === 'drop' ? 'DROP' : 'ACCEPT'}`
}

const endText = ({ base }: Chain): string => (base ? `policy ${base.policy}` : 'end of chain')

/** `iptables`, `ip6tables-legacy` … */
export function toolOf({ owner, family }: Chain): string {
  const tool = family === 'ip6' ? 'ip6tables' : 'iptables'
  return owner === 'iptables-legacy' ? `${tool}-legacy` : tool
}
