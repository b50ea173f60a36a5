import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ListenIndex, PortHolders } from './listen-index.ts'
import { listensOverlap, parseListen, type Listen } from './listen.ts'

const listen: fc.Arbitrary<Listen> = fc
  .tuple(
    fc.constantFrom('', '0.0.0.0:', '[::]:', '127.0.0.1:', '127.0.0.2:', '[::1]:', 'unix:/run/'),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 0, max: 6 }),
    fc.constantFrom('tcp', 'udp', 'tcp+udp'),
  )
  .map(([where, first, more, protocols]) =>
    parseListen(
      where.startsWith('unix') ? `${where}${first}` : `${where}${first}-${first + more}/${protocols}`,
    ),
  )

it('who is found is one who would claim a socket of it, and one is found where there is one', () => {
  fc.assert(
    fc.property(fc.array(listen, { maxLength: 12 }), listen, (there, asked) => {
      const index = new ListenIndex<Listen>()
      for (const one of there) index.add(one, one)
      const someone = index.someoneAt(asked)
      expect(someone !== null).toBe(there.some((one) => listensOverlap(one, asked)))
      for (const holder of [someone ?? [], index.allAt(asked).map((held) => held.holder)].flat())
        expect(listensOverlap(holder, asked)).toBe(true)
      for (const except of there) {
        const other = index.someoneAt(asked, except)
        expect(other).not.toBe(except)
        expect(other !== null).toBe(there.some((one) => one !== except && listensOverlap(one, asked)))
        if (other !== null) expect(listensOverlap(other, asked)).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})

it('each port is held by the first who took it, in as few pieces as can be', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 30 }), fc.nat(12))
    .map(([first, more]) => ({ first, last: first + more }))
  fc.assert(
    fc.property(fc.array(fc.tuple(range, fc.nat(2)), { maxLength: 12 }), range, (takes, asked) => {
      const held = new PortHolders<number>()
      const byPort = new Map<number, number>()
      for (const [{ first, last }, holder] of takes) {
        held.take({ first, last }, holder)
        for (let port = first; port <= last; port++) if (!byPort.has(port)) byPort.set(port, holder)
      }
      const pieces = held.within(asked)
      for (let port = asked.first; port <= asked.last; port++) {
        const isIn = ({ first, last }: { first: number; last: number }): boolean =>
          first <= port && port <= last
        expect(pieces.filter(({ ports }) => isIn(ports)).map(({ holder }) => holder)).toEqual(
          byPort.has(port) ? [byPort.get(port)] : [],
        )
        expect(held.free(asked).some(isIn)).toBe(!byPort.has(port))
      }
      expect(held.someone(asked) !== null).toBe(pieces.length > 0)
      for (const [at, piece] of pieces.entries()) {
        const next = pieces[at + 1]
        if (next?.ports.first === piece.ports.last + 1) expect(next.holder).not.toBe(piece.holder)
      }
    }),
    { numRuns: 1000 },
  )
})
