/**
 * Does a row that was typed in by hand work? The router's list where it has one, and a knock by the outside address
 * that comes back; where neither tells, the rows to type once more, in that maker's words.
 */
import { withLimit } from '../base/clock.ts'
import { Semaphore } from '../base/semaphore.ts'
import type { Protocol } from '../base/port.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import type { RouterCheck, RouterCheckWish } from '../model/router.ts'
import { makerOf, routerSteps, type RouterSteps } from '../model/router-steps.ts'
import type { Mapping, Router, RouterInfo } from '../routers/contract.ts'
import type { Deps } from '../instance/deps.ts'

export interface CheckDeps extends Pick<Deps, 'clock' | 'probe'> {
  /** Calls back with the client of each connection that the rule opens; without it nothing arrives. */
  readonly onOpened?: (rule: string, told: (client: string) => void) => Disposable
  /** Our address towards the router, and the router's. */
  readonly own: string
  readonly router: string
}

export async function check(
  wish: RouterCheckWish,
  routers: readonly Router[],
  deps: CheckDeps,
  signal: AbortSignal,
): Promise<RouterCheck> {
  const nearest = routers.filter(({ family }) => family === 4)
  const infos = await Promise.all(nearest.map((router) => infoOf(router, signal)))
  const ports = portsOf(wish)
  // A router with a list answers for all at once; another is not asked for a hundred at the same moment.
  const gate = new Semaphore(nearest.every(({ looksAtAll }) => looksAtAll) ? ports.length : 4, 'a mapping')
  const limited = withLimit(signal, readBackLimitMs)
  const listed = await Promise.all(
    ports.map((port) => gate.through(() => readBack(port, nearest, deps.own, limited), signal)),
  )
  const left = ports.filter((_, at) => listed[at]?.open !== true)
  const through = await tryThrough(wish.name, left, infos, deps, signal)
  const open = left.every((port) => through.proven.has(port))
  const wrong = ports.some(
    (port, at) => listed[at]?.decisive && left.includes(port) && !through.proven.has(port),
  )
  const state = open ? 'open' : wrong ? 'wrong' : 'unknown'
  const evidence = [
    ...few(listed.flatMap((one) => (one ? [one.text] : []))),
    ...through.texts,
    ...(open && left.length > 0 ? [typedByHand(wish.name)] : []),
    ...(state === 'unknown' ? [notProven()] : []),
  ]
  return { state, evidence, steps: open ? null : stepsFor(wish, infos, deps) }
}

const readBackLimitMs = 6000

interface OnePort {
  readonly protocol: Protocol
  readonly external: number
  readonly internal: number
}

/** As many as a rule may have on a router; the publisher refuses more. */
const mostPorts = 64

function portsOf(wish: RouterCheckWish): readonly OnePort[] {
  const first = externalOf(wish)
  const count = Math.min(wish.ports.last - wish.ports.first + 1, mostPorts)
  return wish.protocols.flatMap((protocol) =>
    Array.from({ length: count }, (_, at) => ({
      protocol,
      external: first + at,
      internal: wish.ports.first + at,
    })),
  )
}

/** A row typed in by hand is in UPnP's list on many routers, and on many not: absent decides nothing. */
async function readBack(
  { protocol, external, internal }: OnePort,
  routers: readonly Router[],
  own: string,
  signal: AbortSignal,
): Promise<{ open: boolean; decisive: boolean; text: Text } | null> {
  const key = { protocol, externalPort: external }
  const port = `${external}/${protocol}`
  for (const router of routers) {
    const found = await router.lookup(key, { signal }).catch(() => 'unknown' as const)
    if (found === 'unknown') continue
    if (found === null)
      return {
        open: false,
        decisive: false,
        text: say`${router.flavour} does not list port ${port}`,
      }
    const open = found.internalAddress === own && found.internalPort === internal && found.enabled
    // Some read every row back with port 0 (miniupnpd 2.3.0 on nftables).
    const decisive = found.internalPort !== 0 || found.internalAddress !== own
    return { open, decisive, text: rowText(port, found, open ? null : `${own}:${internal}`) }
  }
  return null
}

