/**
 * The hand for chains that nobody but the administrator keeps: accept rules composed for each chain's own tool, put
 * before the rule that would drop, and found again by their tag. All that is asked
 * for at once is one transaction of nft, or one of each iptables, whose commands go from the bottom up, so that positions
 * stay true.
 */
import { NaruError, isNaruError } from '../../base/errors.ts'
import { formatCidr, type Cidr, type Family } from '../../base/address.ts'
import { formatPortRange, type PortRange, type Protocol } from '../../base/port.ts'
import {
  failed,
  placeText,
  readFilter,
  ruleWords,
  type Chain,
  type FilterRule,
  type Opening,
  type PacketFilter,
} from '../../host/simulate/index.ts'
import type { RunResult } from '../../host/contract.ts'
import { shellWord } from '../../base/shell.ts'
import { parseTag } from '../../model/tag.ts'
import type { MarkedEntry, FirewallRequest } from '../contract.ts'
import type { Hand, Placed, Tools } from './hand.ts'
import { portsText } from './packet-filter.ts'

/** Ten thousand openings take a second or two; more is a stuck machine. */
const limitMs = 60_000

/** One rule of ours, with all that is needed to take it away. */
type Entry = NftEntry | XtEntry

interface NftEntry {
  readonly by: 'nft'
  readonly family: string
  readonly table: string
  readonly chain: string
  /** Handle of the rule it goes before; null is the end. */
  readonly before: number | null
  readonly spec: string
}

interface XtEntry {
  readonly by: 'iptables-nft' | 'iptables-legacy'
  readonly family: 'ip' | 'ip6'
  readonly table: string
  readonly chain: string
  /** Position it takes; null is the end. */
  readonly before: number | null
  readonly spec: readonly string[]
}

/** nftables and iptables alike: each chain is changed by the tool that keeps it. */
export function chainHand(member: string): Hand<Entry> {
  return {
    member,
    plan: async (openings, { request, tag }) => {
      refuseForeign(openings, request)
      return entriesFor(openings, request, tag)
    },
    most: 10_000,
    add: (openings, tools) =>
      addEntries(
        openings.flatMap(({ entries }) => entries),
        tools,
      ),
    remove: async (openings, tools) => removeEntries(openings, await readFilter(tools), tools),
    held: async (entries, tag, filter) => rulesOf(filter, tag).length >= ruleCount(entries),
    where: (entries) => [...new Set(entries.map(placeOf))].join(', '),
    command: (request) => guessedCommand(member, request),
  }
}

const placeOf = ({ by, family, table, chain }: Entry): string =>
  `${by === 'nft' ? '' : `${by} `}${family} ${table} ${chain}`

/** Tables that a program keeps to itself and writes anew as it likes. */
const keepers: Readonly<Record<string, string>> = {
  firewalld: 'firewalld',
  'docker-bridges': 'Docker',
  libvirt_network: 'libvirt',
  'kube-proxy': 'Kubernetes',
}

function refuseForeign(openings: readonly Opening[], request: FirewallRequest): void {
  for (const { chain, before, blocked } of openings) {
    const owner = chain.owner === 'nft' ? keepers[chain.table] : undefined
    if (!blocked || owner === undefined) continue
    const by = placeText({ chain, rule: before })
    throw new NaruError('FIREWALL_FOREIGN', { ports: portsText(request), by, owner })
  }
}

/** Chains cannot be read without rights either: what it would be on a plain installation. */
function guessedCommand(member: string, { rule, ports, protocols }: FirewallRequest): string {
  const commands = protocols.map((protocol) =>
    member === 'nftables'
      ? `sudo nft 'insert rule inet filter input ${protocol} dport ${formatPortRange(ports)} accept comment "naru:${rule}"'`
      : `sudo iptables -I INPUT -p ${protocol} --dport ${xtPorts(ports)} -m comment --comment naru:${rule} -j ACCEPT`,
  )
  return commands.join(' && ')
}

function entriesFor(openings: readonly Opening[], request: FirewallRequest, tag: string): Entry[] {
  return openings.flatMap((opening) =>
    kindsOf(opening, request.address !== null).map((kind) => entryFor(opening, kind, request, tag)),
  )
}

