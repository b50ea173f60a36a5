/** `naru up`: the daemon on one file: rules, API and web page, until a signal. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keepAlive } from '../base/awake.ts'
import { withLimit } from '../base/clock.ts'
import type { ExitCode } from '../base/codes/entry.ts'
import { isNaruError, messageOf, NaruError, type NaruErrorJson } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Host } from '../host/contract.ts'
import { isOneFile, ownFile } from '../base/own-files.ts'
import { replaceFile } from '../base/replace-file.ts'
import { Scope } from '../base/scope.ts'
import { say } from '../base/text.ts'
import { defaultAddress, defaultPort } from '../api/protocol/wire.ts'
import { addressRange } from '../base/address.ts'
import type { PageFiles, RunningServer, TcpOptions } from '../api/server/options.ts'
import type { UpOptions } from '../cli/deps.ts'
import { Forwarder } from '../rules/forwarder.ts'
import type { Deps } from '../instance/deps.ts'
import { claim, holderOf, instanceOf, stateRoot, tokensPath } from '../instance/instance.ts'
import { mustNotBeRoots } from '../instance/roots.ts'
import { ruleSchema } from '../model/rule-keys/index.ts'
import { splitHostPorts } from '../model/listen.ts'
import type { Json } from '../model/hop.ts'
import { createFile, createFileStore } from '../stores/file/index.ts'
import { ruleFile, starter } from './files.ts'
import { tellTo, recover } from './recover.ts'
import { starterOf } from './background.ts'
import { createLog } from './log-output.ts'
import type { HandoverOptions } from './handover/offer.ts'
import { mustNotLeaveService, notifySystemd } from '../linux/sd-notify.ts'
import type { AcceptedHandover } from './handover/accept.ts'
import { composeDeps } from './compose.ts'
import { followSample, sampleUrl } from './sample.ts'

export async function up(options: UpOptions): Promise<ExitCode> {
  try {
    return await serveUntilStopped(options)
  } catch (error) {
    // Stopped while it started, and nothing is left of it.
    if (options.signal.aborted && isNaruError(error, 'ABORTED') && error.left.length === 0) return 0
    throw error
  }
}

async function serveUntilStopped(options: UpOptions): Promise<ExitCode> {
  const unwanted = new AbortController()
  const whoWaits = starterOf(() => unwanted.abort())
  const log = await createLog(options.language, () => whoWaits?.hasGone !== true)
  const signal = AbortSignal.any([options.signal, unwanted.signal])
  const tcpWish = parseApi(options.api)
  const file = ruleFile(options.file)
  await using scope = new Scope()
  const obeySignals = listenToSignals(scope)
  if (!existsSync(file)) await createFile(file, starter(await freePort(8880), await freePort(6280)))
  await mustNotBeRoots(file)
  const root = stateRoot()
  const { id } = await instanceOf(root, file)
  await recover(root, { except: id, tell: tellTo(log), signal })
  const parts = await composeDeps(createFileStore(file), { log })
  const place = options.replace ? await placeToTake(root, id, signal) : null
  if (place) scope.use(place)
  const instance = place ? place.instance : await claim(root, id, file)
  scope.defer(() => instance.release())
  if (!place) await instance.askForPorts()
  let stopped = false
  const { forwarder, failures } = await Forwarder.start(parts, instance, {
    signal,
    checks: async () => (await import('../doctor/checks/index.ts')).checks,
    ...(place && { predecessor: place.predecessor }),
  })
  // Whoever ends otherwise than by a stop is told by the log of what is left.
  scope.defer(() => forwarder.stop().catch((left: unknown) => stopped || log.error({}, messageOf(left))))
  const tokens = await tokensIn(instance.folder)
  const tcp = tcpWish === 'off' ? null : { ...tcpWish, ...tokens, ...pageOf(place, tcpWish) }
  const served = scope.use(await serveApi(forwarder, { parts, tcp, socketPath: instance.holder.socket, log }))
  if (tcp && served.url !== null) await tellWhereElse(tcp, served.url, parts.host, log)
  const ready = readiness({ forwarder, served, tcp, failures, onReady: options.onReady, whoWaits })
  const announce = async (): Promise<void> => {
    await forwarder.announce(served.url)
    // Whoever waits hears it, and then goes.
    if (whoWaits) await ready()
    await whoWaits?.served()
    await notifySystemd(log)
  }
  if (place) {
    await place.begin(announce)
    await forwarder.settle()
  }
  const sample = scope.use(await followSample(() => forwarder.samplePort, { log }))
  // Whoever hears that it serves finds the sample page, too.
  if (!place) await announce()
  const apiSocket = instance.holder.socket
  const { onPassedOn } = options
  const door = await givePlace({ forwarder, served, sample, tcp, apiSocket, log, onPassedOn })
  if (door) scope.use(door)
  obeySignals(forwarder)
  if (!whoWaits) await ready()
  stopped = true
  await endOf(forwarder, signal)
  return 0
}

/** The API and the page, on the socket and on `tcp` where that is wanted. */
async function serveApi(
  forwarder: Forwarder,
  options: { parts: Deps; tcp: TcpOptions | null; socketPath: string; log: Log },
): Promise<RunningServer> {
  const { parts, tcp, socketPath, log } = options
  const { serve } = await import('../api/server/serve.ts')
  const { machineOf } = await import('./compose-machine.ts')
  return serve(forwarder, {
    socketPath,
    tcp,
    pageFiles: await pageFiles(),
    log,
    ruleSchema: ruleSchema as Json,
    machine: await machineOf(parts, () => Promise.resolve(forwarder)),
    exchange: {
      // Read when somebody imports or exports, which most days nobody does.
      read: async (text, how) => (await import('./exchange.ts')).exchange.read(text, how),
      write: async (to, rules) => (await import('./exchange.ts')).exchange.write(to, rules),
    },
  })
}

