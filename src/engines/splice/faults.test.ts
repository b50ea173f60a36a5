/** What may go wrong around the engine: threads that die, calls that are denied, pipes that are not to be had, crowds. */
import { execFile, execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../../../test/built.ts'
import { describeWith } from '../../../test/needs.ts'
import {
  echo,
  ending,
  nextDatagram,
  readSome,
  sendTo,
  World,
  type RuleChange,
} from '../../../test/conformance/engine/world.ts'
import type { EngineTools } from '../contract.ts'
import { SpliceEngine } from './main/engine.ts'

const fixture = new URL('../../../test/engines/splice.mjs', import.meta.url).pathname

/** A world whose engine has `threads` threads. */
function worldOf(threads: number, messagesBeforeRing?: number): World {
  return new World(
    (tools: EngineTools) => new SpliceEngine(tools, { threads, messagesBeforeRing, eventsBeforeRing: 0 }),
  )
}

/** How a direction's messages are moved: by epoll, or by the ring from the first on. */
const ways = [
  { way: 'epoll', messagesBeforeRing: Number.POSITIVE_INFINITY },
  { way: 'the ring', messagesBeforeRing: 1 },
]

/** Each message is answered before the next. */
async function converse(client: Socket, messages: number): Promise<void> {
  for (let i = 0; i < messages; i++) {
    client.write(`${i};`)
    expect(String(await readSome(client, `${i};`.length))).toBe(`${i};`)
  }
}

async function echoing(world: World, change: RuleChange = {}) {
  const target = await world.target(echo)
  return await world.forward(target.at, change)
}

/** Waits until `done` holds, at most 10 s. */
async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    if (tries > 500) throw new Error('waited 10 s in vain')
    await sleep(20)
  }
}

const openFiles = (): number => readdirSync('/proc/self/fd').length

/** Runs the fixture in a process of its own. @returns what it printed. */
function alone(task: string, env: Record<string, string> = {}): unknown {
  const args = [fixture, task]
  const options = { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 60_000 } as const
  return JSON.parse(execFileSync(process.execPath, args, options))
}

