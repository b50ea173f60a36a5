import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatListen, listensOverlap, parseListen, type Listen } from './listen.ts'
import { formatTarget, parseTarget, type Target } from './target.ts'

const ports = fc
  .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
  .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }))
const address = fc.oneof(fc.ipV4(), fc.constantFrom('::', '::1', '2001:db8::42', 'fe80::1'))
const path = fc.stringMatching(/^\/[a-z0-9/ ._-]{1,60}[a-z]$/)
const inetListen: fc.Arbitrary<Listen> = fc.record({
  kind: fc.constant('inet' as const),
  address: fc.oneof(address, fc.constant(null)),
  ports,
  protocols: fc.constantFrom(['tcp'] as const, ['udp'] as const, ['tcp', 'udp'] as const),
})
const unix = path.map((path) => ({ kind: 'unix' as const, path }))

describe('a listen', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.oneof(inetListen, unix), (listen) => {
        expect(parseListen(formatListen(listen))).toEqual(listen)
      }),
    )
  })

  it.each([
    ['8888', { address: null, ports: { first: 8888, last: 8888 }, protocols: ['tcp'] }],
    ['*:53/udp', { address: null, ports: { first: 53, last: 53 }, protocols: ['udp'] }],
    [
      '127.0.0.1:8000-8100/tcp+udp',
      { address: '127.0.0.1', ports: { first: 8000, last: 8100 }, protocols: ['tcp', 'udp'] },
    ],
    [
      '[2001:DB8:0::1]:443/udp+tcp',
      { address: '2001:db8::1', ports: { first: 443, last: 443 }, protocols: ['tcp', 'udp'] },
    ],
  ])('%s', (text, expected) => expect(parseListen(text)).toEqual({ kind: 'inet', ...expected }))

  it.each([
    '',
    '0',
    '65536',
    '-1',
    '80-',
    '-80',
    '90-80',
    '1-2-3',
    '80/sctp',
    '80/tcp/udp',
    ':80',
    '::1:80',
    'localhost:80',
    '1.2.3:80',
    '01.2.3.4:80',
    '1.2.3.4',
    '8e2',
    '0x50',
    '80 81',
    'unix:',
    `unix:/${'x'.repeat(110)}`,
    'unix:/a\0b',
  ])('%j is refused with a reason', (text) => {
    expect(() => parseListen(text)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' }))
  })

  it('throws nothing but that', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (text) => {
        try {
          parseListen(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'VALUE_INVALID' })
        }
      }),
    )
  })
})

describe('two listens meet', () => {
  it.each([
    ['80', '80', true],
    ['80', '127.0.0.1:80', true],
    ['0.0.0.0:80', '127.0.0.1:80', true],
    ['[::]:80', '[::1]:80', true],
    ['[::]:80', '0.0.0.0:80', false],
    ['[::]:80', '127.0.0.1:80', false],
    ['127.0.0.1:80', '127.0.0.2:80', false],
    ['80-90', '90-100', true],
    ['80-89', '90-100', false],
    ['80', '80/udp', false],
    ['80/tcp+udp', '80/udp', true],
    ['unix:/a', 'unix:/a', true],
    ['unix:/a', 'unix:/b', false],
    ['unix:/a', '80', false],
  ])('%s and %s: %s', (a, b, meet) => {
    expect(listensOverlap(parseListen(a), parseListen(b))).toBe(meet)
    expect(listensOverlap(parseListen(b), parseListen(a))).toBe(meet)
  })
})

describe('a target', () => {
  const inet: fc.Arbitrary<Target> = fc.record({
    kind: fc.constant('inet' as const),
    host: fc.oneof(address, fc.constantFrom('example.org', 'nas', 'a_b.local', 'xn--80ak6aa92e.com')),
    ports,
  })
  const guest: fc.Arbitrary<Target> = fc.record({
    kind: fc.constant('guest' as const),
    guest: fc.constantFrom('docker' as const, 'vmware' as const, 'wsl' as const),
    name: fc.constantFrom('web', 'win 10', 'Ubuntu-22.04', 'C:\\vm\\x.vmx'),
    ports,
  })

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.oneof(inet, guest, unix), (target) => {
        expect(parseTarget(formatTarget(target))).toEqual(target)
      }),
    )
  })

  it.each([
    ['80', { kind: 'inet', host: '127.0.0.1', ports: { first: 80, last: 80 } }],
    ['Example.ORG:80', { kind: 'inet', host: 'example.org', ports: { first: 80, last: 80 } }],
    ['나루.example:80', { kind: 'inet', host: 'xn--910br1n.example', ports: { first: 80, last: 80 } }],
    ['web.1:80', { kind: 'inet', host: 'web.1', ports: { first: 80, last: 80 } }],
    ['[::ffff:10.0.0.5]:80', { kind: 'inet', host: '10.0.0.5', ports: { first: 80, last: 80 } }],
    ['docker:80', { kind: 'inet', host: 'docker', ports: { first: 80, last: 80 } }],
    ['docker:web:80', { kind: 'guest', guest: 'docker', name: 'web', ports: { first: 80, last: 80 } }],
  ])('%s', (text, expected) => expect(parseTarget(text)).toEqual(expected))

  it.each([
    '',
    ':80',
    'host',
    'host:0',
    'host:65536',
    '-a:80',
    'a..b:80',
    '10.1:80',
    '1.2.3.4.5:80',
    '127.1:80',
    '0x7f000001:80',
    '2130706433:80',
    '나 루.example:80',
    '１２７.0.0.1:80',
    '::1:80',
    'http://a:80',
    'docker::80',
    'a b:80',
  ])('%j is refused with a reason', (text) =>
    expect(() => parseTarget(text)).toThrow(expect.objectContaining({ code: 'VALUE_INVALID' })),
  )
})

it('a guest of a kind that does not exist is told which kinds do', () => {
  expect(() => parseTarget('vbox:web:80')).toThrow(/vbox is no kind of guest; there are docker, .*virtualbox/)
  expect(() => parseTarget('fe80::1:80')).toThrow(/brackets/)
  expect(parseTarget('vbox:80')).toMatchObject({ kind: 'inet', host: 'vbox' })
})

describe('what other programs write so is told in our words, ready to type', () => {
  const whyNot = (read: () => unknown): string => {
    try {
      read()
      return 'it was read'
    } catch (error) {
      return (error as Error).message
    }
  }

  it.each([
    ['http://192.168.79.128', '192.168.79.128:80'],
    ['https://10.0.0.2/admin?a=1', '10.0.0.2:443'],
    ['http://[2001:db8::1]:8080/', '[2001:db8::1]:8080'],
    ['tcp://web:9000', 'web:9000'],
    ['http://192.168.79.300:80', '192.168.79.128:80'],
    ['http://', '192.168.79.128:80'],
  ])('a link as the target: %s', (text, such) => {
    expect(whyNot(() => parseTarget(text))).toContain(`without http:// and a path: write ${such}`)
  })

  it('both ports as the listen, as Docker has it', () => {
    expect(whyNot(() => parseListen('8888:80'))).toContain('write 8888, and HOST:80 as the target')
    expect(whyNot(() => parseListen('web:80'))).toContain('listen on an address of this machine')
  })
})
