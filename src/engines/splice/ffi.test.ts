import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { describeWith } from '../../../test/needs.ts'
import {
  accept,
  Arena,
  bind,
  close,
  closeAllOf,
  connect,
  Datagrams,
  Descriptor,
  EAGAIN,
  Epoll,
  epollEdge,
  epollIn,
  epollOut,
  familyInet,
  familyUnix,
  keepLedger,
  lastAddress,
  listen,
  loadFfi,
  localAddress,
  openBell,
  openPipe,
  openSocket,
  receive,
  receiveDescriptors,
  resizePipe,
  ringBell,
  send,
  sendDescriptors,
  silenceBell,
  splice,
  whyFfiCannot,
} from './ffi.ts'
import { endpointOf, portOf, sockaddrOf, sockaddrOfPath } from './sockaddr.ts'

const badDescriptor = -9

function opened(result: Descriptor | number): Descriptor {
  if (typeof result === 'number') throw new Error(`errno ${-result}`)
  return result
}

/** A listening socket and its sockaddr. */
function listener(): { socket: Descriptor; at: Uint8Array } {
  const socket = opened(openSocket(familyInet, 'stream'))
  expect(bind(socket, sockaddrOf('127.0.0.1', 0))).toBe(0)
  expect(listen(socket, 8)).toBe(0)
  localAddress(socket)
  return { socket, at: sockaddrOf('127.0.0.1', portOf(lastAddress())) }
}

function pair(): [Descriptor, Descriptor] {
  const { socket, at } = listener()
  const client = opened(openSocket(familyInet, 'stream'))
  connect(client, at)
  const server = opened(accept(socket))
  close(socket)
  return [client, server]
}

