import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { beforeAll, expect, it } from 'vitest'
import { parseCidr } from '../../../base/address.ts'
import { parseTarget } from '../../../model/target.ts'
import { built } from '../../../../test/built.ts'
import { describeWith } from '../../../../test/needs.ts'
import {
  ending,
  readAll,
  readSome,
  World,
  type RuleChange,
} from '../../../../test/conformance/engine/world.ts'
import type { MakeEngine } from '../../contract.ts'
import { writeProxyV1, writeProxyV2 } from '../../../relay/proxy/write.ts'
import { SpliceEngine } from '../main/engine.ts'

const make: MakeEngine = (tools) => new SpliceEngine(tools, { threads: 1 })
const anyone = [parseCidr('127.0.0.0/8')]
const caller = { address: '203.0.113.9', port: 4711 }
const called = { address: '198.51.100.1', port: 443 }

/** A target that answers with everything it heard, once the client has ended. */
async function hearing(world: World): Promise<string> {
  const { at } = await world.target((socket) => {
    const heard: Buffer[] = []
    socket.on('data', (chunk: Buffer) => heard.push(chunk))
    socket.on('end', () => socket.end(Buffer.concat(heard)))
  })
  return at
}

async function forwarded(world: World, change: RuleChange) {
  return await world.forward(await hearing(world), change)
}

describeWith({ platform: 'linux' }, 'PROXY headers and names', () => {
  beforeAll(built, 120_000)

  it.each(['proxy-v1', 'proxy-v2'] as const)(
    '%s tells the target who calls, then what was said',
    async (source) => {
      await using world = new World(make)
      const { port, lease } = await forwarded(world, { source })
      const client = await world.dial(port)
      const own = client.localPort ?? 0
      client.end('hello')
      const heard = await readAll(client)
      const [from, to] = [
        { address: '127.0.0.1', port: own },
        { address: '127.0.0.1', port },
      ]
      const header =
        source === 'proxy-v1' ? writeProxyV1(from, to) : writeProxyV2(from, to, { transport: 'stream' })
      expect(heard.toString('hex')).toBe(Buffer.concat([header, Buffer.from('hello')]).toString('hex'))
      expect(lease.counters().bytesToTarget).toBe(5)
    },
  )

  it('a trusted proxy’s header is believed, however it is cut up, and is not the target’s', async () => {
    await using world = new World(make)
    for (const header of [
      writeProxyV1(caller, called),
      writeProxyV2(caller, called, { transport: 'stream', checksum: true }),
    ]) {
      const { port } = await forwarded(world, { acceptProxy: anyone, allow: [parseCidr('203.0.113.0/24')] })
      const client = await world.dial(port)
      for (const byte of header) {
        client.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      client.end('mine')
      expect(String(await readAll(client))).toBe('mine')
      const closed = await world.closed((connection) => connection.listen.includes(String(port)))
      expect(closed).toMatchObject({ client: '203.0.113.9:4711', closeReason: 'finished', bytesToTarget: 4 })
    }
  })

  it('whom a trusted proxy names is who is admitted', async () => {
    await using world = new World(make)
    const { port } = await forwarded(world, { acceptProxy: anyone, deny: [parseCidr('203.0.113.0/24')] })
    const client = await world.dial(port)
    client.write(writeProxyV1(caller, called))
    expect(await ending(client)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('denied')
  })

  it('a header of anyone else is refused, and who sends none is carried', async () => {
    await using world = new World(make)
    const { port } = await forwarded(world, { acceptProxy: [parseCidr('10.0.0.0/8')] })
    const liar = await world.dial(port)
    liar.write(writeProxyV2(caller, called, { transport: 'stream' }))
    expect(await ending(liar)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('proxy-header')
    const honest = await world.dial(port)
    honest.end('PRO and no header')
    expect(String(await readAll(honest))).toBe('PRO and no header')
  })

  it('a target that speaks first is heard before the client has said anything', async () => {
    await using world = new World(make)
    const target = await world.target((socket) => void socket.write('220 ready'))
    const { port } = await world.forward(target.at, { acceptProxy: [parseCidr('10.0.0.0/8')] })
    expect(String(await readSome(await world.dial(port), 9))).toBe('220 ready')
  })

  it('a trusted proxy that says nothing is cut when its time is over', async () => {
    await using world = new World(make)
    const { port } = await forwarded(world, { acceptProxy: anyone, timeouts: { helloMs: 150 } })
    const client = await world.dial(port)
    expect(await ending(client)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('proxy-header')
  })

  it('the name that is asked for chooses the target; nobody’s name gets a word and a clean end', async () => {
    await using world = new World(make)
    const named = async (word: string, name: string | null) => ({
      to: parseTarget((await world.target((socket) => socket.once('data', () => socket.end(word)))).at),
      weight: 1,
      backup: false,
      name,
    })
    const targets = [await named('a', 'a.example.org'), await named('any', '*.example.net')]
    const { port } = await world.forward(targets)
    const ask = async (host: string): Promise<string> => {
      const client = await world.dial(port)
      client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      return String(await readAll(client))
    }
    expect(await ask('a.example.org')).toBe('a')
    expect(await ask('deep.b.example.net:80')).toBe('any')
    expect(await ask('elsewhere.org')).toMatch(/^HTTP\/1\.1 421 /)
    const refused = await world.closed(({ closeReason }) => closeReason === 'no-such-name')
    expect(refused.target).toBeNull()
  })

  it('each datagram, or the first of a session, tells who calls', async () => {
    await using world = new World(make)
    for (const proxyUdp of ['every', 'first'] as const) {
      const heard: Buffer[] = []
      const target = await world.udpTarget((datagram, from, socket) => {
        heard.push(datagram)
        socket.send('ok', from.port, from.address)
      })
      const { port } = await world.forward(target.at, { protocols: 'udp', source: 'proxy-v2', proxyUdp })
      const client = await world.udp()
      const [from, to] = [
        { address: '127.0.0.1', port: client.address().port },
        { address: '127.0.0.1', port },
      ]
      const header = writeProxyV2(from, to, { transport: 'datagram' })
      for (const word of ['one', 'two']) {
        client.send(word, port, '127.0.0.1')
        await once(client, 'message')
      }
      const second = proxyUdp === 'every' ? [header, Buffer.from('two')] : [Buffer.from('two')]
      expect(heard).toEqual([Buffer.concat([header, Buffer.from('one')]), Buffer.concat(second)])
    }
  })

  it('a real client of a real server is none the wiser', async () => {
    await using world = new World(make)
    const server = createServer((socket) => socket.end('served')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    world.defer(() => server.close())
    const { port } = await world.forward(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    const client = connect({ port, host: '127.0.0.1' })
    const closed = once(client, 'close')
    expect(String(await readAll(client))).toBe('served')
    // Neither minds being cut, so the world must not end before they have.
    await closed
    expect((await world.closed()).closeReason).toBe('finished')
  })
})
