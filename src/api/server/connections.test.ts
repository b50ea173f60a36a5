import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeNaru, ruleStatus } from '../../../test/fakes/naru.ts'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { say } from '../../base/text.ts'
import { newToken, serve, type Served } from './serve.ts'

const token = newToken()
const readToken = newToken()

let naru: FakeNaru
let served: Served
const sockets: Socket[] = []

beforeEach(async () => {
  naru = new FakeNaru(ruleStatus('iis'))
  served = await serve(naru, {
    socketPath: null,
    tcp: { port: 0, exact: true, token, readToken },
    webRoot: null,
    log: silentLog,
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

async function answered(path = '/api/about'): Promise<string> {
  const socket = await connected()
  socket.write(asking(path))
  const text = await heard(socket, (so) => so.includes('\r\n\r\n{'))
  socket.destroy()
  return text.split('\r\n', 1)[0] ?? ''
}

describe('the API goes on for others', () => {
  it('while strangers hold more connections than there are places', async () => {
    for (let at = 0; at < 600; at++) await connected()
    expect(await answered()).toBe('HTTP/1.1 200 OK')
  })

  it('while holders of a token keep idle connections', async () => {
    for (let at = 0; at < 450; at++) {
      const socket = await connected()
      socket.write(asking('/api/about'))
      await once(socket, 'data')
    }
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
})
