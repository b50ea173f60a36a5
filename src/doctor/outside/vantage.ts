/**
 * `naru vantage`: one command on any other machine of the user's, which then tries a port from there. Both sides
 * prove that they know the key; it dials back nobody but the caller, at the address the caller comes from; and it is
 * slow to everybody. So it cannot be used to scan anyone.
 *
 * A line of JSON each way, at most 512 bytes:
 *   vantage → {"naru":1,"nonce":S}
 *   caller  → {"nonce":C,"port":P,"proof":HMAC(key,"caller S C P")}
 *   vantage → {"proof":HMAC(key,"vantage C S P A RESULT N"),"seenAs":A,"result":"answered|refused|silent","ms":N}
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { formatEndpoint, sourceKey, unmapped } from '../../base/address.ts'
import { type Clock, withLimit, systemClock } from '../../base/clock.ts'
import { NaruError, errnoOf, messageOf } from '../../base/errors.ts'
import { say, sayOf, verbatim, type Text } from '../../base/text.ts'
import type { OutsideTest } from '../checks/contract.ts'

export interface VantageOptions {
  /** @default '::' */
  readonly address?: string
  /** @default 6279 */
  readonly port?: number
  /** At least 16 characters besides dashes. @default a new one */
  readonly key?: string
  readonly clock: Clock
  /** Told of each question: who, which port, what came of it. */
  readonly onAsked?: (asked: { from: string; port: number | null; result: string }) => void
}

export interface Vantage extends AsyncDisposable {
  /** To be typed at the caller: 128 bits. */
  readonly key: string
  readonly port: number
}

export const vantagePort = 6279
const mostBytes = 512
const handshakeMs = 5000
const dialMs = 5000
/** Questions a source may ask in a minute; wrong proofs count as well. */
const mostAMinute = 12
/** Connections that have not shown the key; the oldest gives way. */
const mostStrangers = 32
/** Of one source, with the key or without. */
const mostOfSource = 2
/** How long a caller may take to fetch its answer. */
const answerMs = 2000
const shortestKey = 16

export function newVantageKey(): string {
  return randomBytes(16)
    .toString('hex')
    .replace(/(.{8})(?=.)/g, '$1-')
}

/**
 * A key that nobody guesses; it is not repeated in the error.
 * @throws NaruError VALUE_INVALID
 */
function checkKey(key: string): string {
  if (plainKey(key).length >= shortestKey) return key
  throw new NaruError('VALUE_INVALID', {
    what: 'key',
    value: '…',
    why: say`a key has at least ${shortestKey} characters; without --key a new one is made`,
  })
}

/** @throws NaruError LISTEN_IN_USE, LISTEN_FAILED, VALUE_INVALID where the key is short */
export async function startVantage(options: VantageOptions): Promise<Vantage> {
  const key = checkKey(options.key ?? newVantageKey())
  const asked = new Rate(options.clock)
  const open = new Map<Socket, string>()
  const strangers = new Set<Socket>()
  const server = createServer((socket) => {
    const from = unmapped(socket.remoteAddress ?? '')
    const source = sourceKey(from)
    const others = [...open.values()].filter((one) => one === source).length
    socket.on('error', () => {})
    if (others >= mostOfSource || !asked.admits(source)) return void socket.destroy()
    open.set(socket, source)
    strangers.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      strangers.delete(socket)
    })
    const [oldest] = strangers
    if (strangers.size > mostStrangers) oldest?.destroy()
    serve(socket, from, key, () => strangers.delete(socket)).then(
      ({ port, result }) => options.onAsked?.({ from, port, result }),
      () => {
        options.onAsked?.({ from, port: null, result: 'refused: no proof' })
        socket.destroy()
      },
    )
  })
  const port = await listen(server, options.port ?? vantagePort, options.address ?? '::')
  return {
    key,
    port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open.keys()) socket.destroy()
      }),
  }
}

