/** What a load took is given back when it is over: descriptors to the last one, and memory. */
import { fork, type ChildProcess } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../built.ts'
import { freePorts } from '../free-port.ts'
import { describeWith } from '../needs.ts'

const engines = ['splice', 'sockets'] as const
/** A round's, of each engine. */
const [sessions, connections] = [500, 200]
const rounds = 3
const script = join(import.meta.dirname, 'after-load.mjs')

interface Held {
  readonly open: number
  readonly opened: number
  readonly descriptors: number
  readonly heap: number
  readonly rss: number
}

/** A TCP and a UDP service of one port that answer what they hear. */
async function echo(): Promise<Disposable & { port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}).pipe(socket))
  server.listen(0, '127.0.0.1', 1024)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const udp = createSocket('udp4').bind(port, '127.0.0.1')
  udp.on('message', (message, { port, address }) => udp.send(message, port, address))
  await once(udp, 'listening')
  return { port, [Symbol.dispose]: () => (server.close(), void udp.close()) }
}

async function ask(child: ChildProcess): Promise<Held> {
  child.send('look')
  const [held] = (await once(child, 'message', { signal: AbortSignal.timeout(20_000) })) as [Held]
  return held
}

/** A client that was answered, and is still there. */
async function talked(client: UdpSocket | Socket, say: () => void): Promise<UdpSocket | Socket> {
  const heard = once(client, 'bind' in client ? 'message' : 'data', {
    signal: AbortSignal.timeout(20_000),
  })
  say()
  await heard
  return client
}

/** All of a round are there at once, and leave together: connections by FIN or by RST, sessions in silence. */
async function load(ports: readonly number[]): Promise<void> {
  const clients = ports.flatMap((port) => [
    ...Array.from({ length: sessions }, () => () => {
      const socket = createSocket('udp4')
      return talked(socket, () => socket.send('hello', port, '127.0.0.1'))
    }),
    ...Array.from({ length: connections }, () => () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      return talked(socket, () => socket.write('hello'))
    }),
  ])
  const there: (UdpSocket | Socket)[] = []
  for (let at = 0; at < clients.length; at += 50)
    there.push(...(await Promise.all(clients.slice(at, at + 50).map((begin) => begin()))))
  there.forEach((client, at) => {
    if ('bind' in client) client.close()
    else if (at % 2 === 0) client.end()
    else client.resetAndDestroy()
  })
}

describeWith({ platform: 'linux' }, 'after a load', () => {
  beforeAll(built, 120_000)

  it('a Naru holds what it held before', { timeout: 120_000 }, async () => {
    using service = await echo()
    const ports = await freePorts(engines.length)
    const rules = Object.fromEntries(
      engines.map((engine, at) => [
        engine,
        {
          listen: `127.0.0.1:${ports[at]}/tcp+udp`,
          target: `127.0.0.1:${service.port}`,
          engine,
          timeouts: { udp: '1s' },
        },
      ]),
    )
    const folder = await mkdtemp(join(tmpdir(), 'naru-load-'))
    const child = fork(script, [JSON.stringify(rules), folder], { execArgv: ['--expose-gc'] })
    await using _end = {
      [Symbol.asyncDispose]: async () => {
        child.disconnect()
        if (child.exitCode === null) await once(child, 'exit')
        await rm(folder, { recursive: true, force: true })
      },
    }
    await once(child, 'message', { signal: AbortSignal.timeout(20_000) })
    const over = async (): Promise<Held> => {
      for (let tries = 0; tries < 200; tries++) {
        const held = await ask(child)
        if (held.open === 0) return held
        await sleep(100)
      }
      throw new Error('some of them are still open')
    }
    // Once, so that what is made for good at the first need is there.
    await load(ports)
    const before = await over()
    for (let round = 0; round < rounds; round++) {
      await load(ports)
      await over()
    }
    const after = await over()
    const came = after.opened - before.opened
    expect(came).toBe(rounds * engines.length * (sessions + connections))
    expect(after.descriptors).toBe(before.descriptors)
    // Not 400 bytes of each stay.
    expect(after.heap - before.heap).toBeLessThan(400 * came)
    expect(after.rss - before.rss).toBeLessThan(30 * 2 ** 20)
  })
})