interface Readiness extends Pick<UpOptions, 'onReady'> {
  readonly forwarder: Forwarder
  readonly served: RunningServer
  readonly tcp: TcpOptions | null
  readonly failures: readonly NaruErrorJson[]
  readonly whoWaits: ReturnType<typeof starterOf>
}

/** Tells what serves, and where. */
function readiness({ forwarder, served, tcp, failures, whoWaits, onReady }: Readiness): () => Promise<void> {
  return async () => {
    const rules = await forwarder.rules.list()
    const { loginUrl, readOnlyUrl } = served
    onReady(
      {
        about: await forwarder.about(),
        loginUrl,
        readOnlyUrl,
        pageOnNetwork: tcp !== null && addressRange(tcp.address ?? defaultAddress) !== 'loopback',
        sampleUrl: sampleUrl(rules, forwarder.samplePort),
        rules,
        failures,
      },
      { inBackground: whoWaits !== null },
    )
  }
}

/** The daemon that runs on the file hands over to this one; null where none does. @throws NaruError HANDOVER_FAILED, HELD_BY_SERVICE */
async function placeToTake(root: string, id: string, signal: AbortSignal): Promise<AcceptedHandover | null> {
  const holder = await holderOf(root, id)
  if (holder === null) return null
  await mustNotLeaveService(holder)
  const { acceptHandover } = await import('./handover/accept.ts')
  return acceptHandover(root, id, holder, { signal })
}

/** Linux alone passes sockets on. */
async function givePlace(
  options: Pick<HandoverOptions, 'forwarder' | 'apiSocket' | 'log'> &
    Pick<UpOptions, 'onPassedOn'> & {
      served: RunningServer
      sample: AsyncDisposable
      tcp: TcpOptions | null
    },
): Promise<AsyncDisposable | null> {
  if (process.platform !== 'linux') return null
  const { served, sample, tcp, onPassedOn, ...rest } = options
  const { forwarder, log } = rest
  const give = await import('./handover/offer.ts')
  const offered: Promise<AsyncDisposable> = give.offerHandover({
    ...rest,
    page: tcp && pageOn(tcp, served),
    async onPassedOn(to) {
      onPassedOn(to)
      await sample[Symbol.asyncDispose]()
      await (await offered)[Symbol.asyncDispose]()
      await served[Symbol.asyncDispose]()
    },
    async onTakenBack() {
      await forwarder.announce(served.url)
      await notifySystemd(log)
    },
  })
  return offered.catch((error: unknown) => {
    log.warn({}, say`no successor can take over from this one: ${messageOf(error)}`)
    return null
  })
}

/** A page that was open at the usual port, or a bookmark of it, meets another program there. */
async function tellWhereElse(tcp: TcpOptions, url: string, host: Host, log: Log): Promise<void> {
  const port = tcp.port ?? defaultPort
  if (Number(new URL(url).port) === port) return
  const holder = await host.sockets
    .owner('tcp', port, { signal: withLimit(undefined, 3000) })
    .catch(() => null)
  log.warn(
    { port, holder },
    say`port ${port} is taken by ${holder ?? say('another program')}: the web page is at ${url}, and what answers at ${port} is not this Naru`,
  )
}

