/** Which rules the list shows, in which order, under which heads. Pure: from the address of the page to rows. */
import type { RuleStatus } from '../../../src/model/naru-api.ts'
import { shownState, type ShownState } from '../../../src/model/shown-state.ts'
import { columnsOf, listOf } from '../parts/columns.ts'

export const stateFilters = ['', 'open', 'trouble', 'off'] as const
export type StateFilter = (typeof stateFilters)[number]

export const orders = ['', 'name', 'port', 'target', 'state', 'traffic'] as const
export type Order = (typeof orders)[number]

export interface Arrangement {
  readonly find: string
  readonly state: StateFilter
  /** Empty is any. */
  readonly tag: string
  /** Empty is as in the file. */
  readonly order: Order
  readonly reversed: boolean
  readonly grouped: boolean
  readonly compact: boolean
}

export interface Group {
  /** Null where rules are not grouped, or have no tag. */
  readonly tag: string | null
  readonly rules: readonly RuleStatus[]
}

/** More are easier to look over in a line each. */
const mostInFull = 30

/** @param count how many rules there are */
export function wishOf(fields: URLSearchParams, count: number): Arrangement {
  const oneOf = <T extends string>(allowed: readonly T[], key: string): T =>
    allowed.find((one) => one === fields.get(key)) ?? (allowed[0] as T)
  return {
    find: fields.get('find') ?? '',
    state: oneOf(stateFilters, 'state'),
    tag: fields.get('tag') ?? '',
    order: oneOf(orders, 'sort'),
    reversed: fields.has('reversed'),
    grouped: fields.get('group') === 'tag',
    compact: isCompact(fields.get('compact'), count),
  }
}

function isCompact(said: string | null, count: number): boolean {
  return said === null ? count > mostInFull : said !== '0'
}

export function tagsOf({ rule }: RuleStatus): readonly string[] {
  return listOf(rule['tags'])
}

/** What people call it; its name where nobody said. */
export function titleOf({ name, rule }: Pick<RuleStatus, 'name' | 'rule'>): string {
  const title = rule['title']
  return typeof title === 'string' && title.trim() !== '' ? title : name
}

/** Each once, in the order of the alphabet. */
export function tagsIn(rules: readonly RuleStatus[]): readonly string[] {
  return [...new Set(rules.flatMap(tagsOf))].sort(byText)
}

export function arranged(rules: readonly RuleStatus[], wish: Arrangement): readonly Group[] {
  const found = rules.filter((rule) => isWanted(rule, wish))
  const sorted = wish.order === '' ? found : found.toSorted(comparing[wish.order])
  return groupsOf(wish.reversed ? sorted.toReversed() : sorted, wish)
}

function isWanted(rule: RuleStatus, { find, state, tag }: Arrangement): boolean {
  if (state !== '' && groupOfState[shownState(rule)] !== state) return false
  const tags = tagsOf(rule)
  if (tag !== '' && !tags.includes(tag)) return false
  const wanted = find.trim().toLowerCase()
  const texts = [rule.name, titleOf(rule), rule.listen, ...rule.targets, ...tags]
  return wanted === '' || texts.some((text) => text.toLowerCase().includes(wanted))
}

/** What is on its way somewhere belongs to none of them. */
const groupOfState: Readonly<Record<ShownState, StateFilter>> = {
  open: 'open',
  untried: '',
  silent: 'trouble',
  degraded: 'trouble',
  failed: 'trouble',
  disabled: 'off',
  expired: 'off',
  stopped: 'off',
  opening: '',
  draining: '',
}

/** What needs a person first. */
const urgency: Readonly<Record<ShownState, number>> = {
  failed: 0,
  silent: 1,
  degraded: 2,
  opening: 3,
  draining: 4,
  untried: 5,
  open: 6,
  expired: 7,
  disabled: 8,
  stopped: 9,
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })
const byText = (a: string, b: string): number => collator.compare(a, b)
const portOf = (rule: RuleStatus): string => columnsOf(rule).externalPort
const flowOf = ({ rate }: RuleStatus): number => rate.toTarget + rate.toClient

const comparing: Readonly<Record<Exclude<Order, ''>, (a: RuleStatus, b: RuleStatus) => number>> = {
  name: (a, b) => byText(titleOf(a), titleOf(b)),
  port: (a, b) => byText(portOf(a), portOf(b)),
  target: (a, b) => byText(a.targets[0] ?? '', b.targets[0] ?? ''),
  state: (a, b) => urgency[shownState(a)] - urgency[shownState(b)],
  traffic: (a, b) => flowOf(b) - flowOf(a) || b.counters.open - a.counters.open,
}

/** A rule stands under its first tag, or under the one that is asked for: once in any case. */
function groupsOf(rules: readonly RuleStatus[], { grouped, tag: asked }: Arrangement): readonly Group[] {
  if (!grouped) return rules.length === 0 ? [] : [{ tag: null, rules }]
  const groups = new Map<string | null, RuleStatus[]>()
  for (const rule of rules) {
    const tag = asked === '' ? (tagsOf(rule)[0] ?? null) : asked
    const others = groups.get(tag)
    if (others) others.push(rule)
    else groups.set(tag, [rule])
  }
  const order = (a: string | null, b: string | null): number =>
    a === null ? 1 : b === null ? -1 : byText(a, b)
  return [...groups].map(([tag, all]) => ({ tag, rules: all })).sort((a, b) => order(a.tag, b.tag))
}
