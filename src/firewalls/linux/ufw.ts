/**
 * ufw: rules are added and deleted by ufw itself, so that they are in its files and live through `ufw reload`. A
 * rule's comment carries the tag. An equal rule of someone else is never replaced: ours then names every client port
 * (`port 1:65535`), which means the same and is another rule to ufw.
 */
import { formatCidr, familyOf, type Family } from '../../base/address.ts'
import { isNaruError } from '../../base/errors.ts'
import { parsePortRange, type Protocol } from '../../base/port.ts'
import { say } from '../../base/text.ts'
import { failed, type Opening } from '../../host/simulate/index.ts'
import { parseTag } from '../../model/tag.ts'
import type { Json } from '../../model/hop.ts'
import type {
  MarkedEntry,
  FirewallAnswer,
  FirewallMember,
  FirewallOptions,
  FirewallStatus,
} from '../contract.ts'
import { onLinux } from './linux.ts'
import { defaultInput, unnamedPort } from './listing.ts'
import type { Hand, Tools, WantedOpening } from './hand.ts'
import { explain, look, openWith, undoWith } from './packet-filter.ts'
import {
  isSame,
  readUfwRules,
  ufwEntry,
  ufwPorts,
  ufwText,
  ufwWords,
  type UfwEntry,
  type UfwRule,
} from './ufw-rules.ts'

/** ufw starts Python and rewrites its chains; on a busy machine with many rules that takes a while. */
const limitMs = 30_000

interface PlacedEntry extends UfwEntry {
  /** Goes before this rule of its family, counted from 1; null is the end. */
  readonly before: number | null
}

const hand: Hand<PlacedEntry> = {
  member: 'ufw',
  plan: async (openings, wanted, tools) => plan(openings, wanted, await readUfwRules(tools)),
  // ufw takes one rule a call.
  most: 1,
  add: async (openings, tools) => {
    for (const { entries, tag } of openings)
      for (const entry of fromTheBottom(entries)) await add(entry, tag, tools)
  },
  remove: async (openings, tools) => {
    for (const { entries, tag } of openings) for (const entry of entries) await remove(entry, tag, tools)
  },
  held: async (entries, tag, _filter, tools) => {
    const ours = (await readUfwRules(tools)).filter(({ comment }) => comment === tag)
    return entries.every((entry) => ours.some((rule) => isSame(rule, entry)))
  },
  where: () => 'ufw',
  command: (request) =>
    entriesFor(request, null)
      .map((entry) => `sudo ufw ${ufwWords(entry).join(' ')} comment 'naru:${request.rule}'`)
      .join(' && '),
}

export const ufw: FirewallMember = {
  id: 'ufw',
  detect: (options) =>
    onLinux(options, async () => {
      if (!(await isEnabled(options))) return { ok: false, why: say('ufw is not enabled') }
      return { ok: true, why: say('ufw is enabled') }
    }),
  status,
  explain: explainByUfw,
  open: (request, options) => openWith(hand, request, options),
  byHand: (request, options) => hand.command(request, options),
  undo: (effect, options) => undoWith(hand, effect, options),
  async carried({ host, signal }) {
    const rules = await readUfwRules({ runner: host.runner, signal })
    return rules.filter(({ comment }) => parseTag(comment) !== null).map(carriedAs)
  },
}

function carriedAs(rule: UfwRule): MarkedEntry {
  const entry = ufwEntry(rule)
  return {
    tag: rule.comment,
    text: ufwText(rule),
    effect: { tag: rule.comment, entries: [entry as unknown as Json] },
    command: `sudo ufw ${[...routed(entry), 'delete', ...ufwWords(entry)].join(' ')}`,
  }
}

