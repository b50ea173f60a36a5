/** `naru router`: what is there, what it maps, one mapping more or less by hand, and whether a typed-in row works. */
import { familyOf } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { NaruError } from '../base/errors.ts'
import { say, type Text } from '../base/text.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Recorder } from '../model/hop.ts'
import { mappingDescription, parseMappingTag } from '../model/mapping.ts'
import type {
  RouterAdd,
  RouterAdded,
  RouterCheck,
  RouterCheckWish,
  RouterDesk,
  RouterEntry,
  RouterView,
} from '../model/router.ts'
import { onUpperToo } from '../model/router-steps.ts'
import type { Rule } from '../model/rule.ts'
import type { Mapping, MappingKey, Router, RouterInfo } from '../routers/contract.ts'
import { field } from '../doctor/checks/contract.ts'
import type { Deps } from '../instance/deps.ts'
import { ManualLog, type ManualMapping } from './manual-log.ts'
import { check, externalOf, infoOf, type CheckDeps } from './check.ts'
import { aboveByHop, carrierGrade } from './outer-router.ts'
import type { RouterFinder } from './finder.ts'
import { publisherOf, type RouterPublisher } from './publisher.ts'

/** A rule that is open, and how its hops stand. */
interface OpenRule {
  readonly rule: Rule
  readonly hops: readonly HopStatus[]
}

export interface ManualMappingsDeps extends Pick<Deps, 'routers' | 'host' | 'clock' | 'log' | 'probe'> {
  /** The file that remembers what only its maker can remove; null remembers nothing. */
  readonly byHandPath?: string | null
  readonly onOpened?: CheckDeps['onOpened']
  /** Those whose mappings are told as theirs where the router keeps no words with one. @default none */
  readonly rules?: () => Promise<readonly OpenRule[]>
}

export function manualMappings(parts: ManualMappingsDeps): RouterDesk {
  const publisher = publisherOf(parts)
  const { finder } = publisher
  return {
    info: async ({ signal }) => {
      const seen = await views(await everyRouter(finder, signal), signal)
      return looksAbove(seen, parts.host, signal)
    },
    async list({ signal }) {
      await using memory = await handMemory(parts)
      const all = await entries(
        await everyRouter(finder, signal),
        (await memory?.list()) ?? [],
        parts.clock,
        signal,
      )
      const rules = await (parts.rules?.() ?? Promise.resolve([])).catch(() => [])
      return all.map((entry) => (entry.rule === null ? { ...entry, rule: ruleBehind(entry, rules) } : entry))
    },
    async add(wish, { signal }) {
      await using memory = await handMemory(parts)
      return await add(wish, await everyRouter(finder, signal), memory, signal)
    },
    async remove(key, { signal, force = false }) {
      await using memory = await handMemory(parts)
      const made = await removeHandMade(key, memory, publisher, signal)
      if (made.length === 0) return await remove(key, await everyRouter(finder, signal), signal, force)
      const pinholes = made.filter(({ internalAddress }) => familyOf(internalAddress) === 6)
      if (pinholes.length > 0) await removeOfThatName(key, pinholes, finder, signal)
    },
    check: async (wish, { signal }) => {
      const routers = await finder.find({ signal, all: true })
      const answer = await check(
        wish,
        routers,
        { ...parts, ...(await placeOf(routers, parts, signal)) },
        signal,
      )
      const seen = await looksAbove(await views(routers, signal), parts.host, signal)
      return withUpper(answer, wish, seen)
    },
  }
}

/** Null where nothing can be remembered: no file, or a folder that is not ours to write. */
async function handMemory({ byHandPath = null, clock }: ManualMappingsDeps): Promise<ManualLog | null> {
  return byHandPath === null ? null : ManualLog.open(byHandPath, clock).catch(() => null)
}

