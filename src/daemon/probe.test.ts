import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { probe } from './probe.ts'

const signal = AbortSignal.timeout(20_000)
let server: Server | undefined
afterEach(() => void server?.close())

async function serve(answer: (socket: Socket) => void): Promise<{ host: string; port: number }> {
  server = createServer((socket) => answer(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

it('finds whoever accepts, at once where it may trust that', async () => {
  const endpoint = await serve((socket) => socket.resume())
  await probe(endpoint, { signal })
  await probe(endpoint, { signal, stayMs: 50 })
})

it('takes a forward that hangs up without a word for a refusal', async () => {
  const endpoint = await serve((socket) => socket.end())
  await probe(endpoint, { signal })
  await expect(probe(endpoint, { signal, stayMs: 5000 })).rejects.toMatchObject({ code: 'TARGET_SILENT' })
})

it('so it does a forward that resets', async () => {
  const endpoint = await serve((socket) => socket.resetAndDestroy())
  await expect(probe(endpoint, { signal, stayMs: 5000 })).rejects.toMatchObject({ code: 'TARGET_SILENT' })
})

it('believes a service that greets and hangs up', async () => {
  const endpoint = await serve((socket) => socket.end('12:00'))
  await probe(endpoint, { signal, stayMs: 5000 })
})

it('says why nobody is there, and ends with its signal', async () => {
  const endpoint = await serve((socket) => socket.resume())
  server?.close()
  await once(server as Server, 'close')
  await expect(probe(endpoint, { signal })).rejects.toMatchObject({ code: 'TARGET_SILENT' })
  const silent = await serve((socket) => socket.resume())
  const over = new AbortController()
  const asked = probe(silent, { signal: over.signal, stayMs: 60_000 })
  setTimeout(() => over.abort(), 20)
  await expect(asked).rejects.toMatchObject({ code: 'TARGET_SILENT' })
})
