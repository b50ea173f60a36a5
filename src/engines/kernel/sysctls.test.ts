import { expect, it } from 'vitest'
import type { Closed, Guard } from './guard.ts'
import type { KernelTable } from './nft-table.ts'
import { forwardingOf, type ProcSys } from './proc-sys.ts'
import { Sysctls } from './sysctls.ts'

/** A machine that forwards nothing, of which `onHold` may change something while its guard is put up. */
function machine(onHold: (switches: Map<string, string>) => void) {
  const switches = new Map([
    ['net/ipv4/ip_forward', '0'],
    ['net/ipv4/conf/all/route_localnet', '0'],
    [forwardingOf(4, 'eth0'), '0'],
  ])
  const settings: ProcSys = {
    read: (key) => switches.get(key) ?? null,
    write: (key, value) => void switches.set(key, value),
    names: (folder) => [
      ...new Set(
        [...switches.keys()].flatMap((key) => (key.startsWith(`${folder}/`) ? [key.split('/')[3]!] : [])),
      ),
    ],
  }
  const counts = { rules: 1, looks: 0, held: [] as Closed[], ended: 0 }
  const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const guard = {
    stands: true,
    others: async () => (counts.looks++, await later(), []),
    hold: async (closed: Closed) => {
      await later()
      counts.held.push(closed)
      onHold(switches)
    },
    end: async () => (counts.ended++, await later()),
  } as unknown as Guard
  const table = {
    making: 'first',
    notes: async () => (await later(), []),
    note: later,
    apply: later,
    hasMoreNotes: async () => (await later(), false),
    isEmpty: async () => (await later(), true),
    remove: later,
  } as unknown as KernelTable
  const sysctls = new Sysctls({ settings, table, guard, hasRules: () => counts.rules > 0 })
  return { switches, counts, sysctls }
}

it('an interface that comes up while the machine is closed is closed as well before it is turned', async () => {
  const { switches, counts, sysctls } = machine((all) => {
    if (!all.has(forwardingOf(4, 'wg0'))) all.set(forwardingOf(4, 'wg0'), '0')
  })
  await sysctls.prepare(4)
  expect(switches.get(forwardingOf(4, 'wg0'))).toBe('1')
  expect(await sysctls.oldValues(4)).toMatchObject({ [forwardingOf(4, 'wg0')]: '0' })
  expect(counts.held.at(-1)).toEqual({ families: [4], open: { 4: [], 6: [] } })
  sysctls.recheck()
  await sysctls.prepare(4)
  expect(counts.held.at(-1)?.open[4]).toEqual([])
})

it('thousands that open at once look at the machine once', async () => {
  const { counts, sysctls } = machine(() => {})
  await Promise.all(Array.from({ length: 1000 }, () => sysctls.oldValues(4)))
  expect(counts.looks).toBe(1)
})

it('puts up no guard any more once it is abandoned, whatever is under way', async () => {
  const { counts, sysctls } = machine(() => {})
  const preparing = sysctls.prepare(4)
  await sysctls.abandon()
  const held = counts.held.length
  await preparing
  sysctls.recheck()
  await sysctls.prepare(4)
  expect(counts).toMatchObject({ ended: 1 })
  expect(counts.held).toHaveLength(held)
})

it('switches nothing on for a rule that ended while its look waited in line', async () => {
  const { switches, counts, sysctls } = machine(() => {})
  await sysctls.prepare(4)
  expect(switches.get(forwardingOf(4, 'eth0'))).toBe('1')
  sysctls.recheck()
  counts.rules = 0
  // In either order: the last rule ends, and what looks after it comes to its turn.
  await Promise.all([sysctls.prepare(4), sysctls.leave(), sysctls.prepare(4)])
  expect([...switches.values()]).toEqual(['0', '0', '0'])
  expect(counts.ended).toBe(1)
  counts.rules = 1
  await sysctls.prepare(4)
  expect(switches.get(forwardingOf(4, 'eth0'))).toBe('1')
})
