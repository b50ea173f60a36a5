import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressBytes, parseCidr, type Cidr } from '../base/address.ts'
import { Admission } from './admit.ts'
import { LocalTally, SharedTally, type Tally } from './tally.ts'

const none = { connections: null, perSource: null, newPerSecond: null }

function admission(allow: string[], deny: string[], limits = {}, tally: Tally = new LocalTally()): Admission {
  return new Admission(
    { allow: allow.map(parseCidr), deny: deny.map(parseCidr), limits: { ...none, ...limits } },
    tally,
  )
}

describe('allow and deny', () => {
  it('let everyone in where there is neither', () => {
    expect(admission([], []).allows('203.0.113.9')).toBe(true)
  })

  it('let the longest prefix decide, and deny where both are as long', () => {
    const door = admission(['10.0.0.0/8', '10.1.2.3', '2001:db8::/32'], ['10.1.0.0/16', '2001:db8::/32'])
    expect(door.allows('10.9.9.9')).toBe(true)
    expect(door.allows('10.1.9.9')).toBe(false)
    expect(door.allows('10.1.2.3')).toBe(true)
    expect(door.allows('2001:db8::1')).toBe(false)
    expect(door.allows('8.8.8.8')).toBe(false)
  })

  it('let a stranger in where there is no allow', () => {
    expect(admission([], ['10.0.0.0/8']).allows('8.8.8.8')).toBe(true)
  })

  it('see an IPv4 client through a dual-stack socket, and leave Unix clients alone', () => {
    const door = admission([], ['10.0.0.0/8'])
    expect(door.admit('::ffff:10.0.0.1', 0)).toEqual({ ok: false, reason: 'denied' })
    expect(door.admit('', 0).ok).toBe(true)
  })

  it('say what reading the lists one by one would', () => {
    const cidr = fc
      .tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }))
      .map(([address, bits]) => parseCidr(`${address}/${bits}`))
    const near = fc
      .tuple(fc.constantFrom('10.0.0.', '10.0.1.', '192.168.0.'), fc.nat(255))
      .map(([a, b]) => `${a}${b}`)
    const close = fc
      .tuple(near, fc.integer({ min: 8, max: 32 }))
      .map(([a, bits]) => parseCidr(`${a}/${bits}`))
    const list = fc.array(fc.oneof(cidr, close), { maxLength: 12 })
    fc.assert(
      fc.property(list, list, fc.oneof(near, fc.ipV4()), (allow, deny, client) => {
        const door = new Admission({ allow, deny, limits: none }, new LocalTally())
        const longest = (cidrs: Cidr[]) =>
          Math.max(-1, ...cidrs.filter((one) => holds(one, client)).map(({ bits }) => bits))
        const [a, d] = [longest(allow), longest(deny)]
        expect(door.allows(client)).toBe(a === -1 && d === -1 ? allow.length === 0 : a > d)
      }),
      { numRuns: 1000 },
    )
  })
})

function holds({ address, bits }: Cidr, client: string): boolean {
  const number = (text: string) => addressBytes(text).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  return number(address) >> BigInt(32 - bits) === number(client) >> BigInt(32 - bits)
}

