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
    why: say(
      `there are ${what} rules that cannot be read here`,
      `여기서는 읽을 수 없는 ${what} 규칙이 있습니다`,
    ),
  }
}

function reason({ verdict, at }: Journey): Text {
  if (verdict === 'unknown')
    return say(
      'whether this rule matches cannot be told from here',
      '이 규칙이 적용되는지 여기서는 알 수 없습니다',
    )
  if (verdict === 'allowed')
    return at?.rule
      ? say('this rule lets it in', '이 규칙이 허용합니다')
      : say('no rule drops it', '막는 규칙이 없습니다')
  return at?.rule
    ? say('this rule blocks it', '이 규칙이 차단합니다')
    : say('no rule lets it in, and the policy is drop', '허용하는 규칙이 없고 기본 정책이 차단입니다')
}

function remarks({ verdict, some, limited, forwardedTo, sentOn }: Journey): Text[] {
  const found: Text[] = []
  if (limited) found.push(say('within a rate limit', '속도 제한 안에서만'))
  const where = sentOn?.to ?? (forwardedTo && formatEndpoint(forwardedTo.address, forwardedTo.port))
  if (where) found.push(say(`it is sent on to ${where}`, `${where}{으로/로} 넘겨집니다`))
  const exception = some.find(({ fate }) => (verdict === 'blocked' ? fate === 'accept' : fate === 'drop'))
  if (exception) {
    const rule = placeText(exception.at)
    found.push(
      verdict === 'blocked'
        ? say(`some sources are let in by: ${rule}`, `일부 출발지는 허용됩니다: ${rule}`)
        : say(`some sources are blocked by: ${rule}`, `일부 출발지는 차단됩니다: ${rule}`),
    )
  }
  return found
}

function differs(packet: Packet, { verdict, at }: Journey): Text {
  const how = {
    allowed: say('allowed', '허용'),
    blocked: say('blocked', '차단'),
    unknown: say('unknown', '알 수 없음'),
  }[verdict]
  const which = [`IPv${packet.family}`, packet.from, packet.source && formatCidr(packet.source)]
    .filter(Boolean)
    .join(' ')
  const by = at ? `: ${placeText(at)}` : ''
  return say(`${which} is ${how.en}${by}`, `${which}: ${how.ko}${by}`)
}

function joined(parts: readonly Text[]): Text {
  return parts.reduce(
    (all, one) => (all.en === '' ? one : say(`${all.en}; ${one.en}`, `${all.ko}; ${one.ko}`)),
    verbatim(''),
  )
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
