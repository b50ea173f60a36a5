/**
 * firewalld: one rich rule of the running configuration for each family and source, in the zone that a packet really
 * meets. Rich rules have no comment, but a priority: ours is drawn from a band of its own, which keeps equal openings
 * of two leases apart. It stands after the zone's own denials, or before them where such a denial is in the way.
 * Nothing is made permanent, so a reload takes it away and the next renewal brings it back.
 */
import { randomInt } from 'node:crypto'
import { formatCidr, familyOf, type Cidr, type Family } from '../../base/address.ts'
import { formatPortRange, parsePortRange, type Protocol } from '../../base/port.ts'
import { shellWord } from '../../base/shell.ts'
import { say } from '../../base/text.ts'
import { isNaruError } from '../../base/errors.ts'
import { failed, walk, type Opening } from '../../host/simulate/index.ts'
import type { FirewallMember, FirewallOptions, FirewallStatus } from '../contract.ts'
import { onLinux } from './linux.ts'
import { defaultInput, unnamedPort } from './listing.ts'
import type { Hand, Placed, Tools, WantedOpening } from './hand.ts'
import {
  ask,
  gateOf,
  isFirewalldChain,
  limitMs,
  readZones,
  run,
  zoneOf,
  zoneWords,
  zonesAmong,
  zonesIn,
  zonesOfNow,
  type Zone,
} from './firewalld-zones.ts'
import { askedBy, explain, look, openWith, undoWith } from './packet-filter.ts'

/** Priorities of ours: `band` to `band + bandSize`; negative where a denial is to be preceded. */
const [band, bandSize] = [21_000, 9_000] as const

interface RichRule {
  readonly zone: string
  readonly rule: string
  readonly priority: number
}

/** Names of the rules whose leases this process holds, by priority: firewalld itself cannot keep them. */
const names = new Map<number, string>()

const hand: Hand<RichRule> = {
  member: 'firewalld',
  plan: async (openings, wanted, tools) => plan(openings, wanted, (await zonesOfNow(tools)).byName),
  most: 50,
  async add(openings, tools) {
    for (const { entries, rule } of openings) for (const { priority } of entries) names.set(priority, rule)
    for (const [zone, rules] of byZone(openings))
      await change(
        zone,
        rules.map((rule) => `--add-rich-rule=${rule}`),
        tools,
      )
  },
  async remove(openings, tools) {
    for (const [zone, rules] of byZone(openings))
      await change(
        zone,
        rules.map((rule) => `--remove-rich-rule=${rule}`),
        tools,
      ).catch(forgiveAbsence)
    for (const { entries } of openings) for (const { priority } of entries) names.delete(priority)
  },
  async held(entries, _tag, _filter, tools) {
    const { rules } = await zonesOfNow(tools)
    return entries.every(({ zone, rule }) => rules.has(`${zone} ${rule}`))
  },
  async gates(filter, { packets, wayOut }, tools) {
    const { byName } = await zonesOfNow(tools)
    return packets.map((packet) => gateOf(walk(filter, packet, { wayOut, pressOn: true }).chains, byName))
  },
  where: (entries) => `firewalld (${[...new Set(entries.map(({ zone }) => zone))].join(', ')})`,
  async command(request, options) {
    const rules = rulesFor(request, null)
    const zones = await zoneWords(askedBy(request), options)
    return zones
      .flatMap((zone) => rules.map((rule) => `sudo firewall-cmd --zone=${zone} --add-rich-rule='${rule}'`))
      .join(' && ')
  },
}

