/**
 * What every promise about an engine needs: an engine that ends with the test, rules in one line, real targets and
 * clients on real sockets, and waiting for what happens rather than for time.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { networkInterfaces, release } from 'node:os'
import { it } from 'vitest'
import { systemClock } from '../../../src/base/clock.ts'
import { NaruError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import type { Engine, EngineEvent, EngineLease, MakeEngine, Resolve } from '../../../src/engines/contract.ts'
import type { Host } from '../../../src/host/contract.ts'
import { takeError } from '../../../src/linux/socket-error.ts'
import type { CloseReason, Connection } from '../../../src/model/connection.ts'
import type { Facts } from '../../../src/model/facts.ts'
import { parseListen } from '../../../src/model/listen.ts'
import type { Rule, TargetChoice } from '../../../src/model/rule.ts'
import { parseRule } from '../../../src/model/rule-file.ts'
import { parseTarget } from '../../../src/model/target.ts'
import { descriptorOf } from '../../../src/relay/handle.ts'
import { MemoryRecorder } from '../../fakes/recorder.ts'
import { freePort } from '../../free-port.ts'

export interface ConformanceOptions {
  /** Where rules listen and clients knock. @default 127.0.0.1 */
  readonly host?: string
  /** Where targets are. @default 127.0.0.1 */
  readonly targetHost?: string
  /** Two addresses of this machine, of which neither is a wildcard's first choice, for the reply address. */
  readonly twoAddresses?: readonly [string, string] | null
  /**
   * The kernel moves the bytes: it decides about refusals, resets and buffers, and there are no records of single
   * connections with a close reason. What only a relay in user space can promise is left out, by name.
   */
  readonly inKernel?: boolean
  /** Promises (by id) that this engine does not give, each with the reason that its `supports` or its docs give. */
  readonly without?: Readonly<Record<string, string>>
}

/** One test of the suite, or a skipped one that says why. */
export type Promised = (id: string, promise: string, body: () => Promise<void>, limitMs?: number) => void

export function promisesFor({ without = {} }: ConformanceOptions): Promised {
  return (id, promise, body, limitMs) => {
    const why = without[id]
    if (why === undefined) it(`${promise} [${id}]`, body, limitMs)
    else it.skip(`${promise} [${id}] (not promised: ${why})`, body)
  }
}

export type RuleChange = Partial<Omit<Rule, 'listen' | 'targets' | 'limits' | 'timeouts'>> & {
  readonly limits?: Partial<Rule['limits']>
  readonly timeouts?: Partial<Rule['timeouts']>
}

/** A rule from two texts; several targets are separated by blanks. */
export function ruleOf(
  listen: string,
  targets: string | readonly TargetChoice[],
  change: RuleChange = {},
): Rule {
  const { limits, timeouts, ...rest } = change
  const choices =
    typeof targets === 'string'
      ? targets.split(' ').map((text) => ({ to: parseTarget(text), weight: 1, backup: false, name: null }))
      : targets
  return {
    ...plainRule,
    listen: parseListen(listen),
    targets: choices,
    limits: { ...plainRule.limits, ...limits },
    timeouts: { ...plainRule.timeouts, ...timeouts },
    ...rest,
  }
}

/** What every key is where nobody says it. */
const plainRule = parseRule('promise', { listen: 1, target: 2 })

/** The host of the tests: engines ask it for little, and get no lies. */
export const testHost = {
  sockets: { owner: () => Promise.resolve(null), list: () => Promise.resolve([]) },
} as unknown as Host

export const testFacts: Facts = {
  platform: process.platform,
  arch: process.arch,
  kernel: release(),
  privileged: process.getuid?.() === 0,
  capabilities: [],
  firstUnprivilegedPort: 1024,
  tools: {},
}

const noNames: Resolve = (target) =>
  Promise.reject(new NaruError('NAME_NOT_FOUND', { name: JSON.stringify(target), why: 'no names here' }))

