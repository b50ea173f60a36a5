/** A packet decides: servers and clients that stand in a host of the lab, opened from the test's own process. */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { familyOf } from '../../src/base/address.ts'
import type { Protocol } from '../../src/base/port.ts'
import { enter } from './enter.ts'
import type { LabHost } from './namespaces.ts'

/** Answers on a port of both families until disposed: TCP sends its greeting, UDP sends back what came. */
export async function answering(host: LabHost, protocol: Protocol, port: number): Promise<AsyncDisposable> {
  return protocol === 'tcp' ? answeringTcp(host, port) : answeringUdp(host, port)
}

async function answeringTcp(host: LabHost, port: number): Promise<AsyncDisposable> {
  const server = createServer((socket) => socket.on('error', () => {}).end('ferry\n'))
  {
    using _inside = enter(host)
    server.listen({ port, host: '::' })
    await once(server, 'listening')
  }
  return { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}

async function answeringUdp(host: LabHost, port: number): Promise<AsyncDisposable> {
  const socket = createSocket({ type: 'udp6', ipv6Only: false })
  socket.on('message', (message, from) => socket.send(message, from.port, from.address))
  {
    using _inside = enter(host)
    socket.bind({ port, address: '::' })
    await once(socket, 'listening')
  }
  return { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())) }
}

export interface Knock {
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  /** The client's own address. @default whichever the route gives */
  readonly from?: string
  /** How long silence may last. @default 400 */
  readonly waitMs?: number
}

/** `in`: an answer came back. `refused`: an error did. `silent`: nothing. */
export async function knock(host: LabHost, how: Knock): Promise<'in' | 'refused' | 'silent'> {
  return how.protocol === 'tcp' ? knockTcp(host, how) : knockUdp(host, how)
}

async function knockTcp(
  host: LabHost,
  { address, port, from, waitMs = 400 }: Knock,
): Promise<'in' | 'refused' | 'silent'> {
  const { promise, resolve } = resolvers<'in' | 'refused' | 'silent'>()
  const inside = enter(host)
  const socket = connect({ host: address, port, ...(from ? { localAddress: from } : {}) })
  socket.once('data', () => resolve('in'))
  socket.once('error', () => resolve('refused'))
  // The socket is made in the next turn, not in this one.
  await new Promise((made) => setImmediate(made))
  inside[Symbol.dispose]()
  const timer = setTimeout(() => resolve('silent'), waitMs)
  const result = await promise
  clearTimeout(timer)
  socket.destroy()
  return result
}

function resolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => (resolve = done))
  return { promise, resolve }
}

async function knockUdp(
  host: LabHost,
  { address, port, from, waitMs = 400 }: Knock,
): Promise<'in' | 'refused' | 'silent'> {
  const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4')
  {
    using _inside = enter(host)
    socket.bind({ port: 0, ...(from ? { address: from } : {}) })
    await once(socket, 'listening')
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish('silent'), waitMs)
    const finish = (result: 'in' | 'refused' | 'silent'): void => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    socket.once('message', () => finish('in'))
    socket.once('error', () => finish('refused'))
    socket.send('ferry', port, address)
  })
}
