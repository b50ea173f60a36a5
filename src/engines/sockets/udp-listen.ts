/**
 * Listening sockets for datagrams. A reply must leave from the address that was asked, and Node does not tell which
 * one that was; so a wildcard becomes one socket for each address the machine has, kept up to date as they change.
 * Where the system lets them stand beside it, the wildcard itself hears all others: broadcasts, 127.0.0.2, prefixes
 * that are local as a whole, addresses that have just come. From where it answers, the system decides.
 */
import { createSocket, type BindOptions, type RemoteInfo, type Socket } from 'node:dgram'
import { closeSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { familyOf, formatEndpoint } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { errnoOf } from '../../base/errors.ts'
import { everyPort } from '../../base/port.ts'
import type { InetListen } from '../../model/listen.ts'
import type { Inheritance, LentSocket } from '../../model/handover-sockets.ts'
import { handleOf } from '../../relay/handle.ts'
import { makeWay } from './closing-doors.ts'
import { listenError } from '../../relay/listen-error.ts'

export interface DatagramDoorOptions {
  readonly clock: Clock
  readonly onDatagram: (datagram: Buffer, from: RemoteInfo, door: DatagramDoor) => void
  /** The door's address is gone. */
  readonly onGone: (door: DatagramDoor) => void
  readonly onError: (error: Error) => void
  readonly owner: (port: number) => Promise<string | null>
  /** @default the machine's */
  readonly localAddresses?: () => readonly string[]
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | undefined
  /** @default the wildcard itself hears nothing */
  readonly besides?: Besides | null
}

/** Makes sockets on a wildcard and on single addresses of one port; the single one is preferred. */
export interface Besides {
  /** @param beside joins those that are there. @returns a bound descriptor, or an errno below zero */
  open(address: string, port: number, beside: boolean): number
  /** Node lets everyone bind beside a socket that it was given by number; this takes that back. */
  unshare(fd: number): void
  /** Somebody hears everyone there, and not one client alone. */
  isTaken(address: string, port: number): boolean
}

/** One socket on one address. */
export interface DatagramDoor {
  readonly address: string
  /** Among the rule's ports. */
  readonly port: number
  readonly label: string
  readonly socket: Socket
}

const refreshEveryMs = 5000
/** What the wildcard hears may be for an address that has just come: so soon are they looked at again. */
const refreshAtLeastMs = 200

export class DatagramDoors {
  readonly #listen: InetListen
  readonly #options: DatagramDoorOptions
  readonly #doors = new Map<string, DatagramDoor>()
  #refreshing: Disposable | null = null
  #ports: readonly number[]
  #closed = false
  #refresh: Promise<void> | null = null
  #refreshedAtMs = 0

  private constructor(listen: InetListen, options: DatagramDoorOptions) {
    this.#listen = listen
    this.#options = options
    this.#ports = everyPort(listen.ports)
  }

  /** All of the rule's ports on all its addresses, or none. @throws NaruError LISTEN_… */
  static async open(listen: InetListen, options: DatagramDoorOptions): Promise<DatagramDoors> {
    const doors = new DatagramDoors(listen, options)
    try {
      await doors.#openAll()
      return doors
    } catch (error) {
      doors.close()
      throw error
    }
  }

  /** As the rule wrote it, with the ports that were bound. */
  get listening(): readonly string[] {
    const { address } = this.#listen
    return this.#ports.map((port) => `${address === null ? `*:${port}` : formatEndpoint(address, port)}/udp`)
  }

  /** Those that are bound. */
  get ports(): ReadonlySet<number> {
    return new Set([...this.#doors.values()].map(({ port }) => port))
  }

  get open(): boolean {
    return !this.#closed && this.#doors.size > 0
  }

  lend(): readonly LentSocket[] {
    return [...this.#doors.values()].flatMap(({ address, port, socket }) => {
      const handle = handleOf(socket)
      return handle ? [{ protocol: 'udp' as const, address, port, part: 0, fd: handle.fd }] : []
    })
  }

  /** Reads no more; answers still leave by these sockets. */
  stopReading(): void {
    this.#refreshing?.[Symbol.dispose]()
    for (const { socket } of this.#doors.values()) handleOf(socket)?.recvStop()
  }

  startReading(): void {
    for (const { socket } of this.#doors.values()) handleOf(socket)?.recvStart()
    this.#follow()
  }

  close(): void {
    this.#closed = true
    this.#refreshing?.[Symbol.dispose]()
    for (const door of this.#doors.values()) closeQuietly(door.socket)
    this.#doors.clear()
  }

  /** Follows the machine's addresses: opens on new ones, closes where one is gone. One at a time. */
  refresh(): Promise<void> {
    this.#refresh ??= this.#followAddresses().finally(() => (this.#refresh = null))
    return this.#refresh
  }

  async #followAddresses(): Promise<void> {
    this.#refreshedAtMs = this.#options.clock.monotonic()
    const wanted = new Set(this.#addresses())
    for (const [key, door] of this.#doors) {
      if (wanted.has(door.address)) continue
      this.#doors.delete(key)
      closeQuietly(door.socket)
      this.#options.onGone(door)
    }
    for (const address of wanted) {
      for (const port of this.#ports) {
        if (this.#doors.has(doorKey(address, port))) continue
        await this.#openOne(address, port).catch((error: unknown) => this.#options.onError(error as Error))
      }
    }
  }

  async #openAll(): Promise<void> {
    this.#refreshedAtMs = this.#options.clock.monotonic()
    const skipped = this.#isWildcard ? ['EADDRNOTAVAIL', 'EAFNOSUPPORT'] : []
    for (const [at, port] of this.#ports.entries()) {
      for (const address of this.#addresses()) {
        const wanted = this.#ports[at] as number
        try {
          const bound = await this.#openOne(address, wanted)
          // Port 0 takes what the system gives, the same on every address.
          if (port === 0) this.#ports = this.#ports.with(at, bound)
        } catch (error) {
          // An address that is just coming or going; the next refresh sees it.
          if (skipped.includes(errnoOf(error) ?? '')) continue
          const label = `${formatEndpoint(address, wanted)}/udp`
          throw await listenError(error, label, () => this.#options.owner(wanted))
        }
      }
    }
    this.#follow()
  }

  #follow(): void {
    if (this.#isWildcard)
      this.#refreshing = this.#options.clock.every(refreshEveryMs, () => void this.refresh())
  }

  get #isWildcard(): boolean {
    return isWildcard(this.#listen.address)
  }

  #addresses(): readonly string[] {
    const { address } = this.#listen
    if (address !== null && !this.#isWildcard) return [address]
    const wildcards = this.#options.besides ? ['0.0.0.0', '::'] : []
    const all = [...wildcards, ...(this.#options.localAddresses ?? localAddresses)()]
    return address === null ? all : all.filter((one) => familyOf(one) === familyOf(address))
  }

  /** A new client came by `door`: by the wildcard, where its address may have just come. */
  came({ address }: DatagramDoor): void {
    const { clock, onError } = this.#options
    if (isWildcard(address) && clock.monotonic() - this.#refreshedAtMs >= refreshAtLeastMs)
      this.refresh().catch(onError)
  }

  async #openOne(address: string, port: number): Promise<number> {
    const inherited = this.#options.inherit?.take({ protocol: 'udp', address, port, part: 0 }) ?? null
    if (inherited !== null) return this.#inherit(inherited, address, port)
    const socket = await this.#bound(address, port)
    if (this.#closed) {
      socket.close()
      return port
    }
    return this.#attach(socket, address, socket.address().port)
  }

  /** Where sockets that hear one client each are all that is there, it stands beside them. */
  async #bound(address: string, port: number): Promise<Socket> {
    const { besides } = this.#options
    const beside = this.#isWildcard && !isWildcard(address)
    const bind = (): Promise<Socket> =>
      besides && this.#isWildcard ? boundBy(besides, address, port, beside) : bound(address, port)
    try {
      return await bind()
    } catch (error) {
      if (errnoOf(error) !== 'EADDRINUSE') throw error
      if (makeWay(port)) return bind()
      if (!besides || beside || besides.isTaken(address, port)) throw error
      return boundBy(besides, address, port, true)
    }
  }

  /** Bound already; read once the predecessor has let go. */
  #inherit(fd: number, address: string, port: number): number {
    const inherit = this.#options.inherit as Inheritance
    const socket = createSocket(datagramOptions(address))
    let closed = false
    socket.once('close', () => (closed = true))
    inherit.begun
      .then(() => {
        if (closed) return closeSync(fd)
        socket.bind({ fd })
        inherit.sockets.unshare(fd)
      })
      .catch(this.#options.onError)
    return this.#attach(socket, address, port)
  }

  #attach(socket: Socket, address: string, actual: number): number {
    const door = { address, port: actual, label: `${formatEndpoint(address, actual)}/udp`, socket }
    socket.on('message', (datagram, from) => this.#options.onDatagram(datagram, from, door))
    // ICMP errors of replies that nobody wanted any more come up here.
    socket.on('error', () => {})
    this.#doors.set(doorKey(address, actual), door)
    return actual
  }
}

function doorKey(address: string, port: number): string {
  return `${address} ${port}`
}

/** Every unicast address of every interface that is up; link-local IPv6 ones with their zone. */
export function localAddresses(): readonly string[] {
  const found = Object.entries(networkInterfaces()).flatMap(([name, entries]) =>
    (entries ?? []).map((entry) =>
      entry.family === 'IPv6' && entry.address.startsWith('fe80:')
        ? `${entry.address}%${zone(name, entry)}`
        : entry.address,
    ),
  )
  return [...new Set(found)]
}

function zone(name: string, entry: { scopeid?: number }): string | number {
  return process.platform === 'win32' ? (entry.scopeid ?? name) : name
}

function isWildcard(address: string | null): boolean {
  return address === null || address === '0.0.0.0' || address === '::'
}

function bound(address: string, port: number): Promise<Socket> {
  return bindTo(createSocket(datagramOptions(address)), { address, port, exclusive: true })
}

function boundBy(besides: Besides, address: string, port: number, beside: boolean): Promise<Socket> {
  const fd = besides.open(address, port, beside)
  if (fd < 0) return Promise.reject(systemError(fd))
  const socket = bindTo(createSocket(datagramOptions(address)), { fd })
  // At once: until then anybody's socket could join it.
  besides.unshare(fd)
  return socket
}

function bindTo(socket: Socket, to: BindOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      closeQuietly(socket)
      reject(error)
    })
    socket.bind(to, () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}

/** @param result an errno below zero */
function systemError(result: number): Error {
  const code = getSystemErrorName(result)
  return Object.assign(new Error(code), { code })
}

/** Node throws where it is closed already. */
export function closeQuietly(socket: Socket): void {
  try {
    socket.close()
  } catch {
    // It was.
  }
}

/** Addresses are addresses: looking them up again would cost a turn of the event loop for each datagram. */
export function datagramOptions(address: string): Parameters<typeof createSocket>[0] & object {
  const six = familyOf(address) === 6
  return {
    type: six ? 'udp6' : 'udp4',
    ipv6Only: six,
    recvBufferSize: socketBufferBytes,
    sendBufferSize: socketBufferBytes,
    lookup: (host, _options, answer) => answer(null, host, six ? 6 : 4),
  }
}

/** A burst of the largest datagrams must survive one turn of the event loop; the system caps it (`net.core.rmem_max`). */
const socketBufferBytes = 1024 * 1024
