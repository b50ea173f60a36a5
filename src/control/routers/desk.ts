/** `naru router`: what is there, what it maps, one mapping more or less by hand, and whether a typed-in row works. */
import { familyOf } from '../../base/address.ts'
import { withLimit, type Clock } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import { say, type Text } from '../../base/text.ts'
import type { Recorder } from '../../model/hop.ts'
import { mappingDescription, parseMappingTag } from '../../model/mapping.ts'
import type {
  RouterAdd,
  RouterAdded,
  RouterCheck,
  RouterCheckWish,
  RouterDesk,
  RouterEntry,
  RouterView,
} from '../../model/router.ts'
import { makerOf, routerSteps, type RouterSteps } from '../../model/router-steps.ts'
import type { Mapping, MappingKey, Router, RouterInfo } from '../../routers/contract.ts'
import type { Parts } from '../parts.ts'
import { ByHand, type HandMade } from './by-hand.ts'
import { carrierGrade } from './outer.ts'
import type { RouterFinder } from './finder.ts'
import { publisherOf, type RouterPublisher } from './publisher.ts'

export interface DeskDeps extends Pick<Parts, 'routers' | 'host' | 'clock' | 'log' | 'probe'> {
  /** The file that remembers what only its maker can remove; null remembers nothing. */
  readonly byHandPath?: string | null
  /** Calls back with the client of each connection that the rule opens; without it nothing arrives. */
  readonly onOpened?: (rule: string, told: (client: string) => void) => Disposable
}

export function routerDesk(parts: DeskDeps): RouterDesk {
  const publisher = publisherOf(parts)
  const { finder } = publisher
  return {
    info: async ({ signal }) => views(await everyRouter(finder, signal), signal),
    async list({ signal }) {
      await using memory = await handMemory(parts)
      return await entries(
        await everyRouter(finder, signal),
        (await memory?.list()) ?? [],
        parts.clock,
        signal,
      )
    },
    async add(wish, { signal }) {
      await using memory = await handMemory(parts)
      return await add(wish, await everyRouter(finder, signal), memory, signal)
    },
    async remove(key, { signal, force = false }) {
      await using memory = await handMemory(parts)
      if (await removeHandMade(key, memory, publisher, signal)) return
      await remove(key, await everyRouter(finder, signal), signal, force)
    },
    check: async (wish, { signal }) => {
      const routers = await finder.find({ signal, all: true })
      return check(wish, routers, { ...parts, own: await ownAddress(routers, parts, signal) }, signal)
    },
  }
}

/** Null where nothing can be remembered: no file, or a folder that is not ours to write. */
async function handMemory({ byHandPath = null, clock }: DeskDeps): Promise<ByHand | null> {
  return byHandPath === null ? null : ByHand.open(byHandPath, clock).catch(() => null)
}

async function everyRouter(finder: RouterFinder, signal: AbortSignal): Promise<readonly Router[]> {
  const routers = await finder.find({ signal, all: true, fresh: true })
  if (routers.length > 0) return routers
  throw new NaruError('ROUTER_NOT_FOUND', { tried: 'PCP, UPnP IGD, NAT-PMP' })
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
    aboveText: aboveText(above, externalAddress),
  }
}

function aboveText(above: RouterView['above'], external: string | null): Text {
  switch (above) {
    case 'public':
      return say('its address is public', '공인 주소를 가지고 있습니다')
    case 'carrier-grade-nat':
      return carrierGrade(external ?? '?')
    case 'nat':
      return say(
        `its own address ${external ?? '?'} is private: another router is above it`,
        `외부 주소 ${external ?? '?'}이(가) 사설 주소입니다: 위에 공유기가 하나 더 있습니다`,
      )
    case 'unknown':
      return say('it did not tell its outside address', '외부 주소를 알려 주지 않았습니다')
  }
}

