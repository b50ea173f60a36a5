/** Rules for people: a line each for `ls`, all that is known for `status NAME`. */
import { say, type Text } from '../../base/text.ts'
import { closeReasons, type CloseReason } from '../../model/connection.ts'
import type { RuleStatus } from '../../model/naru-api.ts'
import { addressLines, addressToGive, byHandLines } from './addresses.ts'
import type { Printer } from './printer.ts'
import { tableWithin } from './table.ts'
import { bytes, connections, rate, span, time } from './units.ts'
import { hopStrip, hopWords, inPathOrder, mark, stateWord } from './words.ts'

const titles = {
  name: say('NAME'),
  title: say('TITLE'),
  listen: say('LISTEN'),
  target: say('TARGET'),
  address: say('ADDRESS'),
  state: say('STATE'),
  path: say('PATH'),
  open: say('CONN'),
  rate: say('RATE'),
  engine: say('ENGINE'),
  left: say('LEFT'),
}

export interface RuleTableOptions {
  readonly now: number
  /** Rules whose traffic is not known here. @default none */
  readonly elsewhere?: readonly RuleStatus[]
  /** Columns of the terminal; what matters less is left out where they are too few. @default no limit */
  readonly room?: number | undefined
  /** What flows matters most, not where it is found. @default false */
  readonly busiest?: boolean
}

export function ruleTable(
  rules: readonly RuleStatus[],
  print: Printer,
  { now, elsewhere = [], room = Infinity, busiest = false }: RuleTableOptions,
): string[] {
  const t = (key: keyof typeof titles): string => print.say(titles[key])
  const all = [...rules, ...elsewhere]
  const timed = all.some(({ until }) => until !== null)
  const found = !busiest && all.some(({ addresses }) => addresses.length > 0)
  const titled = all.some((rule) => titleOf(rule) !== null)
  const flow = (rank: number): { dispensable?: number } => (busiest ? {} : { dispensable: rank })
  const columns = [
    { title: t('name') },
    ...(titled ? [{ title: t('title'), dispensable: 4 }] : []),
    { title: t('listen'), ...(found && { dispensable: 2 }) },
    { title: t('target'), dispensable: 1 },
    ...(found ? [{ title: t('address') }] : []),
    { title: t('state') },
    { title: t('open'), align: 'right' as const, ...flow(4) },
    { title: t('rate'), align: 'right' as const, ...flow(5) },
    { title: t('engine'), dispensable: 6 },
    ...(timed ? [{ title: t('left'), dispensable: 3 }] : []),
    { title: t('path'), dispensable: busiest ? 7 : 1 },
  ]
  const rows = all.map((rule, index) => [
    print.paint.bold(rule.name),
    ...(titled ? [titleOf(rule) ?? '-'] : []),
    rule.listen,
    rule.targets.join(', '),
    ...(found ? [addressToGive(rule) ?? '-'] : []),
    stateWord(rule, print, print.paint) + (rule.kept ? '*' : ''),
    index < rules.length ? String(rule.counters.open) : '-',
    index < rules.length ? rate(rule.rate.toTarget + rule.rate.toClient) : '-',
    rule.engine?.id ?? '-',
    ...(timed ? [rule.until === null ? '-' : span(rule.until - now)] : []),
    hopStrip(rule, print, print.paint) || '-',
  ])
  return tableWithin(room, columns, rows)
}

/** What people call it; null where its name is enough. */
function titleOf({ rule }: RuleStatus): string | null {
  return typeof rule['title'] === 'string' ? rule['title'] : null
}

function descriptionLines({ rule }: RuleStatus, print: Printer): string[] {
  const { title, description, tags } = rule
  const words = typeof tags === 'string' ? [tags] : Array.isArray(tags) ? tags.map(String) : []
  return [
    ...(typeof title === 'string' ? [title] : []),
    ...(typeof description === 'string' ? description.trim().split('\n') : []),
    ...(words.length > 0 ? [`${print.say(say('tags'))}: ${words.join(', ')}`] : []),
  ].map((line) => `  ${line}`)
}

/** Rules that are named with why they have their engine; of more, so many are told in a number. */
const mostNamed = 3

