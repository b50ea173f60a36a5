/** What a datagram may rely on. */
import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import { freePort } from '../../free-port.ts'
import {
  echo,
  nextDatagram,
  promisesFor,
  readAll,
  ruleOf,
  sendTo,
  World,
  type ConformanceOptions,
} from './world.ts'

const udp = { protocols: 'udp' }

export function datagramPromises(make: MakeEngine, options: ConformanceOptions): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  for (const [id, bytes, what] of [
    ['udp-small', 64, 'a small datagram'],
    ['udp-empty', 0, 'an empty datagram'],
    ['udp-largest', 65_507, 'the largest datagram, whole,'],
  ] as const) {
    promise(id, `carries ${what} there and back`, async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget((datagram, from, socket) =>
        socket.send(datagram, from.port, from.address),
      )
      const { lease, port } = await world.forward(target.at, udp)
      const client = await world.udp()
      const datagram = randomBytes(bytes)
      await sendTo(client, datagram, port, world.host)
      const answer = await nextDatagram(client)
      expect(answer.datagram.equals(datagram)).toBe(true)
      expect(answer.from).toMatchObject({ address: world.host, port })
      if (options.inKernel) return
      expect(lease.counters()).toMatchObject({
        open: 1,
        bytesToTarget: bytes,
        bytesToClient: bytes,
        datagramsToTarget: 1,
        datagramsToClient: 1,
        datagramsLost: 0,
      })
    })
  }

  promise('udp-order', 'carries a burst in order', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { port } = await world.forward(target.at, udp)
    const client = await world.udp()
    const got: number[] = []
    client.on('message', (datagram: Buffer) => got.push(datagram.readUInt16BE(0)))
    for (let at = 0; at < 50; at++) void sendTo(client, Buffer.from([at >> 8, at & 255]), port, world.host)
    for (let tries = 0; got.length < 50 && tries < 100; tries++) await sleep(20)
    expect(got).toEqual(Array.from({ length: 50 }, (_, at) => at))
  })

  const two = options.twoAddresses === undefined ? loopbackAndAnother() : options.twoAddresses
  promise(
    'udp-reply-address',
    `answers from the address that was asked, on every address at once`,
    async () => {
      if (two === null) return expect(two, 'this machine has one address only').toBeNull()
      await using world = new World(make, options)
      const target = await world.udpTarget((datagram, from, socket) =>
        socket.send(datagram, from.port, from.address),
      )
      const port = await freePort('0.0.0.0')
      await world.open(ruleOf(`${port}/udp`, target.at))
      for (const asked of two) {
        // From the loopback address the kernel would by itself answer from another than the one that was asked.
        const client = await world.udp(asked.includes(':') ? '::' : '0.0.0.0')
        await sendTo(client, 'who?', port, asked)
        expect((await nextDatagram(client)).from).toMatchObject({ address: asked, port })
      }
    },
  )

  userSpace('udp-late-target', 'a target that is not there yet ends no session', async () => {
    await using world = new World(make, options)
    const late = await freePort(world.targetHost)
    const { lease, port } = await world.forward(`${world.targetHost}:${late}`, udp)
    const client = await world.udp()
    for (let at = 0; at < 3; at++) {
      await sendTo(client, 'too early', port, world.host)
      await sleep(20)
    }
    expect(lease.counters()).toMatchObject({ open: 1, opened: 1 })
    await expect.poll(() => lease.counters().datagramsLost, { timeout: 10_000 }).toBeGreaterThan(0)
    const ports = new Set<number>()
    await world.udpTarget(
      (datagram, from, socket) => {
        ports.add(from.port)
        socket.send(datagram, from.port, from.address)
      },
      world.targetHost,
      late,
    )
    await sendTo(client, 'now', port, world.host)
    expect(String((await nextDatagram(client)).datagram)).toBe('now')
    expect(lease.counters()).toMatchObject({ open: 1, opened: 1 })
  })

  promise('udp-stable-port', 'a session keeps its port towards the target', async () => {
    await using world = new World(make, options)
    const ports = new Set<number>()
    const target = await world.udpTarget((datagram, from, socket) => {
      ports.add(from.port)
      socket.send(datagram, from.port, from.address)
    })
    const { port } = await world.forward(target.at, udp)
    const [one, other] = [await world.udp(), await world.udp()]
    for (let at = 0; at < 5; at++) {
      for (const client of [one, other]) {
        await sendTo(client, `${at}`, port, world.host)
        await nextDatagram(client)
      }
    }
    expect(ports.size).toBe(2)
  })

  userSpace('udp-idle', 'a session ends when it was silent for its limit, and not before', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { ...udp, timeouts: { udpMs: 400 } })
    const client = await world.udp()
    for (let at = 0; at < 6; at++) {
      await sendTo(client, 'still here', port, world.host)
      await nextDatagram(client)
      await sleep(100)
    }
    expect(lease.counters().opened).toBe(1)
    expect((await world.closed()).closeReason).toBe('idle')
  })

  userSpace('udp-evict', 'a newer session takes the place of the one that was silent longest', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { ...udp, limits: { connections: 3 } })
    const clients = await Promise.all(Array.from({ length: 4 }, () => world.udp()))
    for (const at of [0, 1, 2, 0, 3]) {
      const client = clients[at]!
      await sendTo(client, 'hello', port, world.host)
      await nextDatagram(client)
    }
    const evicted = await world.closed()
    expect(evicted.closeReason).toBe('evicted')
    expect(evicted.client).toBe(`${world.host}:${clients[1]!.address().port}`)
    expect(lease.counters().open).toBe(3)
  })

  userSpace('udp-per-source', 'one source makes room for itself within its own share', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { ...udp, limits: { perSource: 2 } })
    for (let at = 0; at < 5; at++) {
      const client = await world.udp()
      await sendTo(client, 'hello', port, world.host)
      await nextDatagram(client)
    }
    expect(lease.counters()).toMatchObject({ open: 2, opened: 5, closed: { evicted: 3 } })
  })

  promise('udp-denied', 'a datagram from who is not allowed goes nowhere', async () => {
    await using world = new World(make, options)
    let heard = 0
    const target = await world.udpTarget(() => heard++)
    const { port } = await world.forward(target.at, {
      ...udp,
      deny: [{ family: 4, address: '127.0.0.0', bits: 8 }],
    })
    await sendTo(await world.udp('127.0.0.1'), 'let me in', port, world.host)
    if (!options.inKernel) await world.refused('denied')
    await sleep(50)
    expect(heard).toBe(0)
  })

  promise('udp-crossing', 'carries between the families', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget(
      (datagram, from, socket) => socket.send(datagram, from.port, from.address),
      '::1',
    )
    const port = await freePort('127.0.0.1')
    await world.open(ruleOf(`127.0.0.1:${port}/udp`, target.at))
    const client = await world.udp('127.0.0.1')
    await sendTo(client, 'four to six', port)
    expect(String((await nextDatagram(client)).datagram)).toBe('four to six')
  })

  userSpace('udp-moving-name', 'a session follows its name with the port it has', async () => {
    await using world = new World(make, options)
    const at = await freePort('127.0.0.3')
    const ports = new Set<number>()
    for (const home of ['127.0.0.2', '127.0.0.3']) {
      await world.udpTarget(
        (_datagram, from, socket) => {
          ports.add(from.port)
          socket.send(home, from.port, from.address)
        },
        home,
        at,
      )
    }
    let home = '127.0.0.2'
    const resolve = () => Promise.resolve({ addresses: [home], ttlMs: 10 })
    const { port } = await world.forward(`moving.test:${at}`, udp, resolve)
    const client = await world.udp()
    const answers: string[] = []
    client.on('message', (datagram) => answers.push(String(datagram)))
    home = '127.0.0.2'
    for (let tries = 0; answers.at(-1) !== '127.0.0.3' && tries < 100; tries++) {
      await sendTo(client, '?', port, world.host)
      await sleep(20)
      if (answers.length > 0) home = '127.0.0.3'
    }
    expect(answers[0]).toBe('127.0.0.2')
    expect(answers.at(-1)).toBe('127.0.0.3')
    expect(world.events.filter((event) => event.type === 'opened')).toHaveLength(1)
  })

  promise('tcp+udp', 'one rule carries both protocols on one port', async () => {
    await using world = new World(make, options)
    const at = await freePort(world.targetHost)
    await world.target(echo, world.targetHost, at)
    await world.udpTarget(
      (datagram, from, socket) => socket.send(datagram, from.port, from.address),
      world.targetHost,
      at,
    )
    const { port } = await world.forward(`${world.targetHost}:${at}`, { protocols: 'tcp+udp' })
    const stream = await world.dial(port)
    stream.end('stream')
    expect(String(await readAll(stream))).toBe('stream')
    const client = await world.udp()
    await sendTo(client, 'datagram', port, world.host)
    expect(String((await nextDatagram(client)).datagram)).toBe('datagram')
  })

  userSpace('udp-in-use', 'a port that is taken is said to be', async () => {
    await using world = new World(make, options)
    const taken = await world.udp(world.host)
    const { port } = taken.address()
    const opening = world.open(ruleOf(`${world.host}:${port}/udp`, '127.0.0.1:9'))
    await expect(opening).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
  })
}

/** The loopback address and another IPv4 address of this machine; null where it has none. */
function loopbackAndAnother(): readonly [string, string] | null {
  const other = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)
  return other ? ['127.0.0.1', other.address] : null
}
