/**
 * firewalld's zones: gates, to which it leads what comes in by an interface or from a source, and which others change as they
 * like (NetworkManager with its connections, `--change-interface`, `--set-default-zone`).
 */
import { masked, parseCidr, type Cidr } from '../../base/address.ts'
import { latestOf } from '../../base/latest.ts'
import { neverAborted } from '../../base/on-abort.ts'
import { shellWord } from '../../base/shell.ts'
import type { Runner } from '../../host/contract.ts'
import {
  failed,
  packetsOf,
  whileUnchanged,
  type Chain,
  type ChainFate,
  type PacketQuestion,
} from '../../host/simulate/index.ts'
import type { FirewallOptions } from '../contract.ts'
import type { Gate, Tools } from './hand.ts'

/** firewalld is Python behind D-Bus; a reload in between makes it wait. */
export const limitMs = 30_000

export interface Zone {
  readonly name: string
  /** What becomes of what nothing lets in: `default` refuses it, as `%%REJECT%%` and `DROP` do on purpose; `ACCEPT`. */
  readonly target: string
  readonly interfaces: readonly string[]
  readonly sources: readonly string[]
  readonly ports: readonly string[]
  readonly services: readonly string[]
  readonly rich: readonly string[]
}

export interface ZonesNow {
  readonly byName: ReadonlyMap<string, Zone>
  /** `ZONE RULE`, of every zone there is. */
  readonly rules: ReadonlySet<string>
}

/** Those who ask at once share one answer. */
export const zonesOfNow = (tools: Tools): Promise<ZonesNow> => readingZones(tools)
// firewalld answers nobody while it changes the filter.
const readingZones = whileUnchanged("the look at firewalld's zones", async (runner: Runner) => {
  const { stdout } = await ask(['--list-all-zones'], { runner, signal: neverAborted })
  const zones = zonesIn(stdout)
  return {
    byName: new Map(zones.map((zone) => [zone.name, zone])),
    rules: new Set(zones.flatMap(({ name, rich }) => rich.map((rule) => `${name} ${rule}`))),
  }
})

/** Likewise. */
const defaultZone = ({ runner, signal }: Tools): Promise<string> => askingZone(runner, signal)
const askingZone = latestOf("the look at firewalld's default zone", async (runner: Runner) =>
  (await run(['--get-default-zone'], { runner, signal: neverAborted })).trim(),
)

/** Likewise: `ZONE`, and below it what it holds. */
const activeZones = ({ runner, signal }: Tools): Promise<readonly Zone[]> => askingActive(runner, signal)
const askingActive = latestOf("the look at firewalld's active zones", async (runner: Runner) =>
  zonesIn(await run(['--get-active-zones'], { runner, signal: neverAborted })),
)

/** Zones that hold an interface or a source, and the default one. */
export async function readZones(tools: Tools): Promise<Zone[]> {
  const [active, fallback] = await Promise.all([activeZones(tools), defaultZone(tools)])
  const zones: Zone[] = []
  for (const name of new Set([...active.map((zone) => zone.name), fallback]))
    zones.push(parseZone(name, await run([`--zone=${name}`, '--list-all'], tools)))
  return zones
}

/** Zone by zone, what `--list-all-zones` and `--get-active-zones` print. */
export function zonesIn(listing: string): Zone[] {
  return listing.split(/^(?=\S)/m).flatMap((section) => {
    const [, zone] = /^(\S+)/.exec(section) ?? []
    return zone === undefined ? [] : [parseZone(zone, section)]
  })
}

export function parseZone(name: string, listing: string): Zone {
  const words = (key: string): string[] =>
    new RegExp(`^  ${key}: *(.*)$`, 'm').exec(listing)?.[1]?.split(' ').filter(Boolean) ?? []
  const rich = [...listing.matchAll(/^[ \t]+(rule .*)$/gm)].map(([, rule]) => rule ?? '')
  return {
    name,
    target: words('target')[0] ?? 'default',
    interfaces: words('interfaces'),
    sources: words('sources'),
    ports: words('ports'),
    services: words('services'),
    rich,
  }
}

