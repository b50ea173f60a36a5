/**
 * Names to addresses: the hosts file first, then DNS for as long as its TTL says, then whatever the system knows
 * (search domains, mDNS); that at once for names without a dot and under `.local`. An answer that was good serves on while DNS is slow or broken (RFC 8767), and a family that is
 * late does not hold up the other (RFC 8305 §3); a name that is gone is gone.
 */
import { lookup as systemLookup, Resolver } from 'node:dns/promises'
import { canonicalAddress, isLoopbackName, isMulticastName } from '../base/address.ts'
import { onAbort } from '../base/on-abort.ts'
import { systemClock, within, type Clock } from '../base/clock.ts'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
import { Semaphore } from '../base/semaphore.ts'
import { say, type Text } from '../base/text.ts'
import { HostsFile } from './hosts-file.ts'
import { interleaved } from './eyeballs.ts'

export interface Resolved {
  /** In the order to try. */
  readonly addresses: readonly string[]
  readonly ttlMs: number
}

interface AddressRecord {
  readonly address: string
  readonly ttl: number
}

/** Where answers come from. Tests hand in their own. */
export interface NameSources {
  /** Rejects with a `code` such as ENOTFOUND or ESERVFAIL. TTL in seconds. */
  resolve4(name: string): Promise<readonly AddressRecord[]>
  resolve6(name: string): Promise<readonly AddressRecord[]>
  /** The system's resolver; it knows no TTL. */
  lookup(name: string): Promise<readonly string[]>
  hosts(name: string): Promise<readonly string[]>
  /** Who answers now, in a word: another one tells that what is kept may be out of date, whatever its TTL. */
  origin?(): Promise<string>
}

export interface NameResolverOptions {
  /** @default the machine's */
  readonly sources?: NameSources
  /** @default systemClock */
  readonly clock?: Clock
  /** Longest wait for one answer. @default 5000 */
  readonly limitMs?: number
}

/** Answers without a TTL of their own hold this long: what `lookup` or the hosts file said. */
const unknownTtlMs = 10_000
/** A TTL of 0 would ask for each connection. Docker's own server says 600 s of containers that move when they are made anew. */
const shortestTtlMs = 1000
const longestTtlMs = 30_000
/** A VPN that comes up brings other name servers, a person adds a line to the hosts file: looked for at most so often. */
const originEveryMs = 5000
/** While DNS is broken the last good answer serves, and DNS is asked again after this. */
const staleTtlMs = 5000
/** DNS may renew an answer for so long before the last good one serves; where it failed before, nobody waits. */
const renewalMs = 100
/** The most that RFC 8767 §5 suggests. */
const longestStaleMs = 3 * 24 * 3_600_000
/** RFC 8305 §3: how long a family that has answered waits for the other. */
const otherFamilyMs = 50
/** Names that are kept; the oldest goes first. */
const mostKept = 20_000
/** A name without an answer is asked for again only after this: a stream of datagrams must not become one of queries. */
const failedTtlMs = 1000
/** getaddrinfo holds one of libuv's four threads until its last server has been silent; files need them, too. */
const mostLookups = 2
const lookupTurnMs = 5000
/** Answers that say "there is no such name", and not "I could not find out". */
const gone = new Set(['ENOTFOUND', 'ENODATA', 'EAI_NONAME', 'EAI_NODATA'])

interface Kept extends Resolved {
  readonly freshUntil: number
  /** When DNS itself last said so. */
  readonly goodAt: number
}

/** What came in time, and what comes after. */
interface Found {
  readonly now: Resolved
  /** The whole answer, where a family is late; null where it brings nothing. */
  readonly later: Promise<Resolved | null> | null
}

interface Asking {
  readonly answer: Promise<Resolved>
  readonly since: number
}

