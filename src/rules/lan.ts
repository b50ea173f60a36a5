/** Where this machine is found on its network: read in the background, so that a status never waits for it. */
import type { Clock } from '../base/clock.ts'
import { withLimit } from '../base/clock.ts'
import { isPublic } from '../base/address.ts'
import type { Host, Interface, InterfaceAddress, Route } from '../host/contract.ts'
import type { Router, RouterInfo } from '../routers/contract.ts'
import { facingLan } from '../machine/machine.ts'
import { infoOf } from '../mappings/check.ts'

export interface LanView {
  /** Of the card that faces the LAN, best first: IPv4, and IPv6 where IPv4 is public as well. */
  readonly addresses: readonly string[]
  /** The IPv4 router and our address towards it; null where there is none. */
  readonly gateway: { readonly address: string; readonly source: string } | null
}

export const nowhere: LanView = { addresses: [], gateway: null }

const readLimitMs = 2000
const keepMs = 15_000

export class LanWatch {
  readonly #host: Pick<Host, 'network'>
  readonly #clock: Clock
  readonly #routers: () => readonly Router[]
  #place: LanView = nowhere
  /** What each said of itself when it was asked, which is once. */
  readonly #infos = new WeakMap<Router, RouterInfo | null>()
  #readAt = -Infinity
  #reading: Promise<void> | null = null

  /** @param routers those that were found last */
  constructor(host: Pick<Host, 'network'>, clock: Clock, routers: () => readonly Router[]) {
    this.#host = host
    this.#clock = clock
    this.#routers = routers
  }

  get now(): LanView {
    return this.#place
  }

  /** What the router says of itself; null where it says nothing. */
  get router(): RouterInfo | null {
    const infos = this.#routers().map((router) => this.#infos.get(router) ?? null)
    return infos.find((info) => info?.model || info?.maker) ?? null
  }

  /** Reads anew where the last look is old. Never throws. @returns whether it is another place than before */
  async refresh(signal: AbortSignal): Promise<boolean> {
    if (this.#clock.monotonic() - this.#readAt < keepMs) return false
    const before = JSON.stringify(this.#place)
    this.#reading ??= this.#read(withLimit(signal, readLimitMs)).finally(() => (this.#reading = null))
    await this.#reading
    return JSON.stringify(this.#place) !== before
  }

  async #read(signal: AbortSignal): Promise<void> {
    this.#readAt = this.#clock.monotonic()
    try {
      this.#place = await lanOf(this.#host, signal)
      const unasked = this.#routers().filter((router) => router.family === 4 && !this.#infos.has(router))
      const ask = async (router: Router): Promise<unknown> =>
        this.#infos.set(router, await infoOf(router, signal))
      await Promise.all(unasked.map(ask))
    } catch {
      // As it was seen last.
    }
  }
}

export async function lanOf({ network }: Pick<Host, 'network'>, signal: AbortSignal): Promise<LanView> {
  const [interfaces, routes] = await Promise.all([
    network.interfaces({ signal }),
    network.defaultRoutes({ signal }),
  ])
  const way = routes.find((route) => isWayOut(route, interfaces))
  // A container's card is none that faces a LAN, but others find it there.
  const facing = facingLan(interfaces, routes) ?? way?.interface
  const card = interfaces.find(({ name }) => name === facing)
  const own = (card?.addresses ?? []).filter(isToTell)
  const four = own.flatMap(({ family, address }) => (family === 4 ? [address] : []))
  const six = own.flatMap(({ family, address }) => (family === 6 && isPublic(address) ? [address] : []))
  const source = way?.source ?? null
  const best = source !== null && four.includes(source) ? source : four[0]
  return {
    // Behind a router IPv6 is let in by it alone, and it tells of that itself.
    addresses: best === undefined ? six.slice(0, 1) : [best, ...(isPublic(best) ? six.slice(0, 1) : [])],
    gateway: way && way.gateway !== null && source !== null ? { address: way.gateway, source } : null,
  }
}

/** A VPN's gateway is no router of this network. */
function isWayOut({ family, gateway, interface: name }: Route, interfaces: readonly Interface[]): boolean {
  const kind = interfaces.find((card) => card.name === name)?.kind
  return family === 4 && gateway !== null && kind !== undefined && !['vpn', 'vm', 'loopback'].includes(kind)
}

/** An address of a day, or one that is not ours yet, is none to give away. */
function isToTell({ address, passing }: InterfaceAddress): boolean {
  return passing === undefined && !/^(fe[89ab]|169\.254\.)/i.test(address)
}