describe.each([
  ['local', () => new LocalTally()],
  ['shared', () => new SharedTally(SharedTally.allocate(64))],
])('limits, counted %s', (_kind, tally) => {
  it('give no more places than there are, and a left one again', () => {
    const door = admission([], [], { connections: 2 }, tally())
    const first = door.admit('1.1.1.1', 0)
    expect(door.admit('1.1.1.2', 0).ok).toBe(true)
    expect(door.admit('1.1.1.3', 0)).toEqual({ ok: false, reason: 'limit-connections' })
    if (first.ok) first.ticket.release()
    if (first.ok) first.ticket.release()
    expect(door.admit('1.1.1.3', 0).ok).toBe(true)
    expect(door.admit('1.1.1.4', 0)).toEqual({ ok: false, reason: 'limit-connections' })
  })

  it('hold each source to its share', () => {
    const door = admission([], [], { perSource: 1 }, tally())
    expect(door.admit('1.1.1.1', 0).ok).toBe(true)
    expect(door.admit('1.1.1.1', 0)).toEqual({ ok: false, reason: 'limit-source' })
    expect(door.admit('::ffff:1.1.1.1', 0)).toEqual({ ok: false, reason: 'limit-source' })
    expect(door.admit('1.1.1.2', 0).ok).toBe(true)
  })

  it('take the addresses of one IPv6 host for one source, and give its place back', () => {
    const door = admission([], [], { perSource: 1 }, tally())
    const first = door.admit('2001:db8:0:5::1', 0)
    expect(door.admit('2001:db8:0:5::2', 0)).toEqual({ ok: false, reason: 'limit-source' })
    expect(door.admit('2001:db8:0:6::1', 0).ok).toBe(true)
    if (first.ok) first.ticket.release()
    expect(door.admit('2001:db8:0:5::2', 0).ok).toBe(true)
  })

  it('let a second’s worth in at once and then keep the pace', () => {
    const door = admission([], [], { newPerSecond: 4 }, tally())
    const admitted = (at: number) => door.admit('1.1.1.1', at).ok
    expect([0, 0, 0, 0, 0].map(admitted)).toEqual([true, true, true, true, false])
    expect(admitted(249)).toBe(false)
    expect(admitted(251)).toBe(true)
    expect(admitted(252)).toBe(false)
    expect([5000, 5000, 5000, 5000, 5000].map(admitted)).toEqual([true, true, true, true, false])
  })

  it('go on counting what is open after an edit', () => {
    const counts = tally()
    admission([], [], {}, counts).admit('1.1.1.1', 0)
    expect(admission([], [], { connections: 1 }, counts).admit('1.1.1.2', 0).ok).toBe(false)
  })
})

it('the shared tally answers as the local one does, whatever comes and goes', () => {
  const step = fc.record({
    source: fc.nat(40).map((n) => `10.0.0.${n}`),
    take: fc.boolean(),
    wait: fc.nat(200),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const [local, shared] = [new LocalTally(), new SharedTally(SharedTally.allocate(64))]
      const limits = { connections: 30, perSource: 4, newPerSecond: 100 }
      const open: string[] = []
      let now = 0
      for (const { source, take, wait } of steps) {
        now += wait
        if (take) {
          const answer = local.take(source, limits, now)
          expect(shared.take(source, limits, now)).toBe(answer)
          if (answer === null) open.push(source)
        } else if (open.length > 0) {
          const leaving = open.splice(wait % open.length, 1)[0]!
          local.release(leaving)
          shared.release(leaving)
        }
        expect(shared.open).toBe(local.open)
      }
    }),
    { numRuns: 200 },
  )
})

it('a flood of sources keeps no other out of a shared tally, and each has its share', () => {
  const tally = new SharedTally(SharedTally.allocate(64))
  const limits = { ...none, perSource: 2 }
  const sources = Array.from({ length: 48 }, (_, at) => `10.0.${at}.1`)
  for (const source of sources) expect(tally.take(source, limits, 0)).toBe(null)
  // Beyond three quarters they share sixteen counts.
  expect(tally.take('192.0.2.1', limits, 0)).toBe(null)
  const answers = ['first', 'second', 'third'].map(() => tally.take('192.0.2.1', limits, 0))
  expect(answers).toEqual([null, 'limit-source', 'limit-source'])
  tally.release('192.0.2.1')
  expect(tally.take('192.0.2.1', limits, 0)).toBe(null)
  for (const source of sources) tally.release(source)
  for (let times = 0; times < 2; times++) tally.release('192.0.2.1')
  expect(tally.open).toBe(0)
  // Nothing is left of them in the counts, wherever each was.
  for (let times = 0; times < 2; times++)
    for (const source of sources) expect(tally.take(source, limits, 0)).toBe(null)
  for (let times = 0; times < 2; times++) expect(tally.take('192.0.2.1', limits, 0)).toBe(null)
})