export class NameResolver {
  readonly #sources: NameSources
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #kept = new Map<string, Kept>()
  /** Of which one family is there and the other is not yet. */
  readonly #halves = new WeakSet<Kept>()
  readonly #failed = new Map<string, { readonly error: NaruError; readonly until: number }>()
  readonly #asking = new Map<string, Asking>()
  #origin: string | null = null
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor({ sources = systemSources(), clock = systemClock, limitMs = 5000 }: NameResolverOptions = {}) {
    this.#sources = sources
    this.#clock = clock
    this.#limitMs = limitMs
  }

  /**
   * An address is its own answer: no DNS server hears of it. Connections that ask at once share one query.
   * @throws NaruError NAME_NOT_FOUND, or the signal's reason
   */
  async resolve(name: string, { signal }: { signal?: AbortSignal } = {}): Promise<Resolved> {
    signal?.throwIfAborted()
    const address = canonicalAddress(name)
    if (address !== null) return { addresses: [address], ttlMs: Number.POSITIVE_INFINITY }
    const kept = this.#kept.get(name)
    const now = this.#clock.monotonic()
    this.#lookForOthers(now)
    if (kept && kept.freshUntil > now) return { addresses: kept.addresses, ttlMs: this.#holds(kept, now) }
    const failed = this.#failed.get(name)
    if (failed && failed.until > now) throw failed.error
    const asking = this.#asking.get(name) ?? this.#ask(name)
    const answer = kept && now - kept.goodAt < longestStaleMs ? this.#orLastGood(asking, kept) : asking.answer
    return signal ? await orAborted(answer, signal) : await answer
  }

  #ask(name: string): Asking {
    const answer = this.#query(name)
      .then(
        (found) => this.#keepFound(name, found),
        (failure: unknown) => this.#keepLastGood(name, failure),
      )
      .finally(() => this.#asking.delete(name))
    const asking = { answer, since: this.#clock.monotonic() }
    this.#asking.set(name, asking)
    return asking
  }

  /** The new answer where it comes soon; else the last one, while DNS is still being asked. */
  async #orLastGood({ answer, since }: Asking, kept: Kept): Promise<Resolved> {
    const keptAt = kept.freshUntil - kept.ttlMs
    const leftMs = keptAt > kept.goodAt ? 0 : renewalMs - (this.#clock.monotonic() - since)
    const stale = { addresses: kept.addresses, ttlMs: shortestTtlMs }
    if (leftMs > 0) return await this.#within(leftMs, answer, stale)
    answer.catch(ignore)
    return stale
  }

  /** `instead` where the answer is late. One that fails later is nobody's fault here. */
  #within<T>(ms: number, answer: Promise<T>, instead: T): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(ms, () => resolve(instead))
      answer.then(resolve, reject).finally(() => timer[Symbol.dispose]())
    })
  }

  async #query(name: string): Promise<Found> {
    const hosts = await this.#sources.hosts(name)
    if (hosts.length > 0) return only({ addresses: interleaved(hosts), ttlMs: unknownTtlMs })
    if (isLoopbackName(name)) return only({ addresses: await this.#loopback(), ttlMs: unknownTtlMs })
    return isForSystem(name) ? await this.#systemFirst(name) : await this.#dnsFirst(name)
  }

  async #dnsFirst(name: string): Promise<Found> {
    try {
      return await this.#limited(this.#dns(name))
    } catch (failure) {
      return only(await this.#limited(this.#system(name, failure)))
    }
  }

  /** Where it does not know a name without a dot, DNS may, as it is written; `.local` is none of DNS's. */
  async #systemFirst(name: string): Promise<Found> {
    try {
      const unasked = Object.assign(new Error('not asked'), { code: 'ENOTFOUND' })
      return only(await this.#limited(this.#system(name, unasked)))
    } catch (failure) {
      if (!isGone(failure) || isMulticastName(name)) throw failure
      return await this.#limited(this.#dns(name))
    }
  }

  /** As the hosts file has it for `localhost`; getaddrinfo would ask a name server for `app.localhost`. */
  async #loopback(): Promise<readonly string[]> {
    const known = await this.#sources.hosts('localhost')
    return known.length > 0 ? interleaved(known) : ['127.0.0.1', '::1']
  }

  /** Both families at once; one that fails does not hide the other, nor does one that is late hold it up. */
  async #dns(name: string): Promise<Found> {
    const families = [this.#sources.resolve6(name), this.#sources.resolve4(name)]
    const records: (readonly AddressRecord[])[] = [[], []]
    const known = families.map(async (family, at) => (records[at] = await family))
    const whole = Promise.allSettled(known)
    const one = Promise.any(known.map(withAddresses)).then(() => this.#within(otherFamilyMs, whole, null))
    const answers = await Promise.race([whole, one.catch(() => whole)])
    const found = resolvedFrom(records.flat())
    if (found === null) throw worst(...(answers ?? []))
    const later = whole.then(() => {
      const all = resolvedFrom(records.flat())
      return all && all.addresses.length > found.addresses.length ? all : null
    })
    return answers === null ? { now: found, later } : only(found)
  }

  /** Where neither knows the name, DNS's reason counts: it tells broken from gone. */
  async #system(name: string, dnsFailure: unknown): Promise<Resolved> {
    try {
      const addresses = await this.#sources.lookup(name)
      if (addresses.length > 0) return { addresses: interleaved(addresses), ttlMs: unknownTtlMs }
    } catch (failure) {
      // The system's word for "no address" is "no such name".
      if (isGone(dnsFailure) && !isGone(failure)) throw failure
    }
    throw dnsFailure
  }

  #keepFound(name: string, { now, later }: Found): Resolved {
    const kept = this.#keep(name, now)
    if (later === null)
      return { addresses: kept.addresses, ttlMs: this.#holds(kept, this.#clock.monotonic()) }
    this.#halves.add(kept)
    void later.then((whole) => {
      this.#halves.delete(kept)
      if (whole !== null && this.#kept.get(name) === kept) this.#keep(name, whole)
    })
    return { addresses: kept.addresses, ttlMs: shortestTtlMs }
  }

  /** Who asks comes again soon where a family is still to come, and where others may answer by then. */
  #holds(kept: Kept, now: number): number {
    if (this.#halves.has(kept)) return shortestTtlMs
    const left = kept.freshUntil - now
    return this.#sources.origin ? Math.min(left, originEveryMs) : left
  }

  /** Where others answer than before, every name is asked again; until then the last good answer serves. */
  #lookForOthers(now: number): void {
    if (!this.#sources.origin || now - this.#lookedAt < originEveryMs) return
    this.#lookedAt = now
    this.#sources.origin().then((origin) => {
      if (this.#origin !== null && origin !== this.#origin)
        for (const [name, kept] of this.#kept) this.#kept.set(name, { ...kept, freshUntil: 0 })
      this.#origin = origin
    }, ignore)
  }

  #keep(name: string, { addresses, ttlMs }: Resolved, goodAt = this.#clock.monotonic()): Kept {
    const held = Math.min(Math.max(ttlMs, shortestTtlMs), longestTtlMs)
    const kept = { addresses, ttlMs: held, freshUntil: this.#clock.monotonic() + held, goodAt }
    this.#kept.delete(name)
    this.#kept.set(name, kept)
    dropOldest(this.#kept)
    this.#failed.delete(name)
    return kept
  }

  #keepLastGood(name: string, failure: unknown): Kept {
    const last = this.#kept.get(name)
    const { addresses, goodAt } = last ?? { addresses: [], goodAt: 0 }
    const serves = last !== undefined && this.#clock.monotonic() - goodAt < longestStaleMs
    if (serves && !isGone(failure)) return this.#keep(name, { addresses, ttlMs: staleTtlMs }, goodAt)
    this.#kept.delete(name)
    const why = nameServerFault(errnoOf(failure)) ?? errnoOf(failure) ?? messageOf(failure)
    const error = new NaruError('NAME_NOT_FOUND', { name, why }, { cause: failure })
    this.#failed.set(name, { error, until: this.#clock.monotonic() + failedTtlMs })
    dropOldest(this.#failed)
    throw error
  }

  async #limited<T>(answer: Promise<T>): Promise<T> {
    const late = new AbortController()
    const timer = this.#clock.after(this.#limitMs, () =>
      late.abort(Object.assign(new Error('no answer in time'), { code: 'ETIMEOUT' })),
    )
    try {
      return await orAborted(answer, late.signal)
    } finally {
      timer[Symbol.dispose]()
    }
  }
}

