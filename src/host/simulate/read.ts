/**
 * Reads every packet filter the kernel runs: nftables, iptables over nftables (whose own words are clearer than
 * nft's for them) and legacy iptables. Only reads; a tool that is not installed has nothing to show.
 */
import { neverAborted } from '../../base/on-abort.ts'
import { NaruError, isNaruError } from '../../base/errors.ts'
import { say } from '../../base/text.ts'
import { askNft } from '../../linux/nft.ts'
import type { Runner, RunResult } from '../contract.ts'
import { readIpSets, readSaved, type IpSets, type SavedRules } from './iptables.ts'
import { readListing, readNft, type NftObjects } from './nft-ruleset.ts'
import { asObject } from './nft-match.ts'
import type { Chain, PacketFilter } from './program.ts'
import { whileUnchanged, type ReadOptions } from './while-unchanged.ts'

export type { ReadOptions } from './while-unchanged.ts'

/**
 * As it is after this was asked: hundreds of rules that ask at once share one reading of it, and a filter that nobody
 * changed is not read twice.
 * @throws NaruError NOT_PERMITTED without CAP_NET_ADMIN, COMMAND_FAILED
 */
export const readFilter = async (options: ReadOptions): Promise<PacketFilter> =>
  (await reading(options)).filter

const reading = whileUnchanged(
  'the look at the packet filter',
  (runner: Runner) => readAnew({ runner, signal: neverAborted }),
  ({ hasIpSets }) => !hasIpSets,
)

interface Reading {
  readonly filter: PacketFilter
  /** ipset(8) changes them without a word. */
  readonly hasIpSets: boolean
}

async function readAnew(options: ReadOptions): Promise<Reading> {
  const [ruleset, listing] = await Promise.all([
    readRuleset(options),
    read(options, ['nft', '-t', '-a', 'list', 'ruleset']),
  ])
  const items = ruleset === 'cut' ? null : ruleset
  const nft = readNft(items ?? [], readListing(listing ?? ''))
  const [overNft, legacy] = await Promise.all([readOverNft(options, items), readLegacy(options)])
  const saved = [...overNft, ...legacy.read]
  const chains = [
    ...nft.chains.filter((chain) => !isShown(chain, overNft)),
    ...saved.flatMap((one) => one.chains),
  ]
  const isUnread = ruleset === 'cut' || (ruleset === null && saved.length === 0)
  const filter = {
    chains: new Map(chains.map((chain) => [chain.key, chain])),
    marks: nft.marks || saved.some((one) => one.marks),
    unread: [...(isUnread ? ['nftables'] : []), ...legacy.unread],
  }
  return { filter, hasIpSets: saved.some((one) => one.hasIpSets) }
}

/** Null where there is no nft. */
async function readRuleset(options: ReadOptions): Promise<NftObjects | 'cut' | null> {
  const args = ['list', 'ruleset']
  const answer = await orMissing(askNft(args, options))
  if (answer === null) return null
  if (answer.exit !== 0) throw unreadable(failed(['nft', '-j', ...args], answer))
  return answer.objects ?? 'cut'
}

type Saved = SavedRules & { readonly family: 'ip' | 'ip6'; readonly hasIpSets: boolean }

/** True for a table that iptables-nft keeps; the same one is not read twice. */
function isShown(chain: Chain, saved: readonly Saved[]): boolean {
  return saved.some(({ family, tables }) => family === chain.family && tables.includes(chain.table))
}

const xtTables = new Set(['filter', 'nat', 'mangle', 'raw', 'security'])

/** Tables over nftables whose names and built-in chains are those of iptables. Without nft, whatever there is. */
async function readOverNft(options: ReadOptions, items: NftObjects | null): Promise<Saved[]> {
  const families = items === null ? new Set(['ip', 'ip6']) : familiesOverNft(items)
  const wanted = (['ip', 'ip6'] as const).filter((family) => families.has(family))
  const read = await Promise.all(wanted.map((family) => readSavedBy(options, 'nft', family)))
  return read.filter((one) => one !== null)
}

