import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32c } from './crc32c.ts'
import { unwrapDatagram } from '../../engines/sockets/proxy-datagram.ts'
import { beginsLikeProxy, signatureV2, type Peer } from './header.ts'
import { readProxyHeader } from './read.ts'
import { writeProxyOwn, writeProxyV1, writeProxyV2 } from './write.ts'

const four = fc.ipV4()
const six = fc.constantFrom('2001:db8::1', '::1', 'fe80::2', '2001:db8:0:1::abcd')
const port = fc.integer({ min: 0, max: 65_535 })
const pair = fc.oneof(fc.tuple(four, four), fc.tuple(six, six)).chain(([a, b]) =>
  fc.tuple(port, port).map(([p, q]): [Peer, Peer] => [
    { address: a, port: p },
    { address: b, port: q },
  ]),
)
const tlvs = fc.array(
  fc.record({ type: fc.integer({ min: 5, max: 255 }), value: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 4 },
)

describe('PROXY version 1', () => {
  it('is written as the specification shows it', () => {
    const header = writeProxyV1(
      { address: '192.168.0.1', port: 56_324 },
      { address: '192.168.0.11', port: 443 },
    )
    expect(String(header)).toBe('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n')
    const v6 = writeProxyV1({ address: '2001:db8::1', port: 1 }, { address: '::1', port: 2 })
    expect(String(v6)).toBe('PROXY TCP6 2001:db8::1 ::1 1 2\r\n')
    expect(String(writeProxyV1(null, null))).toBe('PROXY UNKNOWN\r\n')
    expect(String(writeProxyV1({ address: '1.2.3.4', port: 1 }, { address: '::1', port: 2 }))).toBe(
      'PROXY UNKNOWN\r\n',
    )
  })

  it('names the two ends of a proxy that speaks for itself, as who reads it may know no UNKNOWN', () => {
    const [own, target] = ['10.0.0.1', '10.0.0.2'].map((address) => ({ address, port: 25 })) as [Peer, Peer]
    expect(String(writeProxyOwn(1, own, target))).toBe('PROXY TCP4 10.0.0.1 10.0.0.2 25 25\r\n')
    expect(String(writeProxyOwn(1, null, null))).toBe('PROXY UNKNOWN\r\n')
    expect(readProxyHeader(writeProxyOwn(2, own, target))).toMatchObject({ header: { source: null } })
  })

  it('has no zone, which is this machine’s alone', () => {
    const [from, to] = ['fe80::2%eth0', 'fe80::1%eth0'].map((address) => ({ address, port: 1 })) as [
      Peer,
      Peer,
    ]
    expect(String(writeProxyV1(from, to))).toBe('PROXY TCP6 fe80::2 fe80::1 1 1\r\n')
    expect(readProxyHeader(writeProxyV1(from, to)).state).toBe('done')
    expect(readProxyHeader(Buffer.from('PROXY TCP6 fe80::2%eth0 fe80::1 1 1\r\n')).state).toBe('bad')
  })

  it('is read as the specification shows it', () => {
    const read = readProxyHeader(
      Buffer.from('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET /'),
    )
    expect(read).toMatchObject({
      state: 'done',
      length: 56,
      header: { version: 1, source: { address: '255.255.255.255', port: 65_535 }, transport: 'stream' },
    })
    const longest = 'PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n'
    expect(readProxyHeader(Buffer.from(longest))).toMatchObject({ state: 'done', header: { source: null } })
  })

  it.each([
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n',
    'PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n',
    'PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n',
    'PROXY TCP4 ::1 ::1 1 2\r\n',
    'PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n',
    'PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n',
    'PROXY TCP4 example.org 5.6.7.8 1 2\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n',
    'PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n',
    'proxy tcp4 1.2.3.4 5.6.7.8 1 2\r\n',
    'GET / HTTP/1.1\r\n',
  ])('is refused where it is not exact: %j', (line) => {
    expect(readProxyHeader(Buffer.from(line)).state).toBe('bad')
  })
})

it('a version 1 line is not read without bound', () => {
  for (const line of [
    `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n${'x'.repeat(107)}`,
    `PROXY TCP4 ${'1'.repeat(120)}\r\n`,
  ]) {
    expect(readProxyHeader(Buffer.from(line)).state).toBe('bad')
  }
})

describe('PROXY version 2', () => {
  it('is written byte for byte', () => {
    const header = writeProxyV2(
      { address: '127.0.0.1', port: 54_321 },
      { address: '10.0.0.2', port: 80 },
      { transport: 'stream' },
    )
    expect(header.toString('hex')).toBe(
      '0d0a0d0a000d0a515549540a 21 11 000c 7f000001 0a000002 d431 0050'.replaceAll(' ', ''),
    )
    const udp = writeProxyV2(
      { address: '::1', port: 1 },
      { address: '::2', port: 2 },
      { transport: 'datagram' },
    )
    expect(udp.subarray(12, 16).toString('hex')).toBe('21220024')
    expect(writeProxyV2(null, null, { transport: 'stream' }).subarray(12).toString('hex')).toBe('21000000')
  })

  it('passes over Unix addresses and what LOCAL says', () => {
    const unix = Buffer.concat([signatureV2, Buffer.from([0x21, 0x31, 0, 216]), Buffer.alloc(216, 1)])
    expect(readProxyHeader(unix)).toMatchObject({ state: 'done', length: 232, header: { source: null } })
    const local = Buffer.concat([signatureV2, Buffer.from([0x20, 0x11, 0, 12]), Buffer.alloc(12, 7)])
    expect(readProxyHeader(local)).toMatchObject({
      state: 'done',
      length: 28,
      header: { source: null, transport: null },
    })
  })

  it.each([
    ['version 3', [0x31, 0x11, 0, 12]],
    ['command 2', [0x22, 0x11, 0, 12]],
    ['family 4', [0x21, 0x41, 0, 12]],
    ['transport 3', [0x21, 0x13, 0, 12]],
    ['a length without room for its addresses', [0x21, 0x21, 0, 35]],
    ['a length beyond the bound', [0x21, 0x11, 0xff, 0xff]],
  ])('is refused with %s', (_what, head) => {
    expect(readProxyHeader(Buffer.concat([signatureV2, Buffer.from(head)])).state).toBe('bad')
  })

  it('is refused with a TLV that leads beyond the end', () => {
    const header = Buffer.concat([
      signatureV2,
      Buffer.from([0x21, 0x11, 0, 15]),
      Buffer.alloc(12),
      Buffer.from([5, 0, 1]),
    ])
    expect(readProxyHeader(header).state).toBe('bad')
  })

  it('is refused with a wrong checksum, and only then', () => {
    const header = writeProxyV2(
      { address: '1.2.3.4', port: 5 },
      { address: '6.7.8.9', port: 10 },
      { transport: 'stream', checksum: true },
    )
    expect(readProxyHeader(header).state).toBe('done')
    const typeOfChecksum = 28
    for (let at = 16; at < header.length; at++) {
      if (at === typeOfChecksum) continue
      const harmed = Buffer.from(header)
      harmed[at]! ^= 1
      expect([at, readProxyHeader(harmed).state]).toEqual([at, 'bad'])
    }
  })

  it('knows CRC-32C (RFC 3720 B.4)', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 255))).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
  })
})

