import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fakeParts, HandClock, World } from '../../test/fakes/parts.ts'
import { NaruError } from '../base/errors.ts'
import { say, verbatim, type Text } from '../base/text.ts'
import { defineCheck, type Check } from '../doctor/checks/contract.ts'
import type { Engine, EngineRequest, EngineState } from '../engines/contract.ts'
import type { FirewallMember } from '../firewalls/contract.ts'
import type { Heritage } from '../model/handover-sockets.ts'
import type { NaruEvent, NewRule, RuleInput, RuleStatus } from '../model/naru-api.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { Forwarder, type ForwarderOptions } from './forwarder.ts'
import { abandoned, claim, type Instance } from '../instance/instance.ts'
import { Journal } from '../instance/journal.ts'
import type { Deps } from '../instance/deps.ts'
import { undoJournal } from './undo.ts'

let root: string
let count = 0
beforeAll(async () => (root = await mkdtemp(join(tmpdir(), 'naru-control-'))))
afterAll(() => rm(root, { recursive: true }))

const signal = AbortSignal.timeout(120_000)
const web = { listen: 8888, target: '10.0.0.1:80' }
const published = { ...web, publish: { firewall: 'auto', router: 'off' } }

interface Run {
  forwarder: Forwarder
  world: World
  parts: Deps
  instance: Instance
}

async function start(
  rules: Record<string, RuleInput>,
  {
    world = new World(),
    overrides = {},
    options = {},
  }: { world?: World; overrides?: Partial<Deps>; options?: ForwarderOptions } = {},
): Promise<Run> {
  const parts = fakeParts(world, createMemoryStore(rules), overrides)
  const instance = await claim(root, `t${count++}`, 'a file')
  const { forwarder } = await Forwarder.start(parts, instance, { ...options, signal })
  return { forwarder, world, parts, instance }
}

it('thousands of rules wait for one change of the firewall together, and who decides is asked once', async () => {
  const total = 1500
  let [looks, asked] = [0, 0]
  let all = (): void => {}
  const together = new Promise<void>((resolve) => (all = resolve))
  const world = new World()
  const [member] = fakeParts(world, createMemoryStore({})).firewalls
  const firewall: FirewallMember = {
    ...(member as FirewallMember),
    detect: () => Promise.resolve({ ok: true, why: verbatim(`look ${++looks}`) }),
    // As a change that is under way until all who are there have come along.
    open: async (request, options) => {
      if (++asked === total) all()
      await together
      return (member as FirewallMember).open(request, options)
    },
  }
  const rules = Array.from({ length: total }, (_, at) => [`r${at}`, { ...published, listen: 10_000 + at }])
  const { forwarder } = await start(Object.fromEntries(rules) as Record<string, RuleInput>, {
    world,
    overrides: { firewalls: [firewall] },
  })
  expect(world.held.size).toBe(2 * total)
  expect(looks).toBe(1)
  await forwarder.stop()
  expect(world.held).toEqual(new Set())
})

