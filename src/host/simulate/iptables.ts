/**
 * `iptables-save` becomes chains of the program. The same reader serves iptables-nft and iptables-legacy, IPv4 and
 * IPv6; an option that is not understood makes its rule a `maybe`.
 */
import { canonicalAddress, cidrOrNull, type Cidr } from '../../base/address.ts'
import {
  any,
  chainKey,
  destinationIn,
  every,
  interfaceIs,
  isUntracked,
  negate,
  sourceIn,
  truthOf,
  type Action,
  type BaseChain,
  type Chain,
  type FilterHook,
  type FilterOwner,
  type FilterRule,
  type Match,
  type Packet,
  type Truth,
} from './program.ts'
import { ephemeral, rangePrefixes } from './nft-match.ts'

/** Members of the ipsets there are, by name; null where a set's kind is not one of plain addresses. */
export type IpSets = ReadonlyMap<string, readonly string[] | null>

export interface SavedRules {
  readonly chains: readonly Chain[]
  /** Tables the tool could show; the others it calls incompatible. */
  readonly tables: readonly string[]
  readonly marks: boolean
}

/** Where the kernel runs each table's built-in chains (netfilter_ipv4.h, NF_IP_PRI_*). */
const priorities: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  nat: -100,
  filter: 0,
  security: 50,
}
const builtIn: Readonly<Record<string, FilterHook>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
}

