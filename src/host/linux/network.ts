/**
 * Linux: interfaces, routes and neighbours by `ip -j`, which tells what each device is. Where `ip` is not installed
 * (small containers) /proc/net and the runtime tell the same with less detail.
 */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { neverAborted } from '../../base/on-abort.ts'
import { canonicalAddress, familyOf, type Family } from '../../base/address.ts'
import { isNaruError } from '../../base/errors.ts'
import { Latest } from '../../base/latest.ts'
import type { Interface, InterfaceAddress, Neighbour, Network, Route, Runner } from '../contract.ts'
import { longestPrefix } from '../longest-prefix.ts'
import { bestFirst, interfacesOfRuntime } from '../ranking.ts'
import { kindOf, type IpAddress, type IpDevice } from './kinds.ts'
import { NetworkChanges } from './network-changes.ts'
import { parseRoutes4, parseRoutes6 } from './proc-routes.ts'

type Signal = { readonly signal: AbortSignal }

/** Lifetimes of addresses go on without a change. */
const keptMs = 30_000

interface Kept {
  readonly answer: unknown[]
  readonly changes: number
  readonly at: number
}

/** @param here it is this process's own network */
export function linuxNetwork(runner: Runner, procNet: string, here = false): Network {
  const changes = here ? new NetworkChanges() : null
  const ip = (args: readonly string[], how: Signal): Promise<unknown[] | null> => ipJson(runner, args, how)

  // Hundreds of rules that look at the same moment share one answer.
  const fixed = (...args: string[]): ((how: Signal) => Promise<unknown[] | null>) => {
    const latest = new Latest(() => ip(args, { signal: neverAborted }))
    let kept: Kept | null = null
    return async ({ signal }) => {
      signal.throwIfAborted()
      const before = changes?.look() ?? null
      const now = performance.now()
      if (kept && kept.changes === before && now - kept.at < keptMs) return kept.answer
      const answer = await latest.getUntil(signal, `ip ${args.join(' ')}`)
      // What changes meanwhile is told at the next look.
      kept =
        before === null || answer === null || answer === failed ? null : { answer, changes: before, at: now }
      return answer
    }
  }
  /** Thousands who share one answer read it once. */
  const asRead = new WeakMap<unknown[], readonly Interface[]>()
  const addresses = fixed('-d', 'address', 'show')
  const defaults4 = fixed('-4', 'route', 'show', 'default')
  const defaults6 = fixed('-6', 'route', 'show', 'default')

  async function interfaces(how: Signal): Promise<readonly Interface[]> {
    const devices = await addresses(how)
    if (devices === null)
      return interfacesOfRuntime(networkInterfaces(), (name) => kindOf({ ifname: name }, []))
    const known = asRead.get(devices)
    if (known) return known
    const made = (devices as IpDevice[]).map((device) => toInterface(device, devices as IpDevice[]))
    asRead.set(devices, made)
    return made
  }

  async function defaultRoutes(how: Signal): Promise<readonly Route[]> {
    const [devices, four, six] = await Promise.all([interfaces(how), defaults4(how), defaults6(how)])
    const routes =
      four === null
        ? procRoutes(procNet).filter((route) => route.bits === 0)
        : [...ipRoutes(four, 4), ...ipRoutes(six ?? [], 6)]
    return bestFirst(routes, devices)
  }

  async function routeTo(address: string, how: Signal): Promise<Route | null> {
    const family = familyOf(address)
    const [target = '', zone] = address.split('%')
    const found = await ip([`-${family}`, 'route', 'get', target, ...(zone ? ['dev', zone] : [])], how)
    if (found === null) {
      const route = longestPrefix(target, procRoutes(procNet))
      return route && (bestFirst([route], await interfaces(how))[0] ?? null)
    }
    const [route] = ipRoutes(found, family)
    return route ?? null
  }

  async function neighbours(how: Signal): Promise<readonly Neighbour[]> {
    const found = (await ip(['neigh', 'show'], how)) ?? []
    return (found as IpNeighbour[]).flatMap(({ dst, lladdr, dev, state = [] }) =>
      dst && lladdr && dev && !state.includes('FAILED') && !state.includes('INCOMPLETE')
        ? [{ address: dst, mac: lladdr, interface: dev, fresh: state.includes('REACHABLE') }]
        : [],
    )
  }

  return { interfaces, defaultRoutes, routeTo, nameServers: () => Promise.resolve(nameServers()), neighbours }
}

