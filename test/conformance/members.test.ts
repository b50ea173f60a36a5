import { expect, it } from 'vitest'
import { firewalls } from '../../src/firewalls/index.ts'
import { guestMembers } from '../../src/guests/index.ts'
import { firewallIds, routerIds } from '../../src/model/rule-keys/choices.ts'
import { guestKinds } from '../../src/model/target.ts'
import { createRouters } from '../../src/routers/index.ts'

it('the names that a rule may have are those of the members', () => {
  const without = (name: string, names: readonly string[]): Set<string> =>
    new Set(names.filter((one) => one !== name))
  expect(new Set(routerIds)).toEqual(new Set(createRouters().map(({ id }) => id)))
  expect(new Set(firewallIds)).toEqual(
    without(
      'none',
      firewalls.map(({ id }) => id),
    ),
  )
  expect(new Set(guestKinds)).toEqual(new Set(guestMembers().map(({ kind }) => kind)))
})
