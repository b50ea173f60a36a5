/**
 * `naru doctor --from-phone`: a link and a QR code to open on a phone that is off the Wi-Fi. What arrives here says
 * where the way ends: no SYN (before this machine), a SYN without a connection (its firewall), or a connection.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { addressRange, formatEndpoint, unmapped } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { Scope } from '../../base/scope.ts'
import type { OutsideTest } from '../checks/contract.ts'
import type { Host } from '../../host/contract.ts'
import { qrText } from '../../model/qr.ts'
import { countSyns, type SynCounter } from './syn-counter.ts'

export interface PhoneOptions {
  readonly host: Host
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Where the phone is to go: the router's outside address, or our own public one. */
  readonly address: string
  readonly externalPort: number
  /** Where it arrives here. */
  readonly port: number
  /**
   * Answer on `port` ourselves, once: for a port that no rule serves yet. Otherwise `onOpened` tells of the relay's
   * connections.
   */
  readonly listen: boolean
  /** Calls back for each connection that the relay opened, with the client's address. */
  readonly onOpened?: (told: (client: string) => void) => Disposable
  /** @default 120_000 */
  readonly limitMs?: number
}

export interface PhoneTest extends AsyncDisposable {
  readonly url: string
  /** The link as a QR code for a terminal. */
  readonly qr: string
  /** What arrived. Ends with the first connection, 5 s after the first SYN, or at the limit. */
  readonly outcome: Promise<OutsideTest>
}

const lookEveryMs = 400
/** A connection follows its SYN within a round trip or never. */
const afterSynMs = 5000

/** @throws NaruError LISTEN_… where the port cannot be opened */
export async function startPhoneTest(options: PhoneOptions): Promise<PhoneTest> {
  await using scope = new Scope()
  // The path is secret, so that no passing scanner is taken for the phone.
  const path = options.listen ? `/${randomBytes(6).toString('base64url')}` : '/'
  const url = `http://${formatEndpoint(options.address, options.externalPort)}${path}`
  const arrived = new Arrivals()
  const counter = await counterFor(options)
  if (counter) scope.use(counter)
  if (options.listen) scope.use(await listenOnce(options.port, path, arrived))
  if (options.onOpened) scope.use(options.onOpened((client) => arrived.connection(client)))
  const ended = new AbortController()
  scope.defer(() => ended.abort())
  const outcome = watch(options, arrived, counter, AbortSignal.any([options.signal, ended.signal]))
  outcome.catch(() => {})
  const kept = scope.move()
  return {
    url,
    qr: qrText(url),
    outcome,
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  }
}

class Arrivals {
  from: string | null = null

  /** A client of our own network proves nothing of the outside. */
  connection(client: string): void {
    const address = unmapped(client.replace(/^\[|\]?:\d+$/g, ''))
    if (isOutside(address)) this.from ??= address
  }
}

function isOutside(address: string): boolean {
  try {
    return addressRange(address) === 'unicast' || addressRange(address) === 'carrierGradeNat'
  } catch {
    return false
  }
}

/** Null where packets cannot be counted: no nft, or no right to it. */
async function counterFor({ host, port, signal }: PhoneOptions): Promise<SynCounter | null> {
  if ((await host.facts()).platform !== 'linux') return null
  return countSyns([port], { host, signal }).catch(() => null)
}

async function watch(
  { clock, externalPort, address, port, limitMs = 120_000 }: PhoneOptions,
  arrived: Arrivals,
  counter: SynCounter | null,
  signal: AbortSignal,
): Promise<OutsideTest> {
  const until = clock.monotonic() + limitMs
  let firstSynAt: number | null = null
  const told = (result: OutsideTest['result'], synsSeen: number | null): OutsideTest => ({
    port: externalPort,
    to: address,
    who: { kind: 'phone', address: arrived.from },
    result,
    synsSeen,
  })
  for (;;) {
    const syns = counter ? ((await counter.read()).get(port) ?? 0) : null
    if (syns !== null && syns > 0) firstSynAt ??= clock.monotonic()
    if (arrived.from !== null) return told('answered', syns)
    const waited = firstSynAt !== null && clock.monotonic() - firstSynAt > afterSynMs
    if (waited || clock.monotonic() > until) return told('silent', syns)
    await clock.sleep(lookEveryMs, signal)
  }
}

const page = `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Naru</title><body style="font:20px system-ui;text-align:center;padding:3em">
<p>⛵ It works: you have reached the other side.</p><p>도착했습니다. 이제 이 창을 닫아도 됩니다.</p>`

/** Serves its one page at its one path until it is disposed; everything else is turned away. */
async function listenOnce(port: number, path: string, arrived: Arrivals): Promise<AsyncDisposable> {
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    if (request.url !== path) {
      response.writeHead(404).end()
      return
    }
    arrived.connection(request.socket.remoteAddress ?? '')
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', connection: 'close' }).end(page)
  })
  server.maxConnections = 32
  await listening(server, port)
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '::', () => resolve())
  })
}
