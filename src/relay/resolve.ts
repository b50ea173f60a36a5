/**
 * Names to addresses: the hosts file first, then DNS for as long as its TTL says, then whatever the system knows
 * (mDNS, search domains). An answer that was good is kept while DNS is broken; a name that is gone is gone.
 */
import { lookup as systemLookup, Resolver } from 'node:dns/promises'
import { canonicalAddress } from '../base/address.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { errnoOf, messageOf, NaruError } from '../base/errors.ts'
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
/** A TTL of 0 would ask for each connection; one of a week would never notice a move. */
const shortestTtlMs = 1000
const longestTtlMs = 3_600_000
/** While DNS is broken the last good answer serves, and DNS is asked again after this. */
const staleTtlMs = 5000
/** A name without an answer is asked for again only after this: a stream of datagrams must not become one of queries. */
const failedTtlMs = 1000
/** Answers that say "there is no such name", and not "I could not find out". */
const gone = new Set(['ENOTFOUND', 'ENODATA', 'EAI_NONAME', 'EAI_NODATA'])

interface Kept extends Resolved {
  readonly freshUntil: number
}

export class NameResolver {
  readonly #sources: NameSources
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #kept = new Map<string, Kept>()
  readonly #failed = new Map<string, { readonly error: NaruError; readonly until: number }>()
  readonly #asking = new Map<string, Promise<Kept>>()

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
    if (kept && kept.freshUntil > now) return { addresses: kept.addresses, ttlMs: kept.freshUntil - now }
    const failed = this.#failed.get(name)
    if (failed && failed.until > now) throw failed.error
    const answer = this.#asking.get(name) ?? this.#ask(name)
    return signal ? await orAborted(answer, signal) : await answer
  }

  #ask(name: string): Promise<Kept> {
    const answer = this.#query(name)
      .then(
        (found) => this.#keep(name, found),
        (failure: unknown) => this.#keepLastGood(name, failure),
      )
      .finally(() => this.#asking.delete(name))
    this.#asking.set(name, answer)
    return answer
  }

  async #query(name: string): Promise<Resolved> {
    const hosts = await this.#sources.hosts(name)
    if (hosts.length > 0) return { addresses: interleaved(hosts), ttlMs: unknownTtlMs }
    // RFC 6761 §6.3: never to a DNS server.
    const local = name === 'localhost' || name.endsWith('.localhost')
    try {
      if (local) throw Object.assign(new Error('not asked'), { code: 'ENOTFOUND' })
      return await this.#limited(this.#dns(name))
    } catch (failure) {
      return await this.#limited(this.#system(name, failure))
    }
  }

  /** Both families at once; one that fails does not hide the other. */
  async #dns(name: string): Promise<Resolved> {
    const [six, four] = await Promise.allSettled([this.#sources.resolve6(name), this.#sources.resolve4(name)])
    const records = [six, four].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (records.length === 0) throw worst(six, four)
    const ttlMs = Math.min(...records.map(({ ttl }) => ttl * 1000))
    return { addresses: interleaved(records.map(({ address }) => address)), ttlMs }
  }

  /** Where neither knows the name, DNS's reason counts: it tells broken from gone. */
  async #system(name: string, dnsFailure: unknown): Promise<Resolved> {
    try {
      const addresses = await this.#sources.lookup(name)
      if (addresses.length > 0) return { addresses: interleaved(addresses), ttlMs: unknownTtlMs }
    } catch (failure) {
      if (isGone(dnsFailure)) throw failure
    }
    throw dnsFailure
  }

  #keep(name: string, { addresses, ttlMs }: Resolved): Kept {
    const held = Math.min(Math.max(ttlMs, shortestTtlMs), longestTtlMs)
    const kept = { addresses, ttlMs: held, freshUntil: this.#clock.monotonic() + held }
    this.#kept.set(name, kept)
    this.#failed.delete(name)
    return kept
  }

  #keepLastGood(name: string, failure: unknown): Kept {
    const last = this.#kept.get(name)
    if (last && !isGone(failure)) return this.#keep(name, { addresses: last.addresses, ttlMs: staleTtlMs })
    this.#kept.delete(name)
    const why = errnoOf(failure) ?? messageOf(failure)
    const error = new NaruError('NAME_NOT_FOUND', { name, why }, { cause: failure })
    this.#failed.set(name, { error, until: this.#clock.monotonic() + failedTtlMs })
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
    signal.addEventListener('abort', stop, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

export function systemSources(hostsFile = new HostsFile()): NameSources {
  // A new one for each query, as the machine may have changed its name servers since the last.
  const resolver = (): Resolver => new Resolver({ timeout: 2000, tries: 2 })
  return {
    resolve4: (name) => resolver().resolve4(name, { ttl: true }),
    resolve6: (name) => resolver().resolve6(name, { ttl: true }),
    lookup: async (name) =>
      (await systemLookup(name, { all: true, order: 'verbatim' })).map(({ address }) => address),
    hosts: (name) => hostsFile.addresses(name),
  }
}
