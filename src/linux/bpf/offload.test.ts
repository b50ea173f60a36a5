import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Assembly } from './assembly.ts'
import { messagesIn, parse } from './netlink.ts'
import { layouts } from './layout.ts'
import { carryFlows } from './program.ts'

describe('Assembly', () => {
  it('writes instructions as the kernel reads them (RFC 9669)', () => {
    const code = new Assembly()
      .calculateBy('move', 6, 1)
      .load(4, 1, 6, 76)
      .store(2, 10, -8, 1)
      .jumpIf('equal', 1, 7, 'end')
      .map(1, 5)
      .call(1)
      .label('end')
      .calculate('move', 0, -1)
      .exit()
      .bytes()
    expect(Buffer.from(code).toString('hex').match(/.{16}/g)).toEqual([
      'bf16000000000000', // r6 = r1
      '61614c0000000000', // r1 = *(u32 *)(r6 + 76)
      '6b1af8ff00000000', // *(u16 *)(r10 - 8) = r1
      '1501030007000000', // if r1 == 7 goto +3
      '1811000005000000', // r1 = map 5 …
      '0000000000000000',
      '8500000001000000', // call 1
      'b7000000ffffffff', // r0 = -1
      '9500000000000000', // exit
    ])
  })

  it('a jump to nowhere is told', () => {
    expect(() => new Assembly().jump('nowhere').bytes()).toThrow('no label nowhere')
  })
})

describe.each([4, 6] as const)('the program for IPv%i', (family) => {
  it('is whole instructions, and small', () => {
    const code = carryFlows(family, { flows: 3, sentOn: 4, beats: 5 })
    expect(code.length % 8).toBe(0)
    expect(code.length / 8).toBeLessThan(350)
  })

  it('keeps each thing in a place of its own, aligned as it is read', () => {
    const { flow, key } = layouts[family]
    const { bytes, neighbour, own, ...words } = flow
    for (const at of Object.values(words)) expect(at % 4).toBe(0)
    for (const at of [flow.lookedAt, flow.packets, flow.carried, bytes, key.bytes]) expect(at % 8).toBe(0)
    expect(own - neighbour).toBe(6)
    expect(new Set(Object.values(flow)).size).toBe(Object.keys(flow).length)
    expect(flow.device - flow.ports).toBe(4)
  })
})

describe('parse', () => {
  it('never reads past what came, whatever came', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 16 }), (bytes, body) => {
        const told = parse(bytes, body)
        for (const value of told?.attributes.values() ?? []) expect(value.length).toBeLessThan(200)
      }),
    )
  })

  it('tells several messages apart, and leaves out what is cut off', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const messages = messagesIn(bytes)
        for (const { length } of messages) expect(length).toBeGreaterThanOrEqual(16)
        expect(messages.length).toBeLessThanOrEqual(bytes.length / 16)
      }),
    )
    const two = new Uint8Array(60)
    const view = new DataView(two.buffer)
    view.setUint32(0, 18, true)
    view.setUint32(20, 16, true)
    view.setUint32(36, 30, true)
    expect(messagesIn(two).map(({ length }) => length)).toEqual([18, 16])
  })

  it('an attribute that is longer than its message ends the reading', () => {
    const message = new Uint8Array(32)
    const view = new DataView(message.buffer)
    view.setUint32(0, 32, true)
    view.setUint16(4, 24, true)
    view.setUint16(16, 8, true)
    view.setUint16(18, 4, true)
    message.set([1, 2, 3, 4], 20)
    view.setUint16(24, 60, true)
    view.setUint16(26, 5, true)
    expect(parse(message, 0)).toEqual({
      type: 24,
      body: new Uint8Array(0),
      attributes: new Map([[4, Uint8Array.of(1, 2, 3, 4)]]),
    })
  })
})
