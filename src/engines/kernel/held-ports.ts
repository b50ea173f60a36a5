/**
 * The ports of what the kernel carries, held by sockets that serve nobody: nobody else may bind them, and whoever takes
 * the rule up after the kernel gets them as they are. Without our table they are closed: TCP is refused, UDP dropped.
 * A rule may have sixty thousand, so that what is kept of a port is its descriptor, and no object.
 */
import { getSystemErrorName } from 'node:util'
import { familyOf } from '../../base/address.ts'
import type { PortRange, Protocol } from '../../base/port.ts'
import { canHold, holdPort, letGo, serveHeld } from '../../host/linux/held-port.ts'
import { socketMaker } from '../../linux/udp-connected-twin.ts'
import type { InetListen } from '../../model/listen.ts'
import { heldPart, type Heritage, type Inheritance, type LentSocket } from '../../model/handover-sockets.ts'
import { descriptorLimit } from '../../relay/descriptors.ts'

/** A held port costs 2 to 4 KiB of the kernel's memory. */
const mostHeld = 16_384

export interface HeldPortsOptions {
  /** Runs what opens sockets where they belong. @default this process's network */
  readonly inside?: <T>(work: () => T) => T
  /** Most that are held at once. @default 16,384, or half of the descriptors that this process may have */
  readonly most?: number
}

export class Ports {
  readonly #inside: <T>(work: () => T) => T
  readonly #most: number
  /** By protocol and page of ports, for whoever looks for those at one port. */
  readonly #pages = new Map<string, Set<Held>>()
  #count = 0

  constructor({ inside = (work) => work(), most }: HeldPortsOptions = {}) {
    this.#inside = inside
    const allowed = most ?? Math.min(mostHeld, Math.floor(descriptorLimit() / 2))
    this.#most = canHold() ? allowed : 0
  }

  /** All of a rule's ports that there is room for. @throws the system's own error; nothing is held then */
  hold(listen: InetListen, inherit: Inheritance | undefined): HeldPorts {
    const all: Held[] = []
    try {
      this.#inside(() => {
        for (const protocol of listen.protocols) {
          const held = new Held(protocol, listen.address as string, listen.ports)
          all.push(held)
          this.#enter(held)
          if (!this.#fill(held, inherit)) break
        }
      })
    } catch (error) {
      for (const held of all) this.free(held)
      throw error
    }
    return new HeldPorts(this, all)
  }

  /** @returns whether there was room for all */
  #fill(held: Held, inherit: Inheritance | undefined): boolean {
    const { protocol, address, first, last } = held
    for (let port = first; port <= last; port++) {
      if (this.#count >= this.#most) return false
      const fd =
        inherit?.take({ protocol, address, port, part: heldPart }) ??
        holdPort(protocol, address, port, () => this.#beside(held, port))
      if (fd < 0) {
        const code = getSystemErrorName(fd)
        if (full.has(code)) return false
        throw Object.assign(new Error(code), { code })
      }
      held.put(port, fd)
      this.#count++
    }
    return true
  }

  /** Ours of that port that the system takes for one with it. */
  #beside({ protocol, address }: Held, port: number): number[] {
    return [...(this.#pages.get(pageOf(protocol, port)) ?? [])]
      .filter((one) => meet(one.address, address))
      .map((one) => one.at(port))
      .filter((fd) => fd >= 0)
  }

  /** Closes what it still has. */
  free(held: Held): void {
    for (let port = held.first; port <= held.last; port++) {
      const fd = this.takeOut(held, port)
      if (fd >= 0) letGo(fd)
    }
    for (const page of pagesOf(held)) {
      const there = this.#pages.get(page)
      there?.delete(held)
      if (there?.size === 0) this.#pages.delete(page)
    }
  }

  /** From then on the descriptor is somebody else's to close. @returns below zero where there is none */
  takeOut(held: Held, port: number): number {
    const fd = held.at(port)
    if (fd < 0) return fd
    held.put(port, none)
    this.#count--
    return fd
  }

  #enter(held: Held): void {
    for (const page of pagesOf(held)) {
      const there = this.#pages.get(page)
      if (there) there.add(held)
      else this.#pages.set(page, new Set([held]))
    }
  }
}

/** Room for one more is missing, and what is held stays. */
const full = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])
const none = -1

/** A range of ports at one address: the descriptors of those that are held. */
class Held {
  readonly protocol: Protocol
  readonly address: string
  readonly first: number
  readonly last: number
  readonly #fds: Int32Array

  constructor(protocol: Protocol, address: string, { first, last }: PortRange) {
    this.protocol = protocol
    this.address = address
    this.first = first
    this.last = last
    this.#fds = new Int32Array(last - first + 1).fill(none)
  }

  /** Below zero where it is not held. */
  at(port: number): number {
    return this.#fds[port - this.first] ?? none
  }

  put(port: number, fd: number): void {
    this.#fds[port - this.first] = fd
  }

  get sockets(): LentSocket[] {
    const { protocol, address, first } = this
    return [...this.#fds]
      .map((fd, at) => ({ protocol, address, port: first + at, part: heldPart, fd }))
      .filter(({ fd }) => fd >= 0)
  }
}

/** What is held for one rule. */
export class HeldPorts implements Disposable {
  readonly #ports: Ports
  #held: readonly Held[]

  constructor(ports: Ports, held: readonly Held[]) {
    this.#ports = ports
    this.#held = held
  }

  /** They stay this rule's. */
  get sockets(): readonly LentSocket[] {
    return this.#held.flatMap(({ sockets }) => sockets)
  }

  has(protocol: Protocol, port: number): boolean {
    return this.#held.some((held) => held.protocol === protocol && held.at(port) >= 0)
  }

  /** Whether there was room for all. */
  get isWhole(): boolean {
    const ends = (held: Held): boolean => held.at(held.last) >= 0
    return this.#held.length > 0 && this.#held.every(ends)
  }

  /** From now on they are the heir's. */
  bequeath(): Heritage {
    const ports = this.#ports
    const left = this.#held
    this.#held = []
    return {
      begun: Promise.resolve(),
      sockets: socketMaker,
      take({ protocol, address, port, part }) {
        if (part !== 0 && part !== heldPart) return null
        const held = left.find((one) => one.protocol === protocol && one.address === address)
        const fd = held ? ports.takeOut(held, port) : none
        if (fd < 0) return null
        if (part === heldPart || serveHeld(protocol as Protocol, fd) === 0) return fd
        letGo(fd)
        return null
      },
      [Symbol.dispose]() {
        for (const held of left) ports.free(held)
      },
    }
  }

  [Symbol.dispose](): void {
    for (const held of this.#held) this.#ports.free(held)
    this.#held = []
  }
}

const pageOf = (protocol: Protocol, port: number): string => `${protocol} ${port >> 8}`

function pagesOf({ protocol, first, last }: Held): string[] {
  const length = (last >> 8) - (first >> 8) + 1
  return Array.from({ length }, (_, at) => pageOf(protocol, first + (at << 8)))
}

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'
const meet = (one: string, other: string): boolean =>
  familyOf(one) === familyOf(other) && (one === other || isAny(one) || isAny(other))