/** What an accept has to name: one protocol, one family (null is both), and whether the packet is on its way through. */
interface Kind {
  readonly protocol: Protocol
  readonly family: Family | null
  readonly through: boolean
}

function kindsOf({ chain, packets }: Opening, oneAddress: boolean): Kind[] {
  const kinds = new Map<string, Kind>()
  for (const { protocol, rewritten, family, source } of packets) {
    const both =
      chain.family === 'inet' && source === null && !oneAddress && serves(packets, 4) && serves(packets, 6)
    const kind = { protocol, family: both ? null : family, through: rewritten }
    kinds.set(JSON.stringify(kind), kind)
  }
  return [...kinds.values()]
}

const serves = (packets: Opening['packets'], wanted: Family): boolean =>
  packets.some(({ family }) => family === wanted)

function entryFor({ chain, before }: Opening, kind: Kind, request: FirewallRequest, tag: string): Entry {
  const place = { table: chain.table, chain: chain.name, before: before?.handle ?? null }
  if (chain.owner === 'nft')
    return { by: 'nft', family: chain.family, ...place, spec: nftSpec(chain, kind, request, tag) }
  const family = chain.family === 'ip6' ? 'ip6' : 'ip'
  return { by: chain.owner, family, ...place, spec: xtSpec(kind, request, tag) }
}

/** `ip saddr { 10.0.0.0/8, 192.168.1.5 } tcp dport 8000-8100 accept comment "naru:…"`. */
function nftSpec(
  chain: Chain,
  { protocol, family, through }: Kind,
  request: FirewallRequest,
  tag: string,
): string {
  const layer = family === 6 ? 'ip6' : 'ip'
  const from = sourcesOf(request, family)
  const words: string[] = []
  if (family !== null && chain.family === 'inet') words.push(`meta nfproto ipv${family}`)
  if (from.length > 0) words.push(`${layer} saddr { ${from.join(', ')} }`)
  if (request.address !== null && !through) words.push(`${layer} daddr ${request.address}`)
  const ports = formatPortRange(request.ports)
  words.push(
    through
      ? `meta l4proto ${protocol} ct status dnat ct original proto-dst ${ports}`
      : `${protocol} dport ${ports}`,
  )
  return `${words.join(' ')} accept comment "${tag}"`
}

function xtSpec({ protocol, family, through }: Kind, request: FirewallRequest, tag: string): string[] {
  const from = sourcesOf(request, family)
  const ports = xtPorts(request.ports)
  return [
    ...(from.length > 0 ? ['-s', from.join(',')] : []),
    ...(request.address !== null && !through ? ['-d', request.address] : []),
    '-p', protocol,
    ...(through ? ['-m', 'conntrack', '--ctstate', 'DNAT', '--ctorigdstport', ports] : ['-m', protocol, '--dport', ports]),
    '-m', 'comment', '--comment', tag,
    '-j', 'ACCEPT',
  ] // prettier-ignore
}

const xtPorts = ({ first, last }: PortRange): string => (first === last ? String(first) : `${first}:${last}`)

function sourcesOf({ allow }: FirewallRequest, family: Family | null): string[] {
  return allow.filter((prefix: Cidr) => prefix.family === family).map(formatCidr)
}

/** @throws NaruError NOT_PERMITTED, COMMAND_FAILED; what was added before it is for the caller to take away. */
async function addEntries(entries: readonly Entry[], tools: Tools): Promise<void> {
  const nft = entries.filter((entry) => entry.by === 'nft')
  if (nft.length > 0) await nftScript(nft.map(addLine), tools)
  const xt = entries
    .filter((entry) => entry.by !== 'nft')
    .toSorted((a, b) => (b.before ?? Infinity) - (a.before ?? Infinity))
  for (const change of changesOf(xt, toolFor, (entry) => entry.table, addWords)) await restore(change, tools)
}

function addLine({ family, table, chain, before, spec }: NftEntry): string {
  const place = `rule ${family} ${table} ${chain}`
  return before === null ? `add ${place} ${spec}` : `insert ${place} position ${before} ${spec}`
}

