import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { systemClock } from '../base/clock.ts'
import { Dial, type Endpoint } from './dial.ts'

const limits = { connectMs: 5000, keepaliveMs: 0, clock: systemClock }

it('a dial that is given up resets what has got through, also before we have heard of it', async () => {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const never = (): void => expect.fail('it was given up')
  const dial = new Dial([{ host: '127.0.0.1', port }], { ...limits, onSocket: never, onFailure: never })
  // On this machine the handshake is over once the system has been asked, and Node asks in the next tick.
  await new Promise((resolve) => process.nextTick(resolve))
  dial.cancel()
  const [arrived] = (await once(server, 'connection')) as [Socket]
  const end = await Promise.race([once(arrived, 'error'), once(arrived.resume(), 'end').then(() => ['end'])])
  expect(end).toMatchObject([{ code: 'ECONNRESET' }])
  server.close()
})

it('a dial that is given up before it has begun reaches nobody', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const heard: Socket[] = []
  server.on('connection', (socket) => void heard.push(socket))
  const endpoints: Endpoint[] = [{ host: '127.0.0.1', port }]
  const never = (): void => expect.fail('it was given up')
  new Dial(endpoints, { ...limits, onSocket: never, onFailure: never }).cancel()
  const asked = new Dial(endpoints, { ...limits, onSocket: (socket) => void socket.end(), onFailure: never })
  await once(server, 'connection')
  expect(heard).toHaveLength(1)
  asked.cancel()
  heard[0]?.destroy()
  server.close()
})
