import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { describeWith } from '../../../test/needs.ts'
import { Datagrams } from './worker/datagrams.ts'
import { Epoll, epollEdge, epollIn, epollOut } from '../../linux/epoll.ts'
import {
  accept,
  Arena,
  bind,
  close,
  closeAllOf,
  connect,
  Descriptor,
  EAGAIN,
  ECANCELED,
  familyInet,
  familyUnix,
  keepFdOwners,
  lastAddress,
  listen,
  loadFfi,
  localAddress,
  openWakeup,
  openPipe,
  openSocket,
  receive,
  resizePipe,
  signalWakeup,
  send,
  setOption,
  clearWakeup,
  splice,
} from '../../linux/libc.ts'
import { whyFfiCannot } from './main/probe.ts'
import { receiveDescriptors, sendDescriptors } from '../../linux/scm-rights.ts'
import { Ring, ringBufferBytes, ringKind } from '../../linux/io-uring.ts'
import { endpointOf, portOf, sockaddrOf, sockaddrOfPath } from '../../linux/sockaddr-fields.ts'

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

  it('a wakeup wakes who waits, until it is silenced', () => {
    const [epoll, wakeup] = [new Epoll(1), openWakeup()]
    epoll.add(wakeup, epollIn, 1, 1)
    signalWakeup(wakeup)
    signalWakeup(wakeup)
    expect(epoll.wait(100)).toBe(1)
    clearWakeup(wakeup)
    expect(epoll.wait(0)).toBe(0)
    epoll.close()
    close(wakeup)
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
    const fdOwners = new SharedArrayBuffer(65_536)
    keepFdOwners(new Uint8Array(fdOwners), 3)
    const [client, server] = pair()
    expect(new Uint8Array(fdOwners)[Descriptor.number(client)]).toBe(3)
    expect(closeAllOf(new Uint8Array(fdOwners), 3)).toBe(2)
    const arena = Arena.allocate(4096)
    expect(send(client, arena, 0, 1)).toBe(badDescriptor)
    expect(closeAllOf(new Uint8Array(fdOwners), 3)).toBe(0)
    Descriptor.release(client)
    Descriptor.release(server)
    keepFdOwners(new Uint8Array(fdOwners), 0)
  })
})

/** What has completed within a second, each read out; `more` of them at least. */
function completions(ring: Ring, atLeast: number) {
  const all = []
  for (let tries = 0; all.length < atLeast && tries < 10; tries++) {
    const count = ring.enter(100)
    for (let i = 0; i < count; i++) {
      const at = ring.completion(i)
      all.push({
        kind: ring.kind(at),
        slot: ring.slot(at),
        generation: ring.generation(at),
        result: ring.result(at),
        buffer: ring.kind(at) === ringKind.sent ? ring.emptied(at) : ring.filled(at),
        more: ring.more(at),
      })
    }
    ring.seen(count)
  }
  return all
}

function say(socket: Descriptor, text: string): void {
  const arena = Arena.allocate(4096)
  arena.bytes.set(Buffer.from(text))
  expect(send(socket, arena, 0, text.length)).toBe(text.length)
}

function heard(socket: Descriptor): string | number {
  const arena = Arena.allocate(4096)
  const count = receive(socket, arena, 0, 4096)
  return count < 0 ? count : Buffer.from(arena.bytes.subarray(0, count)).toString()
}

describeWith({ platform: 'linux', ioUring: true }, 'a ring', () => {
  beforeAll(loadFfi)

  it('receives until the stream ends, and says each time for whom', () => {
    const ring = new Ring()
    const [client, server] = pair()
    ring.receive(server, 0xf_fffe, 0x8000_0001)
    say(client, 'first')
    const [first] = completions(ring, 1)
    expect(first).toMatchObject({
      kind: ringKind.received,
      slot: 0xf_fffe,
      generation: 0x8000_0001,
      result: 5,
      more: true,
    })
    expect(Buffer.from(ring.bytes(first?.buffer ?? -1, 0, 5)).toString()).toBe('first')
    close(client)
    expect(completions(ring, 1)).toMatchObject([{ result: 0, more: false }])
    close(server)
    ring.close()
  })

  it('has its buffers again, however many messages there were', () => {
    const ring = new Ring()
    const [client, server] = pair()
    ring.receive(server, 1, 1)
    for (let message = 0; message < 1500; message++) {
      say(client, 'x')
      const [one] = completions(ring, 1)
      expect(one).toMatchObject({ result: 1, more: true })
      ring.giveBack(one?.buffer ?? -1)
    }
    for (const one of [client, server]) close(one)
    ring.close()
  })

  it('stops when it is told to, and reads no more then', () => {
    const ring = new Ring()
    const [client, server] = pair()
    ring.receive(server, 1, 1)
    ring.cancel(1, 1)
    const all = completions(ring, 2)
    const last = all.find(({ kind }) => kind === ringKind.received)
    expect(last).toMatchObject({ result: -ECANCELED, more: false })
    say(client, 'unread')
    expect(ring.enter(20)).toBe(0)
    expect(heard(server)).toBe('unread')
    for (const one of [client, server]) close(one)
    ring.close()
  })

  it.each([0, 1023, 1024])(
    'sends to whom it was told, though that is closed by then (%i before)',
    (before) => {
      const ring = new Ring()
      const [client, server] = pair()
      ring.receive(server, 1, 1)
      say(client, 'for the first')
      const [got] = completions(ring, 1)
      const [to, reads] = pair()
      const number = Descriptor.number(to)
      for (let i = 0; i < before; i++) ring.send(server, got?.buffer ?? -1, 1, 2, 2)
      ring.send(to, got?.buffer ?? -1, 13, 1, 1)
      close(to)
      const heirs = Array.from({ length: 8 }, pair)
      expect(heirs.flat().some((one) => Descriptor.number(one) === number)).toBe(true)
      const sent = completions(ring, before + 1).find(({ slot }) => slot === 1)
      expect(sent).toMatchObject({ kind: ringKind.sent, result: 13, buffer: got?.buffer })
      expect(heard(reads)).toBe('for the first')
      expect(heirs.flat().map(heard)).toEqual(heirs.flat().map(() => -EAGAIN))
      for (const one of [client, server, reads, ...heirs.flat()]) close(one)
      ring.close()
    },
  )

  it('is handed over in parts where more is written than it takes', () => {
    const ring = new Ring()
    const [client, server] = pair()
    ring.receive(server, 1, 1)
    say(client, 'x')
    const [got] = completions(ring, 1)
    setOption(server, 'noDelay', 1)
    for (let i = 0; i < 3000; i++) ring.send(server, got?.buffer ?? -1, 1, 1, 1)
    expect(completions(ring, 3000)).toHaveLength(3000)
    let arrived = ''
    for (let part = heard(client); typeof part === 'string'; part = heard(client)) arrived += part
    expect(arrived).toBe('x'.repeat(3000))
    for (const one of [client, server]) close(one)
    ring.close()
  })

  it('never reaches beyond a buffer', () => {
    const ring = new Ring()
    const [client, server] = pair()
    expect(() => ring.send(client, 0, ringBufferBytes * 1024, 1, 1)).toThrow(RangeError)
    expect(() => ring.send(client, 4096, 1, 1, 1)).toThrow(RangeError)
    for (const one of [client, server]) close(one)
    ring.close()
  })
})