function pageOn({ address = defaultAddress }: TcpOptions, served: RunningServer): HandoverOptions['page'] {
  const { url, fds, pageKey: key } = served
  return url === null || fds.length === 0 ? null : { address, port: Number(new URL(url).port), key, fds }
}

/** The page goes on where it was, unless another place is asked for. */
function pageOf(
  place: AcceptedHandover | null,
  wish: Pick<TcpOptions, 'address' | 'port'>,
): Pick<TcpOptions, 'address' | 'port' | 'fds' | 'pageKey'> {
  if (!place?.page) return {}
  const { address, port, key: pageKey } = place.page
  const same = (wish.address ?? address) === address && (wish.port ?? port) === port
  return same ? { address, port, pageKey, fds: place.takePage() } : {}
}

/** Stops now where the signal says so; a stop by the API ends it too. @throws NaruError NOT_UNDONE */
function endOf(forwarder: Forwarder, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => void forwarder.stop().then(resolve, reject)
    forwarder.ended.addEventListener('abort', stop)
    signal.addEventListener('abort', stop)
    if (forwarder.ended.aborted || signal.aborted) stop()
    // Nothing else may be there to keep the process alive: a daemon without rules waits for its file.
    const alive = keepAlive()
    forwarder.ended.addEventListener('abort', () => alive[Symbol.dispose]())
  })
}

/**
 * SIGHUP re-reads the file; SIGUSR1 lets connections finish, then stops; by SIGUSR2 a fresh start asks one that passed
 * its place on for its ports. Each may come while it still starts, and would end the process, or start Node's debugger. Windows has neither.
 */
function listenToSignals(scope: Scope): (forwarder: Forwarder) => void {
  if (process.platform === 'win32') return () => {}
  let begun: Forwarder | null = null
  const asked = new Set<'reload' | 'drain' | 'let-go'>()
  const act = (): void => {
    if (asked.delete('reload')) void begun?.reload().catch(() => {})
    if (asked.delete('let-go')) void begun?.succession.letGo().catch(() => {})
    if (asked.delete('drain')) void begun?.stop({ drain: true }).catch(() => {})
  }
  const hear = (what: 'reload' | 'drain' | 'let-go') => (): void => {
    asked.add(what)
    if (begun) act()
  }
  const [reload, drain, letGo] = [hear('reload'), hear('drain'), hear('let-go')]
  process.on('SIGHUP', reload).on('SIGUSR1', drain).on('SIGUSR2', letGo)
  scope.defer(() => process.off('SIGHUP', reload).off('SIGUSR1', drain).off('SIGUSR2', letGo))
  return (forwarder) => {
    begun = forwarder
    act()
  }
}

function parseApi(wish: string | null): 'off' | Pick<TcpOptions, 'address' | 'port' | 'exact'> {
  if (wish === 'off') return 'off'
  if (wish === null) return { exact: false }
  const { host, ports } = splitHostPorts(wish, wish)
  if (ports.first !== ports.last) {
    throw new NaruError('VALUE_INVALID', {
      what: '--api',
      value: wish,
      why: say('write ADDRESS:PORT or off'),
    })
  }
  return { ...(host !== null && { address: host }), port: ports.first, exact: true }
}

/** Kept over restarts: programs have them in their settings. */
async function tokensIn(folder: string): Promise<{ token: string; readToken: string }> {
  const path = tokensPath(folder)
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) throw new Error('others may read them')
    const kept = JSON.parse(await readFile(path, 'utf8')) as { token?: unknown; readToken?: unknown }
    if (typeof kept.token === 'string' && typeof kept.readToken === 'string' && kept.token.length >= 32)
      return { token: kept.token, readToken: kept.readToken }
  } catch {
    // There are none yet, nobody can read them, or others can: new ones.
  }
  const made = {
    token: randomBytes(32).toString('base64url'),
    readToken: randomBytes(32).toString('base64url'),
  }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await replaceFile(path, JSON.stringify(made), { mode: 0o600 })
  return made
}

/** Inside of the program, or beside the built daemon, or beside the sources it is run from. */
async function pageFiles(): Promise<PageFiles | null> {
  if (isOneFile) return async (name) => ownFile(`web/dist/${name}`)
  const { filesOf } = await import('../api/server/static.ts')
  const path = fileURLToPath(new URL('../../web/dist', import.meta.url))
  return existsSync(join(path, 'index.html')) ? filesOf(path) : null
}

/** The first free port on loopback from `first` on. */
async function freePort(first: number): Promise<number> {
  for (let port = first; port < first + 100; port++) if (await isFree(port)) return port
  return first
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
