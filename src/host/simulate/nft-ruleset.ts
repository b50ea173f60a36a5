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

/** @param words each rule as `nft -a` prints it, by `textKey`. @throws SyntaxError where `json` is none. */
export function readNft(json: string, words: ReadonlyMap<string, string>): NftRuleset {
  const items = nftObjects(json)
  const sets = namedSets(items)
  const rules = rulesByChain(items, words, sets)
  const chains = items.flatMap(({ chain }) => (chain ? [readChain(asObject(chain), rules)] : []))
  return {
    chains: chains.filter((chain) => families.includes(chain.family)),
    marks: json.includes('"mangle": {"key": {"meta": {"key": "mark"'),
  }
}

/** The objects of a listing: `{ table }`, `{ chain }`, `{ rule }`, `{ set }` … */
export function nftObjects(json: string): readonly Record<string, unknown>[] {
  if (json.trim() === '') return []
  const { nftables } = asObject(JSON.parse(json))
  return Array.isArray(nftables) ? nftables.map(asObject) : []
}

/** Lines of `nft -a list ruleset`, by table, chain and handle. */
export function nftWords(listing: string): Map<string, string> {
  const words = new Map<string, string>()
  let [family, table, chain] = ['', '', '']
  for (const line of listing.split('\n')) {
    const opened = /^table (\S+) (\S+) \{/.exec(line)
    const inner = /^\tchain (\S+) \{/.exec(line)
    const rule = /^\t\t(.*?) # handle (\d+)$/.exec(line)
    if (opened) [, family = '', table = ''] = opened
    else if (inner) chain = inner[1] ?? ''
    else if (rule) words.set(textKey(family, table, chain, Number(rule[2])), rule[1] ?? '')
  }
  return words
}

const textKey = (family: string, table: string, chain: string, handle: number): string =>
  `${family} ${table} ${chain} ${handle}`

function namedSets(items: readonly Record<string, unknown>[]): Map<string, readonly unknown[]> {
  const sets = new Map<string, readonly unknown[]>()
  for (const item of items) {
    const { family, table, name, elem } = asObject(item.set ?? item.map)
    if (typeof name === 'string')
      sets.set([family, table, name].map(String).join(' '), Array.isArray(elem) ? elem : [])
  }
  return sets
}

function readChain(written: Record<string, unknown>, rules: ReadonlyMap<string, FilterRule[]>): Chain {
  const [family, table, name] = [String(written.family), String(written.table), String(written.name)]
  const key = chainKey('nft', family, table, name)
  return {
    key,
    owner: 'nft',
    family: family as Chain['family'],
    table,
    name,
    base: readBase(written),
    rules: rules.get(key) ?? [],
  }
}

function readBase({ hook, prio, policy, dev }: Record<string, unknown>): BaseChain | null {
  if (typeof hook !== 'string' || !hooks.includes(hook)) return null
  return {
    hook: hook as FilterHook,
    priority: typeof prio === 'number' ? prio : 0,
    policy: policy === 'drop' ? 'drop' : 'accept',
    devices: (Array.isArray(dev) ? dev : [dev]).filter((one) => typeof one === 'string'),
  }
}

function rulesByChain(
  items: readonly Record<string, unknown>[],
  words: ReadonlyMap<string, string>,
  named: ReadonlyMap<string, readonly unknown[]>,
): Map<string, FilterRule[]> {
  const rules = new Map<string, FilterRule[]>()
  for (const item of items) {
    if (!item.rule) continue
    const rule = asObject(item.rule)
    const [family, table, chain] = [String(rule.family), String(rule.table), String(rule.chain)]
    const key = chainKey('nft', family, table, chain)
    const sets: SetLookup = (name) => named.get(`${family} ${table} ${name}`) ?? null
    const text = words.get(textKey(family, table, chain, Number(rule.handle))) ?? JSON.stringify(rule.expr)
    const place = { target: (name: string) => chainKey('nft', family, table, name), sets }
    const there = rules.get(key)
    if (there) there.push(...readRule(rule, text, place))
    else rules.set(key, readRule(rule, text, place))
  }
  return rules
}

interface RulePlace {
  readonly target: (chain: string) => string
  readonly sets: SetLookup
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
  for (const expression of Array.isArray(rule.expr) ? rule.expr.map(asObject) : []) {
    bySource ||= asksSource(expression.match) || isSource(asObject(expression.vmap).key)
    if (expression.match) {
      port ??= onePort(expression.match)
      matches.push(compileMatch(expression.match, place.sets))
    } else if (isRate(expression)) {
      if (isOver(expression)) matches.push(() => 'no')
      limited = true
    } else if (expression.xt !== undefined) matches.push(() => 'maybe')
    else if (expression.vmap) addVerdictMap(asObject(expression.vmap), place, add)
    else if (expression.dnat) addRewrite(asObject(expression.dnat), place, add)
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

/** `limit rate over …`: holds only for what is too much. */
function isOver(expression: Record<string, unknown>): boolean {
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
    case 'redirect':
      return { do: 'rewrite', address: null, port: portOf(asObject(expression.redirect).port), here: true }
    case 'queue':
    case 'tproxy':
    case 'synproxy':
      return { do: 'unknown' }
    default:
      return null
  }
}

/** `dnat to 10.0.0.2:80`, or one rule an element of `dnat to … map @targets`. */
function addRewrite(
  { addr, port, family }: Record<string, unknown>,
  { sets }: RulePlace,
  add: (action: Action, more: readonly Match[]) => void,
): void {
  const inFamily: Match[] =
    family === undefined ? [] : [(packet) => truthOf(family === (packet.family === 4 ? 'ip' : 'ip6'))]
  if (addr === undefined || typeof addr === 'string')
    return add({ do: 'rewrite', address: addr ?? null, port: portOf(port), here: false }, inFamily)
  const { key, data } = asObject(asObject(addr).map)
  const entries = elementsOf(data, sets)
  if (entries === null) return add({ do: 'unknown' }, [...inFamily, () => 'maybe'])
  for (const entry of entries) {
    const [element, target] = Array.isArray(entry) ? (entry as unknown[]) : [null, null]
    const parts = asObject(target).concat
    const [address, to] = Array.isArray(parts) ? (parts as unknown[]) : [target, null]
    if (typeof address !== 'string') continue
    const action: Action = { do: 'rewrite', address, port: portOf(to), here: false }
    add(action, [...inFamily, compileTest(key, { set: [element] }, sets)])
  }
}

const portOf = (port: unknown): number | null => (typeof port === 'number' ? port : null)
