import fc from 'fast-check'
import { expect, it } from 'vitest'
import { addressBytes, addressFromBytes, parseCidr, type Cidr } from '../../base/address.ts'
import { denyRanges } from './deny-ranges.ts'

const number = (address: string): number => new DataView(addressBytes(address).buffer).getUint32(0)

/** The rule as product.md says it, one client at a time. */
function isDenied(client: string, allow: readonly Cidr[], deny: readonly Cidr[]): boolean {
  const holds = ({ address, bits }: Cidr): boolean =>
    bits === 0 || number(address) >>> (32 - bits) === number(client) >>> (32 - bits)
  const longest = (list: readonly Cidr[]): number =>
    Math.max(-1, ...list.filter(holds).map(({ bits }) => bits))
  const [allowed, denied] = [longest(allow), longest(deny)]
  if (allowed === -1 && denied === -1) return allow.length > 0
  return denied >= allowed
}

const cidr = fc
  .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 32 }))
  .map(([bytes, bits]) => parseCidr(`${addressFromBytes(bytes)}/${bits}`))

it('turns away exactly whom the longest prefix turns away', () => {
  fc.assert(
    fc.property(
      fc.array(cidr, { maxLength: 8 }),
      fc.array(cidr, { maxLength: 8 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      (allow, deny, bytes) => {
        const ranges = denyRanges(allow, deny, 4)
        // Edges are where it goes wrong, so each prefix's own ends are asked about too.
        const edges = [...allow, ...deny].flatMap(({ address, bits }) => {
          const last = number(address) + 2 ** (32 - bits) - 1
          return [number(address), last, number(address) - 1, last + 1]
        })
        for (const client of [
          ...edges.filter((edge) => edge >= 0 && edge <= 0xffff_ffff),
          number(addressFromBytes(bytes)),
        ]) {
          const text = [24, 16, 8, 0].map((shift) => (client / 2 ** shift) & 255).join('.')
          const inside = ranges.some(([first, last]) => number(first) <= client && client <= number(last))
          expect(inside, text).toBe(isDenied(text, allow, deny))
        }
      },
    ),
  )
})

it('gives ranges that rise and never touch, as nft wants them', () => {
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 12 }), fc.array(cidr, { maxLength: 12 }), (allow, deny) => {
      const ranges = denyRanges(allow, deny, 4)
      for (const [index, [first]] of ranges.entries()) {
        const before = ranges[index - 1]
        if (before) expect(number(first)).toBeGreaterThan(number(before[1]) + 1)
      }
    }),
  )
})

it('knows the other family too', () => {
  expect(denyRanges([], [parseCidr('2001:db8::/32'), parseCidr('10.0.0.0/8')], 6)).toEqual([
    ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])
  expect(denyRanges([parseCidr('10.0.0.0/8')], [], 6)).toEqual([
    ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])
})
