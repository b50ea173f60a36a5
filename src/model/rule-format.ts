/** A rule as it is written: without the keys that say what would be so anyway. */
import { formatCidr, type Cidr } from '../base/address.ts'
import { formatDuration } from '../base/duration.ts'
import type { Json } from './hop.ts'
import { formatListen } from './listen.ts'
import type { RuleInput } from './naru-api.ts'
import { formatBandwidth } from './rate.ts'
import type { Limits, Publish, Rule, TargetChoice, Timeouts } from './rule.ts'
import { defaultTimeouts } from './rule-keys.ts'
import { formatTarget } from './target.ts'

/** Back to what `readRule` reads, without the keys that say what would be so anyway. */
export function formatRule(rule: Rule): RuleInput {
  const [only] = rule.targets
  const alone = rule.targets.length === 1 && only && only.weight === 1 && !only.backup && only.name === null
  const entries: [string, Json | undefined][] = [
    ['title', rule.title ?? undefined],
    ['description', rule.description ?? undefined],
    ['tags', rule.tags.length > 0 ? rule.tags : undefined],
    ['listen', numeric(formatListen(rule.listen))],
    ['target', alone ? numeric(formatTarget(only.to)) : undefined],
    ['targets', alone ? undefined : rule.targets.map(formatChoice)],
    ['balance', unless(rule.balance, 'round-robin')],
    [
      'health',
      rule.health
        ? { every: formatDuration(rule.health.everyMs), rise: rule.health.rise, fall: rule.health.fall }
        : undefined,
    ],
    ['publish', formatPublish(rule.publish)],
    ['allow', formatCidrs(rule.allow)],
    ['deny', formatCidrs(rule.deny)],
    ['limits', formatLimits(rule.limits)],
    ['timeouts', formatTimeouts(rule.timeouts)],
    ['source', unless(rule.source, 'auto')],
    ['proxyUdp', unless(rule.proxyUdp, 'every')],
    ['acceptProxy', formatCidrs(rule.acceptProxy)],
    ['engine', unless(rule.engine, 'auto')],
    ['until', rule.until === null ? undefined : new Date(rule.until).toISOString()],
    ['enabled', rule.enabled ? undefined : false],
  ]
  return compact(entries)
}

function formatChoice({ to, weight, backup, name }: TargetChoice): Json {
  return compact([
    ['to', formatTarget(to)],
    ['weight', unless(weight, 1)],
    ['backup', backup ? true : undefined],
    ['name', name ?? undefined],
  ])
}

function formatPublish(publish: Publish): Json | undefined {
  if (
    publish.firewall === 'off' &&
    publish.router === 'off' &&
    publish.guest === 'direct' &&
    publish.externalPort === null
  )
    return undefined
  const { externalPort, ...rest } = publish
  return externalPort === null ? rest : { ...rest, externalPort }
}

function formatCidrs(cidrs: readonly Cidr[]): Json | undefined {
  return cidrs.length > 0 ? cidrs.map(formatCidr) : undefined
}

function formatLimits(limits: Limits): Json | undefined {
  const { bytesPerSecond, ...counts } = limits
  const entries: [string, Json | undefined][] = Object.entries(counts).map(([key, value]) => [
    key,
    value ?? undefined,
  ])
  if (bytesPerSecond !== null) entries.push(['bandwidth', formatBandwidth(bytesPerSecond)])
  return nonEmpty(compact(entries))
}

function formatTimeouts(timeouts: Timeouts): Json | undefined {
  const entries = (Object.keys(defaultTimeouts) as (keyof Timeouts)[]).map(
    (key): [string, Json | undefined] => [
      key.replace(/Ms$/, ''),
      timeouts[key] === defaultTimeouts[key] ? undefined : formatDuration(timeouts[key]),
    ],
  )
  return nonEmpty(compact(entries))
}

function compact(entries: readonly [string, Json | undefined][]): RuleInput {
  return Object.fromEntries(entries.filter((entry): entry is [string, Json] => entry[1] !== undefined))
}

function nonEmpty(map: RuleInput): RuleInput | undefined {
  return Object.keys(map).length > 0 ? map : undefined
}

function unless<T extends Json>(value: T, usual: T): T | undefined {
  return value === usual ? undefined : value
}

/** `8888` is written as the number it is. */
function numeric(text: string): Json {
  return /^\d+$/.test(text) ? Number(text) : text
}
