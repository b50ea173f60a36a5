import { stepsOf } from '../../test/steps.ts'
import fc from 'fast-check'
import { connect } from 'node:tls'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { AskedName } from './asked-name.ts'
import { HelloReader, type NameRead } from './client-hello.ts'
import { HostReader, type HostRead } from './host-header.ts'

const readServerName = (bytes: Uint8Array): NameRead => new HelloReader().read(bytes)
const readHost = (bytes: Uint8Array): HostRead => new HostReader().read(bytes)

/** What Node's own TLS says first. */
async function realHello(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', servername })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [import('node:net').Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

/** A hello with a key share of `padding` bytes, as one handshake message. */
function hello(name: string | null, padding = 0): Buffer {
  const u16 = (value: number) => Buffer.from([value >> 8, value & 255])
  const extension = (type: number, body: Buffer) => Buffer.concat([u16(type), u16(body.length), body])
  const host =
    name === null
      ? []
      : [
          extension(
            0,
            Buffer.concat([u16(name.length + 3), Buffer.from([0]), u16(name.length), Buffer.from(name)]),
          ),
        ]
  const extensions = Buffer.concat([extension(51, Buffer.alloc(padding, 7)), ...host])
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 1),
    Buffer.from([0]),
    u16(2),
    Buffer.from([0x13, 0x01]),
    Buffer.from([1, 0]),
    u16(extensions.length),
    extensions,
  ])
  return Buffer.concat([
    Buffer.from([1, body.length >> 16, (body.length >> 8) & 255, body.length & 255]),
    body,
  ])
}

function records(message: Buffer, size: number): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size)
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part)
  }
  return Buffer.concat(parts)
}

