/**
 * Events as Server-Sent Events (WHATWG HTML §9.2): `id` names the event over restarts, `data` is its JSON. A client
 * that was away says the last id it saw; what is no longer kept, or was another daemon's, is a `gap`.
 */
import type { Naru, NaruEvent } from '../../model/face.ts'
import { eventKey, heartbeatMs, parseEventKey } from '../protocol/wire.ts'
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

export async function eventStream(naru: Naru, options: SseOptions): Promise<ReadableStream<Uint8Array>> {
  const { startedAt } = await naru.about()
  const start = whereToStart(options, startedAt)
  const queue = new EventQueue(options.most ?? 1024)
  const gone = new AbortController()
  const signal = AbortSignal.any([options.signal, gone.signal])
  if (start.gap) queue.push({ id: 0, at: Date.now(), type: 'gap' })
  void fill(queue, naru.events({ signal, ...(start.since === null ? {} : { since: start.since }) }))

  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode('retry: 1000\n\n'))
    },
    // Called only while the client takes what it is sent; meanwhile the queue bounds what waits.
    async pull(controller) {
      const { events, ended } = await queue.take(options.heartbeatMs ?? heartbeatMs)
      if (ended) return controller.close()
      const text =
        events.length === 0 ? ': still here\n\n' : events.map((event) => frame(startedAt, event)).join('')
      controller.enqueue(encoder.encode(text))
    },
    cancel() {
      gone.abort()
      queue.end()
    },
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

function frame(startedAt: number, event: NaruEvent): string {
  return `id: ${eventKey(startedAt, event.id)}\ndata: ${JSON.stringify(event)}\n\n`
}
