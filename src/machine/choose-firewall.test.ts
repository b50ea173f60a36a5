import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { verbatim } from '../base/text.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Host } from '../host/contract.ts'
import { chooseFirewall } from './choose-firewall.ts'

test('rules that ask at the same moment which firewall decides here ask the machine once', async () => {
  let looks = 0
  let answer = (): void => {}
  const member = {
    id: 'ufw',
    detect: async () => {
      looks++
      await new Promise<void>((resolve) => (answer = resolve))
      return { ok: true, why: verbatim('it is on') }
    },
  } as unknown as FirewallMember
  const tools = { host: {} as Host, firewalls: [member] }
  const { signal } = new AbortController()
  const asked = Array.from({ length: 8 }, () => chooseFirewall('auto', tools, { signal }))
  await expect.poll(() => looks).toBe(1)
  answer()
  for (const { member: chosen } of await Promise.all(asked)) expect(chosen).toBe(member)
  expect(looks).toBe(1)
  const before = performance.now()
  // What came of it is not kept: a firewall may be switched on a moment later.
  const again = chooseFirewall('auto', tools, { signal })
  await expect.poll(() => looks).toBe(2)
  answer()
  await again
  expect(looks).toBe(2)
  // Whoever asked before that look began, and had to wait for its turn, takes its answer.
  await chooseFirewall('auto', tools, { signal, asked: before })
  expect(looks).toBe(2)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})
