import { expect, it } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import type { Naru, NaruEvent } from '../../model/naru-api.ts'
import { Events } from '../../rules/events.ts'
import { EventStreams } from './sse.ts'

interface Source {
  readonly naru: Naru
  readonly events: Events
  /** Those who listen now. */
  readonly listening: () => number
}

function source(): Source {
  const events = new Events(systemClock)
  let listening = 0
  const listen = async function* (options: {
    signal: AbortSignal
    since?: number
  }): AsyncIterable<NaruEvent> {
    listening++
    try {
      yield* events.listen(options)
    } finally {
      listening--
    }
  }
  const naru = { about: () => Promise.resolve({ startedAt: 7 }), events: listen } as unknown as Naru
  return { naru, events, listening: () => listening }
}

const how = (signal: AbortSignal) => ({ lastKey: null, since: 0, signal })
const emit = (events: Events, from: number, count: number): void => {
  for (let at = from; at < from + count; at++) events.emit({ type: 'rule-removed', name: `r${at}` })
}
const namesIn = (chunk: string): string[] =>
  [...chunk.matchAll(/"name":"(r\d+)"/g)].map(([, name]) => name as string)

/** Chunks as they come, without the first, which says when to come back. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = stream.getReader()
  await reader.read()
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    yield Buffer.from(value).toString()
  }
}

it('what happens together is sent together, in its order, and nothing is lost', async () => {
  const { naru, events } = source()
  const gone = new AbortController()
  const stream = await new EventStreams(naru).open('full', how(gone.signal))
  const chunks: string[] = []
  const began = performance.now()
  const wanted = 400
  const told = (async () => {
    for await (const chunk of chunksOf(stream)) {
      chunks.push(chunk)
      if (chunks.flatMap(namesIn).length >= wanted) return
    }
  })()
  for (let at = 0; at < wanted; at += 4) {
    emit(events, at, 4)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await told
  expect(chunks.flatMap(namesIn)).toEqual(Array.from({ length: wanted }, (_, at) => `r${at}`))
  // One at once, and then one each 40 ms, however many events there are.
  expect(chunks.length).toBeLessThanOrEqual(2 + (performance.now() - began) / 40)
  gone.abort()
})

it('what waits for one who reads late comes in pieces of 32 KiB at most, one behind the other', async () => {
  const { naru, events } = source()
  const gone = new AbortController()
  const reader = (await new EventStreams(naru).open('full', how(gone.signal))).getReader()
  await reader.read()
  const long = 'x'.repeat(1000)
  for (let at = 0; at < 900; at++) events.emit({ type: 'rule-removed', name: `r${at}`, long } as never)
  await new Promise((resolve) => setImmediate(resolve))
  const got: string[] = []
  let longest = 0
  while (got.length < 900) {
    const { value } = await reader.read()
    longest = Math.max(longest, value?.length ?? 0)
    got.push(...namesIn(Buffer.from(value ?? []).toString()))
  }
  expect(got).toEqual(Array.from({ length: 900 }, (_, at) => `r${at}`))
  expect(longest).toBeLessThanOrEqual(32 * 1024)
  gone.abort()
})

it('the first after a silence does not wait', async () => {
  const { naru, events, listening } = source()
  const gone = new AbortController()
  const chunks = chunksOf(await new EventStreams(naru).open('full', how(gone.signal)))
  const first = chunks.next()
  await expect.poll(listening).toBe(1)
  emit(events, 0, 1)
  expect(namesIn(String((await first).value))).toEqual(['r0'])
  gone.abort()
})

it.each(['leaves', 'cancels'])('one who %s is let go, and makes room for another', async (way) => {
  const { naru, events, listening } = source()
  const streams = new EventStreams(naru)
  const open = async () => {
    const gone = new AbortController()
    return { gone, stream: await streams.open('full', how(gone.signal)) }
  }
  const all = await Promise.all(Array.from({ length: 64 }, open))
  await expect.poll(listening).toBe(64)
  await expect(open()).rejects.toMatchObject({ code: 'API_BUSY' })
  const [one] = all
  if (way === 'leaves') one?.gone.abort()
  else await one?.stream.cancel()
  await expect.poll(listening).toBe(63)
  await open()
  // What happens then is nothing to one who has left.
  emit(events, 0, 1)
  for (const { gone } of all) gone.abort()
  await expect.poll(listening).toBe(1)
})
