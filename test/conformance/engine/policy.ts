/** Who may come in, how many, how fast, and where to. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { parseCidr } from '../../../src/base/address.ts'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import type { TargetChoice } from '../../../src/model/rule.ts'
import { parseTarget } from '../../../src/model/target.ts'
import { freePort } from '../../free-port.ts'
import {
  echo,
  ending,
  promisesFor,
  readAll,
  readSome,
  ruleOf,
  World,
  type ConformanceOptions,
} from './world.ts'

export function policyPromises(make: MakeEngine, options: ConformanceOptions): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  /** What a client from 127.0.0.1 meets: an answer, or a hard no. */
  async function knock(world: World, port: number): Promise<string> {
    const client = connect({ port, host: world.host })
    client.on('error', () => {})
    client.write('?')
    return await Promise.race([once(client, 'data').then(() => 'let in'), ending(client)])
  }

  promise('deny', 'a denied client is reset, and its target hears nothing of it', async () => {
    await using world = new World(make, options)
    let heard = 0
    const target = await world.target((socket) => {
      heard++
      echo(socket)
    })
    const { lease, port } = await world.forward(target.at, { deny: [parseCidr(`${world.host}/8`)] })
    expect(await knock(world, port)).toMatch(/^ECONNRE(SET|FUSED)$/)
    expect(heard).toBe(0)
    if (options.inKernel) return
    await world.refused('denied')
    expect(lease.counters()).toMatchObject({ opened: 0, closed: { denied: 1 } })
  })

  promise('allow', 'the longest prefix among allow and deny decides', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const [here, around, elsewhere] = [world.host, `${world.host}/8`, '192.0.2.0/24']
    for (const [allow, deny, answer] of [
      [[around], [], 'let in'],
      [[elsewhere], [], 'out'],
      [[around], [here], 'out'],
      [[here], [around], 'let in'],
      [[here], [here], 'out'],
      [[], [elsewhere], 'let in'],
    ] as const) {
      const { lease, port } = await world.forward(target.at, {
        allow: allow.map(parseCidr),
        deny: deny.map(parseCidr),
      })
      const met = await knock(world, port)
      expect([allow, deny, met === 'let in' ? met : 'out']).toEqual([allow, deny, answer])
      await lease.release({ signal: AbortSignal.timeout(5000) })
    }
  })

  promise(
    'limit-connections',
    'no more at once than the limit, and a place that is left is given again',
    async () => {
      await using world = new World(make, options)
      const target = await world.target(echo)
      const { port } = await world.forward(target.at, { limits: { connections: 2 } })
      const [one] = [await world.dial(port), await world.dial(port)] as [Socket, Socket]
      one.write('in')
      await readSome(one, 2)
      expect(await knock(world, port)).toMatch(/^ECONNRE(SET|FUSED)$/)
      one.end()
      await ending(one)
      one.destroy()
      await world.refused('limit-connections')
      await world.closed()
      expect(await knock(world, port)).toBe('let in')
    },
  )

  promise('limit-source', 'one source takes no more than its share', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { limits: { perSource: 1 } })
    const first = await world.dial(port)
    first.write('in')
    await readSome(first, 2)
    expect(await knock(world, port)).toMatch(/^ECONNRE(SET|FUSED)$/)
    const other = await world.dial(port, { localAddress: '127.0.0.2' })
    other.write('in')
    expect(String(await readSome(other, 2))).toBe('in')
  })

  promise('limit-again', 'who ends a connection and begins the next at once has its place', async () => {
    await using world = new World(make, options)
    // It takes a moment to say goodbye, as one far away does.
    const target = await world.target((socket) => {
      socket.on('data', (data) => void socket.write(data))
      socket.once('end', () => setTimeout(() => socket.end(), 50))
    })
    for (const limits of [{ perSource: 1 }, { connections: 1 }]) {
      const { port } = await world.forward(target.at, { limits })
      for (let at = 0; at < 10; at++) {
        const client = await world.dial(port)
        client.write('in')
        expect(String(await readSome(client, 2))).toBe('in')
        client.destroy()
      }
    }
  })

  userSpace(
    'limit-held',
    'who waits for a place is no more than the limit, and is turned away in time',
    async () => {
      await using world = new World(make, options)
      const target = await world.target(echo)
      const { lease, port } = await world.forward(target.at, { limits: { perSource: 2 } })
      for (const client of [await world.dial(port), await world.dial(port)]) {
        client.write('in')
        await readSome(client, 2)
      }
      const began = performance.now()
      expect(await Promise.all(Array.from({ length: 100 }, () => knock(world, port)))).not.toContain('let in')
      expect(performance.now() - began).toBeLessThan(3000)
      expect(target.sockets.size).toBe(2)
      await expect.poll(() => lease.counters()).toMatchObject({ open: 2, closed: { 'limit-source': 100 } })
    },
  )

  userSpace(
    'limit-fair',
    'a crowd of one source that finds no place takes no other one its moment',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => {
        socket.on('data', (data) => void socket.write(data))
        socket.once('end', () => setTimeout(() => socket.end(), 50))
      })
      const { port } = await world.forward(target.at, { limits: { perSource: 1 } })
      const first = await world.dial(port, { localAddress: '127.0.0.2' })
      first.write('in')
      await readSome(first, 2)
      const come = (): Promise<Socket> =>
        new Promise((resolve) => {
          const socket = connect({ port, host: world.host, localAddress: '127.0.0.2' })
          socket.on('error', () => {})
          for (const event of ['connect', 'close']) socket.once(event, () => resolve(socket))
        })
      for (let at = 0; at < 5; at++) {
        const waiting = await Promise.all(Array.from({ length: 150 }, come))
        const client = await world.dial(port, { localAddress: '127.0.0.3' })
        client.write('in')
        expect(String(await readSome(client, 2))).toBe('in')
        for (const socket of [client, ...waiting]) socket.destroy()
      }
    },
  )

  promise('limit-rate', 'no more new ones a second than the limit', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { limits: { newPerSecond: 3 } })
    const met = await Promise.all(Array.from({ length: 8 }, () => knock(world, port)))
    expect(met.filter((one) => one === 'let in').length).toBe(3)
    await sleep(700)
    expect(await knock(world, port)).toBe('let in')
  })

  userSpace('bandwidth', 'bytes flow no faster than the limit, both directions together', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { limits: { bytesPerSecond: 1_000_000 } })
    const client = await world.dial(port)
    const began = performance.now()
    client.end(Buffer.alloc(750_000))
    expect((await readAll(client)).length).toBe(750_000)
    const seconds = (performance.now() - began) / 1000
    expect(seconds).toBeGreaterThan(1.2)
    expect(seconds).toBeLessThan(3)
  })

  userSpace(
    'even-pace',
    'a slow rule gives to all at an even pace, and its own limit makes nobody idle',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => void socket.write(Buffer.alloc(1 << 20)))
      const { lease, port } = await world.forward(target.at, {
        limits: { bytesPerSecond: 64_000 },
        timeouts: { idleMs: 400 },
      })
      // A turn of each takes 50 ms, so each waits half a second for its own.
      const clients = await Promise.all(Array.from({ length: 10 }, () => world.dial(port)))
      const got = new Map(clients.map((client) => [client, 0]))
      for (const client of clients)
        client.on('data', (chunk: Buffer) => got.set(client, (got.get(client) ?? 0) + chunk.length))
      await sleep(2500)
      expect(lease.counters()).toMatchObject({ open: 10, closed: {} })
      for (const bytes of got.values()) expect(bytes).toBeGreaterThan(3000)
    },
  )

  userSpace(
    'idle-slow-reader',
    'a peer that takes what waits for it is not idle, and one that takes nothing is',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => void socket.write(Buffer.alloc(32 << 20)))
      const { port } = await world.forward(target.at, { timeouts: { idleMs: 400 } })
      const [slow, stuck] = [await world.dial(port), await world.dial(port)]
      const name = `${world.host}:${stuck.localPort}`
      let bytes = 0
      slow.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        slow.pause()
      })
      const cut = world.closed(({ client }) => client === name)
      // Buffers fill in no time; what is read of them then is less than makes room for a single write of the relay's.
      for (let at = 0; at < 50; at++) {
        slow.resume()
        await sleep(40)
      }
      expect((await cut).closeReason).toBe('idle')
      expect(slow.destroyed).toBe(false)
      const before = bytes
      slow.resume()
      await expect.poll(() => bytes).toBeGreaterThan(before)
    },
  )

  userSpace('idle', 'a connection without a byte for its limit is cut, and a busy one is not', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { timeouts: { idleMs: 400 } })
    const client = await world.dial(port)
    for (let at = 0; at < 6; at++) {
      client.write('busy')
      await readSome(client, 4)
      await sleep(100)
    }
    expect(await ending(client)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('idle')
  })

  userSpace('next-target', 'a target that refuses gives way to the next, and no byte is lost', async () => {
    await using world = new World(make, options)
    const dead = await freePort(world.targetHost)
    const target = await world.target(echo)
    const { port } = await world.forward(`${world.targetHost}:${dead} ${target.at}`)
    for (let at = 0; at < 6; at++) {
      const client = await world.dial(port)
      client.end('kept')
      expect(String(await readAll(client))).toBe('kept')
    }
  })

  userSpace('balance', 'targets take turns by weight; a backup waits', async () => {
    await using world = new World(make, options)
    const answered = new Map<string, number>()
    const named = (name: string) =>
      world.target((socket) => {
        answered.set(name, (answered.get(name) ?? 0) + 1)
        socket.end(name)
      })
    const [one, two, spare] = [await named('one'), await named('two'), await named('spare')]
    const choice = (at: string, weight: number, backup = false) => ({
      to: parseTarget(at),
      weight,
      backup,
      name: null,
    })
    const { port } = await world.forward([choice(one.at, 1), choice(two.at, 3), choice(spare.at, 1, true)])
    for (let at = 0; at < 20; at++) await readAll(await world.dial(port))
    expect(Object.fromEntries(answered)).toEqual({ one: 5, two: 15 })
    one.close()
    two.close()
    expect(String(await readAll(await world.dial(port)))).toBe('spare')
  })

  userSpace(
    'range-blame',
    'a port of a range that nobody serves takes no target from the others',
    async () => {
      await using world = new World(make, options)
      const from = await freePort(world.host, 2)
      const [main, spare] = [await freePort(world.targetHost, 2), await freePort(world.targetHost, 2)]
      await world.target((socket) => socket.end('main'), world.targetHost, main)
      for (const at of [spare, spare + 1])
        await world.target((socket) => socket.end('spare'), world.targetHost, at)
      const choice = (at: number, backup: boolean): TargetChoice => ({
        to: parseTarget(`${world.targetHost}:${at}-${at + 1}`),
        weight: 1,
        backup,
        name: null,
      })
      await world.open(
        ruleOf(`${world.host}:${from}-${from + 1}`, [choice(main, false), choice(spare, true)]),
      )
      for (let times = 0; times < 3; times++) {
        expect(String(await readAll(await world.dial(from + 1)))).toBe('spare')
        expect(String(await readAll(await world.dial(from)))).toBe('main')
      }
    },
  )

  userSpace(
    'health',
    'a target that fails its checks is not tried first, and is again when it is back',
    async () => {
      await using world = new World(make, options)
      const at = await freePort(world.targetHost)
      const spare = await world.target((socket) => socket.end('spare'))
      const rule = {
        health: { everyMs: 50, rise: 1, fall: 1 },
      }
      const backup = { to: parseTarget(spare.at), weight: 1, backup: true, name: null }
      const main = { to: parseTarget(`${world.targetHost}:${at}`), weight: 1, backup: false, name: null }
      const { port } = await world.forward([main, backup], rule)
      expect(String(await readAll(await world.dial(port)))).toBe('spare')
      await world.target((socket) => socket.end('main'), world.targetHost, at)
      let answer = ''
      for (let tries = 0; answer !== 'main' && tries < 100; tries++) {
        await sleep(20)
        answer = String(await readAll(await world.dial(port)))
      }
      // Well before the second that passive ejection would take.
      expect(answer).toBe('main')
    },
  )
}
