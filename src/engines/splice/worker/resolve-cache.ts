/**
 * Where a target is, as one thread knows it. Addresses and paths are known; names and guests are asked of the main
 * thread, and the answer is kept for as long as it holds. Connections that ask at once share one question.
 */
import { canonicalAddress } from '../../../base/address.ts'
import type { Listen } from '../../../model/listen.ts'
import { formatTarget, type Target } from '../../../model/target.ts'
import { portOf, withoutLoops } from '../../../relay/route.ts'
import { hasZoneName } from '../../../relay/zone.ts'
import type { WorkerAnswer } from '../shared/messages.ts'
import { sockaddrOf, sockaddrOfPath, type Sockaddr } from '../../../linux/sockaddr-fields.ts'

/** Addresses in the order to try, or why there are none. */
export type CachedAddresses = readonly Sockaddr[] | 'name-not-found' | 'loop'

interface Entry {
  addresses: readonly string[]
  freshUntil: number
  readonly byPort: Map<number, CachedAddresses>
  waiting:
    | { readonly port: number; readonly listen: Listen; readonly tell: (found: CachedAddresses) => void }[]
    | null
}

/** Ports remembered for one target; a range of thousands is computed anew. */
const mostPorts = 64

export class ResolveCache {
  readonly #entries = new Map<string, Entry>()
  readonly #byTarget = new WeakMap<Target, Entry>()
  readonly #ask: (target: Target, answer: (answer: WorkerAnswer, now: number) => void) => void

  constructor(ask: (target: Target, answer: (answer: WorkerAnswer, now: number) => void) => void) {
    this.#ask = ask
  }

  /** @param port the port the client came in by. @returns undefined where it would have to be asked. */
  known(target: Target, port: number, listen: Listen, now: number): CachedAddresses | undefined {
    const entry = this.#byTarget.get(target) ?? this.#enter(target)
    return entry.freshUntil > now ? sockaddrs(entry, target, port, listen) : undefined
  }

  /**
   * @param port the port the client came in by.
   * @returns the addresses where they are known; else undefined, and `tell` is called later.
   */
  find(
    target: Target,
    port: number,
    listen: Listen,
    now: number,
    tell: (found: CachedAddresses) => void,
  ): CachedAddresses | undefined {
    const entry = this.#byTarget.get(target) ?? this.#enter(target)
    if (entry.freshUntil > now) return sockaddrs(entry, target, port, listen)
    if (entry.waiting) entry.waiting.push({ port, listen, tell })
    else {
      entry.waiting = [{ port, listen, tell }]
      this.#ask(target, (answer, later) => this.#answered(entry, target, answer, later))
    }
    return undefined
  }

  /** Whether the target's addresses have changed hands: none of what is known now is `address`. Unknown: false. */
  freshUntil(target: Target): number {
    return (this.#byTarget.get(target) ?? this.#enter(target)).freshUntil
  }

  #enter(target: Target): Entry {
    const key = formatTarget(target)
    let entry = this.#entries.get(key)
    if (!entry) {
      const known = target.kind === 'inet' ? canonicalAddress(target.host) : null
      const forEver = target.kind === 'unix' || known !== null
      entry = {
        addresses: known === null ? [] : [known],
        freshUntil: forEver ? Number.POSITIVE_INFINITY : 0,
        byPort: new Map(),
        waiting: null,
      }
      this.#entries.set(key, entry)
    }
    this.#byTarget.set(target, entry)
    return entry
  }

  #answered(entry: Entry, target: Target, answer: WorkerAnswer, now: number): void {
    const waiting = entry.waiting ?? []
    entry.waiting = null
    entry.byPort.clear()
    entry.addresses = answer.ok ? answer.addresses : []
    entry.freshUntil = answer.ok ? now + answer.ttlMs : 0
    for (const { port, listen, tell } of waiting)
      tell(answer.ok ? sockaddrs(entry, target, port, listen) : 'name-not-found')
  }
}

function sockaddrs(entry: Entry, target: Target, port: number, listen: Listen): CachedAddresses {
  let found = entry.byPort.get(port)
  if (!found) {
    found =
      target.kind === 'unix' ? [sockaddrOfPath(target.path)] : route(entry.addresses, target, port, listen)
    if (entry.byPort.size < mostPorts && !entry.addresses.some(hasZoneName)) entry.byPort.set(port, found)
  }
  return found
}

function route(
  addresses: readonly string[],
  target: Exclude<Target, { kind: 'unix' }>,
  port: number,
  listen: Listen,
): CachedAddresses {
  if (addresses.length === 0) return 'name-not-found'
  const open = withoutLoops({ addresses, port: portOf(target, listen, port), ttlMs: 0 }, listen)
  return open === null ? 'loop' : open.addresses.map((address) => sockaddrOf(address, open.port))
}
