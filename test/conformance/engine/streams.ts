/** What a stream may rely on. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import type { Json } from '../../../src/model/hop.ts'
import {
  Arena,
  close,
  connect as connectTo,
  familyUnix,
  loadFfi,
  openSocket,
  send,
  shutdownWrite,
} from '../../../src/linux/libc.ts'
import { sendDescriptors } from '../../../src/linux/scm-rights.ts'
import { sockaddrOfPath } from '../../../src/linux/sockaddr-fields.ts'
import { socketFileAt } from '../../../src/relay/unix-path.ts'
import { freePort } from '../../free-port.ts'
import { whatIsMissing } from '../../needs.ts'
import {
  deferred,
  echo,
  ending,
  promisesFor,
  readAll,
  readSome,
  ruleOf,
  World,
  type ConformanceOptions,
} from './world.ts'

const bulkBytes = process.env.CI === 'true' ? 1024 ** 3 : 256 * 1024 ** 2

export function streamPromises(make: MakeEngine, options: ConformanceOptions): void {
  const promise = promisesFor(options)
  const userSpace = options.inKernel ? () => {} : promise

  promise('exact', 'carries both ways and counts every byte', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { lease, port } = await world.forward(target.at)
    const client = await world.dial(port)
    client.end('0123456789')
    expect(String(await readAll(client))).toBe('0123456789')
    if (options.inKernel) return
    const record = await world.closed()
    expect(record).toMatchObject({
      bytesToTarget: 10,
      bytesToClient: 10,
      closeReason: 'finished',
      target: target.at,
    })
    expect(record.client).toMatch(/^\S+:\d+$/)
    expect(lease.counters()).toMatchObject({ open: 0, opened: 1, bytesToTarget: 10, bytesToClient: 10 })
    expect(lease.counters().closed).toEqual({ finished: 1 })
  })

  promise(
    'half-close-client',
    'a client that has finished speaking still hears an answer 3 s later',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => {
        void readAll(socket).then(async (question) => {
          await sleep(3000)
          socket.end(`heard ${question.length}`)
        })
      })
      const { port } = await world.forward(target.at)
      const client = await world.dial(port)
      client.end('question')
      expect(String(await readAll(client))).toBe('heard 8')
    },
  )

  promise(
    'half-close-target',
    'a target that has finished speaking still hears the client 3 s later',
    async () => {
      await using world = new World(make, options)
      const heard = deferred<string>()
      const target = await world.target((socket) => {
        socket.end('greeting')
        void readAll(socket).then((all) => heard.resolve(String(all)), heard.reject)
      })
      const { port } = await world.forward(target.at)
      const client = await world.dial(port)
      expect(String(await readAll(client))).toBe('greeting')
      client.write('first ')
      await sleep(3000)
      client.end('second')
      expect(await heard.promise).toBe('first second')
    },
  )

  promise(
    'reset-target',
    'a reset by the target reaches the client as a reset, after what was sent before',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => {
        socket.once('data', () =>
          socket.write('half of it', () => setTimeout(() => socket.resetAndDestroy(), 50)),
        )
      })
      const { port } = await world.forward(target.at)
      const client = await world.dial(port)
      client.write('?')
      expect(String(await readSome(client, 10))).toBe('half of it')
      expect(await ending(client)).toBe('ECONNRESET')
      if (!options.inKernel) expect((await world.closed()).closeReason).toBe('target-reset')
    },
  )

  promise('reset-client', 'a reset by the client reaches the target as a reset', async () => {
    await using world = new World(make, options)
    const end = deferred<string>()
    const target = await world.target((socket) => {
      socket.write('hello')
      end.resolve(ending(socket))
    })
    const { port } = await world.forward(target.at)
    const client = await world.dial(port)
    await readSome(client, 5)
    client.resetAndDestroy()
    expect(await end.promise).toBe('ECONNRESET')
    if (!options.inKernel) expect((await world.closed()).closeReason).toBe('client-reset')
  })

  for (const who of ['client', 'target'] as const)
    promise(
      `reset-on-the-heels-${who}`,
      `a reset by the ${who} right behind its last bytes is no end`,
      async () => {
        await using world = new World(make, options)
        const ends = await greeted(world)
        const [speaker, listener] = who === 'client' ? [ends.client, ends.target] : [ends.target, ends.client]
        const told = ending(listener)
        // In one turn, so that both are there before anybody here looks: libuv takes that for an end.
        speaker.write(Buffer.alloc(50_000))
        speaker.resetAndDestroy()
        expect(await told).toBe('ECONNRESET')
        if (!options.inKernel) expect((await world.closed()).closeReason).toBe(`${who}-reset`)
      },
    )

  promise(
    'reset-behind-fin',
    'all that came before a FIN arrives, also where a reset follows it',
    async () => {
      for (let round = 0; round < 5; round++) {
        await using world = new World(make, options)
        const answer = Buffer.alloc(50_000, 7)
        const target = await world.target((socket) => {
          // As an HTTP server that has answered and closes while its client still sends.
          socket.once('data', () => {
            socket.pause()
            socket.end(answer, () => setTimeout(() => socket.resetAndDestroy(), 20))
          })
        })
        const { port } = await world.forward(target.at)
        const client = await world.dial(port)
        client.write('?')
        client.pause()
        await new Promise((resolve) => setTimeout(resolve, 100))
        expect((await readSome(client, answer.length)).length).toBe(answer.length)
      }
    },
  )

  promise('reset-half-closed', 'a reset after a half-close still arrives as one', async () => {
    await using world = new World(make, options)
    const target = await world.target((socket) => {
      void readAll(socket).then(() => socket.resetAndDestroy())
    })
    const { port } = await world.forward(target.at)
    const client = await world.dial(port)
    client.end('done speaking')
    expect(await ending(client)).toBe('ECONNRESET')
  })

  for (const who of ['client', 'target'] as const) {
    const other = who === 'client' ? 'target' : 'client'
    promise(
      `reset-after-fin-${who}`,
      `a ${who} that finished speaking and then resets is told of`,
      async () => {
        await using world = new World(make, options)
        const ends = await greeted(world)
        ends[who].end()
        await once(ends[other].resume(), 'end')
        ends[who].resetAndDestroy()
        // After an end Node polls no more; a write of nothing meets a reset.
        const told = deferred<string>()
        ends[other].once('error', (error: NodeJS.ErrnoException) => told.resolve(error.code ?? ''))
        for (let tries = 0; !ends[other].destroyed && tries < 250; tries++) {
          ends[other].write('')
          await sleep(20)
        }
        told.resolve('nothing within 5 s')
        expect(await told.promise).toMatch(/^(ECONNRESET|EPIPE)$/)
        if (!options.inKernel) expect((await world.closed()).closeReason).toBe(`${who}-reset`)
      },
    )
  }

  promise('refused', 'a refused connection is a reset, never a clean end', async () => {
    await using world = new World(make, options)
    const closedPort = await freePort(world.targetHost)
    const { port } = await world.forward(`${world.targetHost}:${closedPort}`)
    const client = connect({ port, host: world.host })
    expect(await ending(client)).toMatch(/^ECONNRE(SET|FUSED)$/)
    if (!options.inKernel) expect((await world.closed()).closeReason).toBe('target-refused')
  })

  userSpace('early', 'what a client says before its target is connected is kept', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(`slow.test:${target.port}`, {}, async () => {
      await sleep(300)
      return { addresses: [world.targetHost], ttlMs: 1000 }
    })
    const client = await world.dial(port)
    const said = randomBytes(200_000)
    client.end(said)
    expect((await readAll(client)).equals(said)).toBe(true)
  })

  userSpace(
    'gone-while-dialling',
    'a client that leaves while its target is dialled is noticed',
    async () => {
      await using world = new World(make, options)
      const { lease, port } = await world.forward('never.test:80', {}, (_target, { signal }) =>
        once(signal, 'abort').then(() => Promise.reject(signal.reason as Error)),
      )
      const client = await world.dial(port)
      await world.event((event) => event.type === 'opened')
      client.resetAndDestroy()
      expect((await world.closed()).closeReason).toBe('client-reset')
      expect(lease.connections()).toEqual([])
    },
  )

  userSpace(
    'gone-as-connected',
    'a client that resets in the moment in which its target is connected leaves nothing behind',
    async () => {
      await using world = new World(make, options)
      const target = await world.target((socket) => socket.resume())
      let coming = deferred<Socket | null>()
      const resolve = async () => {
        // The reset is there first, the target's answer in the same turn of the loop.
        ;(await coming.promise)?.resetAndDestroy()
        return { addresses: [world.targetHost], ttlMs: 0 }
      }
      const rule = { limits: { connections: 1 } }
      const { lease, port } = await world.forward(`reset.test:${target.port}`, rule, resolve)
      for (let at = 1; at <= 20; at++) {
        coming = deferred()
        coming.resolve(await world.dial(port))
        await expect.poll(() => lease.counters(), { interval: 1 }).toMatchObject({ open: 0, opened: at })
      }
      await expect.poll(() => target.sockets.size).toBe(0)
      coming = deferred()
      coming.resolve(null)
      const next = await world.dial(port)
      await expect.poll(() => target.sockets.size).toBe(1)
      next.destroy()
    },
  )

  userSpace(
    'connect-timeout',
    'a target that never answers costs the connect timeout, then a reset',
    async () => {
      await using world = new World(make, options)
      const { port } = await world.forward(
        'never.test:80',
        { timeouts: { connectMs: 200 } },
        (_target, { signal }) => once(signal, 'abort').then(() => Promise.reject(signal.reason as Error)),
      )
      const began = performance.now()
      const client = await world.dial(port)
      expect(await ending(client)).toBe('ECONNRESET')
      expect(performance.now() - began).toBeLessThan(2000)
      expect((await world.closed()).closeReason).toBe('connect-timeout')
    },
  )

  for (const [id, direction] of [
    ['bulk-to-target', 'from client to target'],
    ['bulk-to-client', 'from target to client'],
  ] as const) {
    promise(
      id,
      `carries ${bulkBytes / 1024 ** 2} MiB ${direction} unharmed`,
      async () => {
        await using world = new World(make, options)
        const got = deferred<string>()
        const sent = deferred<string>()
        const target = await world.target((socket) => {
          if (id === 'bulk-to-target') got.resolve(digest(socket))
          else sent.resolve(pour(socket, bulkBytes))
        })
        const { port } = await world.forward(target.at)
        const client = await world.dial(port)
        if (id === 'bulk-to-target') sent.resolve(pour(client, bulkBytes))
        else got.resolve(digest(client))
        expect(await got.promise).toBe(await sent.promise)
      },
      120_000,
    )
  }

  promise(
    'parallel',
    'carries 200 streams of random size at once, each unharmed',
    async () => {
      await using world = new World(make, options)
      const target = await world.target(echo)
      const { port } = await world.forward(target.at)
      const one = async (): Promise<void> => {
        const client = await world.dial(port)
        const [sent, got] = await Promise.all([
          pour(client, Math.floor(Math.random() ** 3 * 3_000_000)),
          digest(client),
        ])
        expect(got).toBe(sent)
        client.destroy()
      }
      await Promise.all(Array.from({ length: 200 }, one))
    },
    60_000,
  )

  userSpace('slow-reader', 'a slow reader stops the sender, and memory stays bounded', async () => {
    await using world = new World(make, options)
    const pouring = deferred<Socket>()
    const bytes = 96 * 1024 ** 2
    const sent = deferred<string>()
    const target = await world.target((socket) => {
      pouring.resolve(socket)
      sent.resolve(pour(socket, bytes))
    })
    const { lease, port } = await world.forward(target.at)
    const client = await world.dial(port)
    const socket = await pouring.promise
    await stalled(() => socket.bytesWritten - socket.writableLength)
    // What is on its way: in the kernel's buffers on the target's side, and what the relay and the client's side hold.
    const onItsWay = socket.bytesWritten - socket.writableLength
    expect(onItsWay).toBeLessThan(mostInKernel('wmem') + mostInKernel('rmem') + 16 * 1024 ** 2)
    const held = lease.connections()[0]
    expect(held?.bytesToClient).toBeLessThan(16 * 1024 ** 2)
    expect(await digest(client)).toBe(await sent.promise)
  })

  promise('ipv6-to-ipv4', 'carries from IPv6 to IPv4', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo, '127.0.0.1')
    await expectEcho(world, `[::1]:${await freePort('::1')}`, target.at, '::1')
  })

  promise('ipv4-to-ipv6', 'carries from IPv4 to IPv6', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo, '::1')
    await expectEcho(world, `127.0.0.1:${await freePort('127.0.0.1')}`, target.at, '127.0.0.1')
  })

  promise('dual-stack', 'a listen without an address takes both families', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const port = await freePort('::')
    await world.open(ruleOf(String(port), target.at))
    for (const host of [world.host, '::1']) {
      const client = await world.dial(port, { host })
      client.end('both')
      expect(String(await readAll(client))).toBe('both')
    }
    if (!options.inKernel) expect((await world.closed()).client).toMatch(/^\d+\.\d+\.\d+\.\d+:\d+$/)
  })

  promise('v6only', '[::] takes every IPv6 address and leaves IPv4 alone', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const port = await freePort('::')
    await world.open(ruleOf(`[::]:${port}`, target.at))
    await world.target(echo, '127.0.0.1', port)
    const client = await world.dial(port, { host: '::1' })
    client.end('six')
    expect(String(await readAll(client))).toBe('six')
  })

  promise('range', 'a range carries port by port, and only as a whole', async () => {
    await using world = new World(make, options)
    const [from, to] = [await freePort(world.host, 3), await freePort(world.targetHost, 3)]
    for (let at = 0; at < 3; at++)
      await world.target((socket) => socket.end(`number ${at}`), world.targetHost, to + at)
    await world.open(ruleOf(`${world.host}:${from}-${from + 2}`, `${world.targetHost}:${to}-${to + 2}`))
    for (let at = 0; at < 3; at++) {
      expect(String(await readAll(await world.dial(from + at)))).toBe(`number ${at}`)
    }
  })

  promise('range-to-one', 'a range may meet at one port', async () => {
    await using world = new World(make, options)
    const from = await freePort(world.host, 3)
    const target = await world.target((socket) => socket.end('one'))
    await world.open(ruleOf(`${world.host}:${from}-${from + 2}`, target.at))
    for (let at = 0; at < 3; at++) expect(String(await readAll(await world.dial(from + at)))).toBe('one')
  })

  userSpace('range-atomic', 'a range of which one port is taken opens none', async () => {
    await using world = new World(make, options)
    const from = await freePort(world.host, 3)
    await world.target(echo, world.host, from + 2)
    const opening = world.open(ruleOf(`${world.host}:${from}-${from + 2}`, '127.0.0.1:9'))
    await expect(opening).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    for (const port of [from, from + 1]) {
      const client = connect({ port, host: world.host })
      expect(await ending(client)).toBe('ECONNREFUSED')
    }
  })

  userSpace(
    'unix',
    'listens on and dials Unix sockets, and takes away what a dead process left',
    async () => {
      await using world = new World(make, options)
      const [listen, path] = ['l', 't'].map((name) => join(tmpdir(), `naru-${process.pid}-${name}.sock`)) as [
        string,
        string,
      ]
      world.defer(() => Promise.all([rm(listen, { force: true }), rm(path, { force: true })]))
      await leaveStaleSocket(listen)
      const inner = await world.unixTarget(path)
      await world.open(ruleOf(`unix:${listen}`, `unix:${path}`))
      const client = connect({ path: listen, allowHalfOpen: true })
      client.end('by file')
      expect(String(await readAll(client))).toBe('by file')
      expect(inner.listening).toBe(true)
      await expect(world.open(ruleOf(`unix:${listen}`, `unix:${path}`))).rejects.toMatchObject({
        code: 'LISTEN_IN_USE',
      })
    },
  )

  userSpace('unix-rights', 'a Unix client that passes descriptors along is heard to the end', async () => {
    if (whatIsMissing({ platform: 'linux' })) return
    await using world = new World(make, options)
    const folder = await mkdtemp(join(tmpdir(), 'naru-rights-'))
    world.defer(() => rm(folder, { recursive: true }))
    const path = join(folder, 'l.sock')
    const heard = deferred<Buffer>()
    const target = await world.target((socket) => void readAll(socket).then(heard.resolve))
    await world.open(ruleOf(`unix:${path}`, target.at))
    loadFfi()
    const client = openSocket(familyUnix, 'stream')
    if (typeof client === 'number') throw new Error(`socket: errno ${-client}`)
    world.defer(() => close(client))
    expect(connectTo(client, sockaddrOfPath(path))).toBe(0)
    // Each comes with a byte, where a read stops (unix(7)).
    for (let i = 0; i < 5; i++) expect(sendDescriptors(client, [client])).toBe(0)
    const rest = Arena.allocate(16)
    rest.bytes.set(Buffer.from('and the rest'))
    expect(send(client, rest, 0, 12)).toBe(12)
    shutdownWrite(client)
    expect(String(await heard.promise)).toBe('\0\0\0\0\0and the rest')
  })

  userSpace('unix-undo', 'undo takes away a dead socket of its own, and nothing else', async () => {
    await using world = new World(make, options)
    const folder = await mkdtemp(join(tmpdir(), 'naru-undo-'))
    world.defer(() => rm(folder, { recursive: true }))
    const path = join(folder, 'l.sock')
    const undo = (effect: Json) => world.engine.undo(effect, { signal: AbortSignal.timeout(5000) })
    const lease = await world.open(ruleOf(`unix:${path}`, '127.0.0.1:9'))
    const effect = world.record.left[0] as Json
    // Somebody lives there: a successor, or the rule itself.
    await undo(effect)
    expect(await readdir(folder)).toEqual(['l.sock'])
    // Another program's socket is not taken away by the rule's end, nor by undo, dead or not; nor is a plain file.
    await rm(path)
    const other = await world.unixTarget(path)
    await lease.release({ signal: AbortSignal.timeout(5000) })
    await undo(effect)
    expect(await readdir(folder)).toEqual(['l.sock'])
    other.close()
    await leaveStaleSocket(path)
    await undo(effect)
    await undo({ unix: path })
    expect(await readdir(folder)).toEqual(['l.sock'])
    await undo({ unix: path, file: socketFileAt(path) })
    expect(await readdir(folder)).toEqual([])
    await writeFile(path, 'mine')
    await undo(effect)
    expect(await readdir(folder)).toEqual(['l.sock'])
  })

  userSpace(
    'unix-path',
    'a Unix path may be as long as is said, and an error names what is missing',
    async () => {
      await using world = new World(make, options)
      const folder = await mkdtemp(join(tmpdir(), 'naru-path-'))
      world.defer(() => rm(folder, { recursive: true }))
      for (const bytes of [103, 102, 101, 95]) {
        const path = join(folder, 'x'.repeat(bytes - folder.length - 1))
        const lease = await world.open(ruleOf(`unix:${path}`, '127.0.0.1:9'))
        expect(await readdir(folder)).toEqual([basename(path)])
        await lease.release({ signal: AbortSignal.timeout(5000) })
        expect(await readdir(folder)).toEqual([])
      }
      await expect(world.open(ruleOf(`unix:${folder}/no/l.sock`, '127.0.0.1:9'))).rejects.toThrow(
        `cannot listen on unix:${folder}/no/l.sock: the folder ${folder}/no is not there`,
      )
    },
  )

  promise('late-target', 'a target that comes up late is found', async () => {
    await using world = new World(make, options)
    const late = await freePort(world.targetHost)
    const { port } = await world.forward(`${world.targetHost}:${late}`)
    expect(await ending(connect({ port, host: world.host }))).toMatch(/^ECONNRE(SET|FUSED)$/)
    await world.target((socket) => socket.end('here now'), world.targetHost, late)
    expect(String(await readAll(await world.dial(port)))).toBe('here now')
  })

  userSpace('moving-name', 'a name that moves is followed', async () => {
    await using world = new World(make, options)
    const at = await freePort('127.0.0.3')
    await world.target((socket) => socket.end('old home'), '127.0.0.2', at)
    await world.target((socket) => socket.end('new home'), '127.0.0.3', at)
    let home = '127.0.0.2'
    const resolve = () => Promise.resolve({ addresses: [home], ttlMs: 10 })
    const { port } = await world.forward(`moving.test:${at}`, {}, resolve)
    expect(String(await readAll(await world.dial(port)))).toBe('old home')
    home = '127.0.0.3'
    await sleep(20)
    expect(String(await readAll(await world.dial(port)))).toBe('new home')
  })

  userSpace('eyeballs', 'an address of a name that does not answer gives way to the next', async () => {
    await using world = new World(make, options)
    const target = await world.target((socket) => socket.end('second'), '127.0.0.1')
    const resolve = () => Promise.resolve({ addresses: ['::1', '127.0.0.1'], ttlMs: 1000 })
    const { port } = await world.forward(`both.test:${target.port}`, {}, resolve)
    expect(String(await readAll(await world.dial(port)))).toBe('second')
  })

  userSpace('no-name', 'a name without an address resets the client and says so', async () => {
    await using world = new World(make, options)
    const { port } = await world.forward('nobody.test:80')
    expect(await ending(connect({ port, host: world.host }))).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('name-not-found')
  })
}

/** Sends `bytes` random ones and a FIN. @returns their digest. */
/** A connection through a rule of its own, over which the client has greeted the target. */
async function greeted(world: World): Promise<{ client: Socket; target: Socket }> {
  const arrived = deferred<Socket>()
  const { at } = await world.target((socket) => arrived.resolve(socket))
  const { port } = await world.forward(at)
  const client = await world.dial(port)
  client.write('hello')
  const target = await arrived.promise
  await readSome(target, 5)
  return { client, target }
}

