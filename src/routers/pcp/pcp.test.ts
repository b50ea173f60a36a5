/** PCP on the wire against RFC 6887, and what servers do in place of it. */
import { assert, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asking, found, membersAt } from '../../../test/fakes/at-home.ts'
import { memoryJournal } from '../../../test/fakes/journal.ts'
import { FakeRouter } from '../../../test/fakes/router.ts'
import { parseCidr } from '../../base/address.ts'
import {
  announceRequest,
  isNatPmpOnly,
  mapRequest,
  parseAnnounceAnswer,
  parseMapAnswer,
  type MapWish,
} from './codec.ts'
import { PcpEpoch } from './epoch.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex')

const wish: MapWish = {
  nonce: bytes('0102030405060708090a0b0c'),
  protocol: 'tcp',
  internalPort: 80,
  externalPort: 8888,
  externalAddress: null,
  preferFailure: false,
  filters: [],
  thirdParty: null,
}

const header = '02 01 0000 00001c20 00000000000000000000ffffc0a8000a'
const map = '0102030405060708090a0b0c 06 000000 0050 22b8 00000000000000000000ffff00000000'

describe('requests, byte by byte', () => {
  it('MAP (§7.1, §11.1)', () => {
    expect(hex(mapRequest('192.168.0.10', wish, 7200))).toBe(`${header} ${map}`.replaceAll(' ', ''))
  })

  it('ANNOUNCE is a header alone (§14.1)', () => {
    expect(hex(announceRequest('192.168.0.10'))).toBe('020000000000000000000000000000000000ffffc0a8000a')
  })

  it('PREFER_FAILURE, FILTER and THIRD_PARTY (§13)', () => {
    const full: MapWish = {
      ...wish,
      preferFailure: true,
      filters: [parseCidr('203.0.113.0/24'), parseCidr('2001:db8::/32')],
      thirdParty: '192.168.0.20',
    }
    const options =
      '01 00 0010 00000000000000000000ffffc0a80014' +
      '02 00 0000' +
      '03 00 0014 00 78 0000 00000000000000000000ffffcb007100'
    expect(hex(mapRequest('192.168.0.10', full, 7200))).toBe(
      `${header} ${map} ${options}`.replaceAll(' ', ''),
    )
  })

  it('an IPv6 client is written as it is, and filters by its own family', () => {
    const six = hex(
      mapRequest('2001:db8::1', { ...wish, protocol: 'udp', filters: [parseCidr('2001:db8::/32')] }, 1),
    )
    expect(six.slice(0, 48)).toBe('020100000000000120010db8000000000000000000000001')
    expect(six.slice(72, 80)).toBe('11000000')
    expect(six.slice(120)).toBe('030000140020000020010db8000000000000000000000000')
  })
})

describe('answers', () => {
  const success = bytes(
    '02 81 00 00 00000e10 00000064 000000000000000000000000' +
      '0102030405060708090a0b0c 06 000000 0050 22b8 00000000000000000000ffffcb007205',
  )

  it('are read with port, lease, epoch and address', () => {
    expect(parseMapAnswer(success, wish)).toEqual({
      result: 'SUCCESS',
      epoch: 100,
      lifetimeSeconds: 3600,
      internalPort: 80,
      externalPort: 8888,
      externalAddress: '203.0.114.5',
    })
  })

  it('for another nonce, protocol or port are none', () => {
    expect(parseMapAnswer(success, { ...wish, nonce: bytes('ff02030405060708090a0b0c') })).toBeUndefined()
    expect(parseMapAnswer(success, { ...wish, protocol: 'udp' })).toBeUndefined()
    expect(parseMapAnswer(success, { ...wish, internalPort: 81 })).toBeUndefined()
  })

  it('a short refusal tells its reason, NAT-PMP its version', () => {
    expect(
      parseMapAnswer(bytes('02 81 00 02 00000e10 00000064 000000000000000000000000'), wish),
    ).toMatchObject({
      result: 'NOT_AUTHORIZED',
    })
    expect(isNatPmpOnly(bytes('0000 0001 00000000'))).toBe(true)
  })

  it('whatever the bytes, nothing is thrown', () => {
    assert(
      property(uint8Array({ maxLength: 1200 }), (noise) => {
        parseMapAnswer(noise, wish)
        parseAnnounceAnswer(noise)
        isNatPmpOnly(noise)
      }),
    )
  })

  it('a written request comes back as its own answer', () => {
    assert(
      property(uint8Array({ minLength: 12, maxLength: 12 }), (nonce) => {
        const mine = { ...wish, nonce }
        const echo = mapRequest('10.0.0.1', mine, 60)
        echo[1] = 0x81
        echo.fill(0, 8, 24)
        expect(parseMapAnswer(echo, mine)).toMatchObject({ result: 'SUCCESS', externalPort: 8888 })
      }),
    )
  })
})

