import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { membersAt, toolsAtHome } from '../../test/fakes/at-home.ts'
import { fakeParts, World } from '../../test/fakes/parts.ts'
import { FakeRouter } from '../../test/fakes/router.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import { claim, succeed, type Instance } from '../instance/instance.ts'
import type { Deps } from '../instance/deps.ts'
import type { Json } from '../model/hop.ts'
import type { RuleInput } from '../model/naru-api.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { Forwarder } from './forwarder.ts'
import type { HandOver, Offer } from './hand-over.ts'

let root: string
let count = 0
beforeAll(async () => (root = await mkdtemp(join(tmpdir(), 'naru-succession-'))))
afterAll(() => rm(root, { recursive: true }))

const signal = AbortSignal.timeout(120_000)
const web = { listen: 8888, target: '10.0.0.1:80', publish: { firewall: 'auto', router: 'off' } }
type Rules = Record<string, RuleInput>

interface Running {
  readonly forwarder: Forwarder
  readonly instance: Instance
}

async function start(rules: Rules, world: World, overrides: Partial<Deps> = {}): Promise<Running> {
  const parts = fakeParts(world, createMemoryStore(rules), overrides)
  const instance = await claim(root, `s${count++}`, 'a file')
  return { forwarder: (await Forwarder.start(parts, instance, { signal })).forwarder, instance }
}

/** Both are one process here, whose sockets nobody needs to send. */
async function succeedTo(
  { instance }: Running,
  { pid, rules: offered }: Offer,
  rules: Rules,
  world: World,
  overrides: Partial<Deps> = {},
): Promise<Running> {
  const { folder, holder } = instance
  const next = succeed(dirname(folder), basename(folder), holder)
  const sockets = { beside: () => null, unshare: () => {} }
  const inherit = { begun: Promise.resolve(), sockets, take: () => null }
  const parts = fakeParts(world, createMemoryStore(rules), overrides)
  const predecessor = { pid, rules: offered, inherit }
  return {
    forwarder: (await Forwarder.start(parts, next, { signal, predecessor })).forwarder,
    instance: next,
  }
}

async function passOn(old: Running, handOver: HandOver, next: Running): Promise<void> {
  await old.forwarder.succession.leave(handOver)
  await next.forwarder.announce(null)
  await next.forwarder.settle()
  await expect.poll(() => old.forwarder.ended.aborted).toBe(true)
}

it('a service that answers late closes nothing: it is asked again while the predecessor serves', async () => {
  const old = await start({ web }, new World())
  const handOver = await old.forwarder.succession.offer()
  let asked = 0
  const probe: Deps['probe'] = () => (asked++ === 0 ? Promise.reject(new Error('late')) : Promise.resolve())
  const world = new World()
  const next = await succeedTo(old, handOver.offer, { web }, world, { probe })
  expect(world.held).toEqual(new Set(['splice 8888 → 10.0.0.1:80', 'firewall 8888 web']))
  await passOn(old, handOver, next)
  await next.forwarder.stop()
})

it('who cannot open what the predecessor has open leaves it its place, and says why', async () => {
  const old = await start({ web }, new World())
  const handOver = await old.forwarder.succession.offer()
  const world = new World()
  world.failing.add('firewall')
  // The quarter of a minute that it tries passes in a moment.
  const began = performance.now()
  const clock: Clock = { ...systemClock, monotonic: () => began + (performance.now() - began) * 100 }
  const failing = succeedTo(old, handOver.offer, { web }, world, { clock })
  await expect(failing).rejects.toMatchObject({
    code: 'HANDOVER_FAILED',
    message: expect.stringContaining('web: ') as string,
  })
  await handOver.takeBack(process.pid, signal)
  expect((await old.forwarder.rules.get('web')).state).toBe('open')
  await old.forwarder.stop()
})

it('a rule that is over while a successor takes its time is closed, and nobody waits longer for it', async () => {
  let later = 0
  const clock: Clock = { ...systemClock, now: () => Date.now() + later }
  const world = new World()
  const until = new Date(Date.now() + 60_000).toISOString()
  const old = await start({ web: { ...web, until }, api: { ...web, listen: 8889 } }, world, { clock })
  const handOver = await old.forwarder.succession.offer()
  expect(handOver.standsForMs).toBeGreaterThan(0)
  expect(handOver.standsForMs).toBeLessThanOrEqual(60_000)
  later = 61_000
  await handOver.takeBack(process.pid, signal)
  await expect.poll(() => [...world.held].filter((word) => word.includes('8888'))).toEqual([])
  expect(world.held.size).toBe(2)
  await old.forwarder.stop()
})

it.each([
  ['where nothing of the rule is another', web, true],
  ['where its target is another', { ...web, target: '10.0.0.2:80' }, true],
  ['not where others are let in', { ...web, allow: ['10.0.0.0/8'] }, false],
] as const)('a successor goes on with what is open, %s', async (_, edited, goesOn) => {
  const told: (readonly Json[] | undefined)[] = []
  const [member] = fakeParts(new World(), createMemoryStore({})).firewalls
  const firewall: FirewallMember = {
    ...(member as FirewallMember),
    open(request, options) {
      told.push(options.record.before)
      return (member as FirewallMember).open(request, options)
    },
  }
  const overrides = { firewalls: [firewall] }
  const old = await start({ web }, new World(), overrides)
  const handOver = await old.forwarder.succession.offer()
  const next = await succeedTo(old, handOver.offer, { web: edited }, new World(), overrides)
  expect(told).toEqual([undefined, goesOn ? ['firewall 8888 web'] : undefined])
  await passOn(old, handOver, next)
  await next.forwarder.stop()
})

it('what goes with the predecessor’s row of a router is there again before anybody looks', async () => {
  await using fake = await FakeRouter.start()
  const published = (by: string): Rules => ({
    web: { listen: 8888, target: '10.0.0.1:80', publish: { firewall: 'off', router: by } },
  })
  const overrides = (): Partial<Deps> => ({
    routers: Object.values(membersAt).map((make) => make(fake)),
    host: toolsAtHome().host,
  })
  const old = await start(published('pcp'), new World(), overrides())
  expect(fake.table.size).toBe(1)
  const handOver = await old.forwarder.succession.offer()
  // By another protocol it is the same row to the router.
  const next = await succeedTo(old, handOver.offer, published('upnp'), new World(), overrides())
  await passOn(old, handOver, next)
  expect(fake.table.size).toBe(1)
  await next.forwarder.stop()
  expect(fake.table.size).toBe(0)
})
