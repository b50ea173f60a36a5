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
import { Scope } from '../../base/scope.ts'
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
  let fd: number | null = null
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
    const server = serverOf(createApp(naru, { ...common, guard }), connections)
    connections.watch(server)
    port = await listenOnTcp(server, tcp)
    fd = descriptorOf(server)
    scope.defer(() => closeServer(server))
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
    fd,
    pageKey,
    url: url(),
    loginUrl: link(tcp?.token),
    readOnlyUrl: link(tcp?.readToken),
    [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
  }
}

/** Not public in Node; where it looks otherwise some day, the page's port does not pass on. */
function descriptorOf(server: Server): number | null {
  const fd = (server as unknown as { _handle?: { fd?: unknown } | null })._handle?.fd
  return typeof fd === 'number' && fd >= 0 ? fd : null
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

async function listenOnTcp(server: Server, tcp: TcpOptions): Promise<number> {
  const address = tcp.address ?? defaultAddress
  const first = tcp.port ?? defaultPort
  if (tcp.fd !== undefined) {
    await listen(server, () => server.listen({ fd: tcp.fd }))
    return (server.address() as { port: number }).port
  }
  for (let port = first; ; port++) {
    try {
      await listen(server, () => server.listen({ host: address, port }))
      return (server.address() as { port: number }).port
    } catch (error) {
      if (errnoOf(error) === 'EADDRINUSE' && !tcp.exact && port - first + 1 < portsToTry && port < 65_535)
        continue
      throw cannotListen(formatEndpoint(address, port), error)
    }
  }
}

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
