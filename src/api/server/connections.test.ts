import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FakeMachine } from '../../../test/fakes/machine.ts'
import { FakeNaru, connection, ruleStatus } from '../../../test/fakes/naru.ts'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { say } from '../../base/text.ts'
import { newToken, serve, type RunningServer } from './serve.ts'

const token = newToken()
const readToken = newToken()

let naru: FakeNaru
let machine: { -readonly [K in keyof FakeMachine]: FakeMachine[K] }
let served: RunningServer
const sockets: Socket[] = []

beforeEach(async () => {
  naru = new FakeNaru(ruleStatus('iis'))
  machine = new FakeMachine()
  served = await serve(naru, {
    socketPath: null,
    tcp: { port: 0, exact: true, token, readToken },
    pageFiles: null,
    log: silentLog,
    machine,
  })
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await served[Symbol.asyncDispose]()
})

async function connected(): Promise<Socket> {
  const socket = connect(Number(new URL(served.url as string).port), '127.0.0.1')
  socket.on('error', () => {})
  sockets.push(socket)
  await once(socket, 'connect')
  return socket
}

const asking = (path: string, by = token): string =>
  `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${by}\r\n\r\n`

/** Resolves with what the socket says until `isEnough` or its end. */
function heard(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (isEnough(text)) resolve(text)
    })
    socket.once('close', () => resolve(text))
  })
}

async function answered(path = '/api/about', by = token): Promise<string> {
  const socket = await connected()
  socket.write(asking(path, by))
  const text = await heard(socket, (so) => so.includes('\r\n\r\n{'))
  socket.destroy()
  return text.split('\r\n', 1)[0] ?? ''
}