/** Its own table, or the chains of an iptables that it fills. */
export const isFirewalldChain = ({ table, owner }: Chain): boolean => table === 'firewalld' || owner !== 'nft'

/** The zone that a chain is of, and its part of it. Null where it is of none: a policy's, or none of firewalld's. */
export function zoneOf(
  { name: chain }: Chain,
  known: ReadonlyMap<string, Zone>,
): { readonly name: string; readonly part: string | null } | null {
  const [, name = '', part = null] =
    /^(?:filter_)?IN_([\w-]+?)(?:_(pre|log|deny|allow|post))?$/.exec(chain) ?? []
  return known.has(name) ? { name, part } : null
}

export function zonesAmong(chains: Iterable<Chain>, known: ReadonlyMap<string, Zone>): string[] {
  const names = [...chains].flatMap((chain) => {
    const zone = isFirewalldChain(chain) ? zoneOf(chain, known) : null
    return zone?.part === null ? [zone.name] : []
  })
  return [...new Set(names)].sort()
}

/** @param fates of one packet, which went on past each drop */
export function gateOf(fates: readonly ChainFate[], known: ReadonlyMap<string, Zone>): Gate {
  const names = zonesAmong(
    fates.flatMap(({ entered }) => entered),
    known,
  )
  const isOnPurpose = names.some((name) => /^(?:DROP|%%REJECT%%)$/.test(known.get(name)?.target ?? ''))
  const isDenied = fates.some(({ fate, at }) => fate === 'drop' && !isEnd(at, names, known))
  return { name: names.join(' '), isShut: isOnPurpose || isDenied }
}

/** Where firewalld refuses what no zone named: at the end of the zone, or, up to 0.9, behind all of them. */
function isEnd(
  { chain, rule }: ChainFate['at'],
  names: readonly string[],
  known: ReadonlyMap<string, Zone>,
): boolean {
  const zone = zoneOf(chain, known)
  const isLast = rule === null || rule === chain.rules.at(-1)
  if (!isLast || !isFirewalldChain(chain)) return false
  return chain.base !== null || (zone?.part === null && names.includes(zone.name))
}

/** Words for `--zone=` of those that these packets come through; where nobody may ask now, words that ask when they are typed. */
export async function zoneWords(asked: PacketQuestion, options: FirewallOptions): Promise<readonly string[]> {
  const { packets } = await packetsOf(asked, options.host, options.signal)
  const tools = { runner: options.host.runner, signal: options.signal }
  const known = await Promise.all([activeZones(tools), defaultZone(tools)]).catch(() => null)
  const words = packets.map(({ from, source }) => {
    if (known === null) return zoneLater(from)
    const [active, fallback] = known
    const bySource = active.find(({ sources }) => sources.some((prefix) => source && holds(prefix, source)))
    const byInterface = active.find(({ interfaces }) => from !== null && interfaces.includes(from))
    return shellWord((bySource ?? byInterface)?.name ?? fallback)
  })
  return [...new Set(words)]
}

const zoneLater = (from: string | null): string =>
  from === null
    ? '"$(sudo firewall-cmd --get-default-zone)"'
    : `"$(sudo firewall-cmd --get-zone-of-interface=${shellWord(from)} || sudo firewall-cmd --get-default-zone)"`

/** A zone's source may be a hardware address or an `ipset:` as well, of which nothing is known here. */
function holds(written: string, source: Cidr): boolean {
  if (!/^[\da-f.:]+(?:\/\d+)?$/i.test(written) || /^(?:[\da-f]{2}:){5}[\da-f]{2}$/i.test(written))
    return false
  const prefix = parseCidr(written)
  return (
    prefix.family === source.family &&
    prefix.bits <= source.bits &&
    masked(source.address, prefix.bits).address === prefix.address
  )
}

export function ask(
  args: readonly string[],
  { runner, signal }: Tools,
): Promise<{ exit: number; stdout: string; stderr: string }> {
  return runner.run(['firewall-cmd', ...args], { signal, limitMs })
}

export async function run(args: readonly string[], tools: Tools): Promise<string> {
  const result = await ask(args, tools)
  if (result.exit !== 0) throw failed(['firewall-cmd', ...args], result)
  return result.stdout
}