/** Why the rules have the engines they have: a line for each reason, however many rules it is of. */
export function engineReasons(rules: readonly RuleStatus[], print: Printer): string[] {
  const of = new Map<string, string[]>()
  for (const { name, engine } of rules) {
    if (!engine) continue
    const reason = `${engine.id}: ${print.say(engine.why)}`
    const names = of.get(reason)
    if (names) names.push(name)
    else of.set(reason, [name])
  }
  return [...of].map(([reason, names]) => {
    const more = names.length - mostNamed
    const rest = more > 0 ? ` ${print.say(say`and ${more} more`)}` : ''
    return print.paint.dim(`${names.slice(0, mostNamed).join(', ')}${rest} → ${reason}`)
  })
}

/** One line; with `verbose` also why others cannot. */
export function engineReason(
  { why, brief }: NonNullable<RuleStatus['engine']>,
  print: Printer,
  verbose: boolean,
): string {
  return print.say(verbose ? why : brief)
}

/** Marked by a star in the table. */
export function keptLines(rules: readonly RuleStatus[], print: Printer): string[] {
  return rules.flatMap(({ name, kept }) => (kept ? [`* ${name}: ${print.say(keptWhy(kept))}`] : []))
}

function keptWhy({ message }: NonNullable<RuleStatus['kept']>): Text {
  return say`goes on as it was, as what the file says now cannot be: ${message}; naru reload tries again`
}

/** Who holds these, as it is not the daemon. */
export function openElsewhere(rules: readonly string[]): Text {
  const names = rules.join(', ')
  return say`${names}: naru open in another terminal; Ctrl-C there closes it`
}

export function ruleDetail(
  rule: RuleStatus,
  print: Printer,
  { now, traffic, verbose }: { now: number; traffic: 'known' | 'unknown'; verbose: boolean },
): string[] {
  const { bold, dim } = print.paint
  const lines = [
    `${bold(rule.name)}  ${stateWord(rule, print, print.paint)}  ${rule.listen} → ${rule.targets.join(', ')}`,
  ]
  lines.push(...descriptionLines(rule, print))
  if (rule.kept) lines.push(`  ! ${print.say(keptWhy(rule.kept))}`)
  lines.push(...addressLines(rule, print).map((line) => `  ${line}`))
  if (rule.engine)
    lines.push(
      `${print.say(say('engine'))}: ${rule.engine.id} ${dim(`(${engineReason(rule.engine, print, verbose)})`)}`,
    )
  if (rule.until !== null)
    lines.push(`${print.say(say('until'))}: ${time(rule.until)} (${span(rule.until - now)})`)
  for (const hop of inPathOrder(rule)) {
    const by = hop.member === null ? '' : dim(` [${hop.member}]`)
    lines.push(
      `  ${mark(hop.state, print.paint)} ${print.say(hopWords[hop.hop])}${by}: ${print.say(hop.text)}`,
    )
    for (const note of hop.notes) lines.push(`      ${print.say(note)}`)
    if (hop.hop === 'router') lines.push(...byHandLines(rule, print))
  }
  if (traffic === 'known') lines.push(...trafficLines(rule, print))
  return lines
}

/** Nothing where none is: most machines cannot. */
function offloadedLine({ offloaded }: RuleStatus['counters'], print: Printer): string[] {
  if (offloaded === 0) return []
  const text = say`${offloaded} of them offloaded: carried by the kernel alone`
  return [`  ${print.say(text)}`]
}

function trafficLines({ counters, rate: speed }: RuleStatus, print: Printer): string[] {
  const lines = [
    print.say(say`${connections(counters.open)} open, ${counters.opened} in all`),
    ...offloadedLine(counters, print),
    `↓ ${bytes(counters.bytesToTarget)} (${rate(speed.toTarget)})  ↑ ${bytes(counters.bytesToClient)} (${rate(speed.toClient)})`,
  ]
  if (counters.datagramsToTarget + counters.datagramsToClient + counters.datagramsLost > 0)
    lines.push(
      print.say(
        say`datagrams: ↓ ${counters.datagramsToTarget} ↑ ${counters.datagramsToClient}, lost ${counters.datagramsLost}`,
      ),
    )
  const closed = Object.entries(counters.closed) as [CloseReason, number][]
  for (const [reason, count] of closed.sort(([, a], [, b]) => b - a))
    lines.push(`  ${count} × ${print.say(closeReasons[reason])}`)
  return lines
}