function familiesOverNft(items: NftObjects): Set<string> {
  const families = new Set<string>()
  for (const item of items) {
    const { family, table, name, hook } = asObject(item.chain)
    if (typeof hook === 'string' && xtTables.has(String(table)) && name === String(name).toUpperCase())
      families.add(String(family))
  }
  return families
}

async function readLegacy(options: ReadOptions): Promise<{ read: Saved[]; unread: string[] }> {
  if (!(await legacyTables(options))) return { read: [], unread: [] }
  const families = ['ip', 'ip6'] as const
  const found = await Promise.all(families.map((family) => readSavedBy(options, 'legacy', family)))
  const unread = found.includes(null) ? ['iptables-legacy'] : []
  return { read: found.filter((one) => one !== null), unread }
}

/** Whether iptables-legacy has tables here; they may be empty. */
export async function legacyTables(options: ReadOptions): Promise<boolean> {
  // One that is not there is told on the other output.
  const used = await read(options, ['cat', '/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'], true)
  return Boolean(used?.trim())
}

/** What `iptables-save` of that kind prints; null where there is no such tool. */
export async function savedBy(
  options: ReadOptions,
  kind: 'nft' | 'legacy',
  family: 'ip' | 'ip6',
): Promise<string | null> {
  const tool = family === 'ip' ? 'iptables' : 'ip6tables'
  return (await read(options, [`${tool}-${kind}-save`])) ?? (await readPlain(options, `${tool}-save`, kind))
}

async function readSavedBy(
  options: ReadOptions,
  kind: 'nft' | 'legacy',
  family: 'ip' | 'ip6',
): Promise<Saved | null> {
  const saved = await savedBy(options, kind, family)
  if (saved === null) return null
  const hasIpSets = saved.includes('--match-set')
  const sets: IpSets = hasIpSets
    ? readIpSets((await read(options, ['ipset', 'save'], true)) ?? '')
    : new Map()
  return { ...readSaved(saved, `iptables-${kind}`, family, sets), family, hasIpSets }
}

/** Old systems have one iptables without a second name; its first line tells which of the two it is. */
async function readPlain(options: ReadOptions, tool: string, kind: 'nft' | 'legacy'): Promise<string | null> {
  const saved = await read(options, [tool])
  if (saved === null) return null
  const overNft = /^# Generated by .*(?:nf_tables|xtables-save)/m.test(saved)
  return overNft === (kind === 'nft') ? saved : null
}

/** Standard output; null where the tool is not installed. */
async function read(
  options: ReadOptions,
  argv: readonly [string, ...string[]],
  lenient = false,
): Promise<string | null> {
  const result = await orMissing(options.runner.run(argv, { signal: options.signal }))
  if (result === null || result.exit === 0 || lenient) return result?.stdout ?? null
  throw unreadable(failed(argv, result))
}

/** Null where the tool is not installed. */
async function orMissing<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return null
    throw error
  }
}

/** Which of the tools was refused first is of no interest. */
function unreadable(error: NaruError): NaruError {
  if (!isNaruError(error, 'NOT_PERMITTED')) return error
  const what = say('read the packet filters')
  return new NaruError('NOT_PERMITTED', { what, command: 'sudo nft list ruleset' }, { cause: error })
}

/** The error a tool's answer stands for: no permission, or whatever it said. */
export function failed(argv: readonly string[], { exit, stderr }: RunResult): NaruError {
  const command = argv.join(' ')
  if (
    /operation not permitted|permission denied|you must be root|need to be root|not authori[sz]ed|authori[sz]ation failed/i.test(
      stderr,
    )
  )
    return new NaruError('NOT_PERMITTED', { what: command, command: `sudo ${command}` })
  return new NaruError('COMMAND_FAILED', { command, exit, stderr: stderr.trim() })
}