export function readSaved(saved: string, owner: FilterOwner, family: 'ip' | 'ip6', sets: IpSets): SavedRules {
  const chains: Chain[] = []
  const tables: string[] = []
  const incompatible = new Set(
    [...saved.matchAll(/^# Table `([^\s']+)'.*incompatible/gm)].map(([, name]) => name),
  )
  for (const section of saved.split(/^\*/m).slice(1)) {
    const [table = ''] = section.split('\n', 1)
    if (incompatible.has(table)) continue
    tables.push(table)
    chains.push(...readTable(section, { owner, family, table, sets }))
  }
  return { chains, tables, marks: / --(?:set-x?mark|restore-mark|or-mark) /.test(saved) }
}

interface TablePlace {
  readonly owner: FilterOwner
  readonly family: 'ip' | 'ip6'
  readonly table: string
  readonly sets: IpSets
}

function readTable(section: string, place: TablePlace): Chain[] {
  const { owner, family, table } = place
  const rules = new Map<string, FilterRule[]>()
  const chains: Chain[] = []
  for (const line of section.split('\n')) {
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? []
    if (name !== undefined) {
      const list: FilterRule[] = []
      rules.set(name, list)
      const base = baseOf(table, name, policy)
      chains.push({
        key: chainKey(owner, family, table, name),
        owner,
        family,
        table,
        name,
        base,
        rules: list,
      })
    }
    const words = line.startsWith('-A ') || line.startsWith('[') ? ruleWords(line) : null
    const list = words && rules.get(words[1] ?? '')
    if (list) list.push(readRule(words, list.length + 1, place))
  }
  return chains
}

function baseOf(table: string, name: string, policy: string | undefined): BaseChain | null {
  const hook = builtIn[name]
  if (!hook || policy === '-') return null
  const priority = table === 'nat' && hook === 'input' ? 100 : (priorities[table] ?? 0)
  return { hook, priority, policy: policy === 'DROP' ? 'drop' : 'accept', devices: [] }
}

/** `-A CHAIN …` in words, quotes taken off; a `[packets:bytes]` before it is left out. */
export function ruleWords(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '',
  )
  return words[0]?.startsWith('[') ? words.slice(1) : words
}

/** One option with its values: `! --dport 80` → `{ name: '--dport', values: ['80'], not: true }`. */
export interface IptablesOption {
  readonly name: string
  readonly values: readonly string[]
  readonly not: boolean
}

export function optionsOf(words: readonly string[]): IptablesOption[] {
  const options: { name: string; values: string[]; not: boolean }[] = []
  let not = false
  for (const word of words) {
    if (word === '!') not = true
    else if (/^--?[a-zA-Z]/.test(word)) {
      options.push({ name: word, values: [], not })
      not = false
    } else options.at(-1)?.values.push(word)
  }
  return options
}

function readRule(words: readonly string[], position: number, place: TablePlace): FilterRule {
  const options = optionsOf(words.slice(2))
  const known = { ...place, protocol: options.find(({ name }) => name === '-p')?.values[0] ?? null }
  // What follows a target is the target's, as iptables-save prints it: `-m helper --helper ftp`, `-j CT --helper ftp`.
  const end = options.findIndex(isJump)
  const asked = end === -1 ? options : options.slice(0, end)
  const over = asked.some(
    ({ name, not }) =>
      name === '--connlimit-above' || name === '--hashlimit-above' || (name === '--limit' && not),
  )
  const matches = asked.flatMap((option) => compileOption(option, known) ?? [])
  return {
    handle: position,
    text: words.map(quoted).join(' '),
    comment: options.find(({ name }) => name === '--comment')?.values[0] ?? null,
    port: onePort(asked),
    matches: over ? [...matches, () => 'no'] : matches,
    action: actionOf(options, place),
    bySource: asked.some(asksSource),
    limited: asked.some(({ name }) => /^--(?:limit|hashlimit-upto|connlimit-upto)$/.test(name)),
  }
}

const isJump = ({ name }: IptablesOption): boolean => name === '-j' || name === '-g'

function onePort(options: readonly IptablesOption[]): number | null {
  const [port = ''] = options.find(({ name, not }) => name === '--dport' && !not)?.values ?? []
  return /^\d+$/.test(port) ? Number(port) : null
}

const quoted = (word: string): string => (/[\s"]/.test(word) ? JSON.stringify(word) : word)

/** `-s`, lists of addresses, MACs, countries, hosts seen lately (port knocking); and every interface but one. */
function asksSource({ name, values, not }: IptablesOption): boolean {
  if (name === '-i') return not && values[0] !== 'lo'
  if (name === '--match-set') return /\bsrc\b/.test(values[1] ?? '')
  return /^(?:-s|--(?:src-range|mac-source|src-cc|source-country|ctorigsrc|rcheck|update))$/.test(name)
}

/** Options that say how, not which packets. */
const silent =
  /^--(?:comment|limit|limit-burst|hashlimit.*|connlimit.*|icmp.*|name|rsource|rdest|mask|reap|set)$/

/** Modules that ask without an option: for a socket that is there, for a header that no first packet has. */
const askingModules: Readonly<Record<string, Truth>> = {
  socket: 'maybe',
  eui64: 'maybe',
  hbh: 'no',
  dst: 'no',
  frag: 'no',
  rt: 'no',
  mh: 'no',
}

type Known = TablePlace & { readonly protocol: string | null }

/** What an option asks of a packet; null where it asks nothing. */
function compileOption(option: IptablesOption, known: Known): Match | null {
  if (silent.test(option.name)) return null
  const match = compilePlain(option, known)
  // Of what conntrack was told to leave alone it knows that, and nothing else.
  if (/^--ct(?!state$)/.test(option.name))
    return (packet) =>
      every([negate(isUntracked(packet)), option.not ? negate(match(packet)) : match(packet)])
  return option.not ? (packet) => negate(match(packet)) : match
}

// oxlint-disable-next-line max-lines-per-function -- a table: one case an option
function compilePlain({ name, values }: IptablesOption, { sets }: Known): Match {
  const [value = '', second = ''] = values
  switch (name) {
    case '-m':
      return () => askingModules[value] ?? 'yes'
    // Fragments are put together before.
    case '-f':
      return () => 'no'
    case '-p':
      return (packet) =>
        truthOf(['all', packet.protocol, packet.protocol === 'tcp' ? '6' : '17'].includes(value))
    case '-s':
      return prefixMatch(value, sourceIn)
    case '-d':
      return prefixMatch(value, destinationIn)
    case '-i':
      return (packet) => interfaceIs(packet.from, value)
    case '-o':
      return (packet) => interfaceIs(packet.to, value)
    case '--dport':
    case '--dports':
      return (packet) => portsHold(value, packet.port)
    case '--ports':
      return (packet) => portsHold(value, packet.port)
    case '--sport':
    case '--sports':
      return () => any(value.split(',').map((part) => ephemeral({ range: portRange(part) })))
    case '--ctstate':
    case '--state':
      return (packet) => any(value.split(',').map((one) => stateIs(one, packet)))
    case '--ctstatus':
      return (packet) => truthOf(value.split(',').includes('DNAT') && packet.rewritten)
    case '--ctorigsrc':
      return prefixMatch(value, sourceIn)
    case '--ctproto':
      return (packet) => truthOf([packet.protocol, packet.protocol === 'tcp' ? '6' : '17'].includes(value))
    case '--ctorigdstport':
      return (packet) => portsHold(value, packet.originalPort)
    case '--ctdir':
      return () => truthOf(value === 'ORIGINAL')
    case '--rt-type':
    case '--helper':
      return () => 'no'
    case '--syn':
      return () => 'yes'
    case '--tcp-flags':
      return () => truthOf((flagBits(value) & syn) === flagBits(second))
    case '--dst-type':
      return (packet) => truthOf(value.split(',').includes(packet.local ? 'LOCAL' : 'UNICAST'))
    case '--src-type':
      return () => truthOf(value.split(',').includes('UNICAST'))
    case '--pkt-type':
      return () => truthOf(value === 'unicast')
    case '--src-range':
      return rangeMatch(value, (one) => prefixMatch(one, sourceIn))
    case '--dst-range':
      return rangeMatch(value, (one) => prefixMatch(one, destinationIn))
    case '--match-set':
      return setMatch(sets.get(value), second)
    case '--mark':
      return (packet) => (packet.mark === null ? 'maybe' : truthOf(Number(value.split('/')[0]) === 0))
    // The `recent` match: hosts seen too often lately.
    case '--update':
    case '--rcheck':
      return () => 'no'
    case '--seconds':
    case '--hitcount':
    case '--rttl':
      return () => 'yes'
    default:
      return () => 'maybe'
  }
}

function stateIs(state: string, packet: Packet): Truth {
  if (state === 'UNTRACKED') return isUntracked(packet)
  if (state === 'NEW') return negate(isUntracked(packet))
  return truthOf(state === 'DNAT' && packet.rewritten)
}

function prefixMatch(text: string, inside: typeof sourceIn): Match {
  const prefixes = text
    .split(',')
    .map(readPrefix)
    .filter((prefix) => prefix !== null)
  if (prefixes.length === 0) return () => 'maybe'
  return (packet) => any(prefixes.map((prefix) => inside(packet, prefix)))
}

/** `10.0.0.0/8`; old rules may also say `10.0.0.0/255.0.0.0`. */
function readPrefix(text: string): Cidr | null {
  const [address = '', mask] = text.split('/')
  if (!mask?.includes('.')) return cidrOrNull(text)
  const bits = mask
    .split('.')
    .reduce((sum, part) => sum + (Number(part).toString(2).match(/1/g)?.length ?? 0), 0)
  return cidrOrNull(`${address}/${bits}`)
}

function rangeMatch(text: string, match: (prefixes: string) => Match): Match {
  const [first = '', last = first] = text.split('-')
  const prefixes = rangePrefixes(first, last)
  return prefixes ? match(prefixes.map(({ address, bits }) => `${address}/${bits}`).join(',')) : () => 'maybe'
}

function setMatch(members: readonly string[] | null | undefined, direction: string): Match {
  const inside = direction === 'src' ? sourceIn : direction === 'dst' ? destinationIn : null
  if (!inside) return () => 'maybe'
  if (!members) return () => (direction === 'src' ? 'some' : 'maybe')
  return members.length === 0 ? () => 'no' : prefixMatch(members.join(','), inside)
}

/** `80`, `8000:8100`, `:1024`, `22,80,8000:8100`. */
function portsHold(text: string, port: number): 'yes' | 'no' {
  return text.split(',').some((part) => {
    const [low, high] = portRange(part)
    return port >= low && port <= high
  })
    ? 'yes'
    : 'no'
}

function portRange(part: string): [number, number] {
  const [low = '', high = low] = part.split(':')
  return [Number(low || 0), Number(high || 65_535)]
}

const syn = 2
const flags = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG']

function flagBits(text: string): number {
  if (text === 'ALL') return 63
  return text.split(',').reduce((sum, name) => sum | (flags.includes(name) ? 1 << flags.indexOf(name) : 0), 0)
}

const continuing = new Set([
  'LOG',
  'NFLOG',
  'ULOG',
  'MARK',
  'CONNMARK',
  'TCPMSS',
  'SET',
  'CLASSIFY',
  'TRACE',
  'AUDIT',
  'DSCP',
  'TOS',
  'TTL',
  'HL',
  'CHECKSUM',
  'SECMARK',
  'CONNSECMARK',
  'TEE',
  'IDLETIMER',
  'RATEEST',
  'LED',
])

function actionOf(options: readonly IptablesOption[], { owner, family, table }: TablePlace): Action {
  const jump = options.find(isJump)
  const [target] = jump?.values ?? []
  if (!jump || target === undefined) return { do: 'continue' }
  const chain = chainKey(owner, family, table, target)
  if (jump.name === '-g') return { do: 'goto', chain }
  switch (target) {
    case 'ACCEPT':
      return { do: 'accept' }
    case 'DROP':
      return { do: 'drop' }
    case 'REJECT':
    case 'TARPIT':
      return { do: 'reject' }
    case 'RETURN':
      return { do: 'return' }
    case 'DNAT':
      return dnatOf(options.find(({ name }) => name === '--to-destination')?.values[0] ?? '')
    case 'REDIRECT':
      return redirectOf(options.find(({ name }) => name === '--to-ports')?.values[0])
    case 'NOTRACK':
      return { do: 'untrack' }
    case 'CT':
      return { do: options.some(({ name }) => name === '--notrack') ? 'untrack' : 'continue' }
    case 'NFQUEUE':
    case 'QUEUE':
    case 'TPROXY':
    case 'SYNPROXY':
      return { do: 'unknown' }
    default:
      return continuing.has(target) ? { do: 'continue' } : { do: 'jump', chain }
  }
}

/** `8080`; which of `8080-8090` it will be, nobody knows. */
function redirectOf(ports: string | undefined): Action {
  if (ports !== undefined && !/^\d+$/.test(ports)) return { do: 'unknown' }
  return { do: 'rewrite', address: null, port: ports === undefined ? null : Number(ports), here: true }
}

/** `172.17.0.2:80`, `[fd00::2]:80`, `172.17.0.2`, `:8080`; likewise unknown of a range. */
function dnatOf(text: string): Action {
  const [, bracketed, plain = '', port] =
    /^(?:\[([^\]]+)\]|([^:]*|[^:]*:[^:]*:.*?))(?::(\d+))?$/.exec(text) ?? []
  const address = canonicalAddress(bracketed ?? plain)
  if (address === null && (port === undefined || plain !== '')) return { do: 'unknown' }
  return { do: 'rewrite', address, port: port === undefined ? null : Number(port), here: false }
}

/** `ipset save`: the members of sets of plain addresses and prefixes. */
export function readIpSets(saved: string): Map<string, readonly string[] | null> {
  const sets = new Map<string, string[] | null>()
  for (const line of saved.split('\n')) {
    const [verb, name = '', third = ''] = line.split(' ')
    if (verb === 'create') sets.set(name, /^hash:(?:ip|net)$|^bitmap:ip$/.test(third) ? [] : null)
    else if (verb === 'add') sets.get(name)?.push(third)
  }
  return sets
}
