import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import type { CloseReason } from '../model/connection.ts'
import { readInto } from './handle.ts'
import { Intake } from './intake.ts'
import { Meter, type Live } from './meter.ts'
import { Pipe } from './pipe.ts'

const open: (Server | Socket)[] = []
afterEach(() => {
  for (const one of open.splice(0)) {
    if ('destroy' in one) one.destroy()
    else one.close()
  }
})

async function server(): Promise<{ port: number; next: Promise<Socket> }> {
  const listening = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  open.push(listening)
  await once(listening, 'listening')
  const next = once(listening, 'connection').then(([socket]) => {
    open.push(socket as Socket)
    return (socket as Socket).on('error', () => {})
  })
  return { port: (listening.address() as AddressInfo).port, next }
}

interface Tied {
  readonly client: Socket
  readonly target: Socket
  readonly live: Live
  readonly closed: Promise<CloseReason>
}

/** A client and a target with a pipe between them. @param ownWay Node reads from the client in its own way. */
async function tied(ownWay = false): Promise<Tied> {
  const [front, back] = [await server(), await server()]
  const client = connect({ port: front.port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  open.push(client)
  const inner = await front.next
  if (ownWay) hideUserBuffer(inner)
  const meter = new Meter({ rule: 'r', engine: 'sockets', now: () => 0, onEvent: () => {} })
  const live = meter.begin({ protocol: 'tcp', client: '', listen: '' })
  let onClosed: (reason: CloseReason) => void = () => {}
  const closed = new Promise<CloseReason>((resolve) => (onClosed = resolve))
  const pipe = new Pipe(inner, { live, clock: systemClock, bucket: null, onClosed })
  const intake = new Intake()
  const outer = connect({ port: back.port, host: '127.0.0.1', allowHalfOpen: true, onread: intake.onread })
  open.push(outer)
  await new Promise<void>((resolve) => {
    outer.once('connect', () => {
      pipe.connect(outer, intake)
      resolve()
    })
  })
  return { client, target: await back.next, live, closed }
}

/** As some later Node may be. */
function hideUserBuffer(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { _handle: { useUserBuffer?: unknown } }
  handle.useUserBuffer = undefined
}

it('this Node reads into our buffers also where a client came in', async () => {
  const { port, next } = await server()
  open.push(connect({ port, host: '127.0.0.1' }).on('error', () => {}))
  const socket = await next
  expect(readInto(socket, new Intake().onread)).toBe(true)
  hideUserBuffer(socket)
  expect(readInto(socket, new Intake().onread)).toBe(false)
})

it('a half-closed client still gets the answer, and then both are done', async () => {
  const { client, target, live, closed } = await tied()
  client.end('question')
  target.resume()
  await once(target, 'end')
  expect(live.state).toBe('half-closed')
  target.end('answer')
  const [answer] = (await once(client, 'data')) as [Buffer]
  expect(String(answer)).toBe('answer')
  client.resume()
  expect(await closed).toBe('finished')
})

const sizes = [1, 70_000, 3, 300_000, 16_384, 65_536, 65_535, 900_000, 5]

/** Everything arrives as it was sent, at a reader that stops now and then, so that writes stay unfinished in the relay. */
async function carries(from: Socket, to: Socket, seed: number): Promise<void> {
  const sent = Buffer.concat(sizes.map((size, at) => Buffer.alloc(size, (seed * 31 + at * 7) & 255)))
  const got: Buffer[] = []
  to.on('data', (chunk: Buffer) => {
    got.push(Buffer.from(chunk))
    if (got.length % 5 !== 0) return
    to.pause()
    setTimeout(() => to.resume(), 2)
  })
  const ended = once(to, 'end')
  let at = 0
  for (const size of sizes) {
    from.write(sent.subarray(at, (at += size)))
    await new Promise((resolve) => setImmediate(resolve))
  }
  from.end()
  await ended
  expect(Buffer.concat(got).equals(sent)).toBe(true)
}

it.each([
  ['into our buffers', false],
  ['in Node’s own way', true],
])(
  'reads of any size arrive as they were sent, both ways and one flow beside another: %s',
  async (_, ownWay) => {
    const pipes = await Promise.all(Array.from({ length: 6 }, () => tied(ownWay)))
    const all = pipes.flatMap(({ client, target }, seed) => [
      carries(client, target, seed),
      carries(target, client, seed + 6),
    ])
    await Promise.all(all)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    for (const { live } of pipes) expect(live).toMatchObject({ bytesToTarget: total, bytesToClient: total })
  },
)
