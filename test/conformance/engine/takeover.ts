/** One process takes another's place: no client meets a closed port, and what is under way goes on where it began. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { EngineLease, EngineRequest, MakeEngine } from '../../../src/engines/contract.ts'
import { DescriptorIntake, sendTo as sendDescriptors } from '../../../src/linux/fd-passing.ts'
import { socketMaker } from '../../../src/linux/udp-connected-twin.ts'
import type { Rule } from '../../../src/model/rule.ts'
import { MemoryRecorder } from '../../fakes/recorder.ts'
import { freePort } from '../../free-port.ts'
import {
  deferred,
  echo,
  ending,
  nextDatagram,
  promisesFor,
  readSome,
  ruleOf,
  sendTo,
  World,
  type ConformanceOptions,
  hasIpv6,
} from './world.ts'

/** Copies of the lent sockets as a successor gets them: over a Unix socket. */
async function inherited(lease: EngineLease): Promise<Map<string, number>> {
  const lent = lease.passing?.lend() ?? []
  const folder = await mkdtemp(join(tmpdir(), 'naru-takeover-'))
  await using intake = await DescriptorIntake.open(join(folder, 's'))
  const signal = AbortSignal.timeout(10_000)
  const [fds] = await Promise.all([
    intake.take(lent.length, { signal }),
    sendDescriptors(
      join(folder, 's'),
      lent.map(({ fd }) => fd),
      { signal },
    ),
  ])
  await rm(folder, { recursive: true })
  return new Map(lent.map((socket, at) => [keyOf(socket), fds[at] as number]))
}

function keyOf({ protocol, address, port, part }: Parameters<typeof take>[1]): string {
  return `${protocol} ${address} ${port} ${part}`
}

function take(
  from: Map<string, number>,
  socket: { protocol: string; address: string; port: number; part: number },
): number | null {
  const key = keyOf(socket)
  const fd = from.get(key) ?? null
  from.delete(key)
  return fd
}

interface Successor {
  readonly lease: EngineLease
  readonly begin: () => void
  readonly untaken: Map<string, number>
}

async function successor(world: World, rule: Rule, old: EngineLease): Promise<Successor> {
  const untaken = await inherited(old)
  const { promise: begun, resolve: begin } = deferred<undefined>()
  const inherit = {
    begun: begun.then(() => {}),
    sockets: socketMaker,
    take: (socket: Parameters<typeof take>[1]) => take(untaken, socket),
  }
  const request: EngineRequest = {
    rule,
    inherit,
    resolve: () => Promise.reject(new Error('no names here')),
    onEvent: () => {},
  }
  const signal = AbortSignal.timeout(10_000)
  const lease = await world.engine.open(request, { signal, record: new MemoryRecorder() })
  return { lease, untaken, begin: () => begin(undefined) }
}

