/**
 * Which routers there are, by every protocol at once. Whoever answers first is enough to go on, with a moment for a
 * better protocol; what was found is kept for a while, and nothing found is asked again soon.
 */
import type { Family } from '../base/address.ts'
import { orAborted } from '../base/single-flight.ts'
import type { Network } from '../host/contract.ts'
import type { Reach, Router, RouterMember, RouterTools } from '../routers/contract.ts'

const keepMs = 300_000
const keepNothingMs = 10_000
/** After the first answer: UPnP takes two more exchanges than PCP, and is the one that can be read back. */
const graceMs = 900
const mostSeen = 32

export class RouterFinder {
  /** The protocols by which it looks, as people write them. */
  readonly tried: string
  readonly #members: readonly RouterMember[]
  readonly #tools: RouterTools
  #found: readonly Router[] = []
  /** Newest first, also of earlier searches. */
  #seen: readonly Router[] = []
  #foundAt = -Infinity
  #searching: Search | null = null

  constructor(members: readonly RouterMember[], tools: RouterTools) {
    this.#members = members
    this.tried = members.map(({ title }) => title).join(', ')
    this.#tools = tools
  }

  /**
   * Best first: nearest router, then preferred protocol. Empty where there is none.
   * @param options `all` waits for every protocol; otherwise the first that answers is enough, and a moment more.
   */
  async find(options: { signal: AbortSignal; fresh?: boolean; all?: boolean }): Promise<readonly Router[]> {
    const age = this.#tools.clock.monotonic() - this.#foundAt
    const good = age < (this.#found.length > 0 ? keepMs : keepNothingMs)
    if (!this.#searching && (!good || options.fresh)) this.#searching = this.#search()
    if (this.#searching) await this.#join(this.#searching, options)
    return this.#found
  }

  /** As they were found last, at once; what was found long ago is looked for anew meanwhile. */
  recent(signal: AbortSignal): readonly Router[] {
    this.find({ signal }).catch(() => {})
    return this.#found
  }

  /** Addresses of the gateways that lead to a router, without their zone: a VPN's is none of them. */
  async gateways(family: Family, signal: AbortSignal): Promise<readonly string[]> {
    const { network } = this.#tools.host
    const [routes, interfaces] = await Promise.all([
      network.defaultRoutes({ signal }),
      network.interfaces({ signal }),
    ])
    const vain = interfaces.filter(({ kind }) => kind === 'vpn' || kind === 'vm').map(({ name }) => name)
    return routes.flatMap((route) =>
      route.family === family && route.gateway !== null && !vain.includes(route.interface)
        ? [route.gateway.split('%')[0] as string]
        : [],
    )
  }

  /** As they were found last. */
  get known(): readonly Router[] {
    return this.#found
  }

  /** Those of one member, which is waited for; or all. */
  async findBy(
    wish: string,
    options: { signal: AbortSignal; fresh?: boolean; all?: boolean },
  ): Promise<readonly Router[]> {
    if (wish === 'auto') return this.find(options)
    return (await this.find({ ...options, all: true })).filter(({ member }) => member === wish)
  }

  /** At one address, by unicast, as who we are to it. */
  async findAt(at: Reach, signal: AbortSignal): Promise<readonly Router[]> {
    const found = await Promise.all(this.#members.map((member) => this.#ask(member, this.#tools, signal, at)))
    return sorted(found.flat(), [])
  }

  /** Who goes away leaves the search to the others; it is stopped when the last one does. */
  async #join(search: Search, { signal, all }: { signal: AbortSignal; all?: boolean }): Promise<void> {
    search.waiting++
    try {
      await orAborted(all ? search.all : search.enough, signal, 'the search for routers')
    } finally {
      if (--search.waiting === 0 && signal.aborted) search.stop.abort(signal.reason)
    }
  }

  /** Starts a search; the answers of one that is under way serve everybody who asks meanwhile. */
  #search(): Search {
    const stop = new AbortController()
    const { signal } = stop
    const found: Router[] = []
    const tools = readOnce(this.#tools)
    const keep = async (): Promise<void> => {
      this.#found = sorted(found, await gatewaysOf(tools.host.network, signal)).map((router) =>
        this.#known(router),
      )
      this.#foundAt = this.#tools.clock.monotonic()
    }
    const asked = this.#members.map(async (member) => {
      const some = await this.#ask(member, tools, signal)
      found.push(...some)
      return some.length > 0
    })
    const all = Promise.all(asked).then(keep)
    const first = Promise.any(asked.map(async (yes) => (await yes) || Promise.reject(new Error('none'))))
    const moment = first.then(() => this.#tools.clock.sleep(graceMs, signal)).then(keep)
    const enough = Promise.race([all, moment.catch(() => all)])
    const search = { all, enough, stop, waiting: 0 }
    const over = (): void => {
      if (this.#searching === search) this.#searching = null
    }
    void all.then(over, over)
    enough.catch(() => {})
    return search
  }

  /** Found again is the same one: who holds ports on it and who looks at it share what it answers. */
  #known(router: Router): Router {
    const known = this.#seen.find((each) => isSame(each, router))
    if (known) return known
    this.#seen = [router, ...this.#seen].slice(0, mostSeen)
    return router
  }

  async #ask(
    member: RouterMember,
    tools: RouterTools,
    signal: AbortSignal,
    at?: Reach,
  ): Promise<readonly Router[]> {
    try {
      return await member.discover({ signal, tools, ...(at && { at }) })
    } catch (failure) {
      signal.throwIfAborted()
      this.#tools.log.debug({ member: member.id, failure }, 'a router protocol could not be asked')
      return []
    }
  }
}

interface Search {
  /** Somebody has answered, and a better one has had its moment. */
  readonly enough: Promise<void>
  readonly all: Promise<void>
  readonly stop: AbortController
  waiting: number
}

function isSame(one: Router, other: Router): boolean {
  return (
    one.flavour === other.flavour &&
    one.family === other.family &&
    one.place === other.place &&
    one.clientAddress === other.clientAddress
  )
}

/** Every member looks at the same machine: its interfaces and routes are read once a search. */
function readOnce(tools: RouterTools): RouterTools {
  const { network } = tools.host
  let interfaces: ReturnType<Network['interfaces']> | undefined
  let routes: ReturnType<Network['defaultRoutes']> | undefined
  const once: Network = {
    ...network,
    interfaces: (how) => (interfaces ??= network.interfaces(how)),
    defaultRoutes: (how) => (routes ??= network.defaultRoutes(how)),
  }
  return { ...tools, host: { ...tools.host, network: once } }
}

function sorted(routers: readonly Router[], gateways: readonly string[]): readonly Router[] {
  const distance = ({ address }: Router): number => {
    const at = gateways.indexOf(address.split('%')[0] as string)
    return at < 0 ? gateways.length : at
  }
  return [...routers].sort((a, b) => distance(a) - distance(b) || a.rank - b.rank)
}

async function gatewaysOf(network: Network, signal: AbortSignal): Promise<readonly string[]> {
  const routes = await network.defaultRoutes({ signal }).catch(() => [])
  return routes.flatMap(({ gateway }) => (gateway === null ? [] : [gateway.split('%')[0] as string]))
}
