import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { beforeAll, expect, it } from 'vitest'
import { built } from '../../../../test/built.ts'
import { describeWith } from '../../../../test/needs.ts'
import { readAll, readSome, World } from '../../../../test/conformance/engine/world.ts'
import { SpliceEngine } from '../main/engine.ts'

interface Kernel {
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: Uint32Array,
  ) => number
  readonly getpeername: (fd: number, address: Uint8Array, length: Uint32Array) => number
  readonly send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number
  readonly shutdown: (fd: number, how: number) => number
}

/** What the kernel says of sockets of this process: Node's own and the engine's. */
function kernel(): Kernel {
  const koffi = createRequire(import.meta.url)('koffi') as {
    load(path: null): { func(prototype: string): never }
  }
  const library = koffi.load(null)
  return {
    getsockopt: library.func(
      'int getsockopt(int fd, int level, int name, uint8_t *value, _Inout_ uint32_t *length)',
    ),
    getpeername: library.func('int getpeername(int fd, uint8_t *address, _Inout_ uint32_t *length)'),
    send: library.func('int64_t send(int fd, const uint8_t *bytes, uint64_t length, int flags)'),
    shutdown: library.func('int shutdown(int fd, int how)'),
  }
}

const tcp = { level: 6, noDelay: 1, info: 11 }

/** Descriptors of this process that are connected to `port`. */
function connectedTo(port: number): number[] {
  const { getpeername } = kernel()
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      const address = new Uint8Array(28)
      if (getpeername(fd, address, Uint32Array.of(28)) !== 0) return false
      return new DataView(address.buffer).getUint16(2) === port
    })
}

function sendsAtOnce(fd: number): boolean {
  const value = new Uint8Array(4)
  kernel().getsockopt(fd, tcp.level, tcp.noDelay, value, Uint32Array.of(4))
  return value[0] === 1
}

const fdOf = (socket: Socket): number => (socket as unknown as { _handle: { fd: number } })._handle.fd

/** In one segment, as a server that knows its last bytes sends them. Node itself sends one after the other. */
function sendWithEnd(socket: Socket, text: string): void {
  const { send, shutdown } = kernel()
  const [more, write] = [0x8000, 1]
  send(fdOf(socket), Buffer.from(text), text.length, more)
  shutdown(fdOf(socket), write)
}

/** Segments that have come in, the handshake's among them (tcpi_segs_in). */
function segmentsIn(socket: Socket): number {
  const info = new Uint8Array(232)
  kernel().getsockopt(fdOf(socket), tcp.level, tcp.info, info, Uint32Array.of(232))
  return new DataView(info.buffer).getUint32(140, true)
}

describeWith({ platform: 'linux' }, 'TCP as the peers of a relay see it', () => {
  beforeAll(built, 120_000)
  const world = (): World => new World((tools) => new SpliceEngine(tools, { threads: 1 }))

  it('a target’s socket holds no message back: from the second on, as the first has none before it', async () => {
    await using here = world()
    const target = await here.target((socket) => void socket.pipe(socket))
    const { port } = await here.forward(target.at)
    const client = await here.dial(port)
    const answered: boolean[] = []
    for (const word of ['one', 'two', 'three']) {
      client.write(word)
      await readSome(client, word.length)
      const [fd] = connectedTo(target.port)
      answered.push(sendsAtOnce(fd as number))
    }
    expect(answered).toEqual([false, true, true])
  })

  it('a PROXY header is the first message', async () => {
    await using here = world()
    const target = await here.target((socket) => void socket.pipe(socket))
    const { port } = await here.forward(target.at, { source: 'proxy-v2' })
    const client = await here.dial(port)
    client.write('one')
    await readSome(client, 28 + 3)
    const [fd] = connectedTo(target.port)
    expect(sendsAtOnce(fd as number)).toBe(true)
  })

  it('the last bytes and the end share a segment where they came together', async () => {
    await using here = world()
    const target = await here.target((socket) => sendWithEnd(socket, 'served'))
    const { port } = await here.forward(target.at)
    const clients = await Promise.all(Array.from({ length: 64 }, () => here.dial(port)))
    const segments = await Promise.all(
      clients.map(async (client) => {
        expect(String(await readAll(client))).toBe('served')
        return segmentsIn(client)
      }),
    )
    const [handshake, answerWithItsEnd] = [1, 1]
    expect(segments).toContain(handshake + answerWithItsEnd)
  })
})