it('the epoch tells a restart from time that passed (§8.5)', () => {
  const told = (...samples: [server: number, client: number][]): boolean[] => {
    const epoch = new PcpEpoch()
    return samples.map(([server, client]) => epoch.restarted(server, client))
  }
  expect(told([100, 0], [160, 60], [161, 60])).toEqual([false, false, false])
  expect(told([100, 0], [99, 0])).toEqual([false, false])
  expect(told([100, 0], [98, 0])).toEqual([false, true])
  // Clocks that drift by less than a sixteenth are the same clock.
  expect(told([100, 0], [196, 100])).toEqual([false, false])
  expect(told([100, 0], [150, 100])).toEqual([false, true])
  expect(told([100, 0], [250, 100])).toEqual([false, true])
})

it('two restarts within a second are told apart by the announcement of the second', () => {
  const epoch = new PcpEpoch()
  expect(epoch.restarted(0, 100)).toBe(false)
  expect(epoch.restarted(0, 101)).toBe(false)
  expect(epoch.restarted(1, 102, true)).toBe(true)
  // Of a server that has run for a while an announcement alone says nothing: anybody can send one.
  expect(epoch.restarted(11, 112, true)).toBe(false)
})

describe('a server that', () => {
  it('gives another port in spite of PREFER_FAILURE is given it back', async () => {
    await using fake = await FakeRouter.start({ givesPort: 1024 })
    const journal = memoryJournal()
    const router = await found(membersAt.pcp(fake))
    await expect(router.open(asking, { signal: signal(), record: journal })).rejects.toMatchObject({
      code: 'ROUTER_OTHER_PORT',
    })
    expect([fake.table.size, journal.left()]).toEqual([0, []])
    const any = await router.open({ ...asking, anyPort: true }, { signal: signal(), record: journal })
    expect(any.externalPort).toBe(1024)
  })

  it('knows no options gets a request without', async () => {
    await using fake = await FakeRouter.start({ noOptions: true })
    const request = { ...asking, allow: [parseCidr('203.0.113.0/24')] }
    const lease = await (
      await found(membersAt.pcp(fake))
    ).open(request, { signal: signal(), record: memoryJournal() })
    expect(
      lease
        .describe()
        .differs.map(({ en }) => en)
        .join(),
    ).toContain('lets every source in')
  })

  it('says it filters is not taken at its word', async () => {
    await using fake = await FakeRouter.start()
    const request = { ...asking, allow: [parseCidr('203.0.113.0/24')] }
    const lease = await (
      await found(membersAt.pcp(fake))
    ).open(request, { signal: signal(), record: memoryJournal() })
    expect(
      lease
        .describe()
        .differs.map(({ en }) => en)
        .join(),
    ).toContain('cannot be read back')
  })

  it('answers for another nonce first is waited for', async () => {
    await using fake = await FakeRouter.start({ wrongTransactionFirst: true })
    const lease = await (
      await found(membersAt.pcp(fake))
    ).open(asking, { signal: signal(), record: memoryJournal() })
    expect(lease.externalPort).toBe(8888)
  })

  it('speaks NAT-PMP only is no PCP server', async () => {
    await using fake = await FakeRouter.start({ natPmpOnly: true })
    await expect(found(membersAt.pcp(fake))).rejects.toThrow('found nothing')
  })

  it('refuses is explained by its reason', async () => {
    const codes = {
      2: 'ROUTER_REFUSED',
      7: 'ROUTER_NO_ADDRESS',
      8: 'ROUTER_TABLE_FULL',
      11: 'ROUTER_PORT_TAKEN',
      12: 'ROUTER_NAT_BETWEEN',
    }
    for (const [result, code] of Object.entries(codes)) {
      await using fake = await FakeRouter.start({ pcpResult: Number(result) })
      const journal = memoryJournal()
      const router = await found(membersAt.pcp(fake))
      await expect(router.open(asking, { signal: signal(), record: journal })).rejects.toMatchObject({ code })
      expect(journal.left()).toEqual([])
    }
  })
})

it('the nonce stays the same through renewals, and is what the journal keeps', async () => {
  await using fake = await FakeRouter.start()
  const journal = memoryJournal()
  const lease = await (await found(membersAt.pcp(fake))).open(asking, { signal: signal(), record: journal })
  const nonceOf = (): unknown => (journal.left()[0] as { nonce?: unknown }).nonce
  const before = nonceOf()
  await lease.renew({ signal: signal() })
  expect(nonceOf()).toBe(before)
  expect(before).toMatch(/^[0-9a-f]{24}$/)
})

it('a success for no time at all is none', async () => {
  await using fake = await FakeRouter.start({ lifeless: true })
  const journal = memoryJournal()
  const open = (await found(membersAt.pcp(fake))).open(asking, { signal: signal(), record: journal })
  await expect(open).rejects.toMatchObject({ code: 'ROUTER_NOT_DONE' })
  expect(journal.left()).toEqual([])
})
