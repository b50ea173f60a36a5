/** NAT-PMP on the wire against RFC 6886, and what gateways do in place of it. */
import { assert, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asking, found, membersAt } from '../../../test/fakes/at-home.ts'
import { memoryJournal } from '../../../test/fakes/journal.ts'
import { FakeRouter } from '../../../test/fakes/router.ts'
import { addressRequest, mapRequest, parseAddressAnswer, parseMapAnswer } from './codec.ts'
import { NatPmpEpoch } from './epoch.ts'

const signal = (): AbortSignal => AbortSignal.timeout(10_000)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex')
const ports = { internalPort: 80, externalPort: 8888 }

describe('requests, byte by byte', () => {
  it('external address (§3.2) and mapping (§3.3), the lifetime in seconds', () => {
    expect(hex(addressRequest())).toBe('0000')
    expect(hex(mapRequest('udp', ports, 7200))).toBe('00010000005022b800001c20')
    expect(hex(mapRequest('tcp', ports, 7200))).toBe('00020000005022b800001c20')
  })
})

describe('answers', () => {
  it('are read with address, port, lease and epoch', () => {
    expect(parseAddressAnswer(bytes('0080 0000 00000064 cb007205'))).toEqual({
      result: 0,
      epoch: 100,
      externalAddress: '203.0.114.5',
    })
    expect(parseMapAnswer(bytes('0082 0000 00000064 0050 22b8 00000e10'), 'tcp', 80)).toEqual({
      result: 0,
      epoch: 100,
      internalPort: 80,
      externalPort: 8888,
      lifetimeSeconds: 3600,
    })
  })

  it('for another opcode, version or port are none', () => {
    expect(parseMapAnswer(bytes('0081 0000 00000064 0050 22b8 00000e10'), 'tcp', 80)).toBeUndefined()
    expect(parseMapAnswer(bytes('0282 0000 00000064 0050 22b8 00000e10'), 'tcp', 80)).toBeUndefined()
    expect(parseMapAnswer(bytes('0082 0000 00000064 0051 22b8 00000e10'), 'tcp', 80)).toBeUndefined()
    expect(parseAddressAnswer(bytes('0080 0000 00000064'))).toBeUndefined()
  })

  it('a refusal may be 8 bytes long', () => {
    expect(parseMapAnswer(bytes('0082 0002 00000064'), 'tcp', 80)).toMatchObject({ result: 2 })
  })

  it('whatever the bytes, nothing is thrown', () => {
    assert(
      property(uint8Array({ maxLength: 80 }), (noise) => {
        parseAddressAnswer(noise)
        parseMapAnswer(noise, 'tcp', 80)
      }),
    )
  })
})

it('the epoch tells a restart from time that passed (§3.6)', () => {
  const epoch = new NatPmpEpoch()
  const told = [
    epoch.restarted(100, 0),
    epoch.restarted(160, 60_000),
    // Seven eighths less two seconds is still the same clock.
    epoch.restarted(246, 160_000),
    epoch.restarted(3, 170_000),
  ]
  expect(told).toEqual([false, false, false, true])
  expect(epoch.restarted(2, 171_000, true)).toBe(true)
  expect(epoch.restarted(12, 181_000, true)).toBe(false)
})

describe('a gateway that', () => {
  it('gives another port is given it back, unless any will do', async () => {
    await using fake = await FakeRouter.start({ givesPort: 1024 })
    const journal = memoryJournal()
    const router = await found(membersAt['nat-pmp'](fake))
    await expect(router.open(asking, { signal: signal(), record: journal })).rejects.toMatchObject({
      code: 'ROUTER_OTHER_PORT',
      params: { port: 8888, granted: 1024 },
    })
    expect([fake.table.size, journal.left()]).toEqual([0, []])
    const any = await router.open({ ...asking, anyPort: true }, { signal: signal(), record: journal })
    expect(
      any
        .describe()
        .differs.map(({ en }) => en)
        .join(),
    ).toContain('gave external port 1024, not 8888')
  })

  it('answers for another port first is waited for', async () => {
    await using fake = await FakeRouter.start({ wrongTransactionFirst: true })
    const lease = await (
      await found(membersAt['nat-pmp'](fake))
    ).open(asking, { signal: signal(), record: memoryJournal() })
    expect(lease.externalPort).toBe(8888)
  })

  it('refuses is explained by its reason, and nothing is left in the journal', async () => {
    for (const [result, code] of Object.entries({
      2: 'ROUTER_REFUSED',
      3: 'ROUTER_NO_ADDRESS',
      4: 'ROUTER_TABLE_FULL',
    })) {
      await using fake = await FakeRouter.start({ natPmpResult: Number(result) })
      const journal = memoryJournal()
      const router = await found(membersAt['nat-pmp'](fake))
      await expect(router.open(asking, { signal: signal(), record: journal })).rejects.toMatchObject({ code })
      expect(journal.left()).toEqual([])
    }
  })

  it('gives a short lease has it renewed at half of it', async () => {
    await using fake = await FakeRouter.start({ longestLease: 120 })
    const lease = await (
      await found(membersAt['nat-pmp'](fake))
    ).open(asking, { signal: signal(), record: memoryJournal() })
    expect((lease.renewAfter ?? 0) - Date.now()).toBeLessThan(61_000)
    expect(
      lease
        .describe()
        .differs.map(({ en }) => en)
        .join(),
    ).toContain('a lease of 2m')
  })

  it('tells no list and deletes nothing by hand', async () => {
    await using fake = await FakeRouter.start()
    const router = await found(membersAt['nat-pmp'](fake))
    expect(await router.mappings({ signal: signal() })).toBeNull()
    await expect(
      router.remove({ protocol: 'tcp', externalPort: 1 }, { signal: signal() }),
    ).rejects.toMatchObject({ code: 'ROUTER_NO_LIST' })
  })
})

it('a success for no time at all is none', async () => {
  await using fake = await FakeRouter.start({ lifeless: true })
  const journal = memoryJournal()
  const open = (await found(membersAt['nat-pmp'](fake))).open(asking, { signal: signal(), record: journal })
  await expect(open).rejects.toMatchObject({ code: 'ROUTER_NOT_DONE' })
  expect(journal.left()).toEqual([])
})

it('maps to nobody but who asks, and says so', async () => {
  await using fake = await FakeRouter.start()
  const other = { ...asking, internalAddress: '192.0.2.9' }
  const open = (await found(membersAt['nat-pmp'](fake))).open(other, {
    signal: signal(),
    record: memoryJournal(),
  })
  await expect(open).rejects.toMatchObject({ code: 'ROUTER_REFUSED' })
  expect(fake.table.size).toBe(0)
})
