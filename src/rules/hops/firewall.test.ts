import { expect, it } from 'vitest'
import { fakeHost } from '../../../test/fakes/host.ts'
import { NaruError } from '../../base/errors.ts'
import { say, verbatim } from '../../base/text.ts'
import type { FirewallMember } from '../../firewalls/contract.ts'
import { parseRule } from '../../model/rule-file.ts'
import { desireFirewall } from './firewall.ts'

const signal = AbortSignal.timeout(5000)
const rule = parseRule('web', { listen: 8888, target: 80, publish: { firewall: 'auto' } })
const hand = 'sudo ufw allow 8888/tcp'

/** A firewall that lets nobody change it who may not. */
const member = {
  id: 'ufw',
  detect: () => Promise.resolve({ ok: true, why: verbatim('') }),
  open: () =>
    Promise.reject(
      new NaruError('NOT_PERMITTED', { what: say('open 8888/tcp', '8888/tcp 열기'), command: hand }),
    ),
  byHand: () => hand,
} as unknown as FirewallMember

it('where the right is missing, Naru with the right comes first, and by hand without Naru second', async () => {
  const host = fakeHost({})
  const wanted = await desireFirewall(rule, { host, firewalls: [member] }, { signal })
  const record = { effect: () => Promise.resolve() } as never
  const error = await wanted
    ?.open({ signal, record, inner: null } as never)
    .catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'FIREWALL_NO_RIGHT', message: 'not permitted to open 8888/tcp' })
  const fix = (error as NaruError).fix?.en ?? ''
  expect(fix).toMatch(/service install`; or .*, without --firewall or --publish: `sudo ufw allow 8888\/tcp`$/)
})
