/**
 * Does a row that was typed in by hand work? The router's list where it has one, and a knock by the outside address
 * that comes back; where neither tells, the rows to type once more, in that maker's words.
 */
import { withLimit } from '../../base/clock.ts'
import { say, type Text } from '../../base/text.ts'
import type { RouterCheck, RouterCheckWish } from '../../model/router.ts'
import { makerOf, routerSteps, type RouterSteps } from '../../model/router-steps.ts'
import type { Router, RouterInfo } from '../../routers/contract.ts'
import type { Parts } from '../parts.ts'

export interface CheckDeps extends Pick<Parts, 'clock' | 'probe'> {
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
  const evidence: Text[] = []
  const listed = await readBack(wish, nearest, deps.own, signal)
  if (listed) evidence.push(listed.text)
  const through = await tryThrough(wish, infos, deps, signal)
  if (through) evidence.push(through.text)
  const open = listed?.open === true || through?.proves === true
  const wrong = !open && listed?.open === false && listed.decisive
  if (!open && !wrong) evidence.push(notProven())
  const state = open ? 'open' : wrong ? 'wrong' : 'unknown'
  return { state, evidence, steps: open ? null : stepsFor(wish, infos, deps) }
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

function notProven(): Text {
  return say(
    'nothing here can prove it: try from a phone that is off the Wi-Fi, or with `naru doctor`',
    '여기서는 확인할 수 없습니다. Wi-Fi를 끈 휴대폰이나 `naru doctor`로 확인하세요',
  )
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

function externalOf({ externalPort, ports }: RouterCheckWish): number {
  return typeof externalPort === 'number' ? externalPort : ports.first
}

/** What it tells of itself; null where it does not. */
export function infoOf(router: Router, signal: AbortSignal): Promise<RouterInfo | null> {
  return router.info({ signal }).catch(() => null)
}