describe('a rule’s life', () => {
  it('opens from the inside out and closes from the outside in', async () => {
    const { forwarder, world } = await start({ web: published })
    await forwarder.stop()
    expect(world.log).toEqual([
      '+ splice 8888 → 10.0.0.1:80',
      '+ firewall 8888 web',
      '- firewall 8888 web',
      '- splice 8888 → 10.0.0.1:80',
    ])
  })

  it('does what the plan said, and nothing when there is nothing to do', async () => {
    const { forwarder } = await start({ web: published })
    const { plan } = await forwarder.rules.add(
      'ssh',
      { listen: 2222, target: '10.0.0.1:22' },
      { dryRun: true },
    )
    expect(plan.steps.map(({ rule, hop, member, action }) => `${action} ${rule} ${hop} ${member}`)).toEqual([
      'open ssh relay splice',
    ])
    expect((await forwarder.plan()).steps).toEqual([])
    const edit = await forwarder.plan({ name: 'web', rule: { ...published, target: '10.0.0.2:80' } })
    expect(edit.steps.map(({ action, hop }) => `${action} ${hop}`)).toEqual([
      'open service',
      'update relay',
      'keep firewall',
    ])
    await forwarder.stop()
  })

  it('exposes nothing before the service answers, and opens the rest when it does', async () => {
    const clock = new HandClock()
    const world = new World()
    world.held.add('down 10.0.0.1:80')
    const { forwarder } = await start({ web: published }, { world, overrides: { clock } })
    expect(world.log).toEqual([])
    expect((await forwarder.rules.get('web')).hops.find(({ hop }) => hop === 'service')).toMatchObject({
      state: 'broken',
    })
    const states = new Set<string>()
    const stop = new AbortController()
    const reading = (async () => {
      for await (const event of forwarder.events({ signal: stop.signal }))
        if (event.type === 'rule') states.add(event.rule.state)
    })()
    // Tried again and again it has failed all the while, and is not opening.
    for (let time = 0; time < 40; time++) {
      await clock.advance(250)
      states.add((await forwarder.rules.get('web')).state)
    }
    expect([...states]).toEqual(['failed'])
    stop.abort()
    await reading.catch(() => {})
    world.held.delete('down 10.0.0.1:80')
    await clock.advance(30_000)
    await vi.waitFor(() => expect(world.log).toEqual(['+ splice 8888 → 10.0.0.1:80', '+ firewall 8888 web']))
    await forwarder.stop()
  })

  it('is opening until its outermost hop is open', async () => {
    const told: string[] = []
    const onRule = ({ state, hops }: RuleStatus): void => {
      told.push([state, ...hops.map((hop) => `${hop.hop} ${hop.state}`)].join(', '))
    }
    const { forwarder } = await start({ web: published }, { options: { onRule } })
    expect(told).toContain('opening, service ok, relay ok, firewall opening')
    const open = told.filter((line) => line.startsWith('open,'))
    expect([...new Set(open)]).toEqual(['open, service ok, relay ok, firewall ok'])
    await forwarder.stop()
  })

  it('takes another name without touching what is in force, and is undone under it', async () => {
    const { forwarder, world, instance } = await start({ web: published, ssh: { listen: 22, target: 23 } })
    const before = [...world.log]
    const result = await forwarder.rules.rename('web', 'homepage')
    expect(result.plan.steps).toEqual([])
    expect(result.rules.map(({ name, state }) => `${name} ${state}`)).toEqual(['homepage open'])
    expect((await forwarder.rules.list()).map(({ name }) => name)).toEqual(['homepage', 'ssh'])
    await forwarder.rules.edit('homepage', { title: '회사 홈페이지', description: 'a\nb', tags: ['work'] })
    expect(world.log).toEqual(before)
    const journal = await Journal.open(instance.journalPath)
    expect([...new Set(journal.live().map(({ rule }) => rule))]).not.toContain('web')
    await journal.close()
    for (const [name, to, code] of [
      ['web', 'x', 'RULE_UNKNOWN'],
      ['ssh', 'homepage', 'RULE_EXISTS'],
      ['ssh', 'a b', 'VALUE_INVALID'],
    ] as const)
      await expect(forwarder.rules.rename(name, to)).rejects.toMatchObject({ code })
    await forwarder.stop()
    expect([...world.held]).toEqual([])
  })

  it('undoes all of it where a step fails and the caller wants all or nothing', async () => {
    const world = new World()
    world.failing.add('firewall')
    await expect(start({ web: published }, { world, options: { strict: true } })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
    })
    expect([...world.held]).toEqual([])
  })

  it('keeps the inner hops where only a person can do the router’s part, and names the rule in what to do', async () => {
    const rule = { ...web, publish: { firewall: 'auto', router: 'auto' } }
    await expect(start({ web: rule }, { options: { strict: true } })).rejects.toMatchObject({
      code: 'ROUTER_NOT_FOUND',
    })
    const { forwarder } = await start({ web: rule }, { options: { strict: true, rowByHand: true } })
    const { state, hops } = await forwarder.rules.get('web')
    expect(state).toBe('degraded')
    expect(hops.map(({ hop, state: of }) => `${hop} ${of}`)).toEqual([
      'service ok',
      'relay ok',
      'firewall ok',
      'router broken',
    ])
    expect(
      hops
        .at(-1)
        ?.notes.map(({ en }) => en)
        .join(),
    ).toContain('`naru router check web`')
    await forwarder.stop()
  })

  it('keeps the inner hops where an outer one fails, says which, and goes on trying', async () => {
    const clock = new HandClock()
    const world = new World()
    world.failing.add('firewall')
    const { forwarder } = await start({ web: published }, { world, overrides: { clock } })
    expect(await forwarder.rules.get('web')).toMatchObject({ state: 'degraded' })
    world.failing.clear()
    await clock.advance(1500)
    await vi.waitFor(async () => expect(await forwarder.rules.get('web')).toMatchObject({ state: 'open' }))
    await forwarder.stop()
  })

  it('lets nobody wait for another try of what failed: it is called off', async () => {
    const clock = new HandClock()
    const world = new World()
    world.failing.add('firewall')
    const { forwarder } = await start({ web: published }, { world, overrides: { clock } })
    world.failing.clear()
    world.silent.add('firewall')
    const retried = async (): Promise<void> => {
      await clock.advance(30_000)
      await vi.waitFor(() => expect(world.asked).toBe(1))
    }
    await retried()
    const began = performance.now()
    const { failures } = await forwarder.rules.edit('web', { publish: { firewall: 'off', router: 'off' } })
    expect(failures).toEqual([])
    expect(await forwarder.rules.get('web')).toMatchObject({ state: 'open' })
    world.silent.clear()
    world.failing.add('firewall')
    await forwarder.rules.edit('web', published)
    world.failing.clear()
    world.silent.add('firewall')
    await retried()
    await forwarder.rules.remove('web')
    expect(performance.now() - began).toBeLessThan(10_000)
    expect([...world.held]).toEqual([])
    await forwarder.stop()
  })

  it('opens again what somebody took away', async () => {
    const clock = new HandClock()
    const { forwarder, world } = await start({ web: published }, { overrides: { clock } })
    world.remove('firewall 8888 web')
    for (let look = 0; look < 10 && !world.held.has('firewall 8888 web'); look++) {
      await clock.advance(500)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(world.held).toContain('firewall 8888 web')
    await forwarder.stop()
  })

  it('passes over an engine that fails where the listen would not', async () => {
    const world = new World()
    const parts = fakeParts(world, createMemoryStore({ web }))
    const [broken, fine] = parts.engines as [Deps['engines'][number], Deps['engines'][number]]
    const engines = [{ ...broken, open: () => Promise.reject(new Error('epoll is forbidden')) }, fine]
    const { forwarder } = await start({ web }, { world, overrides: { engines } })
    expect((await forwarder.rules.get('web')).engine).toMatchObject({ id: 'sockets' })
    expect([...world.held]).toEqual(['sockets 8888 → 10.0.0.1:80'])
    await forwarder.stop()
  })

  describe('where the best engine is not fit', () => {
    const wall = say('the host firewall would not be asked', '호스트 방화벽을 거치지 않습니다')
    const unfit = new NaruError('ENGINE_UNFIT', { engine: 'splice', name: 'web', why: wall })

    /** The best engine as it is changed here, and another; `tell` says what the engine tells of its rule. */
    async function begin(
      change: Partial<Engine>,
      rules: Record<string, RuleInput> = { web },
    ): Promise<Run & { tell: (state: EngineState) => void }> {
      const world = new World()
      const [best, other] = fakeParts(world, createMemoryStore({})).engines as [Engine, Engine]
      let tell: EngineRequest['onEvent'] = () => {}
      const engine: Engine = {
        ...best,
        open: (request, how) => ((tell = request.onEvent), best.open(request, how)),
        ...change,
      }
      const run = await start(rules, { world, overrides: { engines: [engine, other] } })
      return { ...run, tell: (state) => tell({ type: 'state', rule: 'web', state }) }
    }
    const engineOf = async ({ forwarder }: Run): Promise<string> => {
      const { engine } = await forwarder.rules.get('web')
      return `${engine?.id}: ${engine?.why.en}`
    }

    it('auto takes the next as the machine is now, with the reason', async () => {
      const run = await begin({ obstacle: () => Promise.resolve(wall) })
      expect(await engineOf(run)).toBe(
        'sockets: sockets can (splice: no, because the host firewall would not be asked)',
      )
      await run.forwarder.stop()
    })

    it('auto takes the next where the target turns out to be unfit, also where it is all or nothing', async () => {
      const run = await begin({ open: () => Promise.reject(unfit) }, {})
      await run.forwarder.rules.add('web', web)
      expect(await engineOf(run)).toContain('sockets: ')
      expect(await engineOf(run)).toContain('splice: no, because the host firewall would not be asked')
      expect([...run.world.held]).toEqual(['sockets 8888 → 10.0.0.1:80'])
      await run.forwarder.stop()
    })

    it('auto moves to the next when it is fit no more, and says so', async () => {
      const run = await begin({})
      expect(await engineOf(run)).toBe('splice: splice can')
      run.tell({ state: 'unfit', why: wall })
      run.tell({ state: 'unfit', why: wall })
      await vi.waitFor(async () => expect(await engineOf(run)).toContain('sockets: '))
      expect([...run.world.held]).toEqual(['sockets 8888 → 10.0.0.1:80'])
      expect(await engineOf(run)).toContain('the host firewall would not be asked')
      await run.forwarder.stop()
    })

    it('opens anew by the same engine where nobody would be heard any more', async () => {
      const opened: string[] = []
      const world = new World()
      const [best, other] = fakeParts(world, createMemoryStore({})).engines as [Engine, Engine]
      let tell: EngineRequest['onEvent'] = () => {}
      const engine: Engine = {
        ...best,
        open: async (request, how) => {
          tell = request.onEvent
          opened.push('opened')
          const lease = await best.open(request, how)
          return { ...lease, retire: () => (opened.push('retired'), lease.retire()) }
        },
      }
      const run = await start({ web }, { world, overrides: { engines: [engine, other] } })
      tell({ type: 'state', rule: 'web', state: { state: 'adrift', why: say('ppp0 is new', 'ppp0') } })
      await vi.waitFor(() => expect(opened).toEqual(['opened', 'retired', 'opened']))
      await vi.waitFor(async () => expect(await engineOf(run)).toBe('splice: splice can'))
      await run.forwarder.stop()
    })

    it('auto goes back to it when the rule is closed and opened, and not by itself', async () => {
      const run = await begin({})
      run.tell({ state: 'unfit', why: wall })
      await vi.waitFor(async () => expect(await engineOf(run)).toContain('sockets: '))
      await run.forwarder.rules.edit('web', { deny: ['10.0.0.0/8'] })
      expect(await engineOf(run)).toContain('sockets: ')
      await run.forwarder.rules.disable('web')
      await run.forwarder.rules.enable('web')
      expect(await engineOf(run)).toBe('splice: splice can')
      await run.forwarder.stop()
    })

    it('keeps the ports of the one before for the next, and lets go of what that did not take', async () => {
      const told: string[] = []
      const heritage = (): Heritage => ({
        begun: Promise.resolve(),
        sockets: { beside: () => null, unshare() {} },
        take: ({ port }) => (told.push(`taken ${port}`), null),
        [Symbol.dispose]: () => void told.push('let go'),
      })
      const world = new World()
      const [best, other] = fakeParts(world, createMemoryStore({})).engines as [Engine, Engine]
      let tell: EngineRequest['onEvent'] = () => {}
      const first: Engine = {
        ...best,
        open: async (request, how) => {
          tell = request.onEvent
          const lease = await best.open(request, how)
          const retire = (): Promise<void> => (told.push('retired'), lease.retire())
          return { ...lease, retire, bequeath: () => (told.push('bequeathed'), heritage()) }
        },
      }
      const second: Engine = {
        ...other,
        open: (request, how) => {
          request.inherit?.take({ protocol: 'tcp', address: '*', port: 8888, part: 0 })
          return other.open(request, how)
        },
      }
      const run = await start({ web }, { world, overrides: { engines: [first, second] } })
      tell({ type: 'state', rule: 'web', state: { state: 'unfit', why: wall } })
      await vi.waitFor(async () => expect(await engineOf({ ...run })).toContain('sockets: '))
      expect(told).toEqual(['bequeathed', 'retired', 'taken 8888', 'let go'])
      await run.forwarder.stop()
    })

    it('keeps them as long as nobody carries the rule, and no longer than it is wanted', async () => {
      const told: string[] = []
      const world = new World()
      const [best] = fakeParts(world, createMemoryStore({})).engines as [Engine]
      let tell: EngineRequest['onEvent'] = () => {}
      let obstacle: Text | null = null
      const engine: Engine = {
        ...best,
        obstacle: () => Promise.resolve(obstacle),
        open: async (request, how) => {
          tell = request.onEvent
          return {
            ...(await best.open(request, how)),
            bequeath: () => ({
              begun: Promise.resolve(),
              sockets: { beside: () => null, unshare() {} },
              take: () => null,
              [Symbol.dispose]: () => void told.push('let go'),
            }),
          }
        },
      }
      const rules = { web: { ...web, engine: 'splice' } }
      const { forwarder } = await start(rules, { world, overrides: { engines: [engine] } })
      obstacle = wall
      tell({ type: 'state', rule: 'web', state: { state: 'unfit', why: wall } })
      await vi.waitFor(async () => expect((await forwarder.rules.get('web')).state).toBe('failed'))
      expect(told).toEqual([])
      await forwarder.rules.disable('web')
      expect(told).toEqual(['let go'])
      await forwarder.stop()
    })

    it('one that the rule names is refused, with the reason', async () => {
      const byHand = { web: { ...web, engine: 'splice' } }
      const run = await begin({ obstacle: () => Promise.resolve(wall) }, byHand)
      const { state, hops } = await run.forwarder.rules.get('web')
      expect(state).toBe('failed')
      expect(hops[0]?.text.en).toContain('the host firewall would not be asked')
      expect(hops[0]?.problem).toBe('ENGINE_UNFIT')
      await run.forwarder.stop()
    })

    it('one that the rule names closes when it is fit no more, and opens again when it is', async () => {
      let obstacle: Text | null = null
      const clock = new HandClock()
      const world = new World()
      const [best] = fakeParts(world, createMemoryStore({})).engines as [Engine]
      let tell: EngineRequest['onEvent'] = () => {}
      const engine: Engine = {
        ...best,
        obstacle: () => Promise.resolve(obstacle),
        open: (request, how) => ((tell = request.onEvent), best.open(request, how)),
      }
      const rules = { web: { ...web, engine: 'splice' } }
      const { forwarder } = await start(rules, { world, overrides: { engines: [engine], clock } })
      expect(world.held.size).toBe(1)
      obstacle = wall
      tell({ type: 'state', rule: 'web', state: { state: 'unfit', why: wall } })
      await vi.waitFor(async () => expect((await forwarder.rules.get('web')).state).toBe('failed'))
      expect([...world.held]).toEqual([])
      obstacle = null
      await clock.advance(30_000)
      await vi.waitFor(async () => expect((await forwarder.rules.get('web')).state).toBe('open'))
      expect(world.held.size).toBe(1)
      await forwarder.stop()
    })
  })

  it('expires, and is not opened after that', async () => {
    const clock = new HandClock()
    const until = new Date(clock.now() + 10_000).toISOString()
    const { forwarder, world } = await start({ web: { ...web, until } }, { overrides: { clock } })
    await clock.advance(9000)
    expect(world.held.size).toBe(1)
    await clock.advance(2000)
    await vi.waitFor(async () => expect(await forwarder.rules.get('web')).toMatchObject({ state: 'expired' }))
    expect(world.held.size).toBe(0)
    await forwarder.stop()
  })

  it('expires in time also where the clock jumps', async () => {
    const clock = new HandClock()
    const until = new Date(clock.now() + 3_600_000).toISOString()
    const { forwarder, world } = await start({ web: { ...web, until } }, { overrides: { clock } })
    clock.jump(7_200_000)
    await clock.advance(1000)
    await vi.waitFor(() => expect(world.held.size).toBe(0))
    await forwarder.stop()
  })
})

