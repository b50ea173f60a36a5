/** Where a rule's target is now, and who answers there. */
import { connect } from 'node:net'
import { pause, systemClock } from '../base/clock.ts'
import { errnoOf, toNaruError } from '../base/errors.ts'
import type { Resolve } from '../engines/contract.ts'
import type { GuestMember } from '../guests/contract.ts'
import type { Host } from '../host/contract.ts'
import { resolveGuest } from '../machine/guest-addresses.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Rule } from '../model/rule.ts'
import { formatTarget, type Target } from '../model/target.ts'
import type { Dialled, Readings, SeenTarget } from './checks/contract.ts'
import { isOnLink, isOwn } from './own-networks.ts'

export interface TargetDeps {
  readonly host: Host
  readonly guests: readonly GuestMember[]
  /** Addresses of names; guests are resolved by their members. */
  readonly resolveName: Resolve
}

const dialLimitMs = 1500
/** Linux: five seconds of DELAY and three probes a second apart since the first packet, which was the dialling's. */
const neighbourLimitMs = 7000

export interface TargetTools {
  readonly rule: Rule
  readonly hops: readonly HopStatus[]
  readonly machine: Pick<Readings, 'interfaces' | 'dial'>
  readonly deps: TargetDeps
  readonly signal: AbortSignal
  readonly quiet: boolean
}

/** Null for a Unix socket. */
export async function seeTarget(to: Target, tools: TargetTools): Promise<SeenTarget | null> {
  if (to.kind === 'unix') return null
  const protocol = tools.rule.listen.kind === 'inet' ? (tools.rule.listen.protocols[0] ?? 'tcp') : 'tcp'
  const forwarded = to.kind === 'guest' ? forwardOf(tools.hops) : null
  const base = {
    text: formatTarget(to),
    guest: to.kind === 'guest' ? { kind: to.guest, name: to.name } : null,
    port: forwarded?.port ?? to.ports.first,
    protocol,
  }
  try {
    const addresses = forwarded ? [forwarded.address] : await addressesOf(to, tools)
    return { ...base, ...(await reach(addresses, base, tools)), addresses, problem: null }
  } catch (error) {
    tools.signal.throwIfAborted()
    return {
      ...base,
      addresses: [],
      local: false,
      problem: toNaruError(error),
      dialled: null,
      neighbour: null,
    }
  }
}

/** Where the hypervisor forwards, the relay dials that. */
function forwardOf(hops: readonly HopStatus[]): { address: string; port: number } | null {
  const data = hops.find(({ hop, state }) => hop === 'guest' && state !== 'broken' && state !== 'off')?.data
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return null
  const { address, ports } = data as { address?: unknown; ports?: { first?: unknown } | null }
  const port = ports?.first
  return typeof address === 'string' && typeof port === 'number' ? { address, port } : null
}

async function addressesOf(
  to: Exclude<Target, { kind: 'unix' }>,
  { deps, signal }: TargetTools,
): Promise<readonly string[]> {
  if (to.kind === 'inet') return (await deps.resolveName(to, { signal })).addresses
  const member = deps.guests.find(({ kind }) => kind === to.guest)
  if (!member) return []
  return (await resolveGuest(member, to.name, { host: deps.host, signal })).addresses
}

const betterFirst: readonly Dialled['result'][] = ['connected', 'refused', 'unreachable', 'silent']

async function reach(
  addresses: readonly string[],
  { port, protocol }: { port: number; protocol: string },
  { machine, deps, signal, quiet }: TargetTools,
): Promise<Pick<SeenTarget, 'local' | 'dialled' | 'neighbour'>> {
  const interfaces = await machine.interfaces()
  const local = addresses.length > 0 && addresses.every((address) => isOwn(address, interfaces))
  if (protocol !== 'tcp' || addresses.length === 0) return { local, dialled: null, neighbour: null }
  const dialled = await Promise.all(addresses.map((address) => machine.dial(address, port)))
  dialled.sort((a, b) => betterFirst.indexOf(a.result) - betterFirst.indexOf(b.result))
  const best = dialled[0] ?? null
  const onLink = addresses.find((address) => !local && isOnLink(address, interfaces))
  const unanswered = best?.result === 'silent' || best?.result === 'unreachable'
  if (quiet && unanswered) return { local, dialled: best, neighbour: null }
  const neighbour = onLink && unanswered ? await isAlive(onLink, deps.host, signal) : onLink ? true : null
  return { local, dialled: best, neighbour }
}

/**
 * Does it answer ARP now? An entry may be minutes old, so one that is not fresh is watched until the kernel has
 * probed it; a ping speeds that up, and its answer is proof by itself.
 */
async function isAlive(address: string, host: Host, signal: AbortSignal): Promise<boolean> {
  const until = performance.now() + neighbourLimitMs
  const flag = (await host.facts()).platform === 'win32' ? ['-n', '1', '-w', '1000'] : ['-c', '1', '-W', '1']
  const ping = await host.runner.run(['ping', ...flag, address], { signal, limitMs: 3000 }).catch(() => null)
  if (ping?.exit === 0) return true
  for (;;) {
    const entry = (await host.network.neighbours({ signal })).find((one) => one.address === address)
    if (!entry) return false
    if (entry.fresh !== false || performance.now() > until) return true
    await pause(400, signal)
  }
}

/** Connects once and closes at once. */
export function dial(address: string, port: number, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve) => {
    const began = performance.now()
    const socket = connect({ host: address, port })
    const end = (result: Dialled['result'], errno: string | null): void => {
      timer[Symbol.dispose]()
      signal.removeEventListener('abort', onAbort)
      // RST rather than FIN: nothing of this connection is to linger at the service.
      if (result === 'connected') socket.resetAndDestroy()
      else socket.destroy()
      resolve({ result, errno, ms: Math.round(performance.now() - began) })
    }
    const onAbort = (): void => end('silent', 'ABORTED')
    const timer = systemClock.after(dialLimitMs, () => end('silent', null))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('connect', () => end('connected', null))
    socket.on('error', (error) => {
      const errno = errnoOf(error) ?? null
      end(errno === 'ECONNREFUSED' ? 'refused' : errno === 'ETIMEDOUT' ? 'silent' : 'unreachable', errno)
    })
  })
}
