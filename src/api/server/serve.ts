/**
 * Opens the doors of a running Naru: a local socket for the CLI, which the file's mode guards, and a TCP port for the
 * web page and other programs, which wants a token. Closing ends event streams first, then lets answers finish.
 */
import { chmod, unlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect, isIPv6, type Socket } from 'node:net'
import { systemClock } from '../../base/clock.ts'
import { getRequestListener } from '@hono/node-server'
import { formatEndpoint } from '../../base/address.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { Scope } from '../../base/scope.ts'
import { say } from '../../base/text.ts'
import type { Naru } from '../../model/naru-api.ts'
import { defaultAddress, defaultPort, type Access } from '../protocol/wire.ts'
import { createApp, type AppOptions } from './app.ts'
import { Connections } from './connections.ts'
import type { App } from './env.ts'
import { newToken, sessionOf } from './guard.ts'
import type { ServeOptions, RunningServer, TcpOptions } from './options.ts'
import { Turns } from './turns.ts'

export { newToken } from './guard.ts'
export type { ServeOptions, RunningServer } from './options.ts'

/** How far the search for a free port goes. */
const portsToTry = 20
/** How long answers may finish once we close. */
const closeGraceMs = 1000

/** @throws NaruError API_IN_USE, API_UNAVAILABLE */
export async function serve(naru: Naru, options: ServeOptions): Promise<RunningServer> {
  await using scope = new Scope()
  const closing = new AbortController()
  const { version } = await naru.about()
  const { socketPath, tcp } = options
  let port = 0
  let fds: readonly number[] = []
  const url = (): string | null =>
    tcp === null || port === 0 ? null : `http://${formatEndpoint(shown(tcp.address ?? defaultAddress), port)}`
  const pageKey = tcp?.pageKey ?? newToken()
  const link = (token: string | undefined): string | null => {
    const base = url()
    return base === null || token === undefined ? null : `${base}/?token=${sessionOf(token, { pageKey })}`
  }
  const common: Omit<AppOptions, 'guard'> = {
    closing: closing.signal,
    log: options.log,
    pageFiles: options.pageFiles,
    web: url,
    version,
    ruleSchema: options.ruleSchema ?? null,
    machine: options.machine ?? null,
    exchange: options.exchange ?? null,
    session: () => ({ access: 'full', loginUrl: link(tcp?.token), readOnlyUrl: link(tcp?.readToken) }),
  }
  const turns = new Turns()
  if (tcp) {
    const connections = new Connections({}, turns)
    const onProven = (socket: Socket, access: Access): void => connections.prove(socket, access)
    const guard = { tokens: { ...tcp, pageKey }, onProven }
    const app = createApp(naru, { ...common, guard })
    const make = (): Server => {
      const server = serverOf(app, connections)
      connections.watch(server)
      return server
    }
    const servers = await listenOnTcp(tcp, make, options.log)
    scope.defer(async () => void (await Promise.all(servers.map(closeServer))))
    port = portOf(servers[0])
    fds = descriptorsOf(servers)
  }
  if (socketPath !== null) {
    const server = serverOf(createApp(naru, { ...common, guard: null }), new Connections({}, turns))
    server.maxConnections = 512
    await listenOnPath(server, socketPath)
    scope.defer(() => closeServer(server))
  }
  scope.defer(() => closing.abort())
  const open = scope.move()
  return {
    socketPath,
    fds,
    pageKey,
    url: url(),
    loginUrl: link(tcp?.token),
    readOnlyUrl: link(tcp?.readToken),
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}

/** Not public in Node; where it looks otherwise some day, the page's port does not pass on. */
function descriptorsOf(servers: readonly Server[]): readonly number[] {
  const all = servers.map((server) => {
    const fd = (server as unknown as { _handle?: { fd?: unknown } | null })._handle?.fd
    return typeof fd === 'number' && fd >= 0 ? fd : null
  })
  return all.includes(null) ? [] : (all as number[])
}

function serverOf(app: App, connections: Connections): Server {
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false })
  const server = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 2000,
    },
    (request, response) =>
      connections.answer(request, response, async () => await listener(request, response)),
  )
  // A client that neither reads nor writes for this long is let go; a heartbeat counts as life.
  server.timeout = 120_000
  return server
}

