/** `nft -j list ruleset` becomes chains of the program, `nft -t -a list ruleset` the words for each rule. */
import {
  chainKey,
  type Action,
  type BaseChain,
  type Chain,
  type FilterHook,
  type FilterRule,
  truthOf,
  type Match,
} from './program.ts'
import {
  asksSource,
  asObject,
  compileMatch,
  compileTest,
  elementsOf,
  isSource,
  onePort,
  type SetLookup,
} from './nft-match.ts'

export interface NftRuleset {
  readonly chains: readonly Chain[]
  readonly marks: boolean
}

const hooks: readonly string[] = ['ingress', 'prerouting', 'input', 'forward']
const families: readonly string[] = ['ip', 'ip6', 'inet', 'netdev']

/** What `nft -t -a list ruleset` tells, and its JSON (of 1.0.6, for one) does not. */
export interface NftListing {
  /** Each rule as it is printed, by `textKey`. */
  readonly words: ReadonlyMap<string, string>
  /** Of chains on a card, by family, table and name. */
  readonly devices: ReadonlyMap<string, readonly string[]>
  /** Family and name of tables that are switched off. */
  readonly dormant: ReadonlySet<string>
}

/** @param items of `nft -j list ruleset` */
export function readNft(items: NftObjects, listing: NftListing): NftRuleset {
  const rules = rulesByChain(items, listing)
  const chains = items.flatMap(({ chain }) => (chain ? [readChain(asObject(chain), rules, listing)] : []))
  return {
    chains: chains.filter(
      ({ family, table }) => families.includes(family) && !listing.dormant.has(`${family} ${table}`),
    ),
    marks: items.some(({ rule }) => expressionsOf(asObject(rule)).some(setsMark)),
  }
}

const expressionsOf = ({ expr }: Record<string, unknown>): readonly Record<string, unknown>[] =>
  Array.isArray(expr) ? expr.map(asObject) : []

/** `meta mark set`, `ct mark set`. */
function setsMark({ mangle }: Record<string, unknown>): boolean {
  const { meta, ct } = asObject(asObject(mangle).key)
  return asObject(meta ?? ct).key === 'mark'
}

export type NftObjects = readonly Record<string, unknown>[]