export const firewalld: FirewallMember = {
  id: 'firewalld',
  detect: (options) =>
    onLinux(options, async () => {
      if (await isRunning(options)) return { ok: true, why: say('firewalld is running') }
      return { ok: false, why: say('firewalld is not running') }
    }),
  status,
  explain,
  open: (request, options) => openWith(hand, request, options),
  byHand: (request, options) => hand.command(request, options),
  undo: async (effect, options) => {
    // Its running configuration went with it.
    if (await isRunning(options)) await undoWith(hand, effect, options)
  },
  // By itself nothing of ours is permanent; `--runtime-to-permanent` makes it so, for good.
  async carried(options) {
    if (!(await isRunning(options))) return []
    const tools = { runner: options.host.runner, signal: options.signal }
    const listing = await run(['--permanent', '--list-all-zones'], tools)
    return permanentOurs(listing).map(({ zone, rule }) => {
      const words = `--zone=${zone} --remove-rich-rule=${shellWord(rule)}`
      return {
        tag: null,
        text: `--permanent --zone=${zone} --add-rich-rule=${shellWord(rule)}`,
        effect: null,
        command: `sudo firewall-cmd --permanent ${words} && sudo firewall-cmd ${words}`,
      }
    })
  },
}

/** Rules with a priority of ours, zone by zone, in what `--list-all-zones` prints. */
export function permanentOurs(listing: string): { zone: string; rule: string }[] {
  return zonesIn(listing).flatMap(({ name, rich }) =>
    rich.filter(isOurs).map((rule) => ({ zone: name, rule })),
  )
}

function isOurs(rich: string): boolean {
  const priority = Math.abs(priorityOf(rich))
  return priority >= band && priority < band + bandSize
}

const priorityOf = (rich: string): number => Number(/priority="(-?\d+)"/.exec(rich)?.[1] ?? 0)

async function isRunning(options: FirewallOptions): Promise<boolean> {
  const { host, signal } = options
  try {
    if (await hasNoProcess(options)) return false
    return (await host.runner.run(['firewall-cmd', '--state'], { signal, limitMs })).exit === 0
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING')) return false
    throw error
  }
}

/** Its own command is Python, and needs half a second to say no. Who may not see every process cannot tell. */
async function hasNoProcess({ host, signal }: FirewallOptions): Promise<boolean> {
  const { privileged, tools } = await host.facts()
  if (!privileged || !tools['firewall-cmd']) return false
  const found = await host.runner.run(['pgrep', '-f', 'firewalld'], { signal, limitMs }).catch(() => null)
  return found?.exit === 1
}

/** One opening for each zone that a packet meets; before its denials where one of them decides. */
function plan(
  openings: readonly Opening[],
  { request }: WantedOpening,
  known: ReadonlyMap<string, Zone>,
): RichRule[] {
  const zones = new Map<string, boolean>()
  for (const { chain, blocked, entered } of openings) {
    if (!isFirewalldChain(chain)) continue
    const own = zoneOf(chain, known)
    const ahead = blocked && (own?.part === 'deny' || own?.part === 'pre')
    // Up to firewalld 0.9 what no zone lets in is refused behind all of them.
    const behind = blocked && chain.base?.hook === 'input' ? zonesAmong(entered, known) : []
    for (const name of own ? [own.name] : behind) zones.set(name, zones.get(name) === true || ahead)
  }
  return [...zones].flatMap(([zone, ahead]) =>
    rulesFor(request, ahead).map((rule) => ({
      zone,
      rule,
      priority: priorityOf(rule),
    })),
  )
}

/** @param ahead before the zone's denials, or after them; null leaves the priority out. */
function rulesFor(
  { protocols, ports, address, allow }: WantedOpening['request'],
  ahead: boolean | null,
): string[] {
  const sources: (Cidr | null)[] = allow.length > 0 ? [...allow] : [null]
  const wanted = sources.filter(
    (source) => !source || address === null || source.family === familyOf(address),
  )
  return protocols.flatMap((protocol) =>
    wanted.map((source) => {
      const family = source?.family ?? (address === null ? null : familyOf(address))
      const priority = ahead === null ? null : randomInt(band, band + bandSize) * (ahead ? -1 : 1)
      return richRule({ family, source, address, ports: formatPortRange(ports), protocol, priority })
    }),
  )
}