describe('both versions', () => {
  const written = pair.chain(([source, destination]) =>
    fc.oneof(
      fc.constant({ source, destination, bytes: writeProxyV1(source, destination) }),
      fc.tuple(tlvs, fc.boolean()).map(([some, checksum]) => ({
        source,
        destination,
        bytes: writeProxyV2(source, destination, { transport: 'stream', tlvs: some, checksum }),
      })),
    ),
  )

  it('come back as they were written, and leave what follows alone', () => {
    fc.assert(
      fc.property(written, fc.uint8Array({ maxLength: 50 }), ({ source, destination, bytes }, rest) => {
        const read = readProxyHeader(Buffer.concat([bytes, rest]))
        expect(read).toMatchObject({ state: 'done', length: bytes.length, header: { source, destination } })
      }),
    )
  })

  it('want more at each byte before the last, and never less', () => {
    fc.assert(
      fc.property(written, ({ bytes }) => {
        for (let at = 0; at < bytes.length; at++)
          expect(readProxyHeader(bytes.subarray(0, at)).state).toBe('more')
      }),
      { numRuns: 30 },
    )
  })

  it('throw at nothing', () => {
    const noise = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(noise, fc.boolean(), (bytes, signed) => {
        const all = signed ? Buffer.concat([signatureV2, bytes]) : Buffer.from(bytes)
        expect(['more', 'bad', 'done']).toContain(readProxyHeader(all).state)
      }),
      { numRuns: 2000 },
    )
  })

  it('are told from everything else by their first bytes', () => {
    expect(beginsLikeProxy(Buffer.from(''))).toBe('maybe')
    expect(beginsLikeProxy(Buffer.from('PRO'))).toBe('maybe')
    expect(beginsLikeProxy(Buffer.from('PROXY TCP'))).toBe('yes')
    expect(beginsLikeProxy(Buffer.from('POST /'))).toBe('no')
    expect(beginsLikeProxy(Buffer.from('\r\n\r\n\0'))).toBe('maybe')
    expect(beginsLikeProxy(signatureV2)).toBe('yes')
  })
})

describe('datagrams', () => {
  const source = { address: '203.0.113.7', port: 4000 }
  const header = writeProxyV2(source, { address: '10.0.0.1', port: 53 }, { transport: 'datagram' })

  it('say who calls in front of the payload', () => {
    const told = unwrapDatagram(Buffer.concat([header, Buffer.from('query')]), 'required')
    expect(told).toMatchObject({ state: 'told', source, payload: Buffer.from('query') })
  })

  it('are refused with a header that is cut, or from who is not trusted', () => {
    expect(unwrapDatagram(header.subarray(0, 20), 'required').state).toBe('bad')
    expect(unwrapDatagram(header, 'refused').state).toBe('bad')
    expect(unwrapDatagram(Buffer.from('plain'), 'refused').state).toBe('plain')
    expect(unwrapDatagram(Buffer.from('plain'), 'required').state).toBe('untold')
  })
})
