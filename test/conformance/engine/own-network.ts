/** What is promised of networks that misbehave; each is made here, of namespaces. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import type { LabHost } from '../../lab/namespaces.ts'
import { sendRawDatagram } from '../../lab/raw.ts'
import { echo, ending, promisesFor, ruleOf, sendTo, World, type ConformanceOptions } from './world.ts'

/** @param here where the test is, at 10.3.0.1; `there` is 10.3.0.2, on its `eth0`. */
export function ownNetworkPromises(
  make: MakeEngine,
  options: ConformanceOptions & { readonly here: () => LabHost; readonly there: () => LabHost },
): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  userSpace(
    'meets-itself',
    'a dial that is given the very port it dials is refused, and is no target',
    async () => {
      await using world = new World(make, options)
      // Of other promises' ports some linger here.
      const dead = 42_000
      const spare = join(tmpdir(), `naru-${process.pid}-spare.sock`)
      await world.unixTarget(spare)
      const one = await world.forward(`127.0.0.1:${dead}`)
      const health = { everyMs: 1000, rise: 1, fall: 1 }
      const checked = await world.forward(`127.0.0.1:${dead} unix:${spare}`, { health })
      // Of two ports that there are to be given one is taken; the other is the target's.
      await world.target(echo, '127.0.0.1', dead + 1)
      options.here().sysctl('net/ipv4/ip_local_port_range', `${dead} ${dead + 1}`)
      const knock = async (port: number, localPort: number): Promise<string> => {
        const socket = connect({ port, host: '127.0.0.1', localPort, allowHalfOpen: true })
        socket.end('hello')
        return await Promise.race([once(socket, 'data').then(String), ending(socket)])
      }
      try {
        expect(await knock(one.port, 30_001)).toBe('ECONNRESET')
        expect((await world.closed()).closeReason).toBe('target-refused')
        for (let at = 0; at < 4; at++) expect(await knock(checked.port, 30_002 + at)).toBe('hello')
        // The service can begin: nobody has its port, but for the blink of an eye in which a check of health dials it.
        const begins = (): Promise<string> =>
          world
            .target((socket) => socket.end('here'), '127.0.0.1', dead)
            .then((late) => (late.close(), 'begun'))
            .catch(({ code }: NodeJS.ErrnoException) => code ?? 'failed')
        await expect.poll(begins, { timeout: 900, interval: 20 }).toBe('begun')
      } finally {
        options.here().sysctl('net/ipv4/ip_local_port_range', '32768 60999')
      }
    },
  )

  userSpace('udp-meets-itself', 'no session talks to itself, nor keeps a service from its port', async () => {
    await using world = new World(make, options)
    const dead = 40_000
    const { port, lease } = await world.forward(`127.0.0.1:${dead}`, { protocols: 'udp' })
    // As many sessions as ports that the system gives out: one of them is given the target's.
    const clients = await Promise.all(
      Array.from({ length: 8 }, (_, at) => world.udp(world.host, 30_001 + at)),
    )
    const heard: string[] = []
    for (const client of clients) client.on('message', (datagram) => heard.push(String(datagram)))
    options.here().sysctl('net/ipv4/ip_local_port_range', `${dead} ${dead + 7}`)
    try {
      for (const client of clients) await sendTo(client, 'hello', port)
      await expect.poll(() => lease.counters().opened).toBe(8)
      await expect.poll(() => lease.counters().open).toBe(7)
      const late = await world.udpTarget(
        (datagram, from, socket) => socket.send(`${String(datagram)} yourself`, from.port, from.address),
        '127.0.0.1',
        dead,
      )
      for (const client of clients) await sendTo(client, 'hello', port)
      await expect.poll(() => heard.length).toBe(7)
      expect(new Set(heard)).toEqual(new Set(['hello yourself']))
      late.close()
    } finally {
      options.here().sysctl('net/ipv4/ip_local_port_range', '32768 60999')
    }
  })

  userSpace(
    'ports-used-up',
    'where this machine has no port left to dial from, that is what is told, and no target is blamed',
    async () => {
      await using world = new World(make, options)
      const there = await world.target(echo)
      const health = { everyMs: 60_000, rise: 1, fall: 1 }
      const tcp = await world.forward(there.at, { health })
      const heard = await world.udpTarget((datagram, from, socket) =>
        socket.send(datagram, from.port, from.address),
      )
      const udp = await world.forward(heard.at, { protocols: 'udp' })
      const clients = await Promise.all([30_001, 30_002].map((port) => world.udp(world.host, port)))
      const knock = (localPort: number): Socket =>
        connect({ port: tcp.port, host: '127.0.0.1', localPort, allowHalfOpen: true })
      options.here().sysctl('net/ipv4/ip_local_port_range', '40000 40000')
      try {
        const first = knock(30_003)
        first.write('hello')
        expect(String((await once(first, 'data'))[0])).toBe('hello')
        expect(await ending(knock(30_004))).toBe('ECONNRESET')
        expect((await world.closed()).closeReason).toBe('no-local-port')
        first.destroy()
        for (const client of clients) await sendTo(client, 'hello', udp.port)
        await expect.poll(() => udp.lease.counters().closed).toEqual({ 'no-local-port': 1 })
        expect(udp.lease.counters().open).toBe(1)
      } finally {
        options.here().sysctl('net/ipv4/ip_local_port_range', '32768 60999')
      }
      const again = knock(30_005)
      again.write('and again')
      expect(String((await once(again, 'data'))[0])).toBe('and again')
      again.destroy()
    },
  )

  userSpace(
    'family-switched-off',
    'where this machine has no address of the target’s family, that is what is told',
    async () => {
      await using world = new World(make, options)
      const tcp = await world.forward('[::1]:80')
      const udp = await world.forward('[::1]:80', { protocols: 'udp' })
      const client = await world.udp()
      options.here().sysctl('net/ipv6/conf/lo/disable_ipv6', '1')
      try {
        expect(await ending(connect(tcp.port, '127.0.0.1'))).toBe('ECONNRESET')
        expect((await world.closed()).closeReason).toBe('no-local-address')
        await sendTo(client, 'hello', udp.port)
        await expect.poll(() => udp.lease.counters().closed).toEqual({ 'no-local-address': 1 })
      } finally {
        options.here().sysctl('net/ipv6/conf/lo/disable_ipv6', '0')
      }
    },
  )

  userSpace('udp-from-port-0', 'who waits for no answer is one session, whose answers are lost', async () => {
    await using world = new World(make, options)
    let heard = 0
    const target = await world.udpTarget((_, from, socket) => {
      heard++
      socket.send('answer', from.port, from.address)
    })
    const { lease, port } = await world.forward(target.at, { protocols: 'udp' })
    for (let at = 1; at <= 5; at++) {
      const ends = { from: '127.0.0.1', fromPort: 0, to: '127.0.0.1', toPort: port }
      sendRawDatagram(options.here(), { ...ends, bytes: 'hello' })
      await expect.poll(() => heard).toBe(at)
    }
    await expect.poll(() => lease.counters()).toMatchObject({ open: 1, opened: 1, datagramsLost: 5 })
  })

  userSpace(
    'reset-in-dial',
    'a client that resets while its target is dialled is no clean end to the target',
    async () => {
      await using world = new World(make, options)
      const ends: Promise<string>[] = []
      // At an address of this machine that is not loopback a dial gets through at once and is told of a turn later.
      const target = await world.target((socket) => void ends.push(ending(socket)), '10.3.0.1')
      const { lease, port } = await world.forward(target.at, { limits: { connections: 1 } })
      for (let round = 1; round <= 5; round++) {
        const first = await world.dial(port)
        await expect.poll(() => ends.length, { interval: 1 }).toBeGreaterThan(0)
        ends.length = 0
        // Whoever waits for a place is not looked at: its reset is there when the dial begins.
        const next = await world.dial(port)
        next.resetAndDestroy()
        await once(next, 'close')
        first.resetAndDestroy()
        await expect
          .poll(() => lease.counters(), { interval: 1 })
          .toMatchObject({ open: 0, opened: 2 * round, closed: { 'client-reset': 2 * round } })
        await expect.poll(() => target.sockets.size, { interval: 1 }).toBe(0)
        for (const end of ends.splice(0)) expect(await end).toBe('ECONNRESET')
      }
    },
  )

  userSpace(
    'vanished',
    'a target that is gone with bytes under way is told of about when keepalive would, and who merely reads nothing is let be',
    async () => {
      await using world = new World(make, options)
      const there = options.there()
      there.start(['socat', '-u', 'TCP-LISTEN:80,fork,reuseaddr', 'OPEN:/dev/null'])
      const stuck = await world.target((socket) => void socket.pause())
      await expect.poll(() => opens('10.3.0.2', 80)).toBe(true)
      const { port } = await world.forward('10.3.0.2:80', { timeouts: { keepaliveMs: 1000 } })
      const patient = await world.forward(stuck.at, { timeouts: { keepaliveMs: 1000 } })
      const [client, waiting] = [await world.dial(port), await world.dial(patient.port)]
      client.write('hello')
      waiting.write(Buffer.alloc(16 << 20))
      await expect.poll(() => patient.lease.counters().bytesToTarget, { interval: 100 }).toBeGreaterThan(0)
      there.ip('link', 'set', 'eth0', 'down')
      client.write('is anybody there?')
      expect(await ending(client)).toBe('ECONNRESET')
      expect((await world.closed()).closeReason).toBe('target-lost')
      expect(patient.lease.counters().open).toBe(1)
      there.ip('link', 'set', 'eth0', 'up')
    },
    40_000,
  )

  userSpace(
    'link-made-anew',
    'an interface that is made anew is dialled by, and a listen on the one before it is told as adrift',
    async () => {
      await using world = new World(make, options)
      const [here, there] = [options.here(), options.there()]
      const plug = (): void => {
        here.ip('link', 'add', 'll0', 'type', 'veth', 'peer', 'name', 'll1', 'netns', there.namespace)
        for (const [host, name, address] of [
          [here, 'll0', 'fe80::1/64'],
          [there, 'll1', 'fe80::2/64'],
        ] as const) {
          host.ip('address', 'add', address, 'dev', name, 'nodad')
          host.ip('link', 'set', name, 'up')
        }
      }
      const reach = (port: number): Promise<void> =>
        expect
          .poll(
            async () => {
              const socket = await world.dial(port)
              socket.end('hello')
              return await Promise.race([once(socket, 'data').then(String), ending(socket)])
            },
            { timeout: 15_000, interval: 100 },
          )
          .toBe('hello')
      there.start(['socat', 'TCP6-LISTEN:81,fork,reuseaddr', 'PIPE'])
      const target = await world.target(echo)
      plug()
      try {
        const { port } = await world.forward('[fe80::2%ll0]:81')
        await world.open(ruleOf('[fe80::1%ll0]:82/tcp+udp', target.at))
        await reach(port)
        here.ip('link', 'delete', 'll0')
        plug()
        await reach(port)
        await world.event((event) => event.type === 'state' && event.state.state === 'adrift')
      } finally {
        here.ip('link', 'delete', 'll0')
      }
    },
    40_000,
  )
}

function opens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
  })
}