interface RichParts {
  readonly family: Family | null
  readonly source: Cidr | null
  readonly address: string | null
  readonly ports: string
  readonly protocol: Protocol
  readonly priority: number | null
}

/** As firewalld itself writes it back (firewalld.richlanguage(5)). */
function richRule({ family, source, address, ports, protocol, priority }: RichParts): string {
  return [
    'rule',
    priority === null ? '' : `priority="${priority}"`,
    family === null ? '' : `family="ipv${family}"`,
    source === null ? '' : `source address="${formatCidr(source)}"`,
    address === null ? '' : `destination address="${address}"`,
    `port port="${ports}" protocol="${protocol}" accept`,
  ]
    .filter(Boolean)
    .join(' ')
}

function byZone(openings: readonly Placed<RichRule>[]): Map<string, string[]> {
  const zones = new Map<string, string[]>()
  for (const { zone, rule } of openings.flatMap(({ entries }) => entries))
    zones.set(zone, [...(zones.get(zone) ?? []), rule])
  return zones
}

/** Of several options firewall-cmd only warns that one could not be, and goes on with the next. */
async function change(zone: string, options: readonly string[], tools: Tools): Promise<void> {
  const argv = [`--zone=${zone}`, ...options]
  const result = await ask(argv, tools)
  const refused = result.stderr
    .split('\n')
    .filter((line) => line.startsWith('Warning: ') && !/ALREADY_ENABLED|NOT_ENABLED/.test(line))
  if (result.exit !== 0) throw failed(['firewall-cmd', ...argv], result)
  if (refused.length > 0) throw failed(['firewall-cmd', ...argv], { ...result, stderr: refused.join('\n') })
}

/** A zone that is gone took its rules with it. */
function forgiveAbsence(error: unknown): void {
  const gone = isNaruError(error, 'COMMAND_FAILED') && /NOT_ENABLED|INVALID_ZONE/.test(error.message)
  if (!gone) throw error
}

async function status(options: FirewallOptions): Promise<FirewallStatus> {
  const tools = { runner: options.host.runner, signal: options.signal }
  const ports = { first: unnamedPort, last: unnamedPort }
  const [active, zones, [filter, packets]] = await Promise.all([
    isRunning(options),
    readZones(tools),
    look({ protocols: ['tcp'], ports, address: null, sources: [] }, options),
  ])
  const open = zones.flatMap(openIn)
  return { member: 'firewalld', active, defaultInput: defaultInput(filter, packets), open }
}

function openIn({ name, ports, services, rich }: Zone): FirewallStatus['open'][number][] {
  return [
    ...ports.map((text) => portEntry(text, `--zone=${name} --add-port=${text}`)),
    ...services.map((text) => ({
      protocol: 'any' as const,
      ports: null,
      from: null,
      ours: null,
      text: `--zone=${name} --add-service=${text}`,
    })),
    ...rich.filter((text) => text.endsWith(' accept')).map((text) => richEntry(name, text)),
  ]
}

function portEntry(text: string, shown: string): FirewallStatus['open'][number] {
  const [range = '', protocol] = text.split('/')
  const known = protocol === 'tcp' || protocol === 'udp' ? protocol : 'any'
  return { protocol: known, ports: parsePortRange(range), from: null, ours: null, text: shown }
}

function richEntry(zone: string, text: string): FirewallStatus['open'][number] {
  const [, range, protocol] = /port port="([\d-]+)" protocol="(\w+)"/.exec(text) ?? []
  return {
    protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : 'any',
    ports: range === undefined ? null : parsePortRange(range),
    from: /source address="([^"]+)"/.exec(text)?.[1] ?? null,
    ours: isOurs(text) ? (names.get(priorityOf(text)) ?? '?') : null,
    text: `--zone=${zone} --add-rich-rule='${text}'`,
  }
}
