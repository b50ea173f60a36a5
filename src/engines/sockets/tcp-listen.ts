/**
 * Listening sockets for streams: a whole rule's ports at once or none, both families, Unix paths with what a dead
 * process left there. Sockets come out paused, with nothing read.
 */
import { closeSync, linkSync, unlinkSync } from 'node:fs'
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net'
import { formatEndpoint } from '../../base/address.ts'
import { errnoOf } from '../../base/errors.ts'
import { everyPort } from '../../base/port.ts'
import { Scope } from '../../base/scope.ts'
import type { Listen } from '../../model/listen.ts'
import type { Inheritance, LentSocket } from '../../model/handover-sockets.ts'
import { descriptorOf } from '../../relay/handle.ts'
import { listenError } from '../../relay/listen-error.ts'
import { reset } from '../../relay/pipe.ts'
import { besidePath, clearStalePath, removeSocketFile, socketFileAt } from '../../relay/unix-path.ts'

export interface DoorOptions {
  /** TCP keepalive after this much silence; 0 is never. */
  readonly keepaliveMs: number
  /** @param port the one of the rule's ports by which it came; 0 for a Unix socket. */
  readonly onSocket: (socket: Socket, door: Door) => void
  /** Listening broke after it had begun. */
  readonly onError: (error: Error) => void
  /** Who holds an address that is in use: `nginx (pid 812)`. */
  readonly owner: (port: number) => Promise<string | null>
  /** Sockets of the process whose place this one takes. */
  readonly inherit?: Inheritance | undefined
}

/**
 * One listening socket. It can stop taking clients and go on; the socket stays meanwhile, as anybody of this machine
 * could listen in its place. Node cannot leave clients in the queue, so they are reset.
 */
export class Door {
  /** `0.0.0.0:8888/tcp`, `unix:/run/x.sock`. */
  readonly label: string
  /** Among the rule's ports; 0 for a Unix socket. */
  readonly port: number
  /** Which file a Unix socket's is. */
  readonly file: string | null
  readonly #where: ListenOptions
  readonly #options: DoorOptions
  readonly #server: Server
  #paused = false
  /** A predecessor's socket that is not listened on yet. */
  #waiting: number | null = null

