/** The routers between this machine and the outside, each with what it says of itself. */
import type { Clock } from '../base/clock.ts'
import { systemClock, withLimit } from '../base/clock.ts'
import { toNaruError, type NaruError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Host } from '../host/contract.ts'
import type { Router, RouterMember } from '../routers/contract.ts'
import type { Readings, SeenRouter } from './checks/contract.ts'
import { isOnLink } from './own-networks.ts'

export interface RouterDeps {
  readonly host: Host
  readonly clock: Clock
  readonly log: Log
  readonly routers: readonly RouterMember[]
}

const discoverLimitMs = 6500
const graceMs = 2000
/** With the search it fits into a check's limit. */
const detailLimitMs = 4000

export async function seeRouters(
  deps: RouterDeps,
  awaited: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<SeenRouter[]> {
  const found = await discover(deps, awaited, withLimit(signal, discoverLimitMs))
  const detail = withLimit(signal, detailLimitMs)
  return Promise.all(
    found.map(async (router) => {
      let unread: NaruError | null = null
      const [info, mappings] = await Promise.all([
        router.info({ signal: detail }).catch(() => null),
        router.mappings({ signal: detail }).catch((error: unknown) => {
          unread = toNaruError(error)
          return null
        }),
      ])
      return { router, info, mappings, unread }
    }),
  )
}

/**
 * Every protocol is asked at once, one that is `awaited` once more before its silence is believed: on a busy machine an
 * answer comes late. After the first that found a router, and all that are `awaited` have ended, the others have
 * `graceMs` more.
 */
async function discover(
  deps: RouterDeps,
  awaited: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<readonly Router[]> {
  const { host, clock, log } = deps
  const found: Router[] = []
  const missing = new Set(awaited)
  const enough = new AbortController()
  const late = AbortSignal.any([signal, enough.signal])
  const ask = (member: RouterMember): Promise<readonly Router[]> =>
    member.discover({ signal: late, tools: { host, clock, log } }).catch(() => [])
  const asked = deps.routers.map(async (member) => {
    const routers = await ask(member)
    const twice = routers.length === 0 && awaited.has(member.id) && !late.aborted
    found.push(...(twice ? await ask(member) : routers))
    missing.delete(member.id)
    const all = deps.routers.every(({ id }) => !missing.has(id))
    if (found.length > 0 && all) systemClock.after(graceMs, () => enough.abort())
  })
  await Promise.race([Promise.all(asked), aborted(late)])
  enough.abort()
  return [...found]
}

/** Private, so that what is not answered in the house ends at the provider's first router. */
const nobody = '10.254.254.254'

/** Where makers and providers put a router's own address; 100.64.0.1 is what satellite and mobile providers use. */
const usualRouters = [
  '192.168.0.1', '192.168.1.1', '192.168.1.254', '192.168.2.1', '192.168.8.1', '192.168.10.1', '192.168.25.1',
  '192.168.35.1', '192.168.50.1', '192.168.100.1', '192.168.178.1', '192.168.219.1', '172.30.1.254', '10.0.0.1',
  '10.0.0.138', '10.1.1.1', '100.64.0.1',
] as const // prettier-ignore

/**
 * One echo request that may pass two routers; whoever drops it says who it is (RFC 792, time exceeded). Where there is
 * no ping, the usual addresses of routers are tried: one that answers though it is not on our link is beyond ours.
 */
export async function secondHop(
  host: Host,
  look: Pick<Readings, 'dial' | 'interfaces'>,
  signal: AbortSignal,
): Promise<string | null> {
  const { platform } = await host.facts()
  const ways: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
    win32: ['ping', '-n', '1', '-i', '2', '-w', '1500', nobody],
    darwin: ['ping', '-c', '1', '-m', '2', '-t', '2', nobody],
  }
  const argv = ways[platform] ?? ['ping', '-n', '-c', '1', '-t', '2', '-W', '2', nobody]
  const ping = await host.runner.run(argv, { signal, limitMs: 4000 }).catch(() => null)
  const named = [...(ping?.stdout ?? '').matchAll(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g)].map(([address]) => address)
  const told = named.find((address) => address !== nobody)
  if (told) return told
  const interfaces = await look.interfaces()
  const beyond = usualRouters.filter((address) => !isOnLink(address, interfaces))
  const dialled = await Promise.all(
    beyond.map(async (address) => ({ address, ...(await look.dial(address, 80)) })),
  )
  return dialled.find(({ result }) => result === 'connected' || result === 'refused')?.address ?? null
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