export function takeoverPromises(make: MakeEngine, options: ConformanceOptions): void {
  const promise = promisesFor(options)

  async function say(socket: Socket, text: string): Promise<string> {
    socket.write(text)
    return String(await readSome(socket, text.length))
  }

  promise('takeover', 'a successor on the same sockets: nobody is refused, nobody is cut', async () => {
    await using world = new World(make, options)
    await using later = new World(make, options)
    const target = await world.target(echo)
    const { lease, port, rule } = await world.forward(target.at)
    const client = await world.dial(port)
    expect(await say(client, 'before')).toBe('before')

    const next = await successor(later, rule, lease)
    expect(next.untaken.size).toBe(0)
    // While the successor starts, it is still the old one that accepts.
    const between = await world.dial(port)
    expect(await say(between, 'between')).toBe('between')
    expect(next.lease.counters().opened).toBe(0)

    await lease.passing?.yieldDatagrams(socketMaker)
    next.begin()
    await lease.passing?.leave()
    for (let i = 0; i < 20; i++) {
      const fresh = await world.dial(port)
      expect(await say(fresh, 'fresh')).toBe('fresh')
      fresh.end()
      expect(await ending(fresh)).toBe('end')
    }
    expect(next.lease.counters().opened).toBe(20)
    expect(next.lease.listening).toEqual([`${world.host}:${port}/tcp`])
    expect(lease.counters()).toMatchObject({ open: 2, opened: 2 })
    expect(await say(client, 'after')).toBe('after')
    client.end()
    expect(await ending(client)).toBe('end')
    expect(await say(between, 'and on')).toBe('and on')
    await next.lease.release({ signal: AbortSignal.timeout(5000) })
    expect(await ending(connect({ port, host: world.host }))).toBe('ECONNREFUSED')
  })

  promise('takeover-back', 'a successor that ends before it begins leaves everything as it was', async () => {
    await using world = new World(make, options)
    await using later = new World(make, options)
    const target = await world.target(echo)
    const udp = await world.udpTarget((datagram, from, socket) => socket.send(datagram, from.port))
    const { lease, port, rule } = await world.forward(target.at)
    const datagrams = await world.forward(udp.at, { protocols: 'udp' })
    const client = await world.udp()
    await sendTo(client, 'one', datagrams.port, world.host)
    await nextDatagram(client)

    const nexts = [
      await successor(later, rule, lease),
      await successor(later, datagrams.rule, datagrams.lease),
    ]
    await datagrams.lease.passing?.yieldDatagrams(socketMaker)
    for (const next of nexts) await next.lease.release({ signal: AbortSignal.timeout(5000) })
    datagrams.lease.passing?.resume()

    expect(await say(await world.dial(port), 'still here')).toBe('still here')
    for (const one of [client, await world.udp()]) {
      await sendTo(one, 'two', datagrams.port, world.host)
      expect(String((await nextDatagram(one)).datagram)).toBe('two')
    }
    expect(world.record.left).toEqual([])
  })

  promise(
    'takeover-udp',
    'UDP sessions go on where they began, with the port that the target knows',
    async () => {
      await using world = new World(make, options)
      await using later = new World(make, options)
      const target = await world.udpTarget((datagram, from, socket) =>
        socket.send(`${String(datagram)} from ${from.port}`, from.port, from.address),
      )
      const ask = async (client: Awaited<ReturnType<World['udp']>>, text: string): Promise<string> => {
        const answer = nextDatagram(client)
        await sendTo(client, text, port, world.host)
        const { datagram, from } = await answer
        expect(from.port).toBe(port)
        return String(datagram)
      }
      const { lease, port, rule } = await world.forward(target.at, { protocols: 'udp' })
      const clients = await Promise.all(Array.from({ length: 20 }, () => world.udp()))
      const before = await Promise.all(clients.map((client) => ask(client, 'who')))

      const next = await successor(later, rule, lease)
      expect(next.untaken.size).toBe(0)
      await lease.passing?.yieldDatagrams(socketMaker)
      const fresh = await world.udp()
      // It waits in the queue until the successor begins.
      const first = ask(fresh, 'fresh')
      next.begin()
      await first
      await lease.passing?.leave()
      expect(await Promise.all(clients.map((client) => ask(client, 'who')))).toEqual(before)
      expect(next.lease.counters()).toMatchObject({ opened: 1 })
      expect(lease.counters()).toMatchObject({ open: 20 })
      // Once the old session is over, its client is the successor's.
      await lease.release({ signal: AbortSignal.timeout(5000) })
      await ask(clients[0] as (typeof clients)[0], 'who')
      expect(next.lease.counters()).toMatchObject({ opened: 2 })
    },
  )

  promise(
    'takeover-udp-wildcard',
    'so do they where a rule listens everywhere, in both families',
    async () => {
      await using world = new World(make, options)
      await using later = new World(make, options)
      const target = await world.udpTarget((datagram, from, socket) =>
        socket.send(`${String(datagram)} from ${from.port}`, from.port, from.address),
      )
      const port = await freePort()
      const rule = ruleOf(`${port}/udp`, target.at)
      const lease = await world.open(rule)
      const clients = [
        { at: '127.0.0.2', socket: await world.udp('127.0.0.1') },
        { at: '127.0.0.1', socket: await world.udp('127.0.0.1') },
        ...(hasIpv6() ? [{ at: '::1', socket: await world.udp('::1') }] : []),
      ].filter(({ at }) => at !== '127.0.0.2' || lease.describe().member === 'splice')
      const askAll = (): Promise<string[]> =>
        Promise.all(
          clients.map(async ({ at, socket }) => {
            const answer = nextDatagram(socket)
            await sendTo(socket, 'who', port, at)
            const { datagram, from } = await answer
            expect(from.address).toBe(at)
            return String(datagram)
          }),
        )
      const before = await askAll()
      const next = await successor(later, rule, lease)
      expect(next.untaken.size).toBe(0)
      await lease.passing?.yieldDatagrams(socketMaker)
      next.begin()
      await lease.passing?.leave()
      expect(await askAll()).toEqual(before)
      expect(next.lease.counters().opened).toBe(0)
    },
  )

  promise('takeover-unix', 'a Unix path stays where it is when its listener changes hands', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'naru-unix-'))
    {
      await using world = new World(make, options)
      await using later = new World(make, options)
      const target = await world.target(echo)
      const path = join(folder, 'listen')
      const rule = ruleOf(`unix:${path}`, target.at)
      const lease = await world.open(rule)
      const talk = async (): Promise<Socket> => {
        const socket = connect({ path })
        await once(socket, 'connect')
        expect(await say(socket, 'hello')).toBe('hello')
        return socket
      }
      const old = await talk()
      const next = await successor(later, rule, lease)
      next.begin()
      await lease.passing?.leave()
      const fresh = await talk()
      expect(await say(old, 'still')).toBe('still')
      for (const one of [old, fresh]) one.destroy()
      await lease.release({ signal: AbortSignal.timeout(5000) })
      ;(await talk()).destroy()
      await next.lease.release({ signal: AbortSignal.timeout(5000) })
      expect(await ending(connect({ path }))).toBe('ENOENT')
    }
    await rm(folder, { recursive: true })
  })
}