const addWords = ({ before, chain, spec }: XtEntry): string[] =>
  before === null ? ['-A', chain, ...spec] : ['-I', chain, String(before), ...spec]

const toolFor = ({ by, family }: Pick<XtEntry, 'by' | 'family'>): string =>
  `${family === 'ip6' ? 'ip6tables' : 'iptables'}-${by === 'iptables-legacy' ? 'legacy' : 'nft'}`

/** One transaction of iptables: one tool, a list for each of its tables, each command as words. */
interface XtChange {
  readonly tool: string
  readonly tables: Map<string, (readonly string[])[]>
}

function changesOf<T>(
  things: readonly T[],
  toolOf: (thing: T) => string,
  tableOf: (thing: T) => string,
  wordsOf: (thing: T) => readonly string[],
): XtChange[] {
  const changes = new Map<string, XtChange>()
  for (const thing of things) {
    const tool = toolOf(thing)
    const change = changes.get(tool) ?? { tool, tables: new Map<string, (readonly string[])[]>() }
    changes.set(tool, change)
    const commands = change.tables.get(tableOf(thing))
    if (commands) commands.push(wordsOf(thing))
    else change.tables.set(tableOf(thing), [wordsOf(thing)])
  }
  return [...changes.values()]
}

/** `--noflush` changes what is named and nothing else. @throws NaruError NOT_PERMITTED, COMMAND_FAILED */
async function restore({ tool, tables }: XtChange, tools: Tools): Promise<void> {
  const input = [...tables]
    .map(([table, commands]) => `*${table}\n${commands.map(xtLine).join('\n')}\nCOMMIT\n`)
    .join('')
  const argv = [`${tool}-restore`, '-w', '5', '--noflush'] as const
  const result = await runXt(argv, tools, input)
  if (result.exit !== 0) throw failed(argv, result)
}

