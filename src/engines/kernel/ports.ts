/**
 * The ports of what the kernel carries, held by sockets that serve nobody: nobody else may bind them, and whoever takes
 * the rule up after the kernel gets them as they are. Without our table they are closed: TCP is refused, UDP dropped.
 */
import { getSystemErrorName } from 'node:util'
import { familyOf } from '../../base/address.ts'
import type { Protocol } from '../../base/port.ts'
import { canHold, holdPort, letGo, serveHeld } from '../../host/linux/held-port.ts'
import { socketMaker } from '../../host/linux/beside.ts'
import type { InetListen } from '../../model/listen.ts'
import { heldPart, type Heritage, type Inheritance, type LentSocket } from '../../model/passing.ts'
import { descriptorLimit } from '../../relay/descriptors.ts'
import { portsOf } from './compile.ts'

/** A held port costs 2 to 4 KiB of the kernel's memory. */
const mostHeld = 16_384

export interface PortsOptions {
  /** Runs what opens sockets where they belong. @default this process's network */
  readonly inside?: <T>(work: () => T) => T
  /** Most that are held at once. @default 16,384, or half of the descriptors that this process may have */
  readonly most?: number
}

export class Ports {
  readonly #inside: <T>(work: () => T) => T
  readonly #most: number
  /** By protocol and port. */
  readonly #held = new Map<string, LentSocket[]>()
  #count = 0

  constructor({ inside = (work) => work(), most }: PortsOptions = {}) {
    this.#inside = inside
    const allowed = most ?? Math.min(mostHeld, Math.floor(descriptorLimit() / 2))
    this.#most = canHold() ? allowed : 0
  }

  /** All of a rule's ports that there is room for. @throws the system's own error; nothing is held then */
  hold(listen: InetListen, inherit: Inheritance | undefined): Holding {
    const sockets: LentSocket[] = []
    try {
      this.#inside(() => {
        for (const protocol of listen.protocols)
          for (const port of portsOf(listen.ports)) {
            if (this.#count >= this.#most) return
            const socket = this.#one(protocol, listen.address as string, port, inherit)
            if (socket) sockets.push(socket)
          }
      })
    } catch (error) {
      this.free(sockets)
      throw error
    }
    return new Holding(this, sockets)
  }

  /** Null where the process has no descriptor left. */
  #one(
    protocol: Protocol,
    address: string,
    port: number,
    inherit: Inheritance | undefined,
  ): LentSocket | null {
    const about = { protocol, address, port, part: heldPart } as const
    const key = keyOf(about)
    const there = this.#held.get(key) ?? []
    const beside = there.filter((one) => meet(one.address, address)).map(({ fd }) => fd)
    const fd = inherit?.take(about) ?? holdPort(protocol, address, port, beside)
    if (fd < 0) {
      const code = getSystemErrorName(fd)
      if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOBUFS' || code === 'ENOMEM') return null
      throw Object.assign(new Error(code), { code })
    }
    const socket = { ...about, fd }
    this.#held.set(key, [...there, socket])
    this.#count++
    return socket
  }

  free(sockets: readonly LentSocket[]): void {
    for (const socket of sockets) {
      this.forget(socket)
      letGo(socket.fd)
    }
  }

  /** It is somebody else's to close. */
  forget(socket: LentSocket): void {
    const key = keyOf(socket)
    const left = (this.#held.get(key) ?? []).filter((one) => one !== socket)
    if (left.length > 0) this.#held.set(key, left)
    else this.#held.delete(key)
    this.#count--
  }
}

/** What is held for one rule. */
export class Holding implements Disposable {
  readonly #ports: Ports
  #sockets: readonly LentSocket[]

  constructor(ports: Ports, sockets: readonly LentSocket[]) {
    this.#ports = ports
    this.#sockets = sockets
  }

  /** They stay this rule's. */
  get sockets(): readonly LentSocket[] {
    return this.#sockets
  }

  /** From now on they are the heir's. */
  bequeath(): Heritage {
    const ports = this.#ports
    const left = new Map(this.#sockets.map((socket) => [nameOf(socket), socket]))
    this.#sockets = []
    return {
      begun: Promise.resolve(),
      sockets: socketMaker,
      take(wanted) {
        if (wanted.part !== 0 && wanted.part !== heldPart) return null
        const socket = left.get(nameOf(wanted))
        if (!socket) return null
        left.delete(nameOf(wanted))
        ports.forget(socket)
        if (wanted.part === heldPart || serveHeld(socket.protocol as Protocol, socket.fd) === 0)
          return socket.fd
        letGo(socket.fd)
        return null
      },
      [Symbol.dispose]() {
        ports.free([...left.values()])
        left.clear()
      },
    }
  }

  [Symbol.dispose](): void {
    this.#ports.free(this.#sockets)
    this.#sockets = []
  }
}

const keyOf = ({ protocol, port }: Pick<LentSocket, 'protocol' | 'port'>): string => `${protocol} ${port}`
const nameOf = ({ protocol, address, port }: Omit<LentSocket, 'fd'>): string =>
  `${protocol} ${address} ${port}`

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'
const meet = (one: string, other: string): boolean =>
  familyOf(one) === familyOf(other) && (one === other || isAny(one) || isAny(other))