interface IpRoute {
  readonly type?: string
  readonly dev?: string
  readonly gateway?: string
  readonly via?: { readonly host?: string }
  readonly prefsrc?: string
  readonly metric?: number
  readonly nexthops?: readonly { readonly dev?: string; readonly gateway?: string }[]
}

interface IpNeighbour {
  readonly dst?: string
  readonly lladdr?: string
  readonly dev?: string
  readonly state?: readonly string[]
}

/** What an error of `ip` is (no such route): an empty list. */
const failed: unknown[] = []

/** Null where `ip` is not installed. */
async function ipJson(runner: Runner, args: readonly string[], how: Signal): Promise<unknown[] | null> {
  try {
    const { exit, stdout } = await runner.run(['ip', '-j', ...args], { ...how, limitMs: 5000 })
    const parsed: unknown = exit === 0 && stdout.trim() !== '' ? JSON.parse(stdout) : []
    if (exit !== 0) return failed
    return Array.isArray(parsed) ? parsed.filter((entry) => typeof entry === 'object' && entry !== null) : []
  } catch (error) {
    if (isNaruError(error, 'COMMAND_MISSING') || error instanceof SyntaxError) return null
    throw error
  }
}

function toInterface(device: IpDevice, all: readonly IpDevice[]): Interface {
  const { ifname = '', flags = [], address, ifindex = 0, addr_info = [] } = device
  return {
    name: ifname,
    kind: kindOf(device, all),
    up: flags.includes('UP') && !flags.includes('NO-CARRIER'),
    mac: address && /^(?!(00:){5}00)[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(address) ? address : null,
    index: ifindex,
    addresses: addr_info.flatMap(toAddress),
  }
}

/** 2^32 - 1 seconds is for ever. */
const forEver = 4_294_967_295

function toAddress(entry: IpAddress): InterfaceAddress[] {
  const { local, prefixlen = 0, valid_life_time: valid = forEver } = entry
  if (!local || canonicalAddress(local) === null) return []
  const passing = passingOf(entry)
  return [
    {
      family: familyOf(local),
      address: local,
      bits: prefixlen,
      ...(passing && { passing }),
      ...(valid < forEver && { validSeconds: valid }),
    },
  ]
}

function passingOf({ tentative, dadfailed, deprecated, temporary }: IpAddress): InterfaceAddress['passing'] {
  if (tentative || dadfailed) return 'tentative'
  if (deprecated) return 'deprecated'
  return temporary ? 'temporary' : undefined
}

/** Routes that lead somewhere: an `unreachable` or `blackhole` one is none. A multipath route is one a hop. */
function ipRoutes(found: readonly unknown[], family: Family): Route[] {
  return (found as IpRoute[]).flatMap((route) => {
    if (route.type !== undefined && route.type !== 'unicast' && route.type !== 'local') return []
    const hops = route.nexthops?.length ? route.nexthops : [route]
    return hops.flatMap((hop) =>
      hop.dev
        ? [
            {
              family,
              interface: hop.dev,
              gateway: hop.gateway ?? route.via?.host ?? null,
              source: route.prefsrc ?? null,
              metric: route.metric ?? 0,
            },
          ]
        : [],
    )
  })
}

function procRoutes(procNet: string): ReturnType<typeof parseRoutes4> {
  return [...parseRoutes4(readText(`${procNet}/route`)), ...parseRoutes6(readText(`${procNet}/ipv6_route`))]
}

/** What is really asked: behind systemd-resolved's stub (127.0.0.53) stand the servers of its own file. */
function nameServers(): string[] {
  const listed = parseNameServers(readText('/etc/resolv.conf'))
  if (!listed.includes('127.0.0.53')) return listed
  const behind = parseNameServers(readText('/run/systemd/resolve/resolv.conf'))
  return behind.length > 0 ? behind : listed
}

/** `nameserver` lines of resolv.conf(5), in order. */
export function parseNameServers(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1]
    return address && canonicalAddress(address.split('%')[0] as string) ? [address] : []
  })
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
