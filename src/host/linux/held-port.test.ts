import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { describeWith } from '../../../test/needs.ts'
import { canHold, holdPort, letGo, serveHeld } from './held-port.ts'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function whyNoListen(port: number): Promise<string | null> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  } finally {
    server.close()
  }
}

async function whyNoBind(port: number): Promise<string | null> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  try {
    socket.bind(port, '127.0.0.1')
    await once(socket, 'listening')
    socket.close()
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

async function whyNoConnect(port: number): Promise<string | null> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  } finally {
    socket.destroy()
  }
}

describeWith({ platform: 'linux' }, 'a held port', () => {
  it('can be held here', () => expect(canHold()).toBe(true))

  it('is nobody else’s to listen on, and nobody is accepted', async () => {
    const port = await freePort()
    const held = holdPort('tcp', '0.0.0.0', port, () => [])
    expect(held).toBeGreaterThan(0)
    expect(await whyNoListen(port)).toBe('EADDRINUSE')
    expect(await whyNoConnect(port)).toBe('ECONNREFUSED')
    letGo(held)
    expect(await whyNoListen(port)).toBeNull()
  })

  it('is told to be in use where somebody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect(holdPort('tcp', '0.0.0.0', (server.address() as AddressInfo).port, () => [])).toBe(-98)
    server.close()
  })

  it('is held beside connections that go on from who listened before, and then by nobody else', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const accepted = once(server, 'connection')
    const client = connect(port, '127.0.0.1')
    const [socket] = (await accepted) as [import('node:net').Socket]
    server.close()
    const held = holdPort('tcp', '0.0.0.0', port, () => [])
    expect(held).toBeGreaterThan(0)
    expect(await whyNoListen(port)).toBe('EADDRINUSE')
    expect(await whyNoConnect(port)).toBe('ECONNREFUSED')
    // And it can be served.
    expect(serveHeld('tcp', held)).toBe(0)
    expect(await whyNoConnect(port)).toBeNull()
    letGo(held)
    for (const one of [client, socket]) one.destroy()
  })

  it('is held a second time beside our own, and stays when one of them goes', async () => {
    const port = await freePort()
    for (const protocol of ['tcp', 'udp'] as const) {
      const first = holdPort(protocol, '0.0.0.0', port, () => [])
      const second = holdPort(protocol, '127.0.0.1', port, () => [first])
      expect(second).toBeGreaterThan(0)
      letGo(first)
      const why = protocol === 'tcp' ? whyNoListen : whyNoBind
      expect(await why(port)).toBe('EADDRINUSE')
      letGo(second)
    }
  })

  it('queues no datagram, and takes in those that come once it is served', async () => {
    const port = await freePort()
    const held = holdPort('udp', '127.0.0.1', port, () => [])
    expect(await whyNoBind(port)).toBe('EADDRINUSE')
    const sender = createSocket('udp4')
    const send = (text: string): Promise<void> =>
      new Promise((resolve) => sender.send(text, port, '127.0.0.1', () => resolve()))
    for (let i = 0; i < 100; i++) await send('dropped')
    const hex = port.toString(16).toUpperCase().padStart(4, '0')
    const line = readFileSync('/proc/net/udp', 'utf8')
      .split('\n')
      .find((one) => one.includes(`:${hex} `))
    expect(line?.trim().split(/\s+/)[4]).toBe('00000000:00000000')
    expect(serveHeld('udp', held)).toBe(0)
    const reader = createSocket('udp4')
    reader.bind({ fd: held })
    const arrived = once(reader, 'message')
    await send('served')
    expect(String((await arrived)[0])).toBe('served')
    reader.close()
    sender.close()
  })
})