function rowText(port: string, found: Mapping, wanted: string | null): Text {
  const off = found.enabled ? verbatim('') : say(' (off)')
  const where = `${found.internalAddress}:${found.internalPort}`
  const not = wanted === null || wanted === where ? verbatim('') : say`, not ${wanted}`
  return say`the router's list: ${port} → ${where}${off}${not}`
}

const mostTexts = 6

function few(texts: readonly Text[]): readonly Text[] {
  const more = texts.length - mostTexts
  if (more <= 0) return texts
  return [...texts.slice(0, mostTexts), say`… and ${more} more`]
}

/** Knocked one after the other, since an arrival tells whose rule it is and not which port. */
const mostKnocks = 4

/** From inside by the outside address: where the router turns it around, a connection that arrives proves the row. */
async function tryThrough(
  rule: string,
  ports: readonly OnePort[],
  infos: readonly (RouterInfo | null)[],
  deps: CheckDeps,
  signal: AbortSignal,
): Promise<{ proven: ReadonlySet<OnePort>; texts: readonly Text[] }> {
  const proven = new Set<OnePort>()
  const texts: Text[] = []
  const outside = infos.find((info) => info?.externalAddress)?.externalAddress
  if (!outside) return { proven, texts }
  // Turned around, it comes from the router or from ourselves; of other clients at the same moment it says nothing.
  const turned = [deps.own, outside, ...infos.flatMap((info) => (info ? [info.address] : []))]
  for (const port of ports.filter(({ protocol }) => protocol === 'tcp').slice(0, mostKnocks)) {
    const place = { host: outside, port: port.external }
    const { answered, came } = await knock(place, rule, turned, deps, signal)
    if (came) proven.add(port)
    if (came || answered) texts.push(came ? arrived(place) : answeredBySomebody(place))
  }
  return { proven, texts }
}

function arrived({ host, port }: { host: string; port: number }): Text {
  return say`a connection to ${host}:${port} arrived here`
}

function answeredBySomebody({ host, port }: { host: string; port: number }): Text {
  return say`${host}:${port} answers, but from inside that may be the router's own page`
}

/** Knocks a few times, since who tells of arrivals may only be listening since now. */
async function knock(
  outside: { host: string; port: number },
  rule: string,
  turned: readonly string[],
  { probe, onOpened, clock }: CheckDeps,
  signal: AbortSignal,
): Promise<{ answered: boolean; came: boolean }> {
  if (!onOpened) return { answered: await answers(outside, probe, signal), came: false }
  const came = new AbortController()
  using _told = onOpened(rule, (client) => {
    if (turned.includes(hostOf(client))) came.abort()
  })
  for (let times = 0; times < 4 && !came.signal.aborted; times++) {
    if (!(await answers(outside, probe, signal))) return { answered: false, came: false }
    await clock.sleep(600, AbortSignal.any([signal, came.signal])).catch(() => signal.throwIfAborted())
  }
  return { answered: true, came: came.signal.aborted }
}

function answers(
  outside: { host: string; port: number },
  probe: CheckDeps['probe'],
  signal: AbortSignal,
): Promise<boolean> {
  return probe(outside, { signal: withLimit(signal, 2000) }).then(
    () => true,
    () => false,
  )
}

/** `192.168.1.7:50123` without its port. */
function hostOf(client: string): string {
  return client.slice(0, client.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

/** What was typed on the page is in no list that we can read, so asking the router for it goes on failing. */
function typedByHand(rule: string): Text {
  return say`the row that was typed by hand does it: \`naru edit ${rule} --router off\` ends asking the router for one`
}

function notProven(): Text {
  return say('nothing here can prove it: try from a phone that is off the Wi-Fi, or with `naru doctor`')
}

function stepsFor(
  wish: RouterCheckWish,
  infos: readonly (RouterInfo | null)[],
  { own, router }: CheckDeps,
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
  return routerSteps(maker, row, router, known?.presentationUrl ?? null)
}

export function externalOf({ externalPort, ports }: RouterCheckWish): number {
  return typeof externalPort === 'number' ? externalPort : ports.first
}

/** What it tells of itself; null where it does not. */
export function infoOf(router: Router, signal: AbortSignal): Promise<RouterInfo | null> {
  return router.info({ signal }).catch(() => null)
}