/** @param listing what `nft -t -a list ruleset` prints */
export function readListing(listing: string): NftListing {
  const words = new Map<string, string>()
  const devices = new Map<string, readonly string[]>()
  const dormant = new Set<string>()
  let [family, table, chain] = ['', '', '']
  for (const line of listing.split('\n')) {
    const opened = /^table (\S+) (\S+) \{/.exec(line)
    const inner = /^\tchain (\S+) \{/.exec(line)
    const rule = /^\t\t(.*?) # handle (\d+)$/.exec(line)
    const on = /^\t\ttype \S+ hook \S+ devices? (?:= )?(\{[^}]*\}|\S+) priority /.exec(line)
    if (opened) [, family = '', table = ''] = opened
    else if (inner) chain = inner[1] ?? ''
    else if (rule) words.set(textKey(family, table, chain, Number(rule[2])), rule[1] ?? '')
    else if (on) devices.set(`${family} ${table} ${chain}`, on[1]?.match(/[^\s{},"]+/g) ?? [])
    else if (/^\tflags .*\bdormant\b/.test(line)) dormant.add(`${family} ${table}`)
  }
  return { words, devices, dormant }
}

const textKey = (family: string, table: string, chain: string, handle: number): string =>
  `${family} ${table} ${chain} ${handle}`

/** Limits and quotas that rules name: whether they hold for what is over them. */
function namedRates(items: NftObjects): Map<string, boolean> {
  const rates = new Map<string, boolean>()
  for (const item of items)
    for (const kind of rateObjects) {
      const { family, table, name, inv } = asObject(item[kind])
      if (typeof name === 'string') rates.set([kind, family, table, name].map(String).join(' '), inv === true)
    }
  return rates
}

const rateObjects = ['limit', 'quota'] as const

function namedSets(items: NftObjects): Map<string, readonly unknown[]> {
  const sets = new Map<string, readonly unknown[]>()
  for (const item of items) {
    const { family, table, name, elem } = asObject(item.set ?? item.map)
    if (typeof name === 'string')
      sets.set([family, table, name].map(String).join(' '), Array.isArray(elem) ? elem : [])
  }
  return sets
}

function readChain(
  written: Record<string, unknown>,
  rules: ReadonlyMap<string, FilterRule[]>,
  { devices }: NftListing,
): Chain {
  const [family, table, name] = [String(written.family), String(written.table), String(written.name)]
  const key = chainKey('nft', family, table, name)
  return {
    key,
    owner: 'nft',
    family: family as Chain['family'],
    table,
    name,
    base: readBase(written, devices.get(`${family} ${table} ${name}`) ?? []),
    rules: rules.get(key) ?? [],
  }
}

function readBase(
  { hook, prio, policy, dev }: Record<string, unknown>,
  listed: readonly string[],
): BaseChain | null {
  if (typeof hook !== 'string' || !hooks.includes(hook)) return null
  return {
    hook: hook as FilterHook,
    priority: typeof prio === 'number' ? prio : 0,
    policy: policy === 'drop' ? 'drop' : 'accept',
    devices: [...listed, ...(Array.isArray(dev) ? dev : [dev]).filter((one) => typeof one === 'string')],
  }
}

function rulesByChain(items: NftObjects, { words }: NftListing): Map<string, FilterRule[]> {
  const [named, rates] = [namedSets(items), namedRates(items)]
  const rules = new Map<string, FilterRule[]>()
  for (const item of items) {
    if (!item.rule) continue
    const rule = asObject(item.rule)
    const [family, table, chain] = [String(rule.family), String(rule.table), String(rule.chain)]
    const key = chainKey('nft', family, table, chain)
    const sets: SetLookup = (name) => named.get(`${family} ${table} ${name}`) ?? null
    const text = words.get(textKey(family, table, chain, Number(rule.handle))) ?? JSON.stringify(rule.expr)
    const place = {
      target: (name: string) => chainKey('nft', family, table, name),
      sets,
      isOverNamed: (kind: string, name: string) => rates.get(`${kind} ${family} ${table} ${name}`) ?? null,
    }
    const there = rules.get(key)
    if (there) there.push(...readRule(rule, text, place))
    else rules.set(key, readRule(rule, text, place))
  }
  return rules
}

interface RulePlace {
  readonly target: (chain: string) => string
  readonly sets: SetLookup
  /** Of a limit or quota that has a name; null where there is none of that name. */
  readonly isOverNamed: (kind: string, name: string) => boolean | null
}

/** A rule with a verdict map becomes one rule an entry, all with its handle. */
function readRule(rule: Record<string, unknown>, text: string, place: RulePlace): FilterRule[] {
  const matches: Match[] = []
  const made: FilterRule[] = []
  let limited = false
  let bySource = false
  let port: number | null = null
  const add = (action: Action, more: readonly Match[] = []): void => {
    made.push({
      handle: Number(rule.handle),
      text,
      comment: typeof rule.comment === 'string' ? rule.comment : null,
      port,
      matches: [...matches, ...more],
      action,
      limited,
      bySource,
    })
  }
  for (const expression of expressionsOf(rule)) {
    bySource ||= asksSource(expression.match) || isSource(asObject(expression.vmap).key)
    if (expression.match) {
      port ??= onePort(expression.match)
      matches.push(compileMatch(expression.match, place.sets))
    } else if (isRate(expression)) {
      const over = isOver(expression, place)
      if (over !== false) matches.push(() => (over ? 'no' : 'maybe'))
      limited = true
    } else if (expression.xt !== undefined) matches.push(() => 'maybe')
    else if (expression.vmap) addVerdictMap(asObject(expression.vmap), place, add)
    else if (expression.dnat) addRewrite(asObject(expression.dnat), place, add)
    else if (expression.redirect !== undefined) addRedirect(asObject(expression.redirect), place, add)
    else {
      const action = actionOf(expression, place)
      if (action) add(action, expression.reject ? rejectApplies(asObject(expression.reject)) : [])
    }
  }
  return made
}

/** nft leaves out `meta nfproto ipv6` before `reject with icmpv6 …`: the answer itself is of one family. */
function rejectApplies({ type }: Record<string, unknown>): Match[] {
  if (type === 'icmp') return [(packet) => truthOf(packet.family === 4)]
  if (type === 'icmpv6') return [(packet) => truthOf(packet.family === 6)]
  return type === 'tcp reset' ? [(packet) => truthOf(packet.protocol === 'tcp')] : []
}

const isRate = (expression: Record<string, unknown>): boolean =>
  ['limit', 'ct count', 'connlimit', 'quota', 'meter'].some((name) => expression[name] !== undefined) ||
  asObject(expression.set).stmt !== undefined

/** `limit rate over …`: holds only for what is too much. Null where that cannot be told. */
function isOver(expression: Record<string, unknown>, { isOverNamed }: RulePlace): boolean | null {
  for (const kind of rateObjects) {
    const name = expression[kind]
    if (typeof name === 'string') return isOverNamed(kind, name)
  }
  const { stmt } = asObject(expression.meter ?? expression.set)
  const inner = Array.isArray(stmt) ? asObject(stmt[0]) : asObject(stmt)
  const rate = { ...expression, ...inner }
  return [rate.limit, rate['ct count'], rate.quota].some((one) => asObject(one).inv === true)
}

function addVerdictMap(
  vmap: Record<string, unknown>,
  place: RulePlace,
  add: (action: Action, more: readonly Match[]) => void,
): void {
  const entries = elementsOf(vmap.data, place.sets)
  if (entries === null) return add({ do: 'unknown' }, [() => 'maybe'])
  for (const entry of entries) {
    const [key, verdict] = Array.isArray(entry) ? (entry as unknown[]) : [null, null]
    const action = actionOf(asObject(verdict), place)
    if (action) add(action, [compileTest(vmap.key, { set: [key] }, place.sets)])
  }
}

/** What a statement does to the packet; null where it lets it pass on. */
function actionOf(expression: Record<string, unknown>, { target }: RulePlace): Action | null {
  const [name] = Object.keys(expression)
  switch (name) {
    case 'accept':
    case 'drop':
    case 'return':
    case 'reject':
      return { do: name }
    case 'jump':
    case 'goto':
      return { do: name, chain: target(String(asObject(expression[name]).target)) }
    case 'notrack':
      return { do: 'untrack' }
    case 'mangle':
      return turnsAside(asObject(expression.mangle)) ? { do: 'unknown' } : null
    case 'queue':
    case 'tproxy':
    case 'synproxy':
    case 'fwd':
      return { do: 'unknown' }
    default:
      return null
  }
}

/** `ip daddr set …`, `tcp dport set …`, raw bytes: it goes elsewhere, or is another's, and no NAT knows of it. */
function turnsAside({ key }: Record<string, unknown>): boolean {
  const { payload } = asObject(key)
  const { field } = asObject(payload)
  return (
    payload !== undefined && (typeof field !== 'string' || /^(?:[sd](?:addr|port)|protocol)$/.test(field))
  )
}

type Add = (action: Action, more: readonly Match[]) => void

/** `redirect`, `redirect to :80`, or one rule an element of `redirect to :tcp dport map { … }`. */
function addRedirect({ port }: Record<string, unknown>, place: RulePlace, add: Add): void {
  const here = (to: unknown): Action =>
    to === undefined || typeof to === 'number'
      ? { do: 'rewrite', address: null, port: portOf(to), here: true }
      : { do: 'unknown' }
  const { map } = asObject(port)
  if (map === undefined) return add(here(port), [])
  addMapped(map, place, (to, more) => add(to === null ? { do: 'unknown' } : here(to), more))
}

/** One rule an element of a map; with null where its elements cannot be read. */
function addMapped(
  map: unknown,
  { sets }: RulePlace,
  add: (target: unknown, more: readonly Match[]) => void,
): void {
  const { key, data } = asObject(map)
  const entries = elementsOf(data, sets)
  if (entries === null) return add(null, [() => 'maybe'])
  for (const entry of entries) {
    const [element, target] = Array.isArray(entry) ? (entry as unknown[]) : [null, null]
    add(target, [compileTest(key, { set: [element] }, sets)])
  }
}

/**
 * `dnat to 10.0.0.2:80`, or one rule an element of `dnat to … map @targets`. Which of a range of addresses or ports
 * it will be, nobody knows.
 */
function addRewrite({ addr, port, family }: Record<string, unknown>, place: RulePlace, add: Add): void {
  const inFamily: Match[] =
    family === undefined ? [] : [(packet) => truthOf(family === (packet.family === 4 ? 'ip' : 'ip6'))]
  const to = (address: unknown, port: unknown): Action =>
    (address === undefined || typeof address === 'string') && (port === undefined || typeof port === 'number')
      ? { do: 'rewrite', address: address ?? null, port: portOf(port), here: false }
      : { do: 'unknown' }
  const { map } = asObject(addr)
  if (map === undefined) return add(to(addr, port), inFamily)
  addMapped(map, place, (target, more) => {
    const { concat } = asObject(target)
    const [address, own] = Array.isArray(concat) ? (concat as unknown[]) : [target, port]
    add(to(address, own), [...inFamily, ...more])
  })
}

const portOf = (port: unknown): number | null => (typeof port === 'number' ? port : null)