/** Its configuration says so; everybody may read that. */
async function isEnabled({ host, signal }: FirewallOptions): Promise<boolean> {
  try {
    const { exit, stdout } = await host.runner.run(['cat', '/etc/ufw/ufw.conf'], { signal })
    return exit === 0 && /^[ \t]*ENABLED=["']?yes/im.test(stdout)
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return false
    throw error
  }
}

/** Before the rule that blocks, where ufw has it; at the end otherwise. */
function plan(
  openings: readonly Opening[],
  { request, tag }: WantedOpening,
  rules: readonly UfwRule[],
): PlacedEntry[] {
  if (rules.some(({ comment }) => comment === tag)) return []
  const through = openings.flatMap(({ packets }) => packets.filter(({ rewritten }) => rewritten))
  const inward = openings.some(({ packets }) => packets.some(({ rewritten }) => !rewritten))
  return [...(inward ? inwardEntries(openings, request, rules) : []), ...throughEntries(through, request)]
    .map((entry) => apart(entry, rules))
    .map((entry) => ({ ...entry, before: entry.family === null ? null : positionOf(openings, rules, entry) }))
}

/** Two families apart only where one of them needs a position of its own. */
function inwardEntries(
  openings: readonly Opening[],
  request: WantedOpening['request'],
  rules: readonly UfwRule[],
): UfwEntry[] {
  const placed = ([4, 6] as const).some(
    (family) => positionOf(openings, rules, { route: false, family }) !== null,
  )
  const has6 = openings.some(({ packets }) => packets.some(({ family }) => family === 6))
  return entriesFor(request, placed ? (has6 ? [4, 6] : [4]) : null)
}

/** To the guests that packets are sent on to. A port that is not rewritten is opened with its whole range. */
function throughEntries(packets: Opening['packets'], { ports, allow }: WantedOpening['request']): UfwEntry[] {
  const entries = new Map<string, UfwEntry>()
  for (const { family, protocol, port, originalPort, destinations } of packets) {
    const sources = allow.filter((prefix) => prefix.family === family).map(formatCidr)
    for (const from of sources.length > 0 ? sources : [null]) {
      const to = destinations[0] ?? null
      const range = port === originalPort ? ports : { first: port, last: port }
      const entry = { route: true, family, protocol, ports: ufwPorts(range), from, to, sourcePorts: 'any' }
      entries.set(JSON.stringify(entry), entry)
    }
  }
  return [...entries.values()]
}

/** Which of ufw's rules is in the way, counted from 1 within its family. */
function positionOf(
  openings: readonly Opening[],
  rules: readonly UfwRule[],
  { route, family }: Pick<UfwEntry, 'route' | 'family'>,
): number | null {
  const chain = `ufw${family === 6 ? '6' : ''}-user-${route ? 'forward' : 'input'}`
  const blocking = openings.find(
    (opening) => opening.blocked && opening.chain.name === chain && opening.before,
  )
  if (!blocking?.before) return null
  let line = 0
  const own = rules.filter((rule) => rule.family === family)
  const counted = own.map((rule) => (rule.action.startsWith('route:') === route ? rule.lines : 0))
  const index = counted.findIndex((lines) => (line += lines) >= (blocking.before?.handle ?? 0))
  return index === -1 ? null : index + 1
}

function entriesFor(request: WantedOpening['request'], families: readonly Family[] | null): UfwEntry[] {
  const { protocols, ports, address, allow } = request
  const sources = allow.map((prefix) => ({ family: prefix.family, from: formatCidr(prefix) }))
  const every = families ?? (address === null ? [null] : [familyOf(address)])
  const wanted = allow.length > 0 ? sources : every.map((family) => ({ family, from: null }))
  return protocols.flatMap((protocol: Protocol) =>
    wanted
      .filter(({ family }) => address === null || family === familyOf(address))
      .map((source) => ({
        ...source,
        route: false,
        protocol,
        ports: ufwPorts(ports),
        to: address,
        sourcePorts: 'any',
      })),
  )
}

/** The same opening in words that no rule there has. */
function apart(entry: UfwEntry, rules: readonly UfwRule[]): UfwEntry {
  let own = entry
  for (let first = 1; first < 1024 && rules.some((rule) => isSame(rule, own)); first++)
    own = { ...entry, sourcePorts: `${first}:65535` }
  return own
}

/** Positions stay true when the last goes first. */
function fromTheBottom(entries: readonly PlacedEntry[]): PlacedEntry[] {
  return entries.toSorted(
    (a, b) => (b.family ?? 0) - (a.family ?? 0) || (b.before ?? Infinity) - (a.before ?? Infinity),
  )
}

async function add(entry: PlacedEntry, tag: string, tools: Tools): Promise<void> {
  const where = entry.before === null ? [] : ['insert', String(await numberOf(entry, tools))]
  await run(['ufw', ...routed(entry), ...where, ...ufwWords(entry), 'comment', tag], tools)
}

/** `insert` counts IPv6 rules after all IPv4 rules. */
async function numberOf({ family, before }: PlacedEntry, tools: Tools): Promise<number> {
  const offset = family === 6 ? (await readUfwRules(tools)).filter((rule) => rule.family === 4).length : 0
  return offset + (before ?? 1)
}

/** Only while it still carries the tag: who changed its comment took it over. */
async function remove(entry: UfwEntry, tag: string, tools: Tools): Promise<void> {
  const rules = await readUfwRules(tools)
  if (!rules.some((rule) => rule.comment === tag && isSame(rule, entry))) return
  await run(['ufw', '--force', ...routed(entry), 'delete', ...ufwWords(entry)], tools)
}

const routed = ({ route }: UfwEntry): string[] => (route ? ['route'] : [])

async function run(argv: readonly [string, ...string[]], { runner, signal }: Tools): Promise<void> {
  const result = await runner.run(argv, { signal, limitMs })
  if (result.exit !== 0) throw failed(argv, { ...result, stderr: result.stderr || result.stdout })
}

/** The rule as ufw knows it, where it is one of ufw's list. */
async function explainByUfw(
  question: Parameters<FirewallMember['explain']>[0],
  options: FirewallOptions,
): Promise<FirewallAnswer> {
  const answer = await explain(question, options)
  const [, six, line] = /^ip(6?)tables\S* -A ufw6?-user-input (.*)$/.exec(answer.by) ?? []
  if (line === undefined) return answer
  const rules = await readUfwRules({ runner: options.host.runner, signal: options.signal })
  const rule = await ruleOfLine(line, six === '6' ? 6 : 4, rules, options)
  return rule ? { ...answer, by: ufwText(rule) } : answer
}

async function ruleOfLine(
  line: string,
  family: Family,
  rules: readonly UfwRule[],
  options: FirewallOptions,
): Promise<UfwRule | null> {
  const ports = { first: unnamedPort, last: unnamedPort }
  const [filter] = await look({ protocols: ['tcp'], ports, address: null, sources: [] }, options)
  const name = family === 4 ? 'ufw-user-input' : 'ufw6-user-input'
  const chain = [...filter.chains.values()].find((one) => one.name === name)
  const handle = chain?.rules.find(({ text }) => text.endsWith(line))?.handle
  let lines = 0
  const own = rules.filter((rule) => rule.family === family)
  return handle === undefined ? null : (own.find((rule) => (lines += rule.lines) >= handle) ?? null)
}

async function status(options: FirewallOptions): Promise<FirewallStatus> {
  const ports = { first: unnamedPort, last: unnamedPort }
  const [rules, [filter, packets], { ok }] = await Promise.all([
    readUfwRules({ runner: options.host.runner, signal: options.signal }),
    look({ protocols: ['tcp'], ports, address: null, sources: [] }, options),
    ufw.detect(options),
  ])
  const open = rules.filter(
    ({ action, direction }) => /^(allow|limit)/.test(action) && direction.startsWith('in'),
  )
  return {
    member: 'ufw',
    active: ok,
    defaultInput: defaultInput(filter, packets),
    open: open.flatMap(openPorts),
  }
}

function openPorts(rule: UfwRule): FirewallStatus['open'][number][] {
  const protocol = rule.protocol === 'tcp' || rule.protocol === 'udp' ? rule.protocol : 'any'
  const from = /^(0\.0\.0\.0|::)\/0$/.test(rule.from) ? null : rule.from
  const entry = { protocol, from, ours: parseTag(rule.comment)?.rule ?? null, text: ufwText(rule) } as const
  if (rule.ports === 'any') return [{ ...entry, ports: null }]
  return rule.ports.split(',').map((one) => ({ ...entry, ports: parsePortRange(one.replace(':', '-')) }))
}
