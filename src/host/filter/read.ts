/**
 * Reads every packet filter the kernel runs: nftables, iptables over nftables (whose own words are clearer than
 * nft's for them) and legacy iptables. Only reads; a tool that is not installed has nothing to show.
 */
import { NaruError, isNaruError } from '../../base/errors.ts'
import type { Runner, RunResult } from '../contract.ts'
import { readIpSets, readSaved, type IpSets, type SavedRules } from './iptables.ts'
import { nftObjects, nftWords, readNft } from './nft.ts'
import { asObject } from './nft-match.ts'
import type { Chain, PacketFilter } from './program.ts'

export interface ReadOptions {
  readonly runner: Runner
  readonly signal: AbortSignal
}

/** @throws NaruError NOT_PERMITTED without CAP_NET_ADMIN, COMMAND_FAILED */
export async function readFilter(options: ReadOptions): Promise<PacketFilter> {
  const [json, listing] = await Promise.all([
    read(options, ['nft', '-j', 'list', 'ruleset']),
    read(options, ['nft', '-t', '-a', 'list', 'ruleset']),
  ])
  const nft = readNft(json ?? '', nftWords(listing ?? ''))
  const [overNft, legacy] = await Promise.all([readOverNft(options, json ?? ''), readLegacy(options)])
  const saved = [...overNft, ...legacy.read]
  const chains = [
    ...nft.chains.filter((chain) => !isShown(chain, overNft)),
    ...saved.flatMap((one) => one.chains),
  ]
  return {
    chains: new Map(chains.map((chain) => [chain.key, chain])),
    marks: nft.marks || saved.some((one) => one.marks),
    unread: [...(json === null ? ['nftables'] : []), ...legacy.unread],
  }
}

type Saved = SavedRules & { readonly family: 'ip' | 'ip6' }

/** True for a table that iptables-nft keeps; the same one is not read twice. */
function isShown(chain: Chain, saved: readonly Saved[]): boolean {
  return saved.some(({ family, tables }) => family === chain.family && tables.includes(chain.table))
}

const xtTables = new Set(['filter', 'nat', 'mangle', 'raw', 'security'])

/** Tables over nftables whose names and built-in chains are those of iptables. */
async function readOverNft(options: ReadOptions, json: string): Promise<Saved[]> {
  const families = new Set<string>()
  for (const item of nftObjects(json)) {
    const { family, table, name, hook } = asObject(item.chain)
    if (typeof hook === 'string' && xtTables.has(String(table)) && name === String(name).toUpperCase())
      families.add(String(family))
  }
  const wanted = (['ip', 'ip6'] as const).filter((family) => families.has(family))
  const read = await Promise.all(wanted.map((family) => readSavedBy(options, 'nft', family)))
  return read.filter((one) => one !== null)
}

async function readLegacy(options: ReadOptions): Promise<{ read: Saved[]; unread: string[] }> {
  const used = await read(options, ['cat', '/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'], true)
  if (!used?.trim()) return { read: [], unread: [] }
  const families = ['ip', 'ip6'] as const
  const found = await Promise.all(families.map((family) => readSavedBy(options, 'legacy', family)))
  const unread = found.includes(null) ? ['iptables-legacy'] : []
  return { read: found.filter((one) => one !== null), unread }
}

async function readSavedBy(
  options: ReadOptions,
  kind: 'nft' | 'legacy',
  family: 'ip' | 'ip6',
): Promise<Saved | null> {
  const tool = family === 'ip' ? 'iptables' : 'ip6tables'
  const saved = (await read(options, [`${tool}-${kind}-save`])) ?? (await read(options, [`${tool}-save`]))
  if (saved === null) return null
  const sets: IpSets = saved.includes('--match-set')
    ? readIpSets((await read(options, ['ipset', 'save'], true)) ?? '')
    : new Map()
  return { ...readSaved(saved, `iptables-${kind}`, family, sets), family }
}

/** Standard output; null where the tool is not installed. */
async function read(
  options: ReadOptions,
  argv: readonly [string, ...string[]],
  lenient = false,
): Promise<string | null> {
  try {
    const result = await options.runner.run(argv, { signal: options.signal })
    if (result.exit === 0 || lenient) return result.stdout
    throw failed(argv, result)
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return null
    throw error
  }
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