/** An engine with everything that it opened, ended with the test. */
export class World implements AsyncDisposable {
  readonly engine: Engine
  readonly events: EngineEvent[] = []
  readonly record = new MemoryRecorder()
  readonly host: string
  readonly targetHost: string
  readonly #watchers = new Set<() => void>()
  readonly #ends: (() => unknown)[] = []

  constructor(make: MakeEngine, { host = '127.0.0.1', targetHost = '127.0.0.1' }: ConformanceOptions = {}) {
    this.engine = make({ host: testHost, clock: systemClock, log: silentLog })
    this.host = host
    this.targetHost = targetHost
  }

  async open(rule: Rule, resolve: Resolve = noNames): Promise<EngineLease> {
    const onEvent = (event: EngineEvent): void => {
      this.events.push(event)
      for (const look of this.#watchers) look()
    }
    const signal = AbortSignal.timeout(30_000)
    const lease = await this.engine.open({ rule, resolve, onEvent }, { signal, record: this.record })
    this.#ends.push(() => lease.release({ signal: AbortSignal.timeout(5000) }))
    return lease
  }

  /** A rule from a free port to `targets`. @returns where it listens. */
  async forward(
    targets: string | readonly TargetChoice[],
    change: RuleChange & { readonly protocols?: string } = {},
    resolve?: Resolve,
  ): Promise<{ lease: EngineLease; port: number; rule: Rule }> {
    const { protocols = 'tcp', ...rest } = change
    const port = await freePort(this.host)
    const rule = ruleOf(`${bracketed(this.host)}:${port}/${protocols}`, targets, rest)
    return { lease: await this.open(rule, resolve), port, rule }
  }

  /** A stream server; its sockets allow half-open. @returns `HOST:PORT`. */
  async target(onSocket: (socket: Socket) => void, host = this.targetHost, port = 0): Promise<Target> {
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).once('close', () => sockets.delete(socket))
      onSocket(socket)
    })
    server.listen(port, host)
    await once(server, 'listening')
    const close = (): void => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
    this.#ends.push(close)
    const { port: bound } = server.address() as AddressInfo
    return { at: `${bracketed(host)}:${bound}`, port: bound, sockets, server, close }
  }

  /** An echo server on a Unix socket. */
  async unixTarget(path: string): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, echo)
    server.listen(path)
    await once(server, 'listening')
    this.#ends.push(() => server.close())
    return server
  }

  /** A client's connection. Reading starts only when somebody listens for data. */
  async dial(port: number, options: { host?: string; localAddress?: string } = {}): Promise<Socket> {
    const socket = connect({ port, host: this.host, allowHalfOpen: true, noDelay: true, ...options })
    this.#ends.push(() => socket.destroy())
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  /** A datagram server; `answer` gets each datagram. */
  async udpTarget(
    answer: (datagram: Buffer, from: RemoteInfo, socket: UdpSocket) => void,
    host = this.targetHost,
    port = 0,
  ): Promise<{ at: string; port: number; socket: UdpSocket; close: () => void }> {
    const socket = await this.udp(host, port)
    socket.on('message', (datagram, from) => answer(datagram, from, socket))
    const { port: bound } = socket.address()
    return { at: `${bracketed(host)}:${bound}`, port: bound, socket, close: () => closeQuietly(socket) }
  }

  /** A bound datagram socket with room for the largest ones. */
  async udp(host = this.host, port = 0): Promise<UdpSocket> {
    const socket = createSocket({
      type: host.includes(':') ? 'udp6' : 'udp4',
      recvBufferSize: 1 << 20,
      sendBufferSize: 1 << 20,
    })
    this.#ends.push(() => closeQuietly(socket))
    socket.on('error', () => {})
    socket.bind(port, host)
    await once(socket, 'listening')
    return socket
  }

  /** The record of the first connection that closes, or closed already and passes `test`. */
  async closed(test: (connection: Connection) => boolean = () => true): Promise<Connection> {
    const found = (): Connection | undefined =>
      this.events
        .flatMap((event) => (event.type === 'closed' ? [event.connection()] : []))
        .find((connection) => test(connection))
    return await this.#seen(found, 'a connection that closes')
  }

  async refused(reason: CloseReason): Promise<void> {
    await this.#seen(
      () => this.events.find((event) => event.type === 'refused' && event.reason === reason),
      `a client turned away: ${reason}`,
    )
  }

  async event(test: (event: EngineEvent) => boolean, what = 'an event'): Promise<EngineEvent> {
    return await this.#seen(() => this.events.find(test), what)
  }

  defer(end: () => unknown): void {
    this.#ends.push(end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
    await this.engine.close()
  }

  #seen<T>(find: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(look)
        reject(new Error(`waited 10 s for ${what}; saw ${JSON.stringify(this.events.slice(-5))}`))
      }, 10_000)
      const look = (): void => {
        const found = find()
        if (found === undefined) return
        clearTimeout(timer)
        this.#watchers.delete(look)
        resolve(found)
      }
      this.#watchers.add(look)
      look()
    })
  }
}