function only(now: Resolved): Found {
  return { now, later: null }
}

/** Null where there is no address. */
function resolvedFrom(records: readonly AddressRecord[]): Resolved | null {
  if (records.length === 0) return null
  const ttlMs = Math.min(...records.map(({ ttl }) => ttl * 1000))
  return { addresses: interleaved(records.map(({ address }) => address)), ttlMs }
}

async function withAddresses(family: Promise<readonly AddressRecord[]>): Promise<void> {
  if ((await family).length === 0) throw new Error('no address')
}

function dropOldest(map: Map<string, unknown>): void {
  for (const name of map.keys()) {
    if (map.size <= mostKept) return
    map.delete(name)
  }
}

function ignore(): void {}

/**
 * `nas.local` is mDNS's (RFC 6762 §22.1), and `nas` is the search list's to complete: to a name server it is a top-level
 * domain, and one that answers for everything leads elsewhere.
 */
function isForSystem(name: string): boolean {
  return isMulticastName(name) || !name.includes('.')
}

function isGone(failure: unknown): boolean {
  return gone.has(errnoOf(failure) ?? '')
}

/** "Could not find out" weighs more than "there is none". */
function worst(...answers: PromiseSettledResult<unknown>[]): unknown {
  const failures = answers.map((answer) =>
    answer.status === 'rejected'
      ? (answer.reason as unknown)
      : Object.assign(new Error('no address'), { code: 'ENODATA' }),
  )
  return failures.find((failure) => !isGone(failure)) ?? failures[0]
}

