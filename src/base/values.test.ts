import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addressBytes,
  addressFromBytes,
  canonicalAddress,
  formatCidr,
  isPublic,
  parseCidr,
  sourceKey,
  unmapped,
} from './address.ts'
import { formatDuration, parseDuration } from './duration.ts'
import { formatPortRange, parsePort, parsePortRange, portCount, portsOverlap } from './port.ts'

const invalid = expect.objectContaining({ code: 'VALUE_INVALID' }) as unknown as Error
const six = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(addressFromBytes)

describe('an address', () => {
  it('has one way to be written, and its bytes lead back to it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), six, fc.ipV6()), (text) => {
        const canonical = canonicalAddress(text)
        // ipaddr.js does not take every IPv6 text with an embedded IPv4 address; what it takes is stable.
        if (canonical === null) return
        expect(canonicalAddress(canonical)).toBe(canonical)
        expect(canonicalAddress(addressFromBytes(addressBytes(canonical)))).toBe(canonical)
      }),
    )
  })

  it.each([
    '10.1',
    '010.1.1.1',
    '1.2.3.256',
    '1.2.3.4.5',
    '0x7f.0.0.1',
    '2130706433',
    'localhost',
    '',
    '1.2.3.4 ',
  ])('%j is none', (text) => expect(canonicalAddress(text)).toBe(null))

  it('of an IPv4 peer on a dual-stack socket is the IPv4 one', () => {
    expect(unmapped('::ffff:10.0.0.1')).toBe('10.0.0.1')
    expect(unmapped('::ffff:a00:1')).toBe('10.0.0.1')
    expect(unmapped('2001:db8::1')).toBe('2001:db8::1')
  })

  it('counts as one source with all that its host may call itself', () => {
    expect(sourceKey('192.0.2.7')).toBe('192.0.2.7')
    expect(sourceKey('::ffff:192.0.2.7')).toBe('192.0.2.7')
    expect(sourceKey('2001:db8:0:5::1')).toBe(sourceKey('2001:db8:0:5:ffff:1:2:3'))
    expect(sourceKey('2001:db8:0:5::1')).not.toBe(sourceKey('2001:db8:0:6::1'))
    expect(sourceKey('2001:db8:0:5::1%eth0')).toBe(sourceKey('2001:db8:0:5::1'))
    expect(sourceKey('::ffff:c000:207')).toBe('192.0.2.7')
    expect(sourceKey('fe80::1%eth0')).toBe(sourceKey('fe80:0:0:7::2%eth0'))
    expect(sourceKey('febf::1%eth0')).toBe(sourceKey('fe80::1%eth0'))
    expect(sourceKey('fe80::1%eth0')).not.toBe(sourceKey('fe80::1%eth1'))
    expect(sourceKey('')).toBe('')
  })

  it('is public or not', () => {
    expect(['8.8.8.8', '2606:4700::1'].map(isPublic)).toEqual([true, true])
    expect(
      ['10.0.0.1', '100.64.0.1', '192.168.1.1', '127.0.0.1', 'fe80::1', 'fd00::1'].map(isPublic),
    ).toEqual(Array.from({ length: 6 }, () => false))
  })
})

describe('a prefix', () => {
  it('is masked, and read back as it was written', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, bits) => {
        const cidr = parseCidr(`${address}/${bits}`)
        expect(parseCidr(formatCidr(cidr))).toEqual(cidr)
      }),
    )
    expect(parseCidr('192.168.77.5/16')).toEqual({ family: 4, address: '192.168.0.0', bits: 16 })
    expect(parseCidr('2001:db8:ffff::/33')).toEqual({ family: 6, address: '2001:db8:8000::', bits: 33 })
    expect(formatCidr(parseCidr('10.0.0.1'))).toBe('10.0.0.1')
  })

  it('in IPv4-mapped form is the IPv4 one, as such a client counts', () => {
    expect(parseCidr('::ffff:127.0.0.1')).toEqual(parseCidr('127.0.0.1'))
    expect(parseCidr('::ffff:127.0.0.0/104')).toEqual(parseCidr('127.0.0.0/8'))
    expect(parseCidr('::ffff:0:0/96')).toEqual(parseCidr('0.0.0.0/0'))
    expect(parseCidr('::/0')).toEqual({ family: 6, address: '::', bits: 0 })
  })

  it.each([
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10/8',
    '10.0.0.0/ff',
    'any',
    '10.0.0.0/1e1',
    '::ffff:10.0.0.0/95',
    '::ffff:0:0/0',
    'fe80::5%eth0',
    'fe80::%1/64',
  ])('%j is refused with a reason', (text) => expect(() => parseCidr(text)).toThrow(invalid))
})

describe('a duration', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms)
      }),
    )
  })

  it.each([
    ['250ms', 250],
    ['5s', 5000],
    ['90', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => expect(parseDuration(text)).toBe(ms))

  it.each(['', '5', 's', '-5s', '1.5h', '5 s', '5sec', '1h 30m', '12345678901'])('%j', (text) => {
    if (text === '5') expect(parseDuration(text)).toBe(5000)
    else expect(() => parseDuration(text)).toThrow(invalid)
  })
})

describe('ports', () => {
  it('are numbers from 1 to 65535', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65_535 }), (port) => {
        expect(parsePort(String(port))).toBe(port)
      }),
    )
    for (const text of ['0', '65536', '', '-1', '1.0', '0x1', ' 80', '000080', '８０']) {
      expect(() => parsePort(text)).toThrow(invalid)
    }
  })

  it('in a range run forwards', () => {
    expect(parsePortRange('8000-8100')).toEqual({ first: 8000, last: 8100 })
    expect(portCount({ first: 8000, last: 8100 })).toBe(101)
    expect(() => parsePortRange('8100-8000')).toThrow(/8000-8100/)
    for (const text of ['80-', '-80', '1-2-3', '80-x']) expect(() => parsePortRange(text)).toThrow(invalid)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60_000 }), fc.nat(5000), (first, more) => {
        const range = { first, last: first + more }
        expect(parsePortRange(formatPortRange(range))).toEqual(range)
      }),
    )
  })

  it('of two ranges overlap as their sets do', () => {
    const range = fc
      .tuple(fc.integer({ min: 1, max: 40 }), fc.nat(10))
      .map(([first, more]) => ({ first, last: first + more }))
    fc.assert(
      fc.property(range, range, (a, b) => {
        const shared = Array.from({ length: 60 }, (_, port) => port).some(
          (port) => port >= a.first && port <= a.last && port >= b.first && port <= b.last,
        )
        expect(portsOverlap(a, b)).toBe(shared)
      }),
    )
  })
})