  private constructor(parts: { server: Server; where: ListenOptions; label: string; options: DoorOptions }) {
    const { server, where, label, options } = parts
    this.#server = server
    this.#where = where
    this.#options = options
    this.label = label
    this.port = where.port ?? 0
    this.file = where.path === undefined ? null : socketFileAt(where.path)
    server.on('connection', (socket) => this.#comeIn(socket))
    server.on('error', options.onError)
  }

  /** @throws the system's own error */
  static async open(where: ListenOptions, options: DoorOptions): Promise<Door> {
    const server = await listening(where, options)
    const bound = server.address()
    if (bound === null || typeof bound === 'string')
      return new Door({ server, where, label: `unix:${where.path}`, options })
    const label = `${shown(where, bound)}/tcp`
    return new Door({ server, where: { ...where, port: bound.port }, label, options })
  }

  /** On a predecessor's socket, once that one has let go. */
  static inherited(fd: number, where: ListenOptions, options: DoorOptions, begun: Promise<void>): Door {
    const label =
      where.path === undefined
        ? `${shown(where, { address: where.host ?? '', port: where.port ?? 0 })}/tcp`
        : `unix:${where.path}`
    const door = new Door({ server: makeServer(options), where, label, options })
    door.#waiting = fd
    void begun.then(() => {
      if (door.#waiting === null) return
      door.#waiting = null
      // Beside `fd` Node 20 does not look at `backlog` and asks for 511: an argument of its own it takes.
      door.#server.listen({ fd }, backlog)
    })
    return door
  }

  get accepting(): boolean {
    return !this.#paused && (this.#server.listening || this.#waiting !== null)
  }

  /** Null while it does not listen, and where Node does not tell its descriptor. */
  lend(): LentSocket | null {
    const fd = descriptorOf(this.#server)
    return fd === null ? null : { ...socketAt({ ...this.#where, port: this.port }), fd }
  }

  /** A successor listens on the same socket: nothing is taken away. */
  leave(): void {
    if (this.#server.listening) this.#server.close()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
  }

  #comeIn(socket: Socket): void {
    if (this.#paused) reset(socket.on('error', () => {}))
    else this.#options.onSocket(socket, this)
  }

  /** Listens no more; sockets that came in live on. */
  close(): Promise<void> {
    this.#shut()
    if (this.#waiting !== null) closeSync(this.#waiting)
    this.#waiting = null
    return Promise.resolve()
  }

  /** Node calls back only when the last connection is gone; the socket itself is closed at once. */
  #shut(): void {
    if (!this.#server.listening) return
    this.#server.close()
    if (this.#where.path !== undefined && hasOwnName) removeSocketFile(this.#where.path, this.file)
  }
}

/** All of a rule's ports, or none. @throws NaruError LISTEN_… */
export async function openDoors(listen: Listen, options: DoorOptions): Promise<readonly Door[]> {
  await using scope = new Scope()
  const doors: Door[] = []
  for (const where of places(listen)) {
    const door = await openDoor(where, options)
    scope.defer(() => door.close())
    doors.push(door)
  }
  scope.move()
  return doors
}

async function openDoor(where: ListenOptions, options: DoorOptions): Promise<Door> {
  const { inherit } = options
  const inherited = inherit?.take(socketAt(where)) ?? null
  if (inherit && inherited !== null) return Door.inherited(inherited, where, options, inherit.begun)
  if (where.path !== undefined) await clearStalePath(where.path)
  try {
    return await Door.open(where, options)
  } catch (error) {
    // A machine without IPv6 still has every IPv4 address.
    const noIpv6 = errnoOf(error) === 'EAFNOSUPPORT' || errnoOf(error) === 'EADDRNOTAVAIL'
    if (where.host === '::' && where.ipv6Only === false && noIpv6) {
      return await openDoor({ ...where, host: '0.0.0.0' }, options)
    }
    const label =
      where.path === undefined ? formatEndpoint(where.host ?? '', where.port ?? 0) : `unix:${where.path}`
    throw await listenError(error, label, () => options.owner(where.port ?? 0))
  }
}

const backlog = 65_535

/** How a socket is known to a successor. */
function socketAt({ path, host, port, ipv6Only }: ListenOptions): Omit<LentSocket, 'fd'> {
  if (path !== undefined) return { protocol: 'unix', address: path, port: 0, part: 0 }
  const everywhere = ipv6Only === false && (host === '::' || host === '0.0.0.0')
  return { protocol: 'tcp', address: everywhere ? '*' : (host ?? '*'), port: port ?? 0, part: 0 }
}

function places(listen: Listen): readonly ListenOptions[] {
  if (listen.kind === 'unix') return [{ path: listen.path, backlog }]
  const { address, ports } = listen
  const host = address ?? '::'
  return everyPort(ports).map((port) => ({
    host,
    port,
    backlog,
    ipv6Only: address !== null && host === '::',
  }))
}

function makeServer({ keepaliveMs }: DoorOptions): Server {
  return createServer({
    allowHalfOpen: true,
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: keepaliveMs > 0,
    keepAliveInitialDelay: keepaliveMs,
  })
}

function listening(where: ListenOptions, options: DoorOptions): Promise<Server> {
  const server = makeServer(options)
  const { path } = where
  const name = path !== undefined && hasOwnName ? besidePath(path) : path
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...where, ...(name !== undefined && { path: name }) }, () => {
      server.off('error', reject)
      try {
        if (path !== undefined && name !== path) rename(name as string, path)
        resolve(server)
      } catch (error) {
        server.close()
        reject(error)
      }
    })
  })
}

/**
 * libuv takes a Unix socket's path away when it closes the socket, also where another process listens on it by then.
 * So it is bound by another name, which libuv knows, and moved to its own.
 */
const hasOwnName = process.platform === 'linux'

/** @throws EEXIST, unlike rename(2) */
function rename(from: string, to: string): void {
  linkSync(from, to)
  unlinkSync(from)
}

/** `*` in place of `::` where both families come in by it. */
function shown({ host, ipv6Only }: ListenOptions, bound: Pick<AddressInfo, 'address' | 'port'>): string {
  return host === '::' && ipv6Only === false ? `*:${bound.port}` : formatEndpoint(bound.address, bound.port)
}
