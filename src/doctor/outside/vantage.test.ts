import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { askVantage, newVantageKey, startVantage } from './vantage.ts'

const signal = AbortSignal.timeout(20_000)
const clock = systemClock
const local = { address: '127.0.0.1', port: 0, clock }

async function service(): Promise<{ port: number; callers: string[]; close(): void }> {
  const callers: string[] = []
  const server = createServer((socket) => {
    callers.push(socket.remoteAddress ?? '')
    socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, callers, close: () => void server.close() }
}

describe('a vantage', () => {
  it('dials its caller back and says what came of it', async () => {
    await using vantage = await startVantage(local)
    const web = await service()
    const ask = { address: '127.0.0.1', port: vantage.port, key: vantage.key, signal }
    expect(await askVantage({ ...ask, tryPort: web.port })).toMatchObject({
      result: 'answered',
      seenAs: '127.0.0.1',
    })
    web.close()
    expect(web.callers).toHaveLength(1)
    expect(await askVantage({ ...ask, tryPort: web.port })).toMatchObject({ result: 'refused' })
  })

  it('says whose port it cannot have', async () => {
    await using first = await startVantage(local)
    await expect(startVantage({ ...local, port: first.port })).rejects.toMatchObject({
      code: 'LISTEN_IN_USE',
      exitCode: 5,
    })
  })

  it('does nothing for who does not know the key', async () => {
    const asked: string[] = []
    await using vantage = await startVantage({ ...local, onAsked: ({ result }) => void asked.push(result) })
    const web = await service()
    const wrong = {
      address: '127.0.0.1',
      port: vantage.port,
      key: newVantageKey(),
      tryPort: web.port,
      signal,
    }
    await expect(askVantage(wrong)).rejects.toMatchObject({ code: 'VANTAGE_KEY' })
    expect(web.callers).toEqual([])
    expect(asked).toEqual(['refused: no proof'])
    web.close()
  })

  it('must prove the key too, or is not believed', async () => {
    const liar = createServer((socket) => {
      socket.write('{"naru":1,"nonce":"00"}\n')
      socket.once('data', () =>
        socket.end(`{"proof":"${'0'.repeat(64)}","seenAs":"8.8.8.8","result":"answered","ms":1}\n`),
      )
    }).listen(0, '127.0.0.1')
    await once(liar, 'listening')
    const port = (liar.address() as AddressInfo).port
    const asking = askVantage({ address: '127.0.0.1', port, key: newVantageKey(), tryPort: 80, signal })
    await expect(asking).rejects.toMatchObject({ code: 'VANTAGE_KEY' })
    liar.close()
  })

  it('is not believed where somebody on the way has changed what it says', async () => {
    await using vantage = await startVantage(local)
    const between = createServer((caller) => {
      const there = connect(vantage.port, '127.0.0.1')
      caller.on('error', () => {}).pipe(there.on('error', () => {}))
      there.on('data', (bytes: Buffer) => caller.write(bytes.toString().replace('refused', 'answered')))
      there.on('close', () => caller.destroy())
    }).listen(0, '127.0.0.1')
    await once(between, 'listening')
    const { port } = between.address() as AddressInfo
    const web = await service()
    web.close()
    const ask = { address: '127.0.0.1', port, key: vantage.key, tryPort: web.port, signal }
    await expect(askVantage(ask)).rejects.toMatchObject({ code: 'VANTAGE_KEY' })
    between.close()
  })

  it('dials nobody but its caller: no address can be named', async () => {
    await using vantage = await startVantage(local)
    const socket = connect(vantage.port, '127.0.0.1')
    await once(socket, 'data')
    socket.write(`{"nonce":"${'0'.repeat(32)}","port":80,"address":"8.8.8.8","proof":"${'0'.repeat(64)}"}\n`)
    await once(socket, 'close')
  })

  it('answers a source a dozen times a minute', async () => {
    let now = 0
    const byHand = { ...systemClock, monotonic: () => now }
    await using vantage = await startVantage({ ...local, clock: byHand })
    const web = await service()
    const ask = { address: '127.0.0.1', port: vantage.port, key: vantage.key, tryPort: web.port, signal }
    for (let turn = 0; turn < 12; turn++) await askVantage(ask)
    await expect(askVantage(ask)).rejects.toMatchObject({ code: 'VANTAGE_SILENT' })
    now = 60_001
    expect((await askVantage(ask)).result).toBe('answered')
    web.close()
  })

  it('wants a key that nobody guesses, on either side', async () => {
    for (const key of ['', '---', 'hunter2', '0123-4567-89ab-cd'.slice(0, -1)]) {
      await expect(startVantage({ ...local, key })).rejects.toMatchObject({ code: 'VALUE_INVALID' })
      const asking = askVantage({ address: '127.0.0.1', port: 1, key, tryPort: 1, signal })
      await expect(asking).rejects.toMatchObject({ code: 'VALUE_INVALID' })
    }
  })

  it('answers who knows the key while silent strangers hold on to it', async () => {
    await using vantage = await startVantage({ ...local, address: '0.0.0.0' })
    const strangers: Socket[] = []
    for (let at = 0; at < 100; at++) {
      const stranger = connect({ port: vantage.port, host: '127.0.0.1', localAddress: `127.0.1.${at + 1}` })
      stranger.on('error', () => {})
      strangers.push(stranger)
      await once(stranger, 'connect')
    }
    const web = await service()
    const ask = { address: '127.0.0.1', port: vantage.port, key: vantage.key, tryPort: web.port, signal }
    expect((await askVantage(ask)).result).toBe('answered')
    for (const stranger of strangers) stranger.destroy()
    web.close()
  })

  it('gives one source two places', async () => {
    await using vantage = await startVantage(local)
    const sockets = [0, 1, 2].map(() => connect(vantage.port, '127.0.0.1'))
    for (const socket of sockets) socket.on('error', () => {})
    await once(sockets[2] as Socket, 'close')
    for (const socket of sockets) socket.destroy()
  })

  it('survives what is no question', async () => {
    await using vantage = await startVantage(local)
    for (const bytes of ['\n', '[]\n', 'x'.repeat(2000), '{"nonce":1}\n', '{"port":99999}\n']) {
      const socket = connect(vantage.port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'data')
      socket.write(bytes)
      await once(socket, 'close')
    }
  })
})