describeWith({ platform: 'linux' }, 'faults', () => {
  beforeAll(built, 120_000)

  it.each(ways)('a thread that dies takes its connections, not its rule ($way)', async (way) => {
    await using world = worldOf(1, way.messagesBeforeRing)
    const { lease, port } = await echoing(world, { limits: { connections: 1 } })
    const client = await world.dial(port)
    await converse(client, 5)
    const before = openFiles()
    await (world.engine as SpliceEngine).killThread(0)
    expect(await ending(client)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('engine-error')
    expect(lease.counters()).toMatchObject({ open: 0, opened: 1, closed: { 'engine-error': 1 } })
    // The place that the lost one had is free, and the port was never closed.
    const next = await world.dial(port)
    next.write('again')
    expect(String(await readSome(next, 5))).toBe('again')
    expect(openFiles()).toBeLessThanOrEqual(before + 8)
  })

  it('one thread of two may die: the other’s connections do not notice', async () => {
    await using world = worldOf(2)
    const { lease, port } = await echoing(world)
    const clients = await Promise.all(Array.from({ length: 20 }, () => world.dial(port)))
    for (const client of clients) {
      client.write('x')
      await readSome(client, 1)
    }
    await (world.engine as SpliceEngine).killThread(1)
    const lost = (): number => lease.counters().closed['engine-error'] ?? 0
    await until(() => lease.counters().open + lost() === 20)
    let alive = 0
    for (const client of clients) {
      if (client.destroyed || client.errored) continue
      client.write('y')
      const answer = await Promise.race([readSome(client, 1).then(String, String), ending(client)])
      if (answer === 'y') alive++
    }
    expect(alive).toBe(20 - lost())
  })

  it('a thread that keeps dying is given up, and the rule says so', async () => {
    await using world = worldOf(1)
    await echoing(world)
    for (let death = 0; death < 6; death++) {
      await (world.engine as SpliceEngine).killThread(0)
      await sleep(300)
    }
    const event = await world.event((one) => one.type === 'state' && one.state.state === 'failed')
    expect(event).toMatchObject({ rule: 'promise' })
  }, 30_000)

  it('without koffi it says no, and why', () => {
    expect(alone('supports', { NARU_NO_KOFFI: '1' })).toMatchObject({
      ok: false,
      why: { en: expect.stringContaining('koffi') as string },
    })
    expect(alone('supports-unloadable')).toMatchObject({
      ok: false,
      why: { en: expect.stringContaining('koffi') as string },
    })
    expect(alone('supports')).toMatchObject({ ok: true })
  })

  it('where a filter denies splice or epoll it says no, and which', () => {
    expect(alone('supports-denied', { DENY: 'splice' })).toMatchObject({
      ok: false,
      why: { en: 'the kernel denies splice' },
    })
    expect(alone('supports-denied', { DENY: 'epoll_create1' })).toMatchObject({ ok: false })
  })

  it('without pipes it copies', () => {
    expect(alone('bulk-without-pipes')).toMatchObject({ exact: true, finished: 1 })
  })

  it('a process ends at once though its threads wait', () => {
    const started = performance.now()
    expect(alone('exit')).toEqual({ open: 1 })
    expect(performance.now() - started).toBeLessThan(15_000)
  })

  it.each(ways)('a peer that never reads holds nobody up ($way)', async (way) => {
    await using world = worldOf(1, way.messagesBeforeRing)
    const { port } = await echoing(world)
    const stuck = await world.dial(port)
    await converse(stuck, 3)
    stuck.pause()
    // More than the kernel keeps for six sockets, also where tcp_rmem lets each grow to 32 MiB.
    stuck.write(Buffer.alloc(512 << 20))
    await sleep(200)
    const client = await world.dial(port)
    for (let i = 0; i < 100; i++) {
      client.write('quick')
      expect(String(await readSome(client, 5))).toBe('quick')
    }
    expect(stuck.writableLength).toBeGreaterThan(0)
    stuck.destroy()
    await world.closed(({ closeReason }) => closeReason === 'client-reset')
  })

  it.each(ways)('urgent data loses nothing of the stream ($way)', async (way) => {
    await using world = worldOf(1, way.messagesBeforeRing)
    const { port } = await echoing(world)
    const script = `import socket
s = socket.create_connection(('127.0.0.1', ${port}))
for _ in range(3): s.sendall(b'x'); s.recv(1)
s.sendall(b'before'); s.send(b'!', socket.MSG_OOB); s.sendall(b'after' * 1000); s.shutdown(socket.SHUT_WR)
got = b''
while True:
    more = s.recv(65536)
    if not more: break
    got += more
print(len(got), got[:6].decode(), got[-5:].decode())`
    const { stdout } = await promisify(execFile)('python3', ['-c', script], { timeout: 20_000 })
    expect(stdout.trim()).toBe('5007 before after')
  })

  it('an idle conversation in the ring ends when its time is over, and is cut when it is told to', async () => {
    await using world = worldOf(1, 1)
    const { lease, port } = await echoing(world, { timeouts: { idleMs: 300 } })
    const idle = await world.dial(port)
    await converse(idle, 5)
    expect(await ending(idle)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('idle')
    const cut = await world.dial(port)
    await converse(cut, 5)
    expect(lease.cut(lease.connections()[0]?.id ?? '', 'cut')).toBe(true)
    expect(await ending(cut)).toBe('ECONNRESET')
  })

  it(
    'a crowd of short connections leaves nothing behind',
    async () => {
      // Set NARU_CROWD=1000000 for the long run.
      const crowd = Number(process.env.NARU_CROWD ?? 2000)
      await using world = worldOf(2)
      const target = await world.target((socket) => socket.resume().end('x'))
      const { lease, port } = await world.forward(target.at)
      const knock = async (): Promise<void> => {
        const client = connect({ port, host: '127.0.0.1' })
        expect(await ending(client)).toBe('end')
        client.destroy()
      }
      const wave = async (count: number): Promise<void> => {
        for (let left = count; left > 0; left -= 50)
          await Promise.all(Array.from({ length: Math.min(50, left) }, knock))
        await until(() => lease.counters().open === 0)
        world.events.length = 0
      }
      await wave(500)
      const [files, memory] = [openFiles(), process.memoryUsage().rss]
      await wave(crowd)
      expect(lease.counters()).toMatchObject({
        open: 0,
        opened: crowd + 500,
        closed: { finished: crowd + 500 },
      })
      // The test's own sockets take a moment.
      await until(() => openFiles() <= files + 4)
      expect(process.memoryUsage().rss - memory).toBeLessThan(100 << 20)
    },
    process.env.NARU_CROWD ? 3_600_000 : 120_000,
  )

  it('a crowd of one-datagram clients leaves nothing behind', async () => {
    await using world = worldOf(2)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { protocols: 'udp', timeouts: { udpMs: 100 } })
    const before = openFiles()
    // None is closed before the last: a port that is given again while its session lives is the same client.
    const crowd: Awaited<ReturnType<typeof world.udp>>[] = []
    for (let wave = 0; wave < 5; wave++) {
      const clients = await Promise.all(Array.from({ length: 40 }, () => world.udp()))
      crowd.push(...clients)
      await Promise.all(
        clients.map(async (client) => {
          const answer = nextDatagram(client)
          await sendTo(client, 'once', port)
          await answer
        }),
      )
    }
    for (const client of crowd) client.close()
    await until(() => lease.counters().open === 0)
    expect(lease.counters().opened).toBe(200)
    await until(() => openFiles() <= before + 4)
  })
})

describeWith({ platform: 'linux', ioUring: true }, 'where io_uring is denied', () => {
  beforeAll(built, 120_000)

  it('epoll moves the messages', () => {
    expect(alone('conversation')).toEqual({ answered: 100, ring: true })
    expect(alone('conversation', { DENY: 'io_uring_setup' })).toEqual({ answered: 100, ring: false })
    expect(alone('conversation', { NARU_NO_IO_URING: '1' })).toEqual({ answered: 100, ring: false })
  })
})
