/** A LAN that means harm: floods, forgeries and drips change nothing and cost little. */
import { createSocket, type Socket } from 'node:dgram'
import { describe, expect, it } from 'vitest'
import { search } from '../../../src/routers/upnp/search.ts'
import { asking, found, here, membersAt } from '../../fakes/at-home.ts'
import { memoryJournal } from '../../fakes/journal.ts'
import { FakeRouter } from '../../fakes/router.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)

async function socketAt(address: string, port = 0): Promise<Socket & AsyncDisposable> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(port, address, resolve))
  return socket
}

function answerOf(host: string): string {
  return `HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nUSN: u\r\nLOCATION: http://${host}:1/\r\n\r\n`
}

/** Sends and lets the system deliver, a hundred at a time. */
async function flood(
  socket: Socket,
  count: number,
  bytes: (at: number) => string | Uint8Array,
  port: number,
): Promise<void> {
  for (let at = 0; at < count; at++) {
    socket.send(bytes(at), port, here, () => {})
    if (at % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a hostile LAN', () => {
  it('a flood of fake devices does not push the gateway out, and few are kept', async () => {
    await using gateway = await socketAt(here)
    const strangers = await Promise.all(Array.from({ length: 40 }, (_, at) => socketAt(`127.0.1.${at + 1}`)))
    let searches = 0
    gateway.on('message', (_, from) => {
      // A burst fills the socket's buffer, and the real answer with it is lost: the next search is answered again.
      for (let round = 0; searches++ < 5 && round < 50; round++)
        for (const [at, stranger] of strangers.entries())
          stranger.send(answerOf(`127.0.1.${at + 1}/${round}`), from.port, from.address)
      gateway.send(answerOf(here), from.port, from.address)
    })
    const place = { source: here, bits: 8, unicast: [here], multicast: null }
    const started = performance.now()
    const results = await search([place], {
      signal: signal(),
      sendAtMs: [0, 500, 1500],
      limitMs: 2500,
      graceMs: 50,
      port: gateway.address().port,
    })
    gateway.removeAllListeners('message')
    expect(performance.now() - started).toBeLessThan(3500)
    expect(results[0]?.address).toBe(here)
    expect(new Set(results.map(({ address }) => address)).size).toBeLessThanOrEqual(9)
    expect(results.length).toBeLessThanOrEqual(27)
    await Promise.all(strangers.map((each) => new Promise<void>((resolve) => each.close(() => resolve()))))
  })

  it('a device of another network is not listened to', async () => {
    await using gateway = await socketAt(here)
    await using stranger = await socketAt('127.9.9.9')
    gateway.on('message', (_, from) => stranger.send(answerOf('127.9.9.9'), from.port, from.address))
    const place = { source: here, bits: 24, unicast: [here], multicast: null }
    const options = {
      signal: signal(),
      sendAtMs: [0],
      limitMs: 500,
      graceMs: 50,
      port: gateway.address().port,
    }
    expect(await search([place], options)).toEqual([])
    gateway.removeAllListeners('message')
  })

  for (const [id, port, forged] of [
    ['pcp', 5350, Buffer.concat([Buffer.from('028000000000000000000000', 'hex'), Buffer.alloc(12)])],
    ['nat-pmp', 5350, Buffer.from('008000000000000101020304', 'hex')],
    ['upnp', 1900, Buffer.from('NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\nNTS: ssdp:byebye\r\n\r\n')],
  ] as const)
    it(`${id}: forged announcements renew nothing and make us ask once a second at most`, async () => {
      await using fake = await FakeRouter.start()
      fake.epochStart -= 100_000
      const router = await found(membersAt[id](fake))
      const lease = await router.open(asking, { signal: signal(), record: memoryJournal() })
      const life = new AbortController()
      let restarts = 0
      router.watch({ signal: life.signal, onRestart: () => restarts++ })
      await using forger = await socketAt(here)
      const asked = (): number => fake.count('ssdp') + fake.count('pcp') + fake.count('nat-pmp')
      const before = asked()
      const started = performance.now()
      while (performance.now() - started < 1500) await flood(forger, 200, () => forged, port)
      const seconds = (performance.now() - started) / 1000
      life.abort()
      // A search is five questions, each sent up to three times.
      expect(asked() - before).toBeLessThanOrEqual((seconds + 2) * (id === 'upnp' ? 15 : 3))
      expect(restarts).toBe(0)
      await lease.release({ signal: signal() })
    })

  it('a flood of wrong answers ends the question in time', async () => {
    await using fake = await socketAt(here)
    const noise = Buffer.from('00820000000000640001000100000e10', 'hex')
    const floods: Promise<void>[] = []
    fake.on('message', (_, from) => void floods.push(flood(fake, 3000, () => noise, from.port)))
    const { askUdp } = await import('../../../src/host/ask-udp.ts')
    let parsed = 0
    const answer = await askUdp({
      address: here,
      port: fake.address().port,
      bytes: Buffer.from('x'),
      waitsMs: [300],
      accept: () => void parsed++,
      signal: signal(),
    })
    expect(answer).toMatchObject({ silent: true })
    expect(parsed).toBeLessThanOrEqual(64)
    fake.removeAllListeners('message')
    await Promise.all(floods)
  })
})