async function everyRouter(finder: RouterFinder, signal: AbortSignal): Promise<readonly Router[]> {
  const routers = await finder.find({ signal, all: true, fresh: true })
  if (routers.length > 0) return routers
  throw new NaruError('ROUTER_NOT_FOUND', { tried: finder.tried })
}

async function views(routers: readonly Router[], signal: AbortSignal): Promise<readonly RouterView[]> {
  const infos = await Promise.all(routers.map((router) => infoOf(router, signal)))
  const boxes = new Map<string, { router: Router; flavours: string[]; infos: RouterInfo[] }>()
  routers.forEach((router, at) => {
    const key = `${router.family} ${router.address}`
    const box = boxes.get(key) ?? { router, flavours: [], infos: [] }
    box.flavours.push(router.flavour)
    const info = infos[at]
    if (info) box.infos.push(info)
    boxes.set(key, box)
  })
  return [...boxes.values()].map(({ router, flavours, infos: told }) => viewOf(router, flavours, told))
}

/** Of a nearest router that tells nothing the next hop may tell. */
async function looksAbove(
  seen: readonly RouterView[],
  host: ManualMappingsDeps['host'],
  signal: AbortSignal,
): Promise<readonly RouterView[]> {
  const silent = ({ family, above, externalAddress }: RouterView): boolean =>
    family === 4 && above === 'unknown' && externalAddress === null
  if (!seen.some(silent)) return seen
  const found = await aboveByHop(host, signal)
  if (!found) return seen
  return seen.map((one) => (silent(one) ? { ...one, above: found.above, aboveText: found.text } : one))
}

/** One row is half of the way where another router is above. */
function withUpper(answer: RouterCheck, wish: RouterCheckWish, seen: readonly RouterView[]): RouterCheck {
  const upper = seen.find(({ family, above }) => family === 4 && above === 'nat')
  if (!upper) return answer
  const { steps, evidence } = answer
  const first = externalOf(wish)
  const externalPorts = { first, last: first + wish.ports.last - wish.ports.first }
  const note = onUpperToo({ externalPorts, protocols: wish.protocols })
  return {
    ...answer,
    evidence: [...evidence, upper.aboveText],
    steps: steps && { ...steps, notes: [...steps.notes, note] },
  }
}

/** Each protocol knows a part: UPnP the model, NAT-PMP the address, PCP the uptime. */
function viewOf(
  { address, family }: Router,
  protocols: readonly string[],
  infos: readonly RouterInfo[],
): RouterView {
  const first = <K extends keyof RouterInfo>(key: K): RouterInfo[K] | null =>
    infos.find((info) => info[key] !== null)?.[key] ?? null
  const above = infos.find((info) => info.above !== 'unknown')?.above ?? 'unknown'
  const externalAddress = first('externalAddress')
  return {
    address,
    family,
    protocols,
    model: first('model'),
    maker: first('maker'),
    page: first('presentationUrl'),
    externalAddress,
    uptimeSeconds: first('uptimeSeconds'),
    above,
    aboveText: family === 6 ? noNat6() : aboveText(above, externalAddress),
  }
}

function noNat6(): Text {
  return say('IPv6 has none: ports are opened as pinholes')
}

function aboveText(above: RouterView['above'], external: string | null): Text {
  switch (above) {
    case 'public':
      return say('its address is public')
    case 'carrier-grade-nat':
      return carrierGrade(external ?? '?')
    case 'nat':
      return say`its own address ${external ?? '?'} is private: another router is above it`
    case 'unknown':
      return say('it did not tell its outside address')
  }
}