describe('edits', () => {
  it('touch nothing of other rules', async () => {
    const { forwarder, world } = await start({ web: published, ssh: { listen: 2222, target: '10.0.0.1:22' } })
    world.log.length = 0
    await forwarder.rules.edit('ssh', { target: '10.0.0.9:22' })
    await forwarder.rules.disable('ssh')
    await forwarder.rules.remove('ssh')
    expect(world.log.filter((line) => !line.includes('2222'))).toEqual([])
    await forwarder.stop()
  })

  it('are refused before the store is written where they are wrong, naming the other rule', async () => {
    const { forwarder, parts } = await start({ web, ssh: { listen: 2222, target: '10.0.0.1:22' } })
    await expect(forwarder.rules.edit('ssh', { listen: '127.0.0.1:8888' })).rejects.toThrow(
      /already taken by the rule web \(8888\)/,
    )
    await expect(forwarder.rules.add('web', web)).rejects.toMatchObject({ code: 'RULE_EXISTS' })
    await expect(forwarder.rules.add('a b', web)).rejects.toMatchObject({ code: 'VALUE_INVALID' })
    await expect(forwarder.rules.remove('nobody')).rejects.toThrow(/there are: web, ssh/)
    expect((await parts.store.read({ signal })).revision).toBe('0')
    await forwarder.stop()
  })

  it('are told of with what is written, and of what is not written yet nobody hears', async () => {
    const { forwarder, parts } = await start({ web })
    const change = parts.store.change.bind(parts.store)
    const heard: RuleStatus[] = []
    const stop = new AbortController()
    const listening = (async () => {
      for await (const event of forwarder.events({ signal: stop.signal }))
        if (event.type === 'rule') heard.push(event.rule)
    })()
    await new Promise((resolve) => setImmediate(resolve))
    const edited = { ...web, target: '10.0.0.2:80' }
    const beforeWriting: RuleInput[] = []
    vi.spyOn(parts.store, 'change').mockImplementationOnce(async (changes, options) => {
      await options.before?.()
      await new Promise((resolve) => setImmediate(resolve))
      beforeWriting.push(...heard.map(({ rule }) => rule), (await forwarder.rules.get('web')).rule)
      return change(changes, { ...options, before: async () => {} })
    })
    await forwarder.rules.edit('web', { target: '10.0.0.2:80' })
    for (const rule of beforeWriting) expect(rule).toEqual(web)
    await vi.waitFor(() => expect(heard.at(-1)?.rule).toEqual(edited))
    stop.abort()
    await listening.catch(() => {})
    await forwarder.stop()
  })

  it('of many new rules are one writing, and one that may not be is refused by itself', async () => {
    const { forwarder, world, parts } = await start({ web })
    const change = vi.spyOn(parts.store, 'change')
    const asked: NewRule[] = [
      { name: 'a', rule: { listen: 1000, target: 2 } },
      { name: 'web', rule: { listen: 1001, target: 2 } },
      { name: 'on-web', rule: { listen: '127.0.0.1:8888', target: 2 } },
      { name: 'a b', rule: { listen: 1002, target: 2 } },
      { name: 'typo', rule: { listne: 1003, target: 2 } },
      { name: 'on-a', rule: { listen: '1000-1001', target: 2 } },
      { name: 'a', rule: { listen: 1004, target: 2 } },
      { name: 'off', rule: { listen: 1000, target: 2, enabled: false } },
      { name: 'down', rule: { listen: 1005, target: '10.0.0.7:80', publish: { firewall: 'auto' } } },
    ]
    world.held.add('down 10.0.0.7:80')
    const would = await forwarder.rules.addAll(asked, { dryRun: true })
    expect(change).not.toHaveBeenCalled()
    const { rules, revision } = await forwarder.rules.addAll(asked)
    expect(change).toHaveBeenCalledTimes(1)
    expect(rules.map(({ name, added, problem }) => [name, added, problem?.code ?? null])).toEqual([
      ['a', true, null],
      ['web', false, 'RULE_EXISTS'],
      ['on-web', false, 'RULE_INVALID'],
      ['a b', false, 'VALUE_INVALID'],
      ['typo', false, 'RULE_INVALID'],
      ['on-a', false, 'RULE_INVALID'],
      ['a', false, 'RULE_EXISTS'],
      ['off', true, null],
      ['down', true, 'SERVICE_SILENT'],
    ])
    expect(rules[2]?.problem?.message.en).toContain('already taken by the rule web (8888)')
    expect(would.rules.map(({ added }) => added)).toEqual(rules.map(({ added }) => added))
    expect([...(await parts.store.read({ signal })).rules.keys()]).toEqual(['web', 'a', 'off', 'down'])
    expect((await forwarder.about()).revision).toBe(revision)
    expect(world.held).toContain('splice 1000 → 127.0.0.1:2')
    await forwarder.stop()
  })

  it('of many new rules open the others where one cannot listen, also where it is all or nothing', async () => {
    const world = new World()
    const { forwarder } = await start({ web }, { world, options: { strict: true } })
    world.failing.add('splice 1001').add('sockets 1001')
    const asked = [1000, 1001, 1002].map((port) => ({
      name: `p${port}`,
      rule: { listen: port, target: 2 },
    }))
    const { rules } = await forwarder.rules.addAll(asked)
    expect(rules.map(({ added, problem }) => [added, problem?.code ?? null])).toEqual([
      [true, null],
      [true, 'LISTEN_FAILED'],
      [true, null],
    ])
    expect([...world.held].filter((line) => line.includes('→ 127.0.0.1:2'))).toHaveLength(2)
    await forwarder.stop()
  })

  it('of many new rules name those that lead to each other', async () => {
    const { forwarder } = await start({ web })
    const { notes } = await forwarder.rules.addAll([
      { name: 'a', rule: { listen: 1000, target: 1001 } },
      { name: 'b', rule: { listen: 1001, target: 1000 } },
    ])
    expect(notes.map(({ en }) => en)).toEqual([expect.stringContaining('a → b → a')])
    await forwarder.stop()
  })

  it('that move make way for whoever comes to their place, however many', async () => {
    const at = (port: number): RuleInput => ({ listen: port, target: 2 })
    const ports = Array.from({ length: 300 }, (_, index) => 1000 + index)
    const { forwarder, world, parts } = await start(
      Object.fromEntries(ports.map((port) => [`r${port}`, at(port)])),
    )
    world.log.length = 0
    // Every other one goes to its neighbour's place, and that one elsewhere.
    const changes = ports.map((port) => ({
      name: `r${port}`,
      rule: at(port % 2 === 0 ? port + 1 : port + 5000),
    }))
    await parts.store.change(changes, { signal })
    await forwarder.reload()
    expect([...world.held]).toHaveLength(300)
    const placeOf = (line: string): number => world.log.findIndex((one) => one.startsWith(line))
    for (const port of ports.filter((odd) => odd % 2 === 1))
      expect(placeOf(`- splice ${port} `)).toBeLessThan(placeOf(`+ splice ${port} `))
    // One that nobody follows goes on listening until it has its new place.
    expect(placeOf('- splice 1000 ')).toBeGreaterThan(placeOf('+ splice 1001 '))
    await forwarder.stop()
  })

  it('pass a listen from one rule to another at once', async () => {
    const { forwarder, world, parts } = await start({
      a: { listen: 1000, target: 2 },
      b: { listen: 1001, target: 2 },
    })
    await parts.store.change(
      [
        { name: 'a', rule: { listen: 1001, target: 2 } },
        { name: 'b', rule: { listen: 1000, target: 2 } },
      ],
      { signal },
    )
    await forwarder.reload()
    expect([...world.held].toSorted()).toEqual(['splice 1000 → 127.0.0.1:2', 'splice 1001 → 127.0.0.1:2'])
    await forwarder.stop()
  })

  it('close what is switched off before another rule moves to its listen', async () => {
    const publish = { firewall: 'auto', router: 'off' } as const
    const { forwarder, world, parts } = await start({
      a: { listen: 1000, target: 2, engine: 'sockets', publish },
      b: { listen: '1000/udp', target: 2, enabled: false },
    })
    world.log.length = 0
    await parts.store.change(
      [
        { name: 'a', rule: { listen: 1000, target: 2, engine: 'sockets', publish, enabled: false } },
        { name: 'b', rule: { listen: 1000, target: 2, engine: 'sockets' } },
      ],
      { signal },
    )
    await forwarder.reload()
    expect(world.log).toEqual([
      expect.stringMatching(/^- firewall 1000/),
      '- sockets 1000 → 127.0.0.1:2',
      '+ sockets 1000 → 127.0.0.1:2',
    ])
    await forwarder.stop()
  })

  it('of an invalid file change nothing and are reported', async () => {
    const { forwarder, world, parts } = await start({ web })
    await parts.store.change([{ name: 'web', rule: { listen: 0 } }], { signal })
    await expect(forwarder.reload()).rejects.toMatchObject({ code: 'RULE_INVALID' })
    expect([...world.held]).toEqual(['splice 8888 → 10.0.0.1:80'])
    expect((await forwarder.about()).fileProblem).toMatchObject({ code: 'RULE_INVALID' })
    await forwarder.stop()
  })

  it('in any sequence end where a fresh start from the last file ends', async () => {
    const rule = fc.record(
      {
        listen: fc.constantFrom(1000, 1001, '127.0.0.1:1002', '1000/udp'),
        target: fc.constantFrom('10.0.0.1:80', '10.0.0.2:80'),
        enabled: fc.boolean(),
        limits: fc.constantFrom({}, { connections: 1 }),
        publish: fc
          .constantFrom(true, false)
          .map((yes) => ({ firewall: yes ? 'auto' : 'off', router: 'off' })),
        engine: fc.constantFrom('auto', 'sockets'),
      },
      { requiredKeys: ['listen', 'target'] },
    )
    const edit = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.option(rule))
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 8 }), async (edits) => {
        const { forwarder, world, parts } = await start({})
        for (const [name, to] of edits) {
          await parts.store.change([{ name, rule: to as RuleInput | null }], { signal })
          await forwarder.reload().catch(() => {})
        }
        const { rules } = await parts.store.read({ signal })
        const fresh = await start(Object.fromEntries(rules)).catch(() => null)
        // An invalid last file leaves what the last valid one said; a fresh start refuses it.
        if (fresh) {
          expect([...world.held].toSorted()).toEqual([...fresh.world.held].toSorted())
          await fresh.forwarder.stop()
        }
        await forwarder.stop()
        expect([...world.held]).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})