describe('the name in a TLS hello', () => {
  it('is found in what a real client says', async () => {
    expect(readServerName(await realHello('a.example.org'))).toEqual({ state: 'done', name: 'a.example.org' })
  })

  it('is found in a large hello, in records of any size, and not before it is whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 4000 }), fc.integer({ min: 0, max: 5000 }), (size, padding) => {
        const bytes = records(hello('b.example.org', padding), size)
        expect(readServerName(bytes)).toEqual({ state: 'done', name: 'b.example.org' })
        expect(readServerName(bytes.subarray(0, bytes.length - 1)).state).toBe('more')
      }),
    )
  })

  it('is found at each byte the same', () => {
    const bytes = records(hello('c.example.org'), 20)
    for (let at = 0; at < bytes.length; at++) expect(readServerName(bytes.subarray(0, at)).state).toBe('more')
  })

  it('is lower case and without a final dot', () => {
    expect(readServerName(records(hello('WWW.Example.ORG.'), 9999))).toMatchObject({
      name: 'www.example.org',
    })
  })

  it('is null where the client names nobody', () => {
    expect(readServerName(records(hello(null), 9999))).toEqual({ state: 'done', name: null })
  })

  it('is not looked for without bound', () => {
    expect(readServerName(records(hello('d.example.org', 17_000), 16_384)).state).toBe('bad')
    expect(readServerName(Buffer.from([22, 3, 1, 0, 0])).state).toBe('bad')
    expect(readServerName(Buffer.from([22, 3, 1, 0x50, 0])).state).toBe('bad')
    expect(readServerName(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])).state).toBe('bad')
    expect(readServerName(records(hello('no spaces'), 9999)).state).toBe('bad')
  })

  it('throws at nothing', () => {
    const base = records(hello('e.example.org', 40), 9999)
    fc.assert(
      fc.property(fc.nat(base.length - 1), fc.nat(255), (at, value) => {
        const harmed = Buffer.from(base)
        harmed[at] = value
        expect(['more', 'bad', 'done']).toContain(readServerName(harmed).state)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the host of an HTTP request', () => {
  const request = 'GET /path HTTP/1.1\r\nAccept: */*\r\nhOsT: \tShop.Example.org:8080 \r\n\r\nbody'

  it('is read without case, port and blanks', () => {
    expect(readHost(Buffer.from(request))).toEqual({ state: 'done', name: 'shop.example.org' })
  })

  it('wants more at each byte before the empty line', () => {
    const end = request.indexOf('\r\n\r\n') + 4
    for (let at = 0; at < end; at++) expect(readHost(Buffer.from(request.slice(0, at))).state).toBe('more')
    expect(readHost(Buffer.from(request.slice(0, end))).state).toBe('done')
  })

  it.each([
    ['GET / HTTP/1.0\r\n\r\n', null],
    ['GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', null],
    ['GET / HTTP/1.1\r\nHost:\r\n\r\n', null],
  ])('is null where it names nobody: %j', (text, name) => {
    expect(readHost(Buffer.from(text))).toEqual({ state: 'done', name })
  })

  it.each([
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
    'GET / HTTP/1.1\r\n folded\r\n\r\n',
    'GET / HTTP/2.0\r\n\r\n',
    'GET  / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1 \r\n\r\n',
    'GET / HTTP/1.1\rHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n',
    'GET / HTTP/1.1\r\nX: \0\r\n\r\n',
    'GET / HTTP/1.1\r\n: a\r\n\r\n',
    'GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n',
    'GET http:/// HTTP/1.1\r\nHost: b\r\n\r\n',
    'two words\r\n',
    'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
    'SSH-2.0-OpenSSH_9.2\r\n',
    '\0\0\0',
  ])('is refused where it could mean two things: %j', (text) => {
    expect(readHost(Buffer.from(text)).state).toBe('bad')
  })
})

describe('a request as the specifications have it', () => {
  it.each([
    ['a method is any token', 'RDG_OUT_DATA /remote HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['also in lower case', 'm-search * HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['an empty line first is passed over', '\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['the host of an absolute form counts', 'GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n'],
    ['with its port, without its path', 'GET HTTPS://A:8080?q=b HTTP/1.1\r\nHost: b\r\n\r\n'],
    ['a path that looks like one is none', 'GET /http://b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['what CONNECT is for is in Host, too', 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'],
    ['lines may end in a bare LF', 'GET / HTTP/1.1\nHost: a\n\n'],
  ])('%s: %j', (_why, text) => {
    expect(readHost(Buffer.from(text))).toEqual({ state: 'done', name: 'a' })
  })

  it('larger than we read goes by the Host that was read', () => {
    const cookie = `Cookie: ${'x'.repeat(40_000)}`
    const read = (head: string) => readHost(Buffer.from(head))
    expect(read(`GET / HTTP/1.1\r\nHost: a\r\n${cookie}`)).toEqual({ state: 'done', name: 'a' })
    expect(read(`GET http://a/ HTTP/1.1\r\n${cookie}`)).toEqual({ state: 'done', name: 'a' })
    expect(read(`GET / HTTP/1.1\r\n${cookie}`)).toEqual({ state: 'too-large' })
  })

  it('is told from another protocol by its first bytes', () => {
    for (const text of ['\0', '\x7f', 'G\0', 'GET\r', 'M'.repeat(33), '(', '\r\n\r\n\0'])
      expect([text, readHost(Buffer.from(text)).state]).toEqual([text, 'bad'])
    for (const text of ['\r', '\r\n', 'SSH-2.0', 'GET ', 'M'.repeat(32)])
      expect([text, readHost(Buffer.from(text)).state]).toEqual([text, 'more'])
  })
})

describe('what comes in pieces', () => {
  const whole: Buffer[] = [
    'GET /path HTTP/1.1\r\nAccept: */*\r\nHost: Shop.Example.org:8080 \r\n\r\nbody',
    '\r\nRDG_IN_DATA http://a:1/ HTTP/1.0\r\nHost: b\r\nHost: c\r\n\r\n',
    'GET / HTTP/1.1\r\na\r\n\r\n',
  ].map((text) => Buffer.from(text))
  whole.push(records(hello('c.example.org', 700), 300), records(hello('d.example.org', 20), 1))

  it('is read as if it came at once, wherever it is cut', () => {
    const cuts = fc.array(fc.nat(1200), { maxLength: 8 })
    fc.assert(
      fc.property(fc.constantFrom(...whole), cuts, (bytes, at) => {
        const asked = new AskedName()
        const ends = [...at.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
        const first = ends
          .map((end) => asked.look(bytes.subarray(0, end)))
          .find(({ state }) => state !== 'more')
        expect(first).toEqual(new AskedName().look(bytes))
      }),
    )
  })

  it.each([
    ['a line that does not end', Buffer.from(`GET / HTTP/1.1\r\na:${' '.repeat(33_000)}`)],
    ['lines of one byte', Buffer.from(`GET / HTTP/1.1\r\n${'a:\n'.repeat(11_000)}`)],
    ['blanks with a CR behind', Buffer.from(`GET / HTTP/1.1\r\n${`a:${' '.repeat(120)}\r\n`.repeat(270)}`)],
    ['empty lines', Buffer.alloc(33_000, '\r\n')],
    ['records of one byte', records(hello('a', 2900), 1)],
    ['one record', records(hello('a', 16_000), 20_000)],
  ])('costs twenty steps a byte at most, also byte by byte: %s', async (_what, bytes) => {
    let looks = 0
    const steps = await stepsOf(() => {
      const asked = new AskedName()
      while (++looks < bytes.length && asked.look(bytes.subarray(0, looks)).state === 'more');
    })
    expect(looks).toBeGreaterThan(16_000)
    expect(steps / looks).toBeLessThan(20)
    expect(steps / looks).toBeGreaterThan(1)
  })
})

it('the first byte tells TLS from HTTP, and what a refusal looks like', () => {
  const look = (bytes: Buffer) => new AskedName().look(bytes)
  const refusal = (bytes: Buffer) => {
    const asked = look(bytes)
    return asked.state === 'more' ? null : asked.refusal.toString('latin1')
  }
  expect(look(Buffer.alloc(0)).state).toBe('more')
  expect(refusal(records(hello('a'), 99))).toBe('\x15\x03\x03\0\x02\x02\x70')
  expect(refusal(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))).toContain('421 Misdirected Request')
  expect(refusal(Buffer.from([0]))).toBe('')
})