async function entries(
  routers: readonly Router[],
  handMade: readonly ManualMapping[],
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly RouterEntry[]> {
  const lists = await Promise.all(
    routers.map(async (router) => ({ router, list: await router.mappings({ signal }).catch(() => null) })),
  )
  const known = lists.filter(({ list }) => list !== null)
  const listed = new Set(known.map(({ router: { address, family } }) => `${family} ${address}`))
  const remembered = handMade.filter(
    ({ router, internalAddress }) => !listed.has(`${familyOf(internalAddress)} ${router}`),
  )
  if (known.length === 0 && remembered.length === 0)
    throw new NaruError('ROUTER_NO_LIST', { router: routers[0]?.address ?? '?' })
  const rows = known.flatMap(({ router, list }) =>
    (list ?? []).toSorted(byPort).map(({ remoteHost: _remote, ours: _ours, ...entry }) => ({
      router: router.address,
      ...entry,
      rule: parseMappingTag(entry.description)?.rule ?? null,
      here: entry.internalAddress === router.clientAddress,
    })),
  )
  return [...rows, ...remembered.map((each) => rememberedEntry(each, clock.now()))]
}

/** PCP and NAT-PMP keep no words with a mapping: the rule that holds it knows. */
function ruleBehind(entry: RouterEntry, rules: readonly OpenRule[]): string | null {
  const holder = rules.find(({ rule: { listen }, hops }) => {
    const status = hops.find(({ hop, state }) => hop === 'router' && state !== 'broken' && state !== 'off')
    const first = field(status?.data, 'externalPort')
    if (typeof first !== 'number' || listen.kind !== 'inet' || !listen.protocols.includes(entry.protocol))
      return false
    const { ports } = listen
    return entry.internalPort <= ports.last && entry.externalPort - first === entry.internalPort - ports.first
  })
  return entry.here ? (holder?.rule.name ?? null) : null
}

function rememberedEntry({ name, until, ...made }: ManualMapping, now: number): RouterEntry {
  const { router, protocol, externalPort, internalAddress, internalPort } = made
  const leaseSecondsLeft = until === null ? null : Math.round((until - now) / 1000)
  return {
    router,
    protocol,
    externalPort,
    internalAddress,
    internalPort,
    description: mappingDescription(name),
    enabled: true,
    leaseSecondsLeft,
    rule: name,
    here: true,
  }
}

function byPort(one: Mapping, other: Mapping): number {
  return one.externalPort - other.externalPort || one.protocol.localeCompare(other.protocol)
}

/** UPnP first: what it opened everybody can see in its list, and close. */
async function add(
  wish: RouterAdd,
  routers: readonly Router[],
  memory: ManualLog | null,
  signal: AbortSignal,
): Promise<readonly RouterAdded[]> {
  const family = wish.internalAddress === null ? 4 : familyOf(wish.internalAddress)
  const near = routers.filter((router) => router.family === family)
  if (near.length === 0)
    throw new NaruError('ROUTER_NOT_FOUND', { tried: family === 6 ? 'IPv6: PCP, UPnP IGD' : 'IPv4' })
  const ordered = [
    ...near.filter(({ showsOthers }) => showsOthers),
    ...near.filter(({ showsOthers }) => !showsOthers),
  ]
  const added: RouterAdded[] = []
  for (const protocol of wish.protocols) added.push(await addOne(wish, protocol, ordered, memory, signal))
  return added
}

async function addOne(
  wish: RouterAdd,
  protocol: 'tcp' | 'udp',
  routers: readonly Router[],
  memory: ManualLog | null,
  signal: AbortSignal,
): Promise<RouterAdded> {
  let first: unknown = null
  for (const router of routers) {
    try {
      return await addOn(router, wish, protocol, memory, signal)
    } catch (failure) {
      signal.throwIfAborted()
      first ??= failure
    }
  }
  throw first
}

async function addOn(
  router: Router,
  wish: RouterAdd,
  protocol: 'tcp' | 'udp',
  memory: ManualLog | null,
  signal: AbortSignal,
): Promise<RouterAdded> {
  const { name, internalPort, internalAddress } = wish
  const asked = wish.externalPort === 'any' ? (wish.preferredPort ?? internalPort) : wish.externalPort
  // A pinhole opens the very port that is listened on.
  const externalPort = router.family === 6 ? internalPort : asked
  // PCP, NAT-PMP and pinholes know nothing permanent: a day is what most grant at most.
  const listed = router.showsOthers && router.family === 4
  const leaseSeconds = wish.leaseSeconds || (listed ? 0 : 86_400)
  const record = listed
    ? null
    : memory?.record({
        name,
        via: router.member,
        router: router.address,
        protocol,
        externalPort,
        internalAddress: internalAddress ?? router.clientAddress,
        internalPort,
        leaseSeconds,
      })
  const anyPort = wish.externalPort === 'any'
  const request = {
    rule: name,
    protocol,
    externalPort,
    anyPort,
    internalPort,
    internalAddress,
    leaseSeconds,
    allow: [],
  }
  const lease = await router.open(request, { signal, record: record ?? keepsNothing })
  await record?.granted(lease.externalPort, lease.goodUntil)
  const { text, differs } = lease.describe()
  const notes = [
    ...(listed || record ? [] : [goesByItself(router.flavour)]),
    ...(externalPort === asked ? [] : [noPortOfItsOwn(asked, internalPort)]),
  ]
  return {
    text,
    externalAddress: lease.externalAddress,
    externalPort: lease.externalPort,
    notes: [...differs, ...notes],
  }
}

function noPortOfItsOwn(asked: number, internalPort: number): Text {
  return say`over IPv6 there is no external port: ${internalPort} is open, not ${asked}`
}

function goesByItself(flavour: string): Text {
  return say`${flavour} mappings can be removed only by who remembers them, and nothing can be kept here: this one ends with its lease`
}

/** By hand there is nothing to undo: who asked wants it to stay. */
const keepsNothing: Recorder = {
  intend: () => Promise.resolve({ amend: () => Promise.resolve(), undone: () => Promise.resolve() }),
}

/** @returns what is remembered of that port, and is gone now. */
async function removeHandMade(
  { protocol, externalPort }: MappingKey,
  memory: ManualLog | null,
  publisher: RouterPublisher,
  signal: AbortSignal,
): Promise<readonly ManualMapping[]> {
  const made = ((await memory?.list()) ?? []).filter(
    (each) => each.protocol === protocol && each.externalPort === externalPort,
  )
  for (const each of made) {
    await publisher.undo({ via: each.via, effect: each.effect }, signal)
    await memory?.removed(each)
  }
  return made
}

/** The IPv4 port that was opened by the same name stands in the router's list; what a rule opened names its owner. */
async function removeOfThatName(
  key: MappingKey,
  pinholes: readonly ManualMapping[],
  finder: RouterFinder,
  signal: AbortSignal,
): Promise<void> {
  const names = new Set(pinholes.map(({ name }) => mappingDescription(name)))
  const routers = await finder.find({ signal, all: true, fresh: true })
  for (const router of routers.filter(({ showsOthers, family }) => showsOthers && family === 4)) {
    const found = await router.lookup(key, { signal }).catch(() => null)
    if (found !== null && found !== 'unknown' && names.has(found.description))
      await router.remove(key, { signal })
  }
}

async function remove(
  key: MappingKey,
  routers: readonly Router[],
  signal: AbortSignal,
  force: boolean,
): Promise<void> {
  const telling = routers.find(({ showsOthers, family }) => showsOthers && family === 4)
  await (telling ?? routers[0])?.remove(key, { signal, force })
}

/** Our address towards the router and its own; where none answers, those of the way to the internet. */
async function placeOf(
  routers: readonly Router[],
  { host }: Pick<Deps, 'host'>,
  signal: AbortSignal,
): Promise<{ own: string; router: string }> {
  const near = routers.find(({ family }) => family === 4)
  if (near) return { own: near.clientAddress, router: near.address }
  const routes = await host.network.defaultRoutes({ signal })
  const way = routes.find(({ family, source }) => family === 4 && source !== null)
  return { own: way?.source ?? '?', router: way?.gateway ?? '?' }
}
