/** What a datagram may rely on. */
import { randomBytes } from 'node:crypto'
import type { RemoteInfo, Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { EngineLease, MakeEngine } from '../../../src/engines/contract.ts'
import { parseTarget } from '../../../src/model/target.ts'
import { freePort } from '../../free-port.ts'
import {
  echo,
  hasIpv6,
  nextDatagram,
  promisesFor,
  readAll,
  ruleOf,
  sendTo,
  World,
  type ConformanceOptions,
} from './world.ts'

const udp = { protocols: 'udp' }
/** Where the first question is the one that is answered, on a busy machine too. */
const unhurriedMs = 3000

const echoed = (datagram: Buffer, from: RemoteInfo, socket: Socket): void =>
  socket.send(datagram, from.port, from.address)

/** Asks from one port until there is an answer, ten times at most. @returns how often. */
async function askedUntilAnswered(
  client: Socket,
  port: number,
  host: string,
  patienceMs = 300,
): Promise<number> {
  const answer = new Promise<boolean>((resolve) => client.once('message', () => resolve(true)))
  for (let at = 1; at <= 10; at++) {
    await sendTo(client, '?', port, host)
    if (await Promise.race([answer, sleep(patienceMs, false)])) return at
  }
  return Number.POSITIVE_INFINITY
}

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

  userSpace('udp-denied-once', 'who goes on sending is told of once a second, and each is lost', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget(() => {})
    const deny = [{ family: 4, address: '127.0.0.0', bits: 8 }] as const
    const { lease, port } = await world.forward(target.at, { ...udp, deny })
    const client = await world.udp('127.0.0.1')
    for (let at = 0; at < 5; at++) await sendTo(client, 'let me in', port, world.host)
    await expect.poll(() => lease.counters().datagramsLost, { timeout: 5000 }).toBe(5)
    expect(lease.counters().closed.denied).toBeLessThan(5)
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

  userSpace(
    'udp-no-way',
    'a target that no datagram can reach ends its session, with the reason',
    async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget(echoed)
      const other = await world.forward(target.at, udp)
      // A link-local address says nothing without its interface: connecting there fails, and nothing leaves.
      const { lease, port } = await world.forward('[fe80::1]:9', { ...udp, limits: { connections: 1 } })
      const client = await world.udp()
      for (let at = 1; at <= 3; at++) {
        await sendTo(client, 'into the void', port, world.host)
        await expect.poll(() => lease.counters().closed['target-unreachable'], { timeout: 5000 }).toBe(at)
      }
      expect(lease.counters()).toMatchObject({ open: 0, opened: 3, datagramsLost: 3 })
      await sendTo(client, 'still there', other.port, world.host)
      expect(String((await nextDatagram(client)).datagram)).toBe('still there')
    },
  )

  userSpace(
    'udp-next-target',
    'a session leaves a target that refuses for the next, a backup too',
    async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget(echoed)
      const dead = `${world.targetHost}:${await freePort(world.targetHost)}`
      const choice = (at: string, backup: boolean) => ({ to: parseTarget(at), weight: 1, backup, name: null })
      for (const backup of [false, true]) {
        const { lease, port } = await world.forward([choice(dead, false), choice(target.at, backup)], udp)
        const client = await world.udp()
        expect(await askedUntilAnswered(client, port, world.host)).toBeLessThanOrEqual(4)
        expect(lease.counters()).toMatchObject({ open: 1, opened: 1 })
        // It is not asked again, nor is the dead one by those who come now.
        expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
        expect(await askedUntilAnswered(await world.udp(), port, world.host, unhurriedMs)).toBe(1)
      }
    },
  )

  userSpace('udp-target-dies', 'so does one whose target dies in the midst of it', async () => {
    await using world = new World(make, options)
    const targets = [await world.udpTarget(echoed), await world.udpTarget(echoed)]
    const { port } = await world.forward(targets.map(({ at }) => at).join(' '), udp)
    const client = await world.udp()
    expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    // Whichever of both it is that this client has.
    for (const { port: at } of targets) {
      targets.find(({ port: one }) => one === at)?.close()
      expect(await askedUntilAnswered(client, port, world.host)).toBeLessThanOrEqual(4)
      await world.udpTarget(echoed, world.targetHost, at)
    }
  })

  userSpace(
    'udp-next-address',
    'of a name with several addresses it finds the one that answers',
    async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget(echoed, '127.0.0.3')
      const resolve = () => Promise.resolve({ addresses: ['127.0.0.2', '::1', '127.0.0.3'], ttlMs: 60_000 })
      const { lease, port } = await world.forward(`several.test:${target.port}`, udp, resolve)
      expect(await askedUntilAnswered(await world.udp(), port, world.host)).toBeLessThanOrEqual(4)
      // Whoever comes next begins with it.
      expect(await askedUntilAnswered(await world.udp(), port, world.host, unhurriedMs)).toBe(1)
      expect(lease.counters()).toMatchObject({ opened: 2, open: 2 })
    },
  )

  userSpace('udp-no-way-address', 'an address that cannot be reached costs no datagram', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget(echoed)
    const resolve = () => Promise.resolve({ addresses: ['fe80::1', world.targetHost], ttlMs: 60_000 })
    const { lease, port } = await world.forward(`several.test:${target.port}`, udp, resolve)
    expect(await askedUntilAnswered(await world.udp(), port, world.host, unhurriedMs)).toBe(1)
    expect(lease.counters().datagramsLost).toBe(0)
  })

  userSpace('udp-edited', 'a session leaves a target that refuses where an edit took it out', async () => {
    await using world = new World(make, options)
    const [old, next] = [await world.udpTarget(echoed), await world.udpTarget(echoed)]
    const { lease, port } = await world.forward(old.at, udp)
    const client = await world.udp()
    expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    expect(lease.update(ruleOf(`${world.host}:${port}/udp`, next.at))).toBe(true)
    // The one it had goes on under the terms it began with.
    expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    expect(lease.counters().opened).toBe(1)
    old.close()
    expect(await askedUntilAnswered(client, port, world.host)).toBeLessThanOrEqual(4)
    expect((await world.closed()).closeReason).toBe('target-refused')
  })

  userSpace(
    'udp-too-large',
    'what is too large for the target is lost, and held against nobody',
    async () => {
      if (!hasIpv6()) return
      await using world = new World(make, options)
      const heard = [0, 0]
      const [one, other] = await Promise.all(
        [0, 1].map((at) =>
          world.udpTarget((datagram, from, socket) => {
            heard[at]!++
            echoed(datagram, from, socket)
          }),
        ),
      )
      const port = await freePort('::1')
      const lease = await world.open(ruleOf(`[::1]:${port}/udp`, `${one!.at} ${other!.at}`))
      // Over IPv6 a datagram may have 20 bytes more than over IPv4 (RFC 768).
      const large = await world.udp('::1')
      await sendTo(large, Buffer.alloc(65_520), port, '::1')
      await expect.poll(() => lease.counters().datagramsLost, { timeout: 5000 }).toBe(1)
      expect(await askedUntilAnswered(large, port, '::1')).toBe(1)
      for (let at = 0; at < 5; at++)
        expect(await askedUntilAnswered(await world.udp('::1'), port, '::1')).toBe(1)
      expect(heard).toEqual([3, 3])
      expect(lease.counters()).toMatchObject({ open: 6, datagramsToTarget: 6, datagramsLost: 1 })
    },
  )

  for (const listen of ['', '0.0.0.0:']) {
    promise(
      listen === '' ? 'udp-broadcast' : 'udp-broadcast-ipv4',
      `what is sent to all reaches the target once, and is answered from an address of ours (${listen || '*:'})`,
      async () => {
        await using world = new World(make, options)
        const heard: string[] = []
        const target = await world.udpTarget((datagram, from, socket) => {
          heard.push(String(datagram))
          echoed(datagram, from, socket)
        })
        const port = await freePort('0.0.0.0')
        const lease = await world.open(ruleOf(`${listen}${port}/udp`, target.at))
        const client = await world.udp('127.0.0.1')
        client.setBroadcast(true)
        for (const question of ['anybody?', 'once more?']) {
          await sendTo(client, question, port, '127.255.255.255')
          expect(await nextDatagram(client)).toMatchObject({ from: { address: '127.0.0.1', port } })
        }
        // Another client's question comes after whatever copies there might have been.
        await sendTo(client, 'you alone', port, '127.0.0.1')
        await nextDatagram(client)
        expect(heard).toEqual(['anybody?', 'once more?', 'you alone'])
        expect(lease.counters().datagramsLost).toBe(0)
      },
    )
  }

  userSpace('udp-every-address', 'a rule without an address is heard on all that are local', async () => {
    await using world = new World(make, options)
    const heard: string[] = []
    const target = await world.udpTarget((datagram) => heard.push(String(datagram)))
    const port = await freePort('0.0.0.0')
    await world.open(ruleOf(`${port}/udp`, target.at))
    const asked = ['127.0.0.1', '127.0.0.2', '127.9.9.9', ...(hasIpv6() ? ['::1'] : [])]
    for (const address of asked)
      await sendTo(await world.udp(address.includes(':') ? '::1' : '127.0.0.1'), address, port, address)
    await expect.poll(() => heard.toSorted(), { timeout: 5000 }).toEqual(asked.toSorted())
  })

  userSpace('udp-no-name', 'what waited for a name that there is not is lost, and counted', async () => {
    await using world = new World(make, options)
    const { lease, port } = await world.forward('nowhere.test:9', udp)
    await sendTo(await world.udp(), 'anybody?', port, world.host)
    expect((await world.closed()).closeReason).toBe('name-not-found')
    expect(lease.counters()).toMatchObject({ open: 0, datagramsToTarget: 0, datagramsLost: 1 })
  })

  userSpace('udp-broadcast-target', 'a broadcast address is a target', async () => {
    await using world = new World(make, options)
    const target = await world.udp('0.0.0.0')
    const heard = nextDatagram(target)
    const { port } = await world.forward(`127.255.255.255:${target.address().port}`, udp)
    await sendTo(await world.udp(), 'wake up', port, world.host)
    expect(String((await heard).datagram)).toBe('wake up')
  })

  userSpace('udp-conversation', 'nobody who is answered makes room for others of its source', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget(echoed)
    const { lease, port } = await world.forward(target.at, { ...udp, limits: { perSource: 2 } })
    const clients = [await world.udp(), await world.udp()]
    for (let at = 0; at < 2; at++)
      for (const client of clients)
        expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    await sendTo(await world.udp(), 'me too', port, world.host)
    await world.refused('limit-source')
    for (const client of clients)
      expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    expect(lease.counters()).toMatchObject({ open: 2, opened: 2 })
  })

  userSpace('udp-burst', 'questions that come together are all answered, also in a full house', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget(echoed)
    const { lease, port } = await world.forward(target.at, { ...udp, limits: { connections: 40 } })
    for (let round = 0; round < 3; round++) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => world.udp()))
      const answers = clients.map((client) => nextDatagram(client))
      await Promise.all(clients.map((client) => sendTo(client, '?', port, world.host)))
      await Promise.all(answers)
    }
    expect(lease.counters()).toMatchObject({ open: 40, opened: 60, closed: { evicted: 20 } })
  })

  userSpace('udp-flood', 'a flood of single datagrams makes room for itself', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) => {
      if (String(datagram) === '?') echoed(datagram, from, socket)
    })
    const { lease, port } = await world.forward(target.at, { ...udp, limits: { connections: 3 } })
    const client = await world.udp()
    for (let at = 0; at < 2; at++)
      expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    for (let at = 1; at <= 10; at++) {
      await sendTo(await world.udp(), 'noise', port, world.host)
      await expect.poll(() => lease.counters().opened, { timeout: 5000 }).toBe(1 + at)
    }
    expect(lease.counters()).toMatchObject({ open: 3, closed: { evicted: 8 } })
    expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
    expect(lease.counters().opened).toBe(11)
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

  const reopen = async (world: World, lists: (port: number) => readonly string[]): Promise<EngineLease[]> => {
    const saying =
      (name: string) =>
      (_datagram: Buffer, from: RemoteInfo, socket: Socket): void =>
        socket.send(`${name} knows ${from.port}`, from.port, from.address)
    const first = await world.udpTarget(saying('first'))
    const ask = async (client: Socket): Promise<string> => {
      const answer = nextDatagram(client)
      await sendTo(client, 'who', port, world.host)
      const { datagram, from } = await answer
      expect(from).toMatchObject({ address: world.host, port })
      return String(datagram)
    }
    const { lease, port, rule } = await world.forward(first.at, udp)
    const leases = [lease]
    const sessions = [await world.udp()]
    const answers = [await ask(sessions[0] as Socket)]
    for (const listen of lists(port)) {
      await leases.at(-1)?.retire()
      const name = `next to ${leases.length}`
      const target = await world.udpTarget(saying(name))
      leases.push(await world.open({ ...ruleOf(listen, target.at), name: rule.name }))
      const client = await world.udp()
      sessions.push(client)
      answers.push(await ask(client))
      expect(answers.at(-1)).toMatch(name)
      // Each goes on where it began, with the port that its target knows.
      expect(await Promise.all(sessions.map(ask))).toEqual(answers)
      expect(await Promise.all(sessions.map(ask))).toEqual(answers)
    }
    return leases
  }

  promise('udp-reopen', 'a port is free for the next rule while sessions of the last go on', async () => {
    await using world = new World(make, options)
    const host = world.host.includes(':') ? `[${world.host}]` : world.host
    const all = world.host.includes(':') ? '[::]' : '0.0.0.0'
    await reopen(world, (port) => [`${host}:${port}/udp`, `${all}:${port}/udp`, `${host}:${port}/udp`])
  })

  userSpace(
    'udp-reopen-drained',
    'a rule that ends frees its port at once, and drains its sessions',
    async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget(echoed)
      const { lease, port, rule } = await world.forward(target.at, udp)
      const client = await world.udp()
      expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
      const ended = lease.drain({ drainMs: 20_000, reason: 'drained', signal: AbortSignal.timeout(20_000) })
      await lease.retire()
      const next = await world.open(rule)
      expect(await askedUntilAnswered(await world.udp(), port, world.host, unhurriedMs)).toBe(1)
      expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
      expect([lease.counters().open, next.counters().open]).toEqual([1, 1])
      for (const { id } of lease.connections()) lease.cut(id, 'cut')
      await ended
      // With its session over, the client is the next rule's.
      expect(await askedUntilAnswered(client, port, world.host, unhurriedMs)).toBe(1)
      expect(next.counters().opened).toBe(2)
    },
  )

  userSpace(
    'udp-reopen-stranger',
    'a stranger that takes a freed port meanwhile is named as ever',
    async () => {
      await using world = new World(make, options)
      const target = await world.udpTarget(echoed)
      const { lease, port, rule } = await world.forward(target.at, udp)
      await askedUntilAnswered(await world.udp(), port, world.host)
      const live = await world.forward(target.at, udp)
      await lease.retire()
      await expect(world.open({ ...rule, listen: live.rule.listen })).rejects.toMatchObject({
        code: 'LISTEN_IN_USE',
      })
    },
  )

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