async function heardWhole(path: string): Promise<string> {
  const socket = await connected()
  socket.write(asking(path).replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  return await heard(socket, () => false)
}

/** Connections that have asked and been answered. */
async function proven(count: number, by: string): Promise<Socket[]> {
  const all: Socket[] = []
  for (let at = 0; at < count; at++) {
    const socket = await connected()
    socket.write(asking('/api/about', by))
    await once(socket, 'data')
    all.push(socket)
  }
  return all
}

describe('the API goes on for others', () => {
  it('while strangers hold more connections than there are places', async () => {
    for (let at = 0; at < 600; at++) await connected()
    expect(await answered()).toBe('HTTP/1.1 200 OK')
  })

  it('while holders of a token keep idle connections', async () => {
    await proven(450, token)
    expect(await answered()).toBe('HTTP/1.1 200 OK')
  })

  it('while a client asks and asks without an end on one connection', async () => {
    const patient = await connected()
    patient.write(asking('/api/about').repeat(40))
    const all = await heard(patient, (text) => text.split('HTTP/1.1 200').length === 41)
    expect(all.split('HTTP/1.1 200')).toHaveLength(41)
    const greedy = await connected()
    const ended = new Promise((resolve) => greedy.once('close', resolve))
    greedy.write(asking('/api/about').repeat(1000))
    greedy.resume()
    await ended
    expect(await answered()).toBe('HTTP/1.1 200 OK')
  })

  it('while nobody takes the answers that they ask for', async () => {
    for (let at = 0; at < 4000; at++) naru.set(ruleStatus(`rule-${at}`))
    const before = process.memoryUsage().rss
    for (let at = 0; at < 100; at++) {
      const socket = await connected()
      socket.pause()
      socket.write(asking('/api/rules', readToken).repeat(40))
    }
    expect(await answered('/api/rules')).toBe('HTTP/1.1 200 OK')
    await systemClock.sleep(200)
    expect(process.memoryUsage().rss - before).toBeLessThan(250 << 20)
  })

  it('while many listen to events and take none of them', async () => {
    for (let at = 0; at < 64; at++) {
      const socket = await connected()
      socket.write(asking('/api/events', readToken))
      await once(socket, 'data')
      socket.pause()
    }
    const refused = await connected()
    refused.write(asking('/api/events', readToken))
    expect(await heard(refused, (text) => text.includes('}'))).toMatch(/^HTTP\/1.1 429 [^]*"API_BUSY"/)
    const filler = 'x'.repeat(8192)
    for (let at = 0; at < 3000; at++) {
      naru.tell({ type: 'log', level: 'info', rule: null, text: say(filler, '') })
      if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    for (const by of [readToken, token]) {
      const socket = await connected()
      socket.write(asking('/api/events', by))
      const first = heard(socket, (text) => text.includes('"type":"rule-removed"'))
      await once(socket, 'data')
      naru.tell({ type: 'rule-removed', name: 'a' })
      expect(await first).toMatch(/^HTTP\/1.1 200 OK/)
    }
  })

  it('while one token keeps every connection busy that it may have', async () => {
    for (let at = 0; at < 20_000; at++) naru.connectionsNow.push(connection(`c${at}`))
    const crowd = await proven(256, readToken)
    for (const socket of crowd) socket.pause().write(asking('/api/connections', readToken).repeat(3))
    for (const by of [token, readToken]) expect(await answered('/api/about', by)).toBe('HTTP/1.1 200 OK')
  })

  it('while one token waits for more diagnoses than may wait', async () => {
    machine.diagnose = () => new Promise(() => {})
    const many: Promise<string>[] = []
    for (const socket of await proven(80, readToken)) {
      socket.write(asking('/api/doctor', readToken))
      many.push(heard(socket, (text) => text.includes('\r\n\r\n')))
    }
    const refused = (await Promise.all(many)).filter((text) => text.startsWith('HTTP/1.1 429'))
    // Two are under way, and 64 wait.
    expect(refused).toHaveLength(80 - 66)
    for (const by of [token, readToken]) expect(await answered('/api/about', by)).toBe('HTTP/1.1 200 OK')
  })

  it('while more requests wait than a token may have waiting', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    naru.traffic = async () => {
      await held
      return []
    }
    const crowd: Socket[] = []
    for (let at = 0; at < 100; at++) {
      const socket = await connected()
      crowd.push(socket.resume())
      socket.write(asking('/api/traffic', readToken).repeat(60))
    }
    for (const by of [token, readToken]) expect(await answered('/api/about', by)).toBe('HTTP/1.1 200 OK')
    await vi.waitFor(() => expect(crowd.filter(({ closed }) => closed).length).toBeGreaterThan(20))
    release()
    expect(crowd.filter(({ closed }) => !closed).length).toBeGreaterThan(50)
  })
})

describe('an answer that tells how things are', () => {
  /** How often the rules are listed for what `work` asks. */
  async function listings(work: () => Promise<unknown>): Promise<number> {
    const list = vi.spyOn(naru.rules, 'list')
    await work()
    return list.mock.calls.length
  }

  it('is made once for all who asked before', async () => {
    const crowd = await proven(100, token)
    const answers = async (): Promise<unknown> =>
      await Promise.all(
        crowd.map(async (socket) => {
          socket.write(asking('/api/rules').repeat(20))
          await heard(socket, (text) => text.split('HTTP/1.1 200').length === 21)
        }),
      )
    // Of 2,000 requests, in as many pieces as they are read in.
    expect(await listings(answers)).toBeLessThan(400)
  })

  it('is kept once, however many do not take it', async () => {
    for (let at = 0; at < 2000; at++) naru.set(ruleStatus(`rule-${at}`))
    const one = (await heardWhole('/api/rules')).length
    const crowd = await proven(100, readToken)
    const before = process.memoryUsage().arrayBuffers
    for (const socket of crowd) socket.pause().write(asking('/api/rules', readToken).repeat(40))
    expect(await answered('/api/rules')).toBe('HTTP/1.1 200 OK')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * one)
  })

  it('knows of every change that the same connection asked for before', async () => {
    const socket = await connected()
    const body = '{"listen":9999}'
    const change =
      `PATCH /api/rules/iis HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    socket.write(asking('/api/rules') + change + asking('/api/rules'))
    const text = await heard(socket, (so) => so.split('HTTP/1.1 200').length === 4 && so.endsWith('}]}'))
    const [first, , last] = text.split('HTTP/1.1 200').slice(1)
    expect(first).not.toContain('"listen":9999')
    expect(last).toContain('"listen":9999')
  })
})