describeWith({ platform: 'linux' }, 'calls into the kernel', () => {
  beforeAll(loadFfi)

  it('work here', () => {
    expect(whyFfiCannot()).toBeNull()
  })

  it('memory outside of an arena cannot be named', () => {
    const arena = Arena.allocate(4096)
    const [client, server] = pair()
    for (const [offset, length] of [
      [0, 4097],
      [4096, 1],
      [-1, 1],
      [0, -1],
      [Number.NaN, 1],
      [0, Number.POSITIVE_INFINITY],
    ] as const) {
      expect(() => receive(client, arena, offset, length)).toThrow(RangeError)
      expect(() => send(client, arena, offset, length)).toThrow(RangeError)
    }
    close(client)
    close(server)
  })

  it('a closed descriptor is nobody else’s, whoever has its number by then', () => {
    const arena = Arena.allocate(4096)
    const [client, server] = pair()
    const number = Descriptor.number(client)
    close(client)
    close(client)
    // The lowest free numbers are given next, the same one among them.
    const heirs = Array.from({ length: 20 }, () => opened(openSocket(familyInet, 'stream')))
    const heir = heirs.find((one) => Descriptor.number(one) === number) as Descriptor
    expect(heir).toBeDefined()
    expect(client.closed).toBe(true)
    expect(send(client, arena, 0, 1)).toBe(badDescriptor)
    expect(receive(client, arena, 0, 1)).toBe(badDescriptor)
    close(client)
    expect(Descriptor.number(heir)).toBe(number)
    expect(localAddress(heir)).toBe(0)
    for (const one of [...heirs, server]) close(one)
  })

  it('an event carries the slot and the generation it was asked for with', () => {
    const epoll = new Epoll(8)
    const [client, server] = pair()
    expect(epoll.add(client, epollOut | epollEdge, 0xffff_fff0, 0x8000_0001)).toBe(0)
    expect(epoll.wait(100)).toBe(1)
    expect(epoll.slot(0)).toBe(0xffff_fff0)
    expect(epoll.generation(0)).toBe(0x8000_0001)
    expect(epoll.mask(0) & epollOut).toBe(epollOut)
    // Edge-triggered: told once.
    expect(epoll.wait(0)).toBe(0)
    epoll.close()
    close(client)
    close(server)
  })

  it('a bell wakes who waits, until it is silenced', () => {
    const [epoll, bell] = [new Epoll(1), openBell()]
    epoll.add(bell, epollIn, 1, 1)
    ringBell(bell)
    ringBell(bell)
    expect(epoll.wait(100)).toBe(1)
    silenceBell(bell)
    expect(epoll.wait(0)).toBe(0)
    epoll.close()
    close(bell)
  })

  it('bytes move from socket to socket through a pipe', async () => {
    const arena = Arena.allocate(4096)
    const [a, b] = [pair(), pair()]
    const pipe = openPipe()
    if (typeof pipe === 'number') throw new Error(`errno ${-pipe}`)
    expect(resizePipe(pipe, 65_536)).toBe(65_536)
    arena.bytes.set(Buffer.from('ferry'))
    expect(send(a[0], arena, 0, 5)).toBe(5)
    expect(splice(a[1], pipe.write, 4096)).toBe(5)
    expect(splice(a[1], pipe.write, 4096)).toBe(-EAGAIN)
    expect(splice(pipe.read, b[0], 5)).toBe(5)
    expect(receive(b[1], arena, 100, 100)).toBe(5)
    expect(String(Buffer.from(arena.bytes.subarray(100, 105)))).toBe('ferry')
    for (const one of [...a, ...b, pipe.read, pipe.write]) close(one)
  })

  it('datagrams come in with their peers and go out in runs', () => {
    const [one, other] = [
      opened(openSocket(familyInet, 'datagram')),
      opened(openSocket(familyInet, 'datagram')),
    ]
    for (const socket of [one, other]) bind(socket, sockaddrOf('127.0.0.1', 0))
    localAddress(other)
    const target = sockaddrOf('127.0.0.1', portOf(lastAddress()))
    localAddress(one)
    const source = endpointOf(lastAddress())
    const batch = new Datagrams(8)
    const incoming = new Datagrams(8)
    for (let i = 0; i < 3; i++) {
      batch.arena.bytes.fill(65 + i, batch.dataAt(i), batch.dataAt(i) + 100)
      batch.arena.words[i * 16 + 14] = 100
      batch.compose(i, i, 1, target)
    }
    expect(batch.send(one, 0, 3)).toBe(3)
    expect(incoming.receive(other, 0, 8, true)).toBe(3)
    for (let i = 0; i < 3; i++) {
      expect(incoming.length(i)).toBe(100)
      expect(endpointOf(incoming.arena.bytes, incoming.nameAt(i))).toBe(source)
      expect(incoming.arena.bytes[incoming.dataAt(i)]).toBe(65 + i)
    }
    // The three again, as one message that the kernel cuts into three.
    connect(one, target)
    for (let i = 0; i < 3; i++) batch.arena.words[i * 16 + 14] = 100
    batch.compose(0, 0, 3, null)
    batch.segment(0, 100)
    expect(batch.send(one, 0, 1)).toBe(1)
    expect(incoming.receive(other, 0, 8, true)).toBe(3)
    expect([0, 1, 2].map((i) => incoming.arena.bytes[incoming.dataAt(i)])).toEqual([65, 66, 67])
    close(one)
    close(other)
  })

  it('descriptors pass to who is at the other end of a Unix socket; a closed one is never sent', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'naru-rights-'))
    const path = sockaddrOfPath(join(folder, 's'))
    const door = opened(openSocket(familyUnix, 'packets'))
    expect(bind(door, path)).toBe(0)
    expect(listen(door, 1)).toBe(0)
    const giver = opened(openSocket(familyUnix, 'packets'))
    expect(connect(giver, path)).toBe(0)
    const taker = opened(accept(door))
    const [client, server] = pair()
    expect(receiveDescriptors(taker)).toBe(-EAGAIN)
    expect(sendDescriptors(giver, [client, server])).toBe(0)
    // What was sent may be closed by the sender: the copies live on.
    close(client)
    const invalid = -22
    expect(sendDescriptors(giver, [client])).toBe(invalid)
    const got = receiveDescriptors(taker)
    if (typeof got === 'number') throw new Error(`errno ${-got}`)
    expect(got).toHaveLength(2)
    const arena = Arena.allocate(4096)
    arena.bytes.set(Buffer.from('ferry'))
    expect(send(got[0] as Descriptor, arena, 0, 5)).toBe(5)
    expect(receive(server, arena, 100, 100)).toBe(5)
    close(giver)
    expect(receiveDescriptors(taker)).toEqual([])
    for (const one of [door, taker, server, ...got]) close(one)
    await rm(folder, { recursive: true })
  })

  it('what a thread held can be closed after it is gone', () => {
    const ledger = new SharedArrayBuffer(65_536)
    keepLedger(new Uint8Array(ledger), 3)
    const [client, server] = pair()
    expect(new Uint8Array(ledger)[Descriptor.number(client)]).toBe(3)
    expect(closeAllOf(new Uint8Array(ledger), 3)).toBe(2)
    const arena = Arena.allocate(4096)
    expect(send(client, arena, 0, 1)).toBe(badDescriptor)
    expect(closeAllOf(new Uint8Array(ledger), 3)).toBe(0)
    Descriptor.release(client)
    Descriptor.release(server)
    keepLedger(new Uint8Array(ledger), 0)
  })
})
