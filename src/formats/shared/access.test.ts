import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseCidr, type Cidr } from '../../base/address.ts'
import { both, fromOrder, holds, inOrder, type AccessEntry, type OrderedAccess } from './access.ts'

const cidr = fc
  .tuple(
    fc.constantFrom('10.0.0.0', '10.1.0.0', '10.1.2.0', '10.1.2.3', '192.168.1.1', 'fd00::1'),
    fc.nat(32),
  )
  .map(([address, bits]) => parseCidr(`${address}/${bits}`))
const entry: fc.Arbitrary<AccessEntry> = fc.record({ action: fc.constantFrom('allow', 'deny'), cidr })
const list: fc.Arbitrary<OrderedAccess> = fc.record({
  entries: fc.array(entry, { maxLength: 8 }),
  otherwise: fc.constantFrom('allow', 'deny'),
})
const client = fc
  .constantFrom(
    '10.0.0.1',
    '10.1.0.9',
    '10.1.2.3',
    '10.1.2.4',
    '192.168.1.1',
    '8.8.8.8',
    'fd00::1',
    '2001:db8::1',
  )
  .map(parseCidr)

function firstMatch({ entries, otherwise }: OrderedAccess, who: Cidr): string {
  return entries.find(({ cidr: one }) => holds(one, who))?.action ?? otherwise
}

/** As a rule decides: the longest prefix; of two equal ones deny; in neither, in only where nobody is allowed by name. */
function longestMatch({ allow, deny }: { allow: string[]; deny: string[] }, who: Cidr): string {
  const matching = [
    ...deny.map((text) => ({ action: 'deny', cidr: parseCidr(text) })),
    ...allow.map((text) => ({ action: 'allow', cidr: parseCidr(text) })),
  ].filter((one) => holds(one.cidr, who))
  const found = matching.toSorted((a, b) => b.cidr.bits - a.cidr.bits)[0]
  return found?.action ?? (allow.length > 0 ? 'deny' : 'allow')
}

it('a list of which the first match decides becomes one of which the longest does, for every client', () => {
  fc.assert(
    fc.property(list, client, (ordered, who) => {
      expect(longestMatch(fromOrder(ordered), who)).toBe(firstMatch(ordered, who))
    }),
    { numRuns: 1000 },
  )
})

it('and back again, always the same list', () => {
  fc.assert(
    fc.property(list, client, (ordered, who) => {
      const { allow, deny } = fromOrder(ordered)
      const back = inOrder({ allow: allow.map(parseCidr), deny: deny.map(parseCidr) })
      expect(firstMatch(back, who)).toBe(firstMatch(ordered, who))
      expect(fromOrder(back)).toEqual({ allow, deny })
    }),
    { numRuns: 1000 },
  )
})

it('two lists in a row let in whom both let in, for every client', () => {
  fc.assert(
    fc.property(list, list, client, (one, other, who) => {
      const each = firstMatch(one, who) === 'allow' && firstMatch(other, who) === 'allow'
      expect(firstMatch(both(one, other), who)).toBe(each ? 'allow' : 'deny')
    }),
    { numRuns: 1000 },
  )
})