async function serve(
  socket: Socket,
  from: string,
  key: string,
  onProven: () => void,
): Promise<{ port: number; result: string }> {
  const nonce = randomBytes(16).toString('hex')
  const lines = new Lines(socket, withLimit(undefined, handshakeMs))
  socket.write(`${JSON.stringify({ naru: 1, nonce })}\n`)
  const question = await lines.next()
  const { nonce: theirs, port, proof } = question
  if (typeof theirs !== 'string' || !/^[0-9a-f]{32}$/.test(theirs)) throw new Error('no nonce')
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Error('no port')
  if (!isProof(proof, key, `caller ${nonce} ${theirs} ${port}`)) throw new Error('wrong proof')
  onProven()
  const { result, ms } = await dialBack(from, port)
  const said = { seenAs: from, result, ms }
  const answer = { proof: proofOf(key, answerWords({ caller: theirs, vantage: nonce, port }, said)), ...said }
  socket.end(`${JSON.stringify(answer)}\n`)
  socket.setTimeout(answerMs, () => socket.destroy())
  return { port, result }
}

export interface VantageAnswer {
  /** The caller's address as the other machine sees it. */
  readonly seenAs: string
  readonly result: OutsideTest['result']
  readonly ms: number
}

/**
 * Asks the vantage at `address:port` to dial our `tryPort`.
 * @throws NaruError VANTAGE_SILENT where it cannot be reached, VANTAGE_KEY where it does not prove the key,
 * VALUE_INVALID where the key is short
 */
export async function askVantage(options: {
  readonly address: string
  readonly port?: number
  readonly key: string
  readonly tryPort: number
  readonly signal: AbortSignal
}): Promise<VantageAnswer> {
  const { address, port = vantagePort, key, tryPort } = options
  checkKey(key)
  const place = formatEndpoint(address, port)
  const socket = connect({ host: address, port })
  socket.on('error', () => {})
  let proven = false
  try {
    const lines = new Lines(socket, withLimit(options.signal, handshakeMs + dialMs + 2000))
    const { nonce: theirs } = await lines.next()
    if (typeof theirs !== 'string') throw new Error('it is no vantage')
    const nonce = randomBytes(16).toString('hex')
    const proof = proofOf(key, `caller ${theirs} ${nonce} ${tryPort}`)
    socket.write(`${JSON.stringify({ nonce, port: tryPort, proof })}\n`)
    proven = true
    const answer = await lines.next()
    const said = parseAnswer(answer)
    const asked = { caller: nonce, vantage: theirs, port: tryPort }
    if (!isProof(answer['proof'], key, answerWords(asked, said)))
      throw new NaruError('VANTAGE_KEY', { place })
    return said
  } catch (error) {
    if (error instanceof NaruError) throw error
    options.signal.throwIfAborted()
    // Whoever does not believe our proof hangs up; who was asked too often does so before it.
    if (proven && hungUp(error)) throw new NaruError('VANTAGE_KEY', { place }, { cause: error })
    throw new NaruError('VANTAGE_SILENT', { place, why: wordsFor(error) }, { cause: error })
  } finally {
    socket.destroy()
  }
}

const closed = 'it closed the connection'

const hungUp = (error: unknown): boolean => messageOf(error) === closed || errnoOf(error) === 'ECONNRESET'

const reasons: Readonly<Record<string, Text>> = {
  [closed]: say('it closed the connection, as it does when asked too often'),
  'no answer in time': sayOf('vantage point')('no answer in time'),
  'it said too much': say('it is no vantage'),
  'it is no vantage': say('it is no vantage'),
  'its answer is damaged': say('its answer is damaged'),
  ECONNREFUSED: say('nobody listens there'),
  EHOSTUNREACH: say('there is no way to it'),
  ENETUNREACH: say('there is no way to it'),
  ENOTFOUND: say('its name has no address'),
}

function wordsFor(error: unknown): Text {
  return reasons[errnoOf(error) ?? messageOf(error)] ?? verbatim(messageOf(error))
}

function parseAnswer({ seenAs, result, ms }: Record<string, unknown>): VantageAnswer {
  if (typeof seenAs !== 'string' || typeof ms !== 'number') throw new Error('its answer is damaged')
  if (result !== 'answered' && result !== 'refused' && result !== 'silent')
    throw new Error('its answer is damaged')
  return { seenAs, result, ms }
}