describe('the daemon’s own eye', () => {
  const signs = (events: readonly NaruEvent[]): string[] =>
    events.flatMap((event) => (event.type === 'log' ? [`${event.level} ${event.text.en}`] : []))

  /** Follows the events until `stop`. */
  function follow(forwarder: Forwarder): { seen: NaruEvent[]; stop: AbortController } {
    const [seen, stop]: [NaruEvent[], AbortController] = [[], new AbortController()]
    void (async () => {
      for await (const event of forwarder.events({ signal: stop.signal })) seen.push(event)
    })()
    return { seen, stop }
  }

  /** Finds the service down while `world` says so. */
  const serviceDown = (world: World): Check =>
    defineCheck({
      code: 'service-down',
      hop: 'service',
      title: verbatim('the service does not run'),
      explains: verbatim(''),
      remedy: verbatim(''),
      cheap: true,
      look: () => (world.held.has('down') ? { evidence: [verbatim('refused')], fixes: [] } : null),
    })

  async function watched(): Promise<Run & { clock: HandClock; events: ReturnType<typeof follow> }> {
    const [clock, world] = [new HandClock(), new World()]
    const checks = (): Promise<Check[]> =>
      Promise.resolve([serviceDown(world), { ...serviceDown(world), cheap: false, code: 'dear' }])
    const run = await start({ web }, { world, overrides: { clock }, options: { checks } })
    return { ...run, clock, events: follow(run.forwarder) }
  }

  it('sees within 10 s what no lease tells, and says when it is over', async () => {
    const { forwarder, world, clock, events } = await watched()
    await clock.advance(6000)
    world.held.add('down')
    await clock.advance(10_000)
    expect(await forwarder.rules.get('web')).toMatchObject({
      state: 'degraded',
      hops: [
        {
          hop: 'service',
          state: 'broken',
          problem: 'service-down',
          text: { en: expect.stringContaining('refused') },
        },
        { hop: 'relay', state: 'ok' },
      ],
    })
    world.held.delete('down')
    await clock.advance(15_000)
    expect(await forwarder.rules.get('web')).toMatchObject({ state: 'open' })
    expect(signs(events.seen)).toEqual(['warn the service does not run: refused', 'info service works again'])
    const states = events.seen.flatMap((event) => (event.type === 'hop' ? [event.status.state] : []))
    expect(states).toEqual(['broken', 'broken', 'ok'])
    events.stop.abort()
    await forwarder.stop()
  })

  it('tells a target that nobody has looked at from one that answers and one that does not', async () => {
    const { forwarder, world, clock, events } = await watched()
    const service = async (): Promise<string> => (await forwarder.rules.get('web')).service
    expect(await service()).toBe('untried')
    await clock.advance(2000)
    expect(await service()).toBe('ok')
    const told = events.seen.flatMap((event) => (event.type === 'rule' ? [event.rule.service] : []))
    expect(told.at(-1)).toBe('ok')
    // What was seen says nothing of another target.
    await forwarder.rules.edit('web', { target: '10.0.0.2:80' })
    expect(await service()).toBe('untried')
    world.held.add('down')
    await clock.advance(4000)
    expect(await service()).toBe('silent')
    events.stop.abort()
    await forwarder.stop()
  })

  it('has what was changed, and what of it does not work', async () => {
    const { forwarder, world, events } = await watched()
    world.held.add('down')
    await forwarder.rules.add('more', { listen: 9000, target: '10.0.0.9:80' })
    await forwarder.rules.rename('more', 'less')
    await forwarder.rules.remove('less')
    const said = (await forwarder.happened()).flatMap((one) => (one.type === 'log' ? [one.text.en] : []))
    expect(said).toEqual(['added: 9000 → 10.0.0.9:80', 'renamed, was more', 'removed: 9000 → 10.0.0.9:80'])
    events.stop.abort()
    await forwarder.stop()
  })

  it('is found under the name that the rule has now', async () => {
    const { forwarder, world, clock, events } = await watched()
    world.held.add('down')
    await clock.advance(10_000)
    await forwarder.rules.rename('web', 'homepage')
    expect((await forwarder.happened()).map((one) => (one.type === 'log' ? one.rule : null))).toContain(
      'homepage',
    )
    expect(JSON.stringify(await forwarder.happened())).not.toContain('"web"')
    await clock.advance(0)
    expect(events.seen).toContainEqual(
      expect.objectContaining({ type: 'rule-removed', name: 'web', renamedTo: 'homepage' }),
    )
    events.stop.abort()
    await forwarder.stop()
  })

  it('tells a fault that comes and goes once', async () => {
    const { forwarder, world, clock, events } = await watched()
    for (let turn = 0; turn < 20; turn++) {
      world.held.add('down')
      await clock.advance(6000)
      world.held.delete('down')
      await clock.advance(6000)
    }
    const changes = signs(events.seen).length
    expect(changes).toBeGreaterThan(0)
    expect(changes).toBeLessThanOrEqual(3)
    events.stop.abort()
    await forwarder.stop()
  })

  it('by the user’s word opens at once what was taken away, and leaves the relay as it is', async () => {
    const clock = new HandClock()
    const { forwarder, world } = await start({ web: published }, { overrides: { clock } })
    world.remove('firewall 8888 web')
    world.log.length = 0
    const { failures, rules } = await forwarder.rules.reopen('web')
    expect([failures, rules.map(({ state }) => state)]).toEqual([[], ['open']])
    expect(world.log).toEqual(['+ firewall 8888 web'])
    await expect(forwarder.rules.reopen('nobody')).rejects.toMatchObject({ code: 'RULE_UNKNOWN' })
    await forwarder.stop()
  })

  it('forgets what it found when the rule is edited', async () => {
    const { forwarder, world, clock, events } = await watched()
    world.held.add('down')
    await clock.advance(10_000)
    await forwarder.rules.edit('web', { target: '10.0.0.2:80' })
    expect((await forwarder.rules.get('web')).state).toBe('open')
    events.stop.abort()
    await forwarder.stop()
  })

  it('tells a hop of ours that is taken away again and again once, and opens it each time', async () => {
    const clock = new HandClock()
    const { forwarder, world } = await start({ web: published }, { overrides: { clock } })
    const events = follow(forwarder)
    for (let round = 0; round < 4; round++) {
      world.remove('firewall 8888 web')
      for (let look = 0; look < 400 && !world.held.has('firewall 8888 web'); look++) {
        await clock.advance(500)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      expect(world.held).toContain('firewall 8888 web')
    }
    expect(signs(events.seen).filter((line) => line.startsWith('warn'))).toHaveLength(1)
    events.stop.abort()
    await forwarder.stop()
  })
})

describe('a change that cannot be', () => {
  const relay = (port: number, target = '10.0.0.1:80'): string => `splice ${port} → ${target}`

  it.each([
    ['of its listen', { listen: 9999 }, 'splice 9999', 'LISTEN_FAILED'],
    [
      'to a listen that overlaps',
      { listen: '8888-8890', target: '10.0.0.1:80-82' },
      '8888-8890',
      'LISTEN_FAILED',
    ],
    ['to an engine that cannot', { engine: 'splice', limits: { connections: 1 } }, 'nothing', 'ENGINE_UNFIT'],
    [
      'of its listen, its target and who publishes it',
      { listen: 9999, target: '10.0.0.9:1', publish: null },
      'splice 9999',
      'LISTEN_FAILED',
    ],
  ])('%s leaves the rule and the store as they were, and says why', async (_, change, failing, code) => {
    for (const strict of [false, true]) {
      const { forwarder, world, parts } = await start({ web: published }, { options: { strict } })
      const before = { held: [...world.held].sort(), text: await parts.store.read({ signal }) }
      world.failing.add(failing)
      await expect(forwarder.rules.edit('web', change)).rejects.toMatchObject({ code })
      expect([...world.held].sort()).toEqual(before.held)
      const { revision, rules } = await parts.store.read({ signal })
      expect({ revision, rules }).toEqual({ revision: before.text.revision, rules: before.text.rules })
      expect(await forwarder.rules.get('web')).toMatchObject({
        state: 'open',
        listen: '8888',
        rule: published,
      })
      world.failing.clear()
      await forwarder.rules.edit('web', { listen: 7777 })
      expect(world.held).toContain(relay(7777))
      await forwarder.stop()
      expect([...world.held]).toEqual([])
    }
  })

  it('a listen elsewhere is there before the old one goes', async () => {
    const { forwarder, world } = await start({ web })
    await forwarder.rules.edit('web', { listen: 9999 })
    expect(world.log).toEqual([`+ ${relay(8888)}`, `+ ${relay(9999)}`, `- ${relay(8888)}`])
    await forwarder.stop()
  })

  it('because the store cannot be written leaves the rule as it was', async () => {
    const { forwarder, world, parts } = await start({ web })
    const full = new NaruError('FILE_UNWRITABLE', { file: 'memory', why: 'no space left' })
    Object.assign(parts.store, {
      change: async (...[, options]: Parameters<Deps['store']['change']>) => {
        await options.before?.()
        throw full
      },
    })
    await expect(forwarder.rules.edit('web', { listen: 9999 })).rejects.toBe(full)
    expect([...world.held]).toEqual([relay(8888)])
    await forwarder.rules.disable('web').catch(() => {})
    expect([...world.held]).toEqual([relay(8888)])
    await forwarder.stop()
  })

  it('of the file by hand leaves that rule as it was, says which and why, and is tried again when it is read', async () => {
    const { forwarder, world, parts } = await start({
      web: published,
      api: { listen: 2222, target: '10.0.0.2:1' },
    })
    const moved = { ...published, listen: 9999 }
    await parts.store.change(
      [
        { name: 'web', rule: moved },
        { name: 'new', rule: { listen: 3333, target: '10.0.0.3:1' } },
      ],
      { signal },
    )
    world.failing.add('splice 9999')
    const { failures } = await forwarder.reload()
    expect(failures).toMatchObject([{ code: 'LISTEN_FAILED' }])
    expect(world.held).toContain(relay(8888))
    expect(world.held).toContain('firewall 8888 web')
    expect(world.held).toContain(relay(3333, '10.0.0.3:1'))
    const { fileProblem } = await forwarder.about()
    expect(fileProblem?.code).toBe('RULES_KEPT')
    expect(fileProblem?.message.en).toMatch(/^the file says .*: web: .*9999/)
    // It runs as before, while the file says otherwise: both are told, and why.
    expect(await forwarder.rules.get('web')).toMatchObject({
      rule: moved,
      listen: '8888',
      state: 'open',
      kept: { code: 'LISTEN_FAILED' },
    })
    expect((await forwarder.rules.get('api')).kept).toBeUndefined()
    // Another rule's change tries nothing of this one, and says nothing else.
    const log = world.log.length
    await forwarder.rules.edit('api', { target: '10.0.0.4:1' })
    expect(world.log.slice(log).filter((line) => line.includes('8888'))).toEqual([])
    expect((await forwarder.about()).fileProblem).toEqual(fileProblem)
    world.failing.clear()
    await forwarder.reload()
    expect(world.held).toContain(relay(9999))
    expect(world.held).not.toContain(relay(8888))
    expect((await forwarder.about()).fileProblem).toBeNull()
    expect((await forwarder.rules.get('web')).kept).toBeUndefined()
    await forwarder.stop()
    expect([...world.held]).toEqual([])
  })

  it('two rules change places in one reading of the file', async () => {
    const { forwarder, world, parts } = await start({
      a: { ...web, listen: 1111 },
      b: { ...web, listen: 2222, target: '10.0.0.2:1' },
    })
    await parts.store.change(
      [
        { name: 'a', rule: { ...web, listen: 2222 } },
        { name: 'b', rule: { listen: 1111, target: '10.0.0.2:1' } },
      ],
      { signal },
    )
    expect((await forwarder.reload()).failures).toEqual([])
    expect([...world.held].sort()).toEqual([relay(1111, '10.0.0.2:1'), relay(2222)])
    await forwarder.stop()
  })

  it('in any sequence changes nothing, and what is taken is what runs', async () => {
    const port = fc.integer({ min: 8000, max: 8004 })
    const edit = fc.record({
      name: fc.constantFrom('a', 'b'),
      listen: port,
      target: fc.constantFrom('10.0.0.1:80', '10.0.0.2:80'),
      firewall: fc.constantFrom('auto', 'off'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(edit, fc.option(port)), { maxLength: 8 }), async (edits) => {
        const rules = { a: { ...published, listen: 8000 }, b: { ...published, listen: 8001 } }
        const { forwarder, world, parts } = await start(rules)
        for (const [{ name, firewall, ...change }, taken] of edits) {
          const before = { held: [...world.held].sort(), store: (await parts.store.read({ signal })).rules }
          const held = before.held.some((word) => word.startsWith(`splice ${taken} `))
          if (taken !== null && !held) world.failing.add(`splice ${taken} `)
          const result = await forwarder.rules
            .edit(name, { ...change, publish: { firewall, router: 'off' } })
            .catch((error: NaruError) => error)
          world.failing.clear()
          const store = (await parts.store.read({ signal })).rules
          if (result instanceof NaruError) {
            expect([...world.held].sort()).toEqual(before.held)
            expect(store).toEqual(before.store)
          } else {
            expect(result.failures).toEqual([])
            expect(world.held).toContain(`splice ${change.listen} → ${change.target}`)
            expect(store.get(name)).toMatchObject(change)
          }
          expect(world.held.size).toBeLessThanOrEqual(4)
        }
        await forwarder.stop()
        expect([...world.held]).toEqual([])
      }),
      { numRuns: 100 },
    )
  })
})

describe('a stop', () => {
  const ports = fc.integer({ min: 8000, max: 8005 })
  const rules = fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.record({
      listen: ports,
      target: fc.constantFrom('10.0.0.1:80', '10.0.0.2:80'),
      publish: fc.constantFrom({ firewall: 'auto', router: 'off' }, { firewall: 'off', router: 'off' }),
    }),
    { maxKeys: 4 },
  )
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it('at any moment of any changes leaves nothing, in force or in the journal', async () => {
    await fc.assert(
      fc.asyncProperty(
        rules,
        fc.array(fc.tuple(rules, fc.nat(12)), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(6), { minLength: 1, maxLength: 20 }),
        fc.nat(60),
        fc.boolean(),
        async (first, changes, lags, stopAfter, drain) => {
          const world = new World()
          let asked = 0
          world.turns = () => lags[asked++ % lags.length] as number
          const store = createMemoryStore(first)
          const parts = fakeParts(world, store)
          const instance = await claim(root, `t${count++}`, 'a file')
          const calledOff = new AbortController()
          const starting = Forwarder.start(parts, instance, { signal: calledOff.signal }).then(
            ({ forwarder }) => forwarder,
            () => null,
          )
          const working = starting.then(async (forwarder) => {
            for (const [wanted, pause] of changes) {
              for (const [name, rule] of Object.entries(wanted))
                void forwarder?.rules
                  .add(name, rule)
                  .catch(() => forwarder.rules.edit(name, rule).catch(() => {}))
              for (const name of ['a', 'b'])
                if (!(name in wanted)) void forwarder?.rules.remove(name).catch(() => {})
              for (let n = 0; n < pause; n++) await turn()
            }
          })
          for (let n = 0; n < stopAfter; n++) await turn()
          calledOff.abort()
          await (await starting)?.stop({ drain })
          expect([...world.held]).toEqual([])
          await working
          for (let n = 0; n < 20; n++) await turn()
          expect([...world.held]).toEqual([])
          expect(await Journal.holdsAny(instance.journalPath)).toBe(false)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('calls off what is under way, and begins nothing more', async () => {
    const { forwarder, world } = await start({ web: published })
    world.silent.add('firewall 2222')
    const adding = forwarder.rules.add('ssh', { ...published, listen: 2222 })
    await vi.waitFor(() => expect(world.asked).toBe(1))
    const later = forwarder.rules.add('late', { listen: 3333, target: '10.0.0.1:1' })
    const refused = Promise.all([
      expect(later).rejects.toMatchObject({ code: 'STOPPING' }),
      expect(forwarder.rules.reopen('web')).resolves.toBeDefined(),
    ])
    await forwarder.stop()
    expect((await adding).failures).toMatchObject([{ code: 'STOPPING' }])
    await refused
    await expect(forwarder.rules.reopen('web')).rejects.toMatchObject({ code: 'STOPPING' })
    expect([...world.held]).toEqual([])
    expect(world.log).not.toContain('+ splice 3333 → 10.0.0.1:1')
  })

  it('names what it could not undo and fails; the journal keeps it, and the next start undoes it', async () => {
    const { forwarder, world, instance } = await start({ web: published })
    world.stuck.add('firewall')
    await expect(forwarder.stop()).rejects.toMatchObject({
      code: 'NOT_UNDONE',
      exitCode: 1,
      left: [
        {
          en: 'web: firewall (fake) firewall 8888 web: something failed that Naru did not foresee: firewall 8888 web does not answer',
        },
      ],
    })
    expect([...world.held]).toEqual(['firewall 8888 web'])
    const id = instance.folder.slice(root.length + 1)
    expect(await abandoned(root)).toContain(id)
    world.stuck.clear()
    const again = await claim(root, id, 'a file')
    const { forwarder: next } = await Forwarder.start(fakeParts(world, createMemoryStore({})), again, {
      signal,
    })
    expect([...world.held]).toEqual([])
    await next.stop()
    expect(await abandoned(root)).not.toContain(id)
  })

  it.each(['remove', 'disable', 'edit'] as const)(
    '%s that cannot undo a hop names it in its answer, and undoes it later by itself',
    async (verb) => {
      const clock = new HandClock()
      const { forwarder, world } = await start({ web: published }, { overrides: { clock } })
      world.stuck.add('firewall')
      const { rules } = forwarder
      const change = {
        remove: () => rules.remove('web'),
        disable: () => rules.disable('web'),
        edit: () => rules.edit('web', { publish: { firewall: 'off', router: 'off' } }),
      }
      const { failures } = await change[verb]()
      expect(failures).toMatchObject([{ code: 'STILL_IN_FORCE', left: [{ en: expect.any(String) }] }])
      expect(failures[0]?.message.en).toMatch(
        /^the rule web wants it no more, but .*: firewall \(fake\) firewall 8888 web: .*does not answer$/,
      )
      await clock.advance(40_000)
      expect(world.held).toContain('firewall 8888 web')
      world.stuck.clear()
      await clock.advance(40_000)
      await vi.waitFor(() =>
        expect([...world.held].filter((word) => word.startsWith('firewall'))).toEqual([]),
      )
      if (verb === 'remove') await vi.waitFor(async () => expect(await rules.list()).toEqual([]))
      expect((await forwarder.reload()).failures).toEqual([])
      await forwarder.stop()
      expect([...world.held]).toEqual([])
    },
  )

  it('tries once more what could not be undone before it', async () => {
    const { forwarder, world } = await start({ web: published })
    world.stuck.add('firewall')
    await forwarder.rules.remove('web', { now: true })
    expect([...world.held]).toEqual(['firewall 8888 web'])
    world.stuck.clear()
    await forwarder.stop()
    expect([...world.held]).toEqual([])
  })

  it('of a start that failed names what is left of it beside why it failed', async () => {
    const world = new World()
    world.failing.add('firewall')
    world.stuck.add('splice')
    const instance = await claim(root, `t${count++}`, null)
    const parts = fakeParts(world, createMemoryStore({ web: published }))
    const starting = Forwarder.start(parts, instance, { strict: true, signal })
    await expect(starting).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      left: [{ en: expect.stringMatching(/^web: relay \(splice\)/) }],
    })
    await instance.release({ forget: true })
    expect(await Journal.holdsAny(instance.journalPath)).toBe(true)
  })
})

describe('after kill -9', () => {
  it('the journal alone undoes everything, from the outside in, and twice is harmless', async () => {
    const { forwarder, world, instance, parts } = await start({
      web: published,
      ssh: { listen: 2222, target: '10.0.0.1:22' },
    })
    world.log.length = 0
    const journal = await Journal.open(instance.journalPath)
    expect(await undoJournal(journal, parts, { signal })).toEqual([])
    expect([...world.held]).toEqual([])
    expect(world.log[0]).toBe('- firewall 8888 web')
    expect(await undoJournal(journal, parts, { signal })).toEqual([])
    await journal.close()
    await forwarder.stop()
  })

  it('the next start on the same folder begins clean', async () => {
    const killed = await start({ web: published })
    const { world, instance } = killed
    await instance.release()
    const again = await claim(root, instance.folder.slice(root.length + 1), 'a file')
    const parts = fakeParts(world, createMemoryStore({ ssh: { listen: 2222, target: '10.0.0.1:22' } }))
    const { forwarder } = await Forwarder.start(parts, again, { signal })
    expect([...world.held]).toEqual(['splice 2222 → 10.0.0.1:22'])
    await forwarder.stop()
    await killed.forwarder.stop()
  })
})

describe('events', () => {
  it('tell what happened in order, and of a gap where some are lost', async () => {
    const { forwarder } = await start({ web })
    const stop = new AbortController()
    const seen: NaruEvent[] = []
    const listening = (async () => {
      for await (const event of forwarder.events({ signal: stop.signal, since: 9999 })) {
        seen.push(event)
        if (event.type === 'rule-removed') stop.abort()
      }
    })()
    await new Promise((resolve) => setImmediate(resolve))
    await forwarder.rules.remove('web', { now: true })
    await listening
    expect(seen[0]?.type).toBe('gap')
    expect(seen.at(-1)?.type).toBe('rule-removed')
    await forwarder.stop()
  })
})