async function entries(
  routers: readonly Router[],
  handMade: readonly HandMade[],
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
    throw new NaruError('ROUTER_REFUSED', {
      router: routers[0]?.address ?? '?',
      port: '*',
      why: say('none of its protocols has a list (UPnP does)', '목록을 보여 주는 프로토콜(UPnP)이 없습니다'),
    })
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

function rememberedEntry({ name, until, ...made }: HandMade, now: number): RouterEntry {
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
  memory: ByHand | null,
  signal: AbortSignal,
): Promise<readonly RouterAdded[]> {
  const family = wish.internalAddress === null ? 4 : familyOf(wish.internalAddress)
  const near = routers.filter((router) => router.family === family)
  if (near.length === 0)
    throw new NaruError('ROUTER_NOT_FOUND', { tried: family === 6 ? 'IPv6: PCP, UPnP IGD' : 'IPv4' })
  const ordered = [
    ...near.filter(({ member }) => member === 'upnp'),
    ...near.filter(({ member }) => member !== 'upnp'),
  ]
  const added: RouterAdded[] = []
  for (const protocol of wish.protocols) added.push(await addOne(wish, protocol, ordered, memory, signal))
  return added
}

async function addOne(
  wish: RouterAdd,
  protocol: 'tcp' | 'udp',
  routers: readonly Router[],
  memory: ByHand | null,
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
  memory: ByHand | null,
  signal: AbortSignal,
): Promise<RouterAdded> {
  const { name, internalPort, internalAddress } = wish
  const externalPort = wish.externalPort === 'any' ? internalPort : wish.externalPort
  // PCP, NAT-PMP and pinholes know nothing permanent: a day is what most grant at most.
  const listed = router.flavour.startsWith('upnp-') && router.family === 4
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
  const notes = listed || record ? [] : [goesByItself(router.flavour)]
  return {
    text,
    externalAddress: lease.externalAddress,
    externalPort: lease.externalPort,
    notes: [...differs, ...notes],
  }
}

function goesByItself(flavour: string): Text {
  return say(
    `${flavour} mappings can be removed only by who remembers them, and nothing can be kept here: this one ends with its lease`,
    `${flavour} 매핑은 만든 쪽이 기억해야 지울 수 있는데 여기에는 기록할 수 없습니다. 임대 시간이 끝나면 사라집니다`,
  )
}

/** By hand there is nothing to undo: who asked wants it to stay. */
const keepsNothing: Recorder = {
  intend: () => Promise.resolve({ amend: () => Promise.resolve(), undone: () => Promise.resolve() }),
}

/** @returns false where nothing of that port is remembered. */
async function removeHandMade(
  { protocol, externalPort }: MappingKey,
  memory: ByHand | null,
  publisher: RouterPublisher,
  signal: AbortSignal,
): Promise<boolean> {
  const made = ((await memory?.list()) ?? []).filter(
    (each) => each.protocol === protocol && each.externalPort === externalPort,
  )
  for (const each of made) {
    await publisher.undo({ via: each.via, effect: each.effect }, signal)
    await memory?.removed(each)
  }
  return made.length > 0
}

async function remove(
  key: MappingKey,
  routers: readonly Router[],
  signal: AbortSignal,
  force: boolean,
): Promise<void> {
  const upnp = routers.find(({ member, family }) => member === 'upnp' && family === 4)
  await (upnp ?? routers[0])?.remove(key, { signal, force })
}

interface CheckDeps extends DeskDeps {
  /** Our address towards the router. */
  readonly own: string
}

async function check(
  wish: RouterCheckWish,
  routers: readonly Router[],
  deps: CheckDeps,
  signal: AbortSignal,
): Promise<RouterCheck> {
  const nearest = routers.filter(({ family }) => family === 4)
  const infos = await Promise.all(nearest.map((router) => infoOf(router, signal)))
  const evidence: Text[] = []
  const listed = await readBack(wish, nearest, deps.own, signal)
  if (listed) evidence.push(listed.text)
  const through = await tryThrough(wish, infos, deps, signal)
  if (through) evidence.push(through.text)
  const open = listed?.open === true || through?.proves === true
  const wrong = !open && listed?.open === false && listed.decisive
  if (!open && !wrong) evidence.push(notProven())
  const state = open ? 'open' : wrong ? 'wrong' : 'unknown'
  return { state, evidence, steps: open ? null : stepsFor(wish, nearest, infos, deps.own) }
}

/** A row typed in by hand is in UPnP's list on many routers, and on many not: absent decides nothing. */
async function readBack(
  wish: RouterCheckWish,
  routers: readonly Router[],
  own: string,
  signal: AbortSignal,
): Promise<{ open: boolean; decisive: boolean; text: Text } | null> {
  const key = { protocol: wish.protocols[0] ?? 'tcp', externalPort: externalOf(wish) }
  for (const router of routers) {
    const found = await router.lookup(key, { signal }).catch(() => 'unknown' as const)
    if (found === 'unknown') continue
    if (found === null)
      return {
        open: false,
        decisive: false,
        text: say(
          `${router.flavour} does not list port ${key.externalPort}`,
          `${router.flavour} 목록에 ${key.externalPort} 포트가 없습니다`,
        ),
      }
    const open = found.internalAddress === own && found.internalPort === wish.ports.first && found.enabled
    const where = `${found.internalAddress}:${found.internalPort}`
    return {
      open,
      decisive: true,
      text: say(
        `the router's list: ${key.externalPort} → ${where}${open ? '' : `, not ${own}:${wish.ports.first}`}`,
        `공유기 목록: ${key.externalPort} → ${where}${open ? '' : ` (${own}:${wish.ports.first}이(가) 아님)`}`,
      ),
    }
  }
  return null
}

/** From inside by the outside address: where the router turns it around, a connection that arrives proves the row. */
async function tryThrough(
  wish: RouterCheckWish,
  infos: readonly (RouterInfo | null)[],
  deps: CheckDeps,
  signal: AbortSignal,
): Promise<{ proves: boolean; text: Text } | null> {
  const outside = infos.find((info) => info?.externalAddress)?.externalAddress
  if (!outside || !wish.protocols.includes('tcp')) return null
  const port = externalOf(wish)
  // Turned around, it comes from the router or from ourselves; of other clients at the same moment it says nothing.
  const turned = [deps.own, outside, ...infos.flatMap((info) => (info ? [info.address] : []))]
  const { answered, came } = await knock({ host: outside, port }, wish.name, turned, deps, signal)
  if (came)
    return {
      proves: true,
      text: say(
        `a connection to ${outside}:${port} arrived here`,
        `${outside}:${port}(으)로 보낸 연결이 이 컴퓨터에 도착했습니다`,
      ),
    }
  return answered
    ? {
        proves: false,
        text: say(
          `${outside}:${port} answers, but from inside that may be the router's own page`,
          `${outside}:${port}이(가) 응답하지만, 내부에서 본 것이라 공유기 자체 페이지일 수 있습니다`,
        ),
      }
    : null
}

/** Knocks a few times, since who tells of arrivals may only be listening since now. */
async function knock(
  outside: { host: string; port: number },
  rule: string,
  turned: readonly string[],
  { probe, onOpened, clock }: CheckDeps,
  signal: AbortSignal,
): Promise<{ answered: boolean; came: boolean }> {
  let [answered, came] = [false, false]
  using _told = onOpened?.(rule, (client) => {
    came ||= turned.includes(splitEndpoint(client))
  })
  for (let times = 0; times < (onOpened ? 4 : 1) && !came; times++) {
    answered = await probe(outside, { signal: withLimit(signal, 2000) }).then(
      () => true,
      () => false,
    )
    if (!answered) break
    for (let waited = 0; waited < 6 && !came && onOpened; waited++) await clock.sleep(100, signal)
  }
  return { answered, came }
}

/** `192.168.1.7:50123` without its port. */
function splitEndpoint(client: string): string {
  return client.slice(0, client.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

function notProven(): Text {
  return say(
    'nothing here can prove it: try from a phone that is off the Wi-Fi, or with `naru doctor`',
    '여기서는 확인할 수 없습니다. Wi-Fi를 끈 휴대폰이나 `naru doctor`로 확인하세요',
  )
}

function stepsFor(
  wish: RouterCheckWish,
  routers: readonly Router[],
  infos: readonly (RouterInfo | null)[],
  own: string,
): RouterSteps {
  const known = infos.find((info) => info?.model || info?.maker)
  const maker = makerOf({ maker: known?.maker ?? null, model: known?.model ?? null })
  const first = externalOf(wish)
  const row = {
    name: wish.name,
    protocols: wish.protocols,
    externalPorts: { first, last: first + wish.ports.last - wish.ports.first },
    internalPorts: wish.ports,
    internalAddress: own,
    allow: wish.allow,
  }
  return routerSteps(maker, row, routers[0]?.address ?? 'router', known?.presentationUrl ?? null)
}

function externalOf({ externalPort, ports }: RouterCheckWish): number {
  return typeof externalPort === 'number' ? externalPort : ports.first
}

/** Our address towards the router, or where none answers towards the internet. */
async function ownAddress(
  routers: readonly Router[],
  { host }: Pick<Parts, 'host'>,
  signal: AbortSignal,
): Promise<string> {
  const near = routers.find(({ family }) => family === 4)
  if (near) return near.clientAddress
  const routes = await host.network.defaultRoutes({ signal })
  return routes.find(({ family, source }) => family === 4 && source !== null)?.source ?? '?'
}

function infoOf(router: Router, signal: AbortSignal): Promise<RouterInfo | null> {
  return router.info({ signal }).catch(() => null)
}