const xtLine = (words: readonly string[]): string =>
  words.map((word) => (/[\s"]/.test(word) ? JSON.stringify(word) : word)).join(' ')

/**
 * Takes away what carries the tags, wherever it is now and however often: a list that is restored without a flush has it
 * twice. What is gone is gone.
 */
async function removeEntries(
  openings: readonly Placed<Entry>[],
  filter: PacketFilter,
  tools: Tools,
): Promise<void> {
  const ours = openings.flatMap(({ tag }) => rulesOf(filter, tag))
  const nft = ours.filter(({ chain }) => chain.owner === 'nft')
  if (nft.length > 0)
    await nftScript(
      nft.map(
        ({ chain, rule }) => `delete rule ${chain.family} ${chain.table} ${chain.name} handle ${rule.handle}`,
      ),
      tools,
    )
  await removeXt(
    ours.filter(({ chain }) => chain.owner !== 'nft'),
    { alone: openings.length === 1, tools },
  )
  // What could not be read is taken away by what was written down.
  if (filter.unread.length === 0) return
  for (const { entries } of openings)
    for (const entry of entries)
      if (entry.by !== 'nft') for (const one of deleteCommands(entry)) await removeOneXt(one, tools)
}

/** In the order of their list, so that each is found near its beginning. */
async function removeXt(
  ours: readonly Ours[],
  { alone, tools }: { alone: boolean; tools: Tools },
): Promise<void> {
  const ordered = ours.toSorted((a, b) => a.rule.handle - b.rule.handle)
  const changes = changesOf(ordered, toolOfChain, ({ chain }) => chain.table, deleteWords)
  try {
    for (const change of changes) await restore(change, tools)
  } catch (error) {
    // It does not say which one is gone already.
    if (!alone || !isNaruError(error, 'COMMAND_FAILED')) throw error
    for (const { chain, rule } of ordered) await removeOneXt(deleteCommand({ chain, rule }), tools)
  }
}

/** Every opening of a Naru in chains of that kind, whichever one's. */
export function carriedIn(filter: PacketFilter, kept: (chain: Chain) => boolean): MarkedEntry[] {
  const ours = [...commented(filter)].flatMap(([comment, rules]) => (parseTag(comment) ? rules : []))
  return ours.filter(({ chain }) => kept(chain)).map(carriedBy)
}

function carriedBy({ chain, rule }: Ours): MarkedEntry {
  const words =
    chain.owner === 'nft'
      ? ['nft', 'delete', 'rule', chain.family, chain.table, chain.name, 'handle', String(rule.handle)]
      : deleteCommand({ chain, rule })
  return {
    tag: rule.comment,
    text: placeText({ chain, rule }),
    effect: { tag: rule.comment, entries: [] },
    command: ['sudo', ...words].map((word) => shellWord(word)).join(' '),
  }
}

/** By the words that the tool itself prints. One command takes one copy. */
function deleteWords({ chain, rule }: Ours): string[] {
  const [, , ...spec] = ruleWords(rule.text)
  return ['-D', chain.name, ...spec]
}

function deleteCommand(ours: Ours): [string, ...string[]] {
  return [toolOfChain(ours), '-w', '5', '-t', ours.chain.table, ...deleteWords(ours)]
}

function toolOfChain({ chain }: Ours): string {
  const by = chain.owner === 'iptables-legacy' ? 'iptables-legacy' : 'iptables-nft'
  return toolFor({ by, family: chain.family === 'ip6' ? 'ip6' : 'ip' })
}

/** Old systems have one iptables, without a second name for each of its kinds. */
async function runXt(
  [tool, ...args]: readonly [string, ...string[]],
  { runner, signal }: Tools,
  input?: string,
): Promise<RunResult> {
  const how = { signal, limitMs, ...(input === undefined ? {} : { input }) }
  try {
    return await runner.run([tool, ...args], how)
  } catch (error) {
    if (!isNaruError(error, 'COMMAND_MISSING')) throw error
    return runner.run([tool.replace(/-(?:nft|legacy)(?=-|$)/, ''), ...args], how)
  }
}

/** With several sources one command made several rules. */
function deleteCommands({ chain, spec, ...entry }: XtEntry): [string, ...string[]][] {
  return singleSources(spec).map((one) => [toolFor(entry), '-w', '5', '-t', entry.table, '-D', chain, ...one])
}

async function removeOneXt(argv: [string, ...string[]], tools: Tools): Promise<void> {
  const result = await runXt(argv, tools)
  const gone = /does a matching rule exist|No chain\/target\/match|can't initialize|does not exist/i
  if (result.exit !== 0 && !gone.test(result.stderr)) throw failed(argv, result)
}

function singleSources(spec: readonly string[]): string[][] {
  const [option, sources = '', ...rest] = spec
  return option === '-s' ? sources.split(',').map((source) => ['-s', source, ...rest]) : [[...spec]]
}

interface Ours {
  readonly chain: Chain
  readonly rule: FilterRule
}

/** The rules with that comment. */
const rulesOf = (filter: PacketFilter, comment: string): readonly Ours[] =>
  commented(filter).get(comment) ?? []

/** By comment; made once for each reading, as thousands ask it. */
function commented(filter: PacketFilter): ReadonlyMap<string, readonly Ours[]> {
  const known = comments.get(filter)
  if (known) return known
  const found = new Map<string, Ours[]>()
  for (const chain of filter.chains.values())
    for (const rule of chain.rules) {
      if (rule.comment === null) continue
      const there = found.get(rule.comment)
      if (there) there.push({ chain, rule })
      else found.set(rule.comment, [{ chain, rule }])
    }
  comments.set(filter, found)
  return found
}

const comments = new WeakMap<PacketFilter, ReadonlyMap<string, readonly Ours[]>>()

/** How many rules an entry becomes in the kernel. */
const ruleCount = (entries: readonly Entry[]): number =>
  entries.reduce((sum, entry) => sum + (entry.by === 'nft' ? 1 : singleSources(entry.spec).length), 0)

async function nftScript(lines: readonly string[], tools: Tools): Promise<void> {
  await run(['nft', '-f', '-'], tools, `${lines.join('\n')}\n`)
}

async function run(
  argv: readonly [string, ...string[]],
  { runner, signal }: Tools,
  input?: string,
): Promise<void> {
  const result = await runner.run(argv, { signal, limitMs, ...(input === undefined ? {} : { input }) })
  if (result.exit !== 0) throw failed(argv, result)
}
