/**
 * Who listens where, looked up by address and by ranges of ports: what it costs grows with the listens that are asked
 * for, neither with the ports that they hold nor with all the others.
 */
import type { PortRange } from '../base/port.ts'
import type { Listen } from './listen.ts'

export interface HeldListen<T> {
  readonly ports: PortRange
  readonly holder: T
}

/** Ports that are held, each by the first who took it; what lies side by side and is held by one is one piece. */
export class PortHolders<T> {
  #pieces: HeldListen<T>[] = []

  /** What of the range is held. */
  within({ first, last }: PortRange): HeldListen<T>[] {
    const found: HeldListen<T>[] = []
    for (let at = this.#firstFrom(first); at < this.#pieces.length; at++) {
      const { ports, holder } = this.#pieces[at] as HeldListen<T>
      if (ports.first > last) break
      found.push({ ports: { first: Math.max(first, ports.first), last: Math.min(last, ports.last) }, holder })
    }
    return found
  }

  /** One of those who hold a part of the range, and who is not `except`. */
  someone({ first, last }: PortRange, except: T | null = null): T | null {
    for (let at = this.#firstFrom(first); at < this.#pieces.length; at++) {
      const { ports, holder } = this.#pieces[at] as HeldListen<T>
      if (ports.first > last) break
      if (holder !== except) return holder
    }
    return null
  }

  /** What of the range nobody holds. */
  free({ first, last }: PortRange): PortRange[] {
    const found: PortRange[] = []
    let from = first
    for (const { ports } of this.within({ first, last })) {
      if (ports.first > from) found.push({ first: from, last: ports.first - 1 })
      from = ports.last + 1
    }
    if (from <= last) found.push({ first: from, last })
    return found
  }

  /** What others hold stays theirs. */
  take(range: PortRange, holder: T): void {
    // With the neighbours on both sides, as they may be of the same holder.
    const near = { first: range.first - 1, last: range.last + 1 }
    const from = this.#firstFrom(near.first)
    let to = from
    while (to < this.#pieces.length && (this.#pieces[to] as HeldListen<T>).ports.first <= near.last) to++
    const all = [
      ...this.#pieces.slice(from, to),
      ...this.free(range).map((ports): HeldListen<T> => ({ ports, holder })),
    ]
    const merged = joined(all.toSorted((a, b) => a.ports.first - b.ports.first))
    // In place, as far as arguments of a call go.
    if (merged.length < 1000) this.#pieces.splice(from, to - from, ...merged)
    else this.#pieces = [...this.#pieces.slice(0, from), ...merged, ...this.#pieces.slice(to)]
  }

  /** The place of the first piece that ends at `port` or after it. */
  #firstFrom(port: number): number {
    let [low, high] = [0, this.#pieces.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#pieces[middle] as HeldListen<T>).ports.last < port) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Neighbours of one holder as one. */
function joined<T>(pieces: readonly HeldListen<T>[]): HeldListen<T>[] {
  const result: HeldListen<T>[] = []
  for (const { ports, holder } of pieces) {
    const last = result.at(-1)
    if (last?.holder === holder && last.ports.last + 1 === ports.first)
      result[result.length - 1] = { ports: { first: last.ports.first, last: ports.last }, holder }
    else result.push({ ports, holder })
  }
  return result
}

/** Addresses that a socket of one address meets are three: its own, all of its family, and all. */
export class ListenIndex<T> {
  readonly #byKey = new Map<string, PortHolders<T>>()
  /** The second who took a port that the first of its key holds: whoever is excepted, the other is found. */
  readonly #second = new Map<string, PortHolders<T>>()

  add(listen: Listen, holder: T): void {
    if (listen.kind === 'unix') return this.#take(`unix ${listen.path}`, noPort, holder)
    for (const protocol of listen.protocols)
      for (const key of [listen.address ?? 'all', ...kindsOf(listen.address)])
        this.#take(`${protocol} ${key}`, listen.ports, holder)
  }

  /** One of those, `except` left out, that would claim a socket of this one; as `listensOverlap` of each. */
  someoneAt(listen: Listen, except: T | null = null): T | null {
    const ports = portsOf(listen)
    for (const key of keysMet(listen)) {
      const first = this.#byKey.get(key)?.someone(ports, except) ?? null
      const holder = first ?? this.#second.get(key)?.someone(ports, except) ?? null
      if (holder !== null) return holder
    }
    return null
  }

  /** All of those, with the ports at which they meet; of one wildcard only one who holds it at each port. */
  allAt(listen: Listen): HeldListen<T>[] {
    const ports = portsOf(listen)
    return keysMet(listen).flatMap((key) => this.#byKey.get(key)?.within(ports) ?? [])
  }

  #take(key: string, range: PortRange, holder: T): void {
    const first = holdersAt(this.#byKey, key)
    for (const { ports, holder: other } of first.within(range))
      if (other !== holder) holdersAt(this.#second, key).take(ports, holder)
    first.take(range, holder)
  }
}

function holdersAt<T>(byKey: Map<string, PortHolders<T>>, key: string): PortHolders<T> {
  const there = byKey.get(key)
  if (there) return there
  const made = new PortHolders<T>()
  byKey.set(key, made)
  return made
}

/** A Unix socket has none; it stands at this one. */
const noPort: PortRange = { first: 0, last: 0 }

function portsOf(listen: Listen): PortRange {
  return listen.kind === 'unix' ? noPort : listen.ports
}

/** Kinds of address under which a listen is found by those who want every address of that kind. */
function kindsOf(address: string | null): string[] {
  if (address === null) return ['any', 'any4', 'any6']
  return address.includes(':') ? ['any', 'any6'] : ['any', 'any4']
}

function keysMet(listen: Listen): string[] {
  if (listen.kind === 'unix') return [`unix ${listen.path}`]
  const { address, protocols } = listen
  const keys =
    address === null
      ? ['any']
      : address === '::'
        ? ['any6']
        : address === '0.0.0.0'
          ? ['any4']
          : [address, address.includes(':') ? '::' : '0.0.0.0', 'all']
  return protocols.flatMap((protocol) => keys.map((key) => `${protocol} ${key}`))
}
