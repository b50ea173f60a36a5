/**
 * Where a target is, as one thread knows it. Addresses and paths are known; names and guests are asked of the main
 * thread, and the answer is kept for as long as it holds. Connections that ask at once share one question.
 */
import { canonicalAddress } from '../../base/address.ts'
import type { PortRange } from '../../base/port.ts'
import { formatTarget, type Target } from '../../model/target.ts'
import { targetPort } from '../../relay/port-map.ts'
import type { Answer } from './messages.ts'
import { sockaddrOf, sockaddrOfPath, type Sockaddr } from './sockaddr.ts'

/** Addresses in the order to try; null where the name has none. */
export type Found = readonly Sockaddr[] | null

interface Entry {
  addresses: readonly string[]
  freshUntil: number
  readonly byPort: Map<number, readonly Sockaddr[]>
  waiting: { readonly port: number; readonly tell: (found: Found) => void }[] | null
}

/** Ports remembered for one target; a range of thousands is computed anew. */
const mostPorts = 64

export class NameBook {
  readonly #entries = new Map<string, Entry>()
  readonly #byTarget = new WeakMap<Target, Entry>()
  readonly #ask: (target: Target, answer: (answer: Answer) => void) => void

  constructor(ask: (target: Target, answer: (answer: Answer) => void) => void) {
    this.#ask = ask
  }

  /**
   * @param port the port the client came in by.
   * @returns the addresses where they are known; else undefined, and `tell` is called later.
   */
  find(
    target: Target,
    port: number,
    listenPorts: PortRange,
    now: number,
    tell: (found: Found) => void,
  ): Found | undefined {
    const entry = this.#byTarget.get(target) ?? this.#enter(target)
    const dialled = target.kind === 'unix' ? 0 : targetPort(port, listenPorts, target.ports)
    if (entry.freshUntil > now) return sockaddrs(entry, target, dialled)
    if (entry.waiting) entry.waiting.push({ port: dialled, tell })
    else {
      entry.waiting = [{ port: dialled, tell }]
      this.#ask(target, (answer) => this.#answered(entry, target, answer, now))
    }
    return undefined
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

  #answered(entry: Entry, target: Target, answer: Answer, now: number): void {
    const waiting = entry.waiting ?? []
    entry.waiting = null
    entry.byPort.clear()
    entry.addresses = answer.ok ? answer.addresses : []
    entry.freshUntil = answer.ok ? now + answer.ttlMs : 0
    for (const { port, tell } of waiting) tell(answer.ok ? sockaddrs(entry, target, port) : null)
  }
}

function sockaddrs(entry: Entry, target: Target, port: number): readonly Sockaddr[] {
  let found = entry.byPort.get(port)
  if (!found) {
    found =
      target.kind === 'unix'
        ? [sockaddrOfPath(target.path)]
        : entry.addresses.map((address) => sockaddrOf(address, port))
    if (entry.byPort.size < mostPorts) entry.byPort.set(port, found)
  }
  return found
}
