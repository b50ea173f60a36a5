/** Who calls, told and believed; which name is asked for. */
import { connect as connectTls } from 'node:tls'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import { parseCidr } from '../../../src/base/address.ts'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import type { Rule, TargetChoice } from '../../../src/model/rule.ts'
import { parseTarget } from '../../../src/model/target.ts'
import { readProxyHeader, type ProxyRead } from '../../../src/relay/proxy/read.ts'
import { writeProxyV1, writeProxyV2 } from '../../../src/relay/proxy/write.ts'
import {
  deferred,
  echo,
  ending,
  nextDatagram,
  promisesFor,
  type Promised,
  ruleOf,
  testFacts,
  readAll,
  readSome,
  sendTo,
  World,
  type ConformanceOptions,
} from './world.ts'

const far = { address: '203.0.113.7', port: 40_000 }
const near = { address: '198.51.100.1', port: 443 }
const loopback = [parseCidr('127.0.0.0/8')]

export function identityPromises(make: MakeEngine, options: ConformanceOptions): void {
  if (options.inKernel) return
  const always = promisesFor(options)
  /** What an engine says it cannot do it need not do: a "no, because …" keeps the promise, a silent drop would not. */
  const promise: Promised = (id, text, body, limitMs) => {
    const keep = async (): Promise<void> => {
      await using world = new World(make, options)
      const answer = world.engine.supports(probe(id), testFacts)
      if (answer.ok) await body()
      else expect(answer.why.en).not.toBe('')
    }
    always(id, text, keep, limitMs)
  }

  for (const [id, source] of [
    ['proxy-v1-out', 'proxy-v1'],
    ['proxy-v2-out', 'proxy-v2'],
  ] as const) {
    promise(id, `${source} tells the target who calls, before anything else and uncounted`, async () => {
      await using world = new World(make, options)
      const got = deferred<Buffer>()
      const target = await world.target((socket) => {
        got.resolve(readAll(socket))
        socket.end()
      })
      const { port } = await world.forward(target.at, { source })
      const client = await world.dial(port)
      // Gone once the connection is over, which it may be before its bytes are looked at.
      const { localPort } = client
      client.end('hello')
      const bytes = await got.promise
      const read = readProxyHeader(bytes)
      expect(read).toMatchObject({
        state: 'done',
        header: {
          version: source === 'proxy-v1' ? 1 : 2,
          source: { address: world.host, port: localPort },
          destination: { address: world.host, port },
        },
      })
      expect(String(bytes.subarray(lengthOf(read)))).toBe('hello')
      expect((await world.closed()).bytesToTarget).toBe(5)
    })
  }

  promise('proxy-out-silent', 'a target is told who calls even where the client says nothing', async () => {
    await using world = new World(make, options)
    const target = await world.target((socket) => socket.once('data', (header: Buffer) => socket.end(header)))
    const { port } = await world.forward(target.at, { source: 'proxy-v1' })
    expect(String(await readAll(await world.dial(port)))).toMatch(/^PROXY TCP4 .*\r\n$/)
  })

  promise(
    'proxy-in',
    'a trusted proxy’s word is taken, in both versions, byte by byte and all at once',
    async () => {
      await using world = new World(make, options)
      const target = await world.target(echo)
      const { lease, port } = await world.forward(target.at, { acceptProxy: loopback })
      const headers = [
        writeProxyV1(far, near),
        writeProxyV2(far, near, {
          transport: 'stream',
          checksum: true,
          tlvs: [{ type: 5, value: Buffer.from('id') }],
        }),
      ]
      for (const header of headers) {
        for (const pieces of [
          [Buffer.concat([header, Buffer.from('hello')])],
          [...header, ...Buffer.from('hello')].map((byte) => Buffer.from([byte])),
        ]) {
          const client = await world.dial(port)
          for (const piece of pieces) {
            client.write(piece)
            if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve))
          }
          client.end()
          expect(String(await readAll(client))).toBe('hello')
        }
      }
      for (const event of world.events) {
        if (event.type === 'closed') expect(event.connection().client).toBe('203.0.113.7:40000')
      }
      expect(lease.counters()).toMatchObject({ bytesToTarget: 20, bytesToClient: 20 })
    },
  )

  promise('proxy-through', 'who called first is told on, and is who is admitted and limited', async () => {
    await using world = new World(make, options)
    const target = await world.target((socket) => socket.once('data', (bytes: Buffer) => socket.end(bytes)))
    const { port } = await world.forward(target.at, {
      acceptProxy: loopback,
      source: 'proxy-v1',
      allow: [parseCidr('203.0.113.0/24')],
    })
    const client = await world.dial(port)
    client.write(writeProxyV2(far, near, { transport: 'stream' }))
    expect(String(await readAll(client))).toBe('PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n')
    const stranger = await world.dial(port)
    stranger.write(writeProxyV2({ address: '192.0.2.99', port: 1 }, near, { transport: 'stream' }))
    expect(await ending(stranger)).toBe('ECONNRESET')
    expect((await world.closed(({ closeReason }) => closeReason !== 'finished')).closeReason).toBe('denied')
  })

  promise('proxy-source', 'the addresses of one IPv6 host are one source', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { acceptProxy: loopback, limits: { perSource: 1 } })
    const answerTo = async (address: string): Promise<string> => {
      const client = connect({ port, host: world.host })
      client.on('error', () => {})
      world.defer(() => client.destroy())
      const answer = readSome(client, 2).then(String, () => 'refused')
      client.write(writeProxyV1({ address, port: 1 }, { address: '2001:db8::80', port: 443 }))
      client.write('in')
      return await answer
    }
    expect(await answerTo('2001:db8:0:5::1')).toBe('in')
    expect(await answerTo('2001:db8:0:5:6:7:8:9')).toBe('refused')
    expect(await answerTo('2001:db8:0:6::1')).toBe('in')
  })

  promise('proxy-local', 'a trusted proxy that speaks for itself is the client', async () => {
    await using world = new World(make, options)
    const target = await world.target(echo)
    const { port } = await world.forward(target.at, { acceptProxy: loopback })
    const client = await world.dial(port)
    const from = client.localPort
    client.end('PROXY UNKNOWN\r\nhello')
    expect(String(await readAll(client))).toBe('hello')
    expect((await world.closed()).client).toBe(`${world.host}:${from}`)
  })

  promise(
    'proxy-required',
    'a trusted proxy that sends no header, a wrong one or none in time is cut off',
    async () => {
      await using world = new World(make, options)
      let heard = 0
      const target = await world.target(() => heard++)
      const { port } = await world.forward(target.at, { acceptProxy: loopback, timeouts: { helloMs: 300 } })
      for (const said of ['GET / HTTP/1.1\r\n\r\n', 'PROXY TCP4 nonsense\r\n', 'PROXY TC', '']) {
        const client = connect({ port, host: world.host })
        client.on('error', () => {})
        if (said) client.write(said)
        expect([said, await ending(client)]).toEqual([said, 'ECONNRESET'])
      }
      const closed = () =>
        world.events.flatMap((event) => (event.type === 'closed' ? [event.connection().closeReason] : []))
      await world.event(() => closed().length === 4, 'four that are closed')
      expect(new Set(closed())).toEqual(new Set(['proxy-header']))
      expect(heard).toBe(0)
    },
  )

  promise('proxy-untrusted', 'from anyone else a header is refused, and what is none passes', async () => {
    await using world = new World(make, options)
    const seen: Buffer[] = []
    const target = await world.target((socket) => {
      socket.write('welcome ')
      socket.on('data', (chunk: Buffer) => seen.push(chunk))
      echo(socket)
    })
    const { port } = await world.forward(target.at, { acceptProxy: [parseCidr('10.0.0.0/8')] })
    for (const header of [writeProxyV1(far, near), writeProxyV2(far, near, { transport: 'stream' })]) {
      const client = connect({ port, host: world.host })
      client.on('error', () => {})
      client.write(header.subarray(0, 5))
      // Data and a reset that libuv hears of at once are to it data and an end.
      expect(String(await readSome(client, 8))).toBe('welcome ')
      client.write(header.subarray(5))
      expect(await ending(client)).toBe('ECONNRESET')
    }
    expect(Buffer.concat(seen).length).toBe(0)
    const honest = await world.dial(port)
    const first = await new Promise((resolve) =>
      honest.once('data', (chunk: Buffer) => resolve(String(chunk))),
    )
    // The target may speak first; only the client's side waits to be looked at.
    expect(first).toBe('welcome ')
    honest.end('PRO is how it begins')
    expect(String(await readAll(honest))).toBe('PRO is how it begins')
  })

  for (const [id, proxyUdp, headers] of [
    ['udp-proxy-every', 'every', [true, true]],
    ['udp-proxy-first', 'first', [true, false]],
  ] as const) {
    promise(
      id,
      `a UDP target is told who calls in ${proxyUdp === 'every' ? 'every datagram' : 'the first datagram'}`,
      async () => {
        await using world = new World(make, options)
        const got: Buffer[] = []
        const target = await world.udpTarget((datagram, from, socket) => {
          got.push(datagram)
          socket.send('ok', from.port, from.address)
        })
        const { port } = await world.forward(target.at, { protocols: 'udp', source: 'proxy-v2', proxyUdp })
        const client = await world.udp()
        for (let at = 0; at < 2; at++) {
          await sendTo(client, 'query', port, world.host)
          await nextDatagram(client)
        }
        got.forEach((datagram, at) => {
          const read = readProxyHeader(datagram)
          expect(read.state === 'done').toBe(headers[at])
          if (read.state !== 'done') return
          expect(read.header).toMatchObject({
            source: { address: world.host, port: client.address().port },
            transport: 'datagram',
          })
          expect(String(datagram.subarray(read.length))).toBe('query')
        })
      },
    )
  }

  promise('udp-proxy-in', 'a trusted proxy’s datagrams belong to whom they name', async () => {
    await using world = new World(make, options)
    const target = await world.udpTarget((datagram, from, socket) =>
      socket.send(datagram, from.port, from.address),
    )
    const { lease, port } = await world.forward(target.at, { protocols: 'udp', acceptProxy: loopback })
    const proxy = await world.udp('127.0.0.1')
    for (const address of ['203.0.113.1', '203.0.113.2']) {
      const header = writeProxyV2({ address, port: 9 }, near, { transport: 'datagram' })
      await sendTo(proxy, Buffer.concat([header, Buffer.from(address)]), port, world.host)
      expect(String((await nextDatagram(proxy)).datagram)).toBe(address)
    }
    expect(
      lease
        .connections()
        .map(({ client }) => client)
        .toSorted(),
    ).toEqual(['203.0.113.1:9', '203.0.113.2:9'])
    const nobody = await world.udp('127.0.0.1')
    await sendTo(nobody, 'no header', port, world.host)
    await world.refused('proxy-header')
  })

  promise(
    'names-tls',
    'TLS clients meet the target of the name they ask for, others are told so',
    async () => {
      await using world = new World(make, options)
      const { port, met } = await byName(world)
      for (const [servername, target] of [
        ['a.example.org', 'one'],
        ['deep.b.example.org', 'two'],
        ['nobody.example.net', undefined],
      ]) {
        const told = await greet(world, port, servername as string)
        expect([servername, met.pop()]).toEqual([servername, target])
        // The targets speak no TLS; only the refusal does.
        expect([target, /unrecognized.name/i.test(told)]).toEqual([target, target === undefined])
      }
      expect((await world.closed(({ closeReason }) => closeReason === 'no-such-name')).target).toBe(null)
    },
  )

  promise(
    'names-http',
    'HTTP clients meet the target of the host they ask for, others are told so',
    async () => {
      await using world = new World(make, options)
      const { port } = await byName(world)
      const ask = async (host: string): Promise<string> => {
        const client = await world.dial(port)
        for (const piece of `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.match(/.{1,7}/gs)!) {
          client.write(piece)
          await new Promise((resolve) => setImmediate(resolve))
        }
        client.end()
        return String(await readAll(client))
      }
      expect(await ask('a.example.org')).toBe('one')
      expect(await ask('x.b.example.org:8080')).toBe('two')
      expect(await ask('c.example.org')).toContain('421 Misdirected Request')
    },
  )

  promise('names-default', 'a target without a name serves the rest, whole', async () => {
    await using world = new World(make, options)
    const named = await world.target((socket) => socket.end('named'))
    const rest = await world.target(echo)
    const { port } = await world.forward([choice(named.at, 'a.example.org'), choice(rest.at, null)])
    for (const said of [
      'GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n',
      'SSH-2.0-client\r\n',
      '\0\u0001\u0002',
    ]) {
      const client = await world.dial(port)
      client.end(said)
      expect(String(await readAll(client))).toBe(said)
    }
  })

  promise('names-silent', 'a client that never asks for a name is not waited for without end', async () => {
    await using world = new World(make, options)
    const { port } = await byName(world, { helloMs: 300 })
    const client = await world.dial(port)
    expect(await ending(client)).toBe('ECONNRESET')
    expect((await world.closed()).closeReason).toBe('no-such-name')
  })

  promise('names-server-first', 'a server that speaks first is met after the wait', async () => {
    await using world = new World(make, options)
    const named = await world.target((socket) => socket.end('named'))
    const rest = await world.target((socket) => {
      socket.write('220 ready ')
      echo(socket)
    })
    const targets = [choice(named.at, 'a.example.org'), choice(rest.at, null)]
    const { port } = await world.forward(targets, { timeouts: { helloMs: 200 } })
    const silent = await world.dial(port)
    expect(String(await readSome(silent, 10))).toBe('220 ready ')
    silent.end('QUIT')
    expect(String(await readAll(silent))).toBe('QUIT')
    // What was said of a request by then is the server's, too.
    const slow = await world.dial(port)
    slow.write('GET / HT')
    expect(String(await readSome(slow, 18))).toBe('220 ready GET / HT')
  })

  promise(
    'names-large',
    'a head without end goes by the Host that was read, or is told what it lacks',
    async () => {
      await using world = new World(make, options)
      const { port } = await byName(world)
      const ask = async (fields: string): Promise<string> => {
        const client = await world.dial(port)
        client.write(`GET / HTTP/1.1\r\n${fields}`)
        return String(await readAll(client))
      }
      const cookie = `Cookie: ${'x'.repeat(40_000)}\r\n\r\n`
      expect(await ask(`Host: a.example.org\r\n${cookie}`)).toBe('one')
      expect(await ask(cookie)).toContain('431 Request Header Fields Too Large')
    },
  )

  promise('names-proxy-untrusted', 'a header of anyone else is refused before a name, too', async () => {
    await using world = new World(make, options)
    const rest = await world.target(echo)
    const targets = [choice(rest.at, null), choice(rest.at, 'a.example.org')]
    const { port } = await world.forward(targets, { acceptProxy: [parseCidr('10.0.0.0/8')] })
    for (const header of [writeProxyV1(far, near), writeProxyV2(far, near, { transport: 'stream' })]) {
      const client = connect({ port, host: world.host })
      client.on('error', () => {})
      for (const byte of header) {
        client.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await ending(client)).toBe('ECONNRESET')
    }
  })

  promise('names-proxy', 'a name is found behind a trusted proxy’s header', async () => {
    await using world = new World(make, options)
    const one = await world.target((socket) => socket.end('one'))
    const { port } = await world.forward([choice(one.at, 'a.example.org')], { acceptProxy: loopback })
    const client = await world.dial(port)
    client.write(writeProxyV1(far, near))
    await sleep(20)
    client.end('GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n')
    expect(String(await readAll(client))).toBe('one')
    expect((await world.closed()).client).toBe('203.0.113.7:40000')
  })
}

/** A rule that asks for what the promise is about. */
function probe(id: string): Rule {
  const protocol = id.startsWith('udp') ? '/udp' : ''
  const source = id.includes('v1') || id === 'proxy-out-silent' ? 'proxy-v1' : 'proxy-v2'
  const tells =
    id.includes('out') || id === 'proxy-through' || id === 'udp-proxy-every' || id === 'udp-proxy-first'
  const believes = id.includes('proxy') && (!tells || id === 'proxy-through')
  return ruleOf(`1${protocol}`, [choice('10.0.0.1:1', id.startsWith('names') ? 'a.example.org' : null)], {
    source: tells ? source : 'auto',
    proxyUdp: id === 'udp-proxy-first' ? 'first' : 'every',
    acceptProxy: believes ? loopback : [],
  })
}

function lengthOf(read: ProxyRead): number {
  return read.state === 'done' ? read.length : -1
}

function choice(at: string, name: string | null): TargetChoice {
  return { to: parseTarget(at), weight: 1, backup: false, name }
}

async function byName(
  world: World,
  timeouts: { helloMs?: number } = {},
): Promise<{ port: number; met: string[] }> {
  const met: string[] = []
  const named = (name: string) =>
    world.target((socket) => {
      met.push(name)
      socket.end(name)
    })
  const [one, two] = [await named('one'), await named('two')]
  const choices = [choice(one.at, 'a.example.org'), choice(two.at, '*.b.example.org')]
  const { port } = await world.forward(choices, { timeouts })
  return { port, met }
}

/** What a TLS client fails with. */
function greet(world: World, port: number, servername: string): Promise<string> {
  const client = connectTls({ port, host: world.host, servername })
  world.defer(() => client.destroy())
  return new Promise((resolve) => {
    client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}