export interface Target {
  readonly at: string
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
  readonly server: Server
  readonly close: () => void
}

export const echo = (socket: Socket): void => void socket.pipe(socket)

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** Everything that comes until the other side ends; rejects where it is reset. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const how = await ending(socket)
  if (how !== 'end') throw new Error(`ended by ${how}`)
  return Buffer.concat(chunks)
}

/**
 * How the other side ended it: `end` for a FIN, or the error's code such as `ECONNRESET`. Reads on. A reset on the heels
 * of the last bytes is an end to libuv; the system knows better (not asked where we cannot: other than Linux).
 */
export function ending(socket: Socket): Promise<string> {
  if (socket.errored) return Promise.resolve((socket.errored as NodeJS.ErrnoException).code ?? 'error')
  if (socket.readableEnded) return Promise.resolve('end')
  return new Promise((resolve) => {
    socket.once('end', () => {
      const fd = descriptorOf(socket)
      resolve(fd !== null && takeError(fd) === 'reset' ? 'ECONNRESET' : 'end')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    socket.once('close', () => resolve('closed'))
    socket.resume()
  })
}

/** The next `count` bytes. */
export async function readSome(socket: Socket, count: number): Promise<Buffer> {
  let got = Buffer.alloc(0)
  return await new Promise((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      got = Buffer.concat([got, chunk])
      if (got.length < count) return
      socket.off('data', take).off('close', broken).pause()
      if (got.length > count) socket.unshift(got.subarray(count))
      resolve(got.subarray(0, count))
    }
    const broken = (): void => reject(new Error(`closed after ${got.length} of ${count} bytes`))
    socket.on('data', take).once('close', broken).resume()
  })
}

/** The next datagram, within 5 s. */
export async function nextDatagram(socket: UdpSocket): Promise<{ datagram: Buffer; from: RemoteInfo }> {
  const [datagram, from] = (await once(socket, 'message', { signal: AbortSignal.timeout(5000) })) as [
    Buffer,
    RemoteInfo,
  ]
  return { datagram, from }
}

export function sendTo(
  socket: UdpSocket,
  datagram: Buffer | string,
  port: number,
  host = '127.0.0.1',
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(datagram, port, host, (error) => (error ? reject(error) : resolve()))
  })
}

function closeQuietly(socket: UdpSocket): void {
  try {
    socket.close()
  } catch {
    // It was closed before.
  }
}

/** This machine has the IPv6 loopback address. */
export const hasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((entries) => entries?.some(({ address }) => address === '::1'))

/** A promise and who settles it. */
export function deferred<T>(): {
  promise: Promise<T>
  resolve: (value: T | Promise<T>) => void
  reject: (why: unknown) => void
} {
  let settle: Pick<ReturnType<typeof deferred<T>>, 'resolve' | 'reject'> | null = null
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...(settle as unknown as Pick<ReturnType<typeof deferred<T>>, 'resolve' | 'reject'>) }
}
