/**
 * Events as Server-Sent Events (WHATWG HTML §9.2): `id` names the event over restarts, `data` is its JSON. A client
 * that was away says the last id it saw; what is no longer kept, or was another daemon's, is a `gap`.
 */
import { systemClock } from '../../base/clock.ts'
import { NaruError } from '../../base/errors.ts'
import type { Naru, NaruEvent } from '../../model/naru-api.ts'
import { eventKey, heartbeatMs, parseEventKey, type Access } from '../protocol/wire.ts'
import { EventQueue } from './queue.ts'

export interface SseOptions {
  /** `Last-Event-ID`, or null. */
  readonly lastKey: string | null
  /** `?since=`, or null. */
  readonly since: number | null
  readonly signal: AbortSignal
  /** Events kept for a slow listener. @default 1024 */
  readonly most?: number
  /** @default 15_000 */
  readonly heartbeatMs?: number
}

/** What happens within so long is sent together: each write to each of 64 listeners takes 20 µs. */
const betweenMs = 40

/**
 * What is sent together is no longer than that: a listener that reads nothing has a piece in each of two buffers, beside
 * events that all listeners share.
 */
const mostPieceBytes = 32 * 1024

/** Streams at once for holders of one token: many tabs, and then some. */
const mostStreams = 64

/** All event streams of a server. Where a token has its share of them, the one that takes least gives way. */
export class EventStreams {
  readonly #naru: Naru
  readonly #open = new Map<Access, Set<Listener>>()

  constructor(naru: Naru) {
    this.#naru = naru
  }

  /** @throws NaruError API_BUSY where as many others listen, and take what they are sent */
  async open(access: Access, options: SseOptions): Promise<ReadableStream<Uint8Array>> {
    const open = this.#open.get(access) ?? new Set()
    this.#open.set(access, open)
    if (open.size >= mostStreams) makeRoom(open)
    const gone = new AbortController()
    const queue = new EventQueue(options.most ?? 1024)
    const listener = { queue, end: () => gone.abort() }
    open.add(listener)
    const left = (): void => void open.delete(listener)
    if (options.signal.aborted) left()
    options.signal.addEventListener('abort', left, { once: true })
    gone.signal.addEventListener('abort', left, { once: true })
    return await eventStream(this.#naru, options, queue, gone)
  }
}

interface Listener {
  readonly queue: EventQueue
  end(): void
}

/** @throws NaruError API_BUSY */
function makeRoom(open: ReadonlySet<Listener>): void {
  const slowest = [...open].toSorted((a, b) => b.queue.length - a.queue.length)[0]
  if (!slowest || slowest.queue.length === 0) throw new NaruError('API_BUSY', { most: mostStreams })
  slowest.end()
}

async function eventStream(
  naru: Naru,
  options: SseOptions,
  queue: EventQueue,
  gone: AbortController,
): Promise<ReadableStream<Uint8Array>> {
  const { startedAt } = await naru.about()
  const start = whereToStart(options, startedAt)
  const signal = AbortSignal.any([options.signal, gone.signal])
  if (start.gap) queue.push({ id: 0, at: Date.now(), type: 'gap' })
  void fill(queue, naru.events({ signal, ...(start.since === null ? {} : { since: start.since }) }))

  gone.signal.addEventListener('abort', () => queue.end(), { once: true })
  let sentAt = -Infinity
  /** More waits than one piece took: it follows at once. */
  let isBehind = false
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode('retry: 1000\n\n'))
    },
    // Called only while the client takes what it is sent; meanwhile the queue bounds what waits.
    async pull(controller) {
      const restMs = sentAt + betweenMs - performance.now()
      if (restMs > 0 && !isBehind) await systemClock.sleep(restMs)
      let bytes = 0
      const fits = (event: NaruEvent): boolean => (bytes += frame(startedAt, event).length) <= mostPieceBytes
      const { events, ended } = await queue.take(options.heartbeatMs ?? heartbeatMs, fits)
      sentAt = performance.now()
      isBehind = queue.length > 0
      if (ended) return controller.close()
      const frames = events.map((event) => frame(startedAt, event))
      controller.enqueue(frames.length === 0 ? stillHere : joined(frames))
    },
    cancel: () => gone.abort(),
  })
}

async function fill(queue: EventQueue, events: AsyncIterable<NaruEvent>): Promise<void> {
  try {
    for await (const event of events) queue.push(event)
  } catch {
    // The listener left, or the source ended: either way the stream ends.
  } finally {
    queue.end()
  }
}

function whereToStart(
  { lastKey, since }: SseOptions,
  startedAt: number,
): { since: number | null; gap: boolean } {
  if (lastKey === null) return { since, gap: false }
  const key = parseEventKey(lastKey)
  return key?.startedAt === startedAt ? { since: key.id, gap: false } : { since: null, gap: true }
}

const encoder = new TextEncoder()
const stillHere = encoder.encode(': still here\n\n')
/** An event is put into bytes once, for however many listeners. */
const encoded = new WeakMap<NaruEvent, Uint8Array>()

function frame(startedAt: number, event: NaruEvent): Uint8Array {
  const known = encoded.get(event)
  if (known) return known
  const bytes = encoder.encode(`id: ${eventKey(startedAt, event.id)}\ndata: ${JSON.stringify(event)}\n\n`)
  encoded.set(event, bytes)
  return bytes
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
}
