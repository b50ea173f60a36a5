/** Law 6: editing a rule touches no connection that is there, neither another rule's nor its own. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createForwarder, type RuleInput } from '../../src/index.ts'
import { built } from '../built.ts'
import { freePorts } from '../free-port.ts'

const ruleCount = 10
const connectionsEach = 5
const edits = 100

let echo: Server
let stateFolder: string
beforeAll(async () => {
  await built()
  stateFolder = await mkdtemp(join(tmpdir(), 'naru-edits-'))
  echo = createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
}, 120_000)
afterAll(async () => {
  echo.close()
  await rm(stateFolder, { recursive: true, force: true })
})

/** Sends numbers and wants each back, until told to stop. */
async function chat(socket: Socket, signal: AbortSignal): Promise<number> {
  let answered = 0
  for (let number = 0; !signal.aborted; number++) {
    const line = `${number}\n`
    socket.write(line)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    if (answer.toString() !== line) throw new Error(`sent ${line}, got ${answer.toString()}`)
    answered++
    await sleep(2)
  }
  return answered
}

const engines = ['sockets', 'splice'] as const

describe.each(engines)('the %s engine', (engine) => {
  it.skipIf(engine === 'splice' && process.platform !== 'linux')(
    'carries every connection through a hundred edits of every rule’s lists',
    { timeout: 120_000 },
    async () => {
      const { port } = echo.address() as AddressInfo
      const rule = (listen: number | string): RuleInput => ({ listen, target: `127.0.0.1:${port}`, engine })
      const ports = await freePorts(ruleCount)
      const rules = Object.fromEntries(
        ports.map((listen, index) => [`r${index}`, rule(`127.0.0.1:${listen}`)]),
      )
      await using naru = await createForwarder({ rules, stateFolder })
      const sockets = await Promise.all(
        ports.flatMap((listen) => Array.from({ length: connectionsEach }, () => opened(listen))),
      )
      const stop = new AbortController()
      const chats = Promise.all(sockets.map((socket) => chat(socket, stop.signal)))
      for (let edit = 0; edit < edits; edit++) {
        // Each list shuts out the clients that are connected: they go on under the terms they began with.
        const deny = edit % 2 === 0 ? ['127.0.0.0/8'] : ['10.0.0.0/8']
        await Promise.all(Object.keys(rules).map((name) => naru.rules.edit(name, { deny })))
        await sleep(5)
      }
      const { counters } = await naru.rules.get('r0')
      expect(counters.closed).toEqual({})
      expect((await naru.rules.list()).map(({ counters }) => counters.open)).toEqual(
        Array(ruleCount).fill(connectionsEach),
      )
      stop.abort()
      for (const answered of await chats) expect(answered).toBeGreaterThan(10)
      for (const socket of sockets) socket.destroy()
    },
  )
})

it.each(engines)('a rename cuts nothing, and what goes on has the new name: %s', async (engine) => {
  if (engine === 'splice' && process.platform !== 'linux') return
  const [listen = 0] = await freePorts(1)
  const target = (echo.address() as AddressInfo).port
  const rules = { old: { listen: `127.0.0.1:${listen}`, target, engine } }
  await using naru = await createForwarder({ rules, stateFolder })
  const [before, stop] = [await opened(listen), new AbortController()]
  const chatting = chat(before, stop.signal)
  await naru.rules.rename('old', 'new')
  const after = await opened(listen)
  expect((await naru.connections()).map(({ rule, state }) => `${rule} ${state}`)).toEqual([
    'new open',
    'new open',
  ])
  expect((await naru.rules.list()).map(({ name, counters }) => [name, counters.open])).toEqual([['new', 2]])
  // The next edit knows what is in force under the old name.
  await naru.rules.edit('new', { deny: ['10.0.0.0/8'], title: '메아리' })
  await sleep(20)
  stop.abort()
  expect(await chatting).toBeGreaterThan(1)
  for (const socket of [before, after]) socket.destroy()
})

it.each(engines)('an edit to a port that is taken changes nothing, and cuts nothing: %s', async (engine) => {
  if (engine === 'splice' && process.platform !== 'linux') return
  const [listen = 0] = await freePorts(1)
  const { port } = echo.address() as AddressInfo
  const rule = { listen: `127.0.0.1:${listen}`, target: `127.0.0.1:${port}`, engine }
  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  const taken = (squatter.address() as AddressInfo).port
  await using naru = await createForwarder({ rules: { web: rule }, stateFolder })
  const [before, stop] = [await opened(listen), new AbortController()]
  const chatting = chat(before, stop.signal)
  // Another place, and one that holds this one, which has to go first.
  const around = createServer().listen(listen, process.platform === 'linux' ? '127.0.0.2' : '::1')
  await once(around, 'listening')
  const places = [`127.0.0.1:${taken}`, ...(process.platform === 'linux' ? [`0.0.0.0:${listen}`] : [])]
  for (const place of places) {
    await expect(naru.rules.edit('web', { listen: place })).rejects.toMatchObject({ code: 'LISTEN_IN_USE' })
    expect((await naru.rules.get('web')).rule).toEqual(rule)
    const after = await opened(listen)
    after.destroy()
  }
  around.close()
  stop.abort()
  expect(await chatting).toBeGreaterThan(0)
  before.destroy()
  squatter.close()
})

async function opened(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  // An answer says that it was let in; a connection that still waits to be accepted comes under the newer terms.
  socket.write('hello\n')
  await once(socket, 'data')
  return socket
}