async function pour(socket: Socket, bytes: number): Promise<string> {
  const hash = createHash('sha1')
  const block = randomBytes(1024 * 1024)
  for (let left = bytes, turn = 0; left > 0; turn = (turn + 4099) % 65_536) {
    const chunk = block.subarray(turn, turn + Math.min(left, 512 * 1024))
    left -= chunk.length
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
  return hash.digest('hex')
}

async function digest(socket: Socket): Promise<string> {
  const hash = createHash('sha1')
  socket.on('data', (chunk: Buffer) => hash.update(chunk))
  expect(await ending(socket)).toBe('end')
  return hash.digest('hex')
}

/** Resolves once `read` has stood still for 400 ms. */
async function stalled(read: () => number): Promise<void> {
  for (let last = -1; read() !== last;) {
    last = read()
    await sleep(400)
  }
}

async function expectEcho(world: World, listen: string, target: string, host: string): Promise<void> {
  await world.open(ruleOf(listen, target))
  const client = await world.dial(Number(listen.split(':').at(-1)), { host })
  client.end('across')
  expect(String(await readAll(client))).toBe('across')
}

/** A socket file that nobody listens on, as kill -9 leaves it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { execFileSync } = await import('node:child_process')
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  try {
    execFileSync(process.execPath, ['-e', script, path], { stdio: 'ignore' })
  } catch {
    // It was to die.
  }
}

/** To so many bytes a socket's buffer grows by itself: tcp(7), 4 and 6 MiB where nobody changed it. */
function mostInKernel(which: 'rmem' | 'wmem'): number {
  try {
    return Number(readFileSync(`/proc/sys/net/ipv4/tcp_${which}`, 'utf8').split(/\s+/)[2])
  } catch {
    return 8 * 1024 ** 2
  }
}