function dialBack(address: string, port: number): Promise<{ result: OutsideTest['result']; ms: number }> {
  return new Promise((resolve) => {
    const began = performance.now()
    const socket = connect({ host: address, port })
    const end = (result: OutsideTest['result']): void => {
      timer[Symbol.dispose]()
      socket.destroy()
      resolve({ result, ms: Math.round(performance.now() - began) })
    }
    const timer = systemClock.after(dialMs, () => end('silent'))
    socket.once('connect', () => end('answered'))
    socket.on('error', (error) => end(errnoOf(error) === 'ECONNREFUSED' ? 'refused' : 'silent'))
  })
}

/** All that is said: whoever is on the way between the two can change none of it. */
function answerWords(
  { caller, vantage, port }: { readonly caller: string; readonly vantage: string; readonly port: number },
  { seenAs, result, ms }: VantageAnswer,
): string {
  return `vantage ${caller} ${vantage} ${port} ${seenAs} ${result} ${ms}`
}

function proofOf(key: string, words: string): string {
  return createHmac('sha256', plainKey(key)).update(words).digest('hex')
}

/** As typed, in whatever groups and case. */
const plainKey = (key: string): string => key.replaceAll('-', '').trim().toLowerCase()

function isProof(given: unknown, key: string, words: string): boolean {
  if (typeof given !== 'string' || !/^[0-9a-f]{64}$/.test(given)) return false
  return timingSafeEqual(Buffer.from(given, 'hex'), Buffer.from(proofOf(key, words), 'hex'))
}

/** Lines of JSON objects from a socket, each at most 512 bytes. */
class Lines {
  #text = ''
  readonly #waiting: { resolve: (line: Record<string, unknown>) => void; reject: (error: Error) => void }[] =
    []
  #ended: Error | null = null

  constructor(socket: Socket, signal: AbortSignal) {
    const end = (why: Error): void => {
      this.#ended ??= why
      for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
    }
    signal.addEventListener('abort', () => end(new Error('no answer in time')), { once: true })
    socket.on('error', end)
    socket.on('close', () => end(new Error(closed)))
    socket.on('data', (bytes: Buffer) => {
      this.#text += bytes.toString('latin1')
      if (this.#text.length > mostBytes) {
        end(new Error('it said too much'))
        socket.destroy()
      } else this.#deliver()
    })
  }

  next(): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#deliver()
      if (this.#ended && this.#waiting.length > 0) this.#waiting.pop()?.reject(this.#ended)
    })
  }

  #deliver(): void {
    const at = this.#text.indexOf('\n')
    const waiting = at === -1 ? undefined : this.#waiting.shift()
    if (!waiting) return
    const line = this.#text.slice(0, at)
    this.#text = this.#text.slice(at + 1)
    try {
      const parsed: unknown = JSON.parse(line)
      if (typeof parsed !== 'object' || parsed === null) throw new Error('not an object')
      waiting.resolve(parsed as Record<string, unknown>)
    } catch {
      waiting.reject(new Error('it is no vantage'))
    }
  }
}

/** Sources that are remembered. */
const mostSources = 10_000

/** Questions a source, over the last minute. */
class Rate {
  readonly #clock: Clock
  readonly #times = new Map<string, number[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  admits(from: string): boolean {
    const now = this.#clock.monotonic()
    const recent = (this.#times.get(from) ?? []).filter((at) => now - at < 60_000)
    if (recent.length >= mostAMinute) return false
    // The one that asked last is the last: a flood of sources pushes out those that have been quiet for longest.
    this.#times.delete(from)
    this.#times.set(from, [...recent, now])
    const [quietest] = this.#times.keys()
    if (this.#times.size > mostSources && quietest !== undefined) this.#times.delete(quietest)
    return true
  }
}

function listen(server: Server, port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(formatEndpoint(address, port), cause)))
    server.listen(port, address, () => {
      const bound = server.address()
      resolve(typeof bound === 'object' && bound ? bound.port : port)
    })
  })
}

function cannotListen(listen: string, cause: Error): NaruError {
  if (errnoOf(cause) !== 'EADDRINUSE')
    return new NaruError('LISTEN_FAILED', { listen, why: messageOf(cause) }, { cause })
  const owner = say('another program')
  return new NaruError('LISTEN_IN_USE', { listen, owner }, { cause })
}
