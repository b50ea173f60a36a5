/**
 * One HTTP exchange with a router: a connection of its own, at most 256 KiB, at most a few seconds from the first
 * byte asked to the last one read, no redirects, and never to any other host than the one given.
 */
import { request, type ClientRequest } from 'node:http'
import { familyOf, formatEndpoint } from '../../base/address.ts'
import { withLimit, systemClock } from '../../base/clock.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { lookWaitsMs } from '../contract.ts'
import { longestXml } from './xml.ts'

/** SYN is sent again after a second: a router that takes no connection by now has dropped both, or is not there. */
const connectLimitMs = lookWaitsMs.reduce<number>((sum, wait) => sum + wait, 0)
/** A router on the same network takes a connection within milliseconds. */
const slowMs = 200

/** The only host that is talked to, with the address of ours that it shall see. */
export interface RouterHttpPlace {
  readonly address: string
  readonly port: number
  /** Null lets the system choose. */
  readonly source: string | null
}

export interface RouterHttpAnswer {
  readonly status: number
  readonly body: string
}

export interface HttpQuestion {
  /** With its query. */
  readonly path: string
  /** Sent by POST; without it the question is a GET. */
  readonly post?: { readonly body: string; readonly headers: Readonly<Record<string, string>> }
  readonly signal: AbortSignal
  /** From connecting to the last byte. @default 4_000 */
  readonly limitMs?: number
  /** Called once where there is no connection yet after 200 ms. */
  readonly onSlow?: () => void
}

/**
 * A connection that does not come about within 1.7 s is silence.
 * @throws NaruError ROUTER_SILENT (its cause is the system's error), ROUTER_ANSWER_BAD, ABORTED
 */
export function exchange(place: RouterHttpPlace, question: HttpQuestion): Promise<RouterHttpAnswer> {
  const { path, post, signal, limitMs = 4000, onSlow } = question
  const limited = withLimit(signal, limitMs)
  const body = Buffer.from(post?.body ?? '', 'utf8')
  return new Promise((resolve, reject) => {
    const fail = (failure: unknown): void => reject(explain(failure, place, signal))
    const call = request({
      host: place.address,
      port: place.port,
      path,
      method: post ? 'POST' : 'GET',
      family: familyOf(place.address),
      ...(place.source !== null && { localAddress: place.source }),
      agent: false,
      signal: limited,
      maxHeaderSize: 16 * 1024,
      // Routers end lines as they like and repeat headers; what is in the body is judged by its own parser.
      insecureHTTPParser: true,
      headers: {
        Host: formatEndpoint(place.address.split('%')[0] as string, place.port),
        Connection: 'close',
        'User-Agent': 'Naru/1 UPnP/1.1',
        ...(post && { ...post.headers, 'Content-Length': String(body.length) }),
      },
    })
    call.on('error', fail)
    watchConnecting(call, onSlow)
    call.on('response', (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('error', fail)
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        chunks.push(chunk)
        if (length > longestXml) call.destroy(new Error(`it answers more than ${longestXml} bytes`))
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    call.end(body)
  })
}

function watchConnecting(call: ClientRequest, onSlow: () => void = () => {}): void {
  const slow = systemClock.after(slowMs, onSlow)
  const giveUp = (): unknown => call.destroy(Object.assign(new Error('no connection'), { code: 'ETIMEDOUT' }))
  // Twice: where this process itself was held up, the connection is there by now, and is told before the second.
  let late = systemClock.after(connectLimitMs - 50, () => (late = systemClock.after(50, giveUp)))
  const stop = (): void => {
    slow[Symbol.dispose]()
    late[Symbol.dispose]()
  }
  call.once('socket', (socket) => socket.once('connect', stop))
  call.once('close', stop)
}

/** True where the router is there but not at that port: it restarted and took another one. */
export function isElsewhere(failure: unknown): boolean {
  return failure instanceof NaruError && failure.code === 'ROUTER_SILENT'
}

/** What the system says where no connection came about; in the middle of one ours ends long before its ETIMEDOUT. */
const noConnection: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ETIMEDOUT',
])

/** True where no connection came about, so that nothing was asked. */
export function reachedNobody(failure: unknown): boolean {
  return isElsewhere(failure) && noConnection.has(errnoOf((failure as NaruError).cause) ?? '')
}

function explain(failure: unknown, { address }: RouterHttpPlace, signal: AbortSignal): NaruError {
  if (signal.aborted) return new NaruError('ABORTED', { what: `HTTP ${address}` }, { cause: failure })
  const errno = errnoOf(failure) ?? ''
  if (errno.startsWith('HPE_') || /more than/.test(messageOf(failure)))
    return new NaruError(
      'ROUTER_ANSWER_BAD',
      { router: address, protocol: 'HTTP', why: messageOf(failure) },
      { cause: failure },
    )
  const why = errno === 'ABORT_ERR' ? 'no whole answer in time' : errno || messageOf(failure)
  return new NaruError('ROUTER_SILENT', { router: address, protocol: 'HTTP', why }, { cause: failure })
}