function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) stop()
    const wait = onAbort(signal, stop)
    answer.then(resolve, reject).finally(() => wait[Symbol.dispose]())
  })
}

export function systemSources(hostsFile = new HostsFile()): NameSources {
  // A new one for each query, as the machine may have changed its name servers since the last.
  const resolver = (): Resolver => new Resolver({ timeout: 2000, tries: 2 })
  const gate = new Semaphore(mostLookups, 'looking a name up')
  const lookup = (name: string) => systemLookup(name, { all: true, order: 'verbatim' })
  return {
    resolve4: (name) => resolver().resolve4(name, { ttl: true }),
    resolve6: (name) => resolver().resolve6(name, { ttl: true }),
    lookup: async (name) => {
      const turn = (signal: AbortSignal) => gate.through(() => lookup(name), signal)
      return (await within(undefined, lookupTurnMs, turn)).map(({ address }) => address)
    },
    hosts: (name) => hostsFile.addresses(name),
    origin: async () => `${await hostsFile.version()} ${resolver().getServers().join(' ')}`,
  }
}

/** In c-ares' words the name server is nobody: it reads as if the target had refused. Null for what speaks of the name. */
function nameServerFault(errno: string | undefined): Text | null {
  switch (errno) {
    case 'ECONNREFUSED':
    case 'EREFUSED':
      return say('the name server refuses to answer')
    case 'ETIMEOUT':
    case 'ETIMEDOUT':
      return say('the name server does not answer')
    case 'ESERVFAIL':
    case 'EAI_AGAIN':
      return say('the name server cannot say')
    case 'ENOTFOUND':
      return say('there is no such name')
    case 'ENODATA':
      return say('the name has no address')
    default:
      return null
  }
}
