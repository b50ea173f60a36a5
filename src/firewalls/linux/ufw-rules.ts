/**
 * ufw's own list: the `### tuple ###` lines of user.rules and user6.rules, in the order of `ufw status numbered`. What
 * ufw takes for the same rule is the whole tuple but its action, so an allow would replace somebody's deny.
 */
import { neverAborted } from '../../base/on-abort.ts'
import { formatPortRange, type PortRange, type Protocol } from '../../base/port.ts'
import type { Family } from '../../base/address.ts'
import type { Tools } from './hand.ts'
import type { Runner } from '../../host/contract.ts'
import { failed, whileUnchanged } from '../../host/simulate/index.ts'

export interface UfwRule {
  readonly family: Family
  /** `allow`, `deny`, `reject`, `limit`, `route:allow` … */
  readonly action: string
  readonly protocol: string
  /** `any`, `8888`, `8000:8010`, `22,80`. */
  readonly ports: string
  readonly to: string
  readonly sourcePorts: string
  readonly from: string
  /** `in`, `out`, `in_eth0`. */
  readonly direction: string
  readonly comment: string | null
  /** Lines it makes in the user chain. */
  readonly lines: number
}

const userRules = ['/etc/ufw/user.rules', '/etc/ufw/user6.rules'] as const

/** IPv4 rules, then IPv6 rules: the order that `insert N` counts in. Those who ask at once share one reading. */
export const readUfwRules = (tools: Tools): Promise<readonly UfwRule[]> => reading(tools)

// ufw writes its files before it changes the filter.
const reading = whileUnchanged(
  "the look at ufw's rules",
  async (runner: Runner): Promise<readonly UfwRule[]> => {
    const [four, six] = await Promise.all(
      userRules.map(async (file) => {
        const argv = ['cat', file] as const
        const result = await runner.run(argv, { signal: neverAborted })
        // Without IPv6 there is no second file.
        if (result.exit !== 0 && !/no such file/i.test(result.stderr)) throw failed(argv, result)
        return result.stdout
      }),
    )
    return [...parseUfwRules(four ?? '', 4), ...parseUfwRules(six ?? '', 6)]
  },
)

export function parseUfwRules(text: string, family: Family): UfwRule[] {
  const rules: UfwRule[] = []
  for (const section of text.split(/^### tuple ### /m).slice(1)) {
    const [head = '', ...rest] = section.split('\n')
    const words = head.trim().split(/\s+/)
    const [action = '', protocol = '', ports = '', to = '', sourcePorts = '', from = ''] = words
    const comment = /\bcomment=([0-9a-f]+)/.exec(head)?.[1]
    const direction = words.slice(6).findLast((word) => !word.startsWith('comment=')) ?? 'in'
    rules.push({
      family,
      action,
      protocol,
      ports,
      to,
      sourcePorts,
      from,
      direction,
      comment: comment === undefined ? null : Buffer.from(comment, 'hex').toString('utf8'),
      lines: untilEnd(rest).filter((line) => /^-A ufw6?-user-(?:input|forward) /.test(line)).length,
    })
  }
  return rules
}

function untilEnd(lines: readonly string[]): readonly string[] {
  const end = lines.findIndex((line) => line.startsWith('### '))
  return end === -1 ? lines : lines.slice(0, end)
}

/** What we would add: one family, or both where nothing but the protocol and port is named. */
export interface UfwEntry {
  /** A packet on its way through, to a guest: `ufw route allow`. */
  readonly route: boolean
  readonly family: Family | null
  readonly protocol: Protocol
  readonly ports: string
  /** Null is anywhere. */
  readonly from: string | null
  readonly to: string | null
  /** `any`, or a range that holds every client's port and sets this rule apart from an equal one of someone else. */
  readonly sourcePorts: string
}

export const ufwPorts = ({ first, last }: PortRange): string =>
  formatPortRange({ first, last }).replace('-', ':')

/** The words that this very rule goes by. */
export function ufwEntry({ family, action, protocol, ports, to, sourcePorts, from }: UfwRule): UfwEntry {
  const named = (address: string): string | null => (/^(0\.0\.0\.0|::)\/0$/.test(address) ? null : address)
  return {
    route: action.startsWith('route:'),
    family,
    protocol: protocol as Protocol,
    ports,
    from: named(from),
    to: named(to),
    sourcePorts,
  }
}

/** Would ufw take `entry` for this rule? */
export function isSame(rule: UfwRule, entry: UfwEntry): boolean {
  const anywhere = rule.family === 4 ? '0.0.0.0/0' : '::/0'
  return (
    (entry.family === null || rule.family === entry.family) &&
    rule.protocol === entry.protocol &&
    rule.ports === entry.ports &&
    rule.to === (entry.to ?? anywhere) &&
    rule.from === (entry.from ?? anywhere) &&
    rule.sourcePorts === entry.sourcePorts &&
    rule.direction === 'in' &&
    rule.action.startsWith('route:') === entry.route
  )
}

/** `allow proto tcp from 10.0.0.0/8 to any port 8888`: words that ufw adds and deletes by. */
export function ufwWords({ family, protocol, ports, from, to, sourcePorts }: UfwEntry): string[] {
  const anywhere = family === 4 ? '0.0.0.0/0' : family === 6 ? '::/0' : 'any'
  const source = from ?? anywhere
  const named = source !== 'any' || sourcePorts !== 'any'
  return [
    'allow',
    'proto',
    protocol,
    ...(named ? ['from', source] : []),
    ...(sourcePorts === 'any' ? [] : ['port', sourcePorts]),
    'to',
    to ?? anywhere,
    'port',
    ports,
  ]
}

/** A rule as one would type it. */
export function ufwText({
  action,
  protocol,
  ports,
  to,
  from,
  sourcePorts,
  direction,
  comment,
}: UfwRule): string {
  const anywhere = (address: string): string => (/^(0\.0\.0\.0|::)\/0$/.test(address) ? 'any' : address)
  const via = direction.includes('_') ? ` on ${direction.split('_')[1]}` : ''
  const words = [
    `ufw ${action.replace('route:', 'route ').replaceAll('_', ' ')} ${direction.split('_')[0]}${via}`,
    protocol === 'any' ? '' : `proto ${protocol}`,
    `from ${anywhere(from)}`,
    sourcePorts === 'any' ? '' : `port ${sourcePorts}`,
    `to ${anywhere(to)}`,
    ports === 'any' ? '' : `port ${ports}`,
    comment === null ? '' : `comment '${comment}'`,
  ]
  return words.filter(Boolean).join(' ')
}