/**
 * At the port's own address, and where browsers look for `localhost` besides.
 * @returns the one at the address itself first. @throws NaruError API_IN_USE, API_UNAVAILABLE
 */
async function listenOnTcp(tcp: TcpOptions, make: () => Server, log: Log): Promise<[Server, ...Server[]]> {
  const { address = defaultAddress, port: first = defaultPort, fds: [fd, otherFd] = [] } = tcp
  for (let tries = 1; ; tries++) {
    const port = first === 0 ? 0 : first + tries - 1
    const isLast = tcp.exact || fd !== undefined || tries === portsToTry || port === 65_535
    const own = make()
    try {
      await listen(own, () => own.listen(fd === undefined ? { host: address, port } : { fd }))
    } catch (error) {
      if (errnoOf(error) === 'EADDRINUSE' && !isLast) continue
      throw cannotListen(formatEndpoint(address, port), error)
    }
    try {
      return [own, ...(await listenBeside(address, portOf(own), make, otherFd))]
    } catch {
      if (isLast) {
        warnOfOther(address, portOf(own), log)
        return [own]
      }
      await closeServer(own)
    }
  }
}

/**
 * `localhost` is both loopback addresses (RFC 6761 §6.3), and browsers ask the first that answers: another user who
 * listened at the one that we leave free would be asked with what the page has of us.
 * @returns none where this machine has no such address. @throws the system's own error where another program has it
 */
async function listenBeside(
  address: string,
  port: number,
  make: () => Server,
  fd: number | undefined,
): Promise<readonly Server[]> {
  const host = otherLocalhost(address)
  if (host === null) return []
  const server = make()
  try {
    await listen(server, () => server.listen(fd === undefined ? { host, port } : { fd }))
    return [server]
  } catch (error) {
    if (errnoOf(error) === 'EADDRINUSE') throw error
    return []
  }
}

/** Of `localhost`, what a socket at `address` does not hold; null where it holds none of it, or both. */
function otherLocalhost(address: string): string | null {
  if (address === '127.0.0.1' || address === '0.0.0.0') return '::1'
  return address === '::1' ? '127.0.0.1' : null
}

function warnOfOther(address: string, port: number, log: Log): void {
  const other = formatEndpoint(otherLocalhost(address) ?? '', port)
  const ours = `http://${formatEndpoint(shown(address), port)}`
  log.warn(
    {},
    say`another program listens at ${other}, where browsers look for localhost: open ${ours}, never http://localhost:${port}`,
  )
}

const portOf = (server: Server): number => (server.address() as { port: number }).port

async function listenOnPath(server: Server, path: string): Promise<void> {
  const pipe = path.startsWith('\\\\.\\pipe\\')
  try {
    await listenPrivately(server, path)
  } catch (error) {
    if (pipe || errnoOf(error) !== 'EADDRINUSE' || (await answers(path))) throw cannotListen(path, error)
    // Left over by a process that was killed.
    await unlink(path)
    await listenPrivately(server, path).catch((again: unknown) => {
      throw cannotListen(path, again)
    })
  }
  if (!pipe) await chmod(path, 0o600)
}

/** The socket never exists with a wider mode, not for a moment: bind happens within `listen`. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return listen(server, () => {
    const before = process.umask(0o177)
    try {
      server.listen({ path })
    } finally {
      process.umask(before)
    }
  })
}

function listen(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(error)
    server.once('error', failed)
    server.once('listening', () => {
      server.off('error', failed)
      resolve()
    })
    start()
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = systemClock.after(closeGraceMs, () => server.closeAllConnections())
    server.close(() => {
      force[Symbol.dispose]()
      resolve()
    })
    server.closeIdleConnections()
  })
}

function cannotListen(address: string, error: unknown): NaruError {
  if (errnoOf(error) === 'EADDRINUSE') return new NaruError('API_IN_USE', { address }, { cause: error })
  return new NaruError('API_UNAVAILABLE', { address, why: messageOf(error) }, { cause: error })
}

/** A wildcard is no place to point a browser at. */
function shown(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return isIPv6(address) && address === '::' ? '::1' : address
}
