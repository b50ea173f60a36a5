import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { fakeParts, World } from '../../test/fakes/parts.ts'
import { freePort } from '../../test/free-port.ts'
import type { Check } from './checks/contract.ts'
import { checks } from './checks/index.ts'
import { createHost } from '../host/index.ts'
import { verbatim } from '../base/text.ts'
import type { Diagnosis, DoctorEvent } from '../model/diagnosis.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Rule } from '../model/rule.ts'
import { parseRule } from '../model/rule-file.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { chooseRules, createDoctor } from './diagnose.ts'

describe('a port that no rule has', () => {
  const doctor = createDoctor({
    ...fakeParts(new World(), createMemoryStore({})),
    host: createHost(),
    firewalls: [],
    resolveName: (target) =>
      Promise.resolve({ addresses: target.kind === 'inet' ? [target.host] : [], ttlMs: 1000 }),
    checks,
    askStun: () => Promise.reject(new Error('nobody is to be asked')),
    rules: () => Promise.resolve([]),
  })
  const diagnose = (about: string) => doctor.diagnose({ about, signal: AbortSignal.timeout(30_000) })

  it('is well where a service listens on it: nobody has taken it from anybody', async () => {
    const server = createServer((socket) => socket.destroy()).listen(0)
    await once(server, 'listening')
    const { causes } = await diagnose(String((server.address() as AddressInfo).port))
    expect(causes.map(({ code }) => code)).toEqual([])
    server.close()
  })

  it('has nobody on it, and no advice to edit a rule that is not there', async () => {
    const port = await freePort()
    const { causes, folded } = await diagnose(String(port))
    expect(causes.map(({ code }) => code)).toEqual(['service-down'])
    const commands = [...causes, ...folded.map(({ finding }) => finding)].flatMap(({ fixes }) =>
      fixes.flatMap(({ command }) => command ?? []),
    )
    expect(commands).toEqual([`naru ports --find ${port}`])
  })

  it('is tried where clients of the LAN would, so that a service on loopback alone is seen', () => {
    const [chosen] = chooseRules([], '8888', '192.168.1.10')
    expect(chosen?.rule.targets[0]?.to).toMatchObject({ host: '192.168.1.10', ports: { first: 8888 } })
    expect(() => chooseRules([], 'nonsense')).toThrow(/nonsense/)
  })
})

it('rules that lead to each other are named with the way round, and none that only leads there', async () => {
  const rules = [
    parseRule('a', { listen: 8101, target: 8102 }),
    parseRule('b', { listen: 8102, target: '127.0.0.1:8101' }),
    parseRule('to-a', { listen: 8103, target: 8101 }),
  ]
  const doctor = createDoctor({
    ...fakeParts(new World(), createMemoryStore({})),
    checks: checks.filter(({ code }) => code === 'rule-loop'),
    askStun: () => Promise.reject(new Error('nobody is to be asked')),
    rules: () => Promise.resolve(rules.map((rule) => ({ rule, hops: [] }))),
  })
  const signal = AbortSignal.timeout(30_000)
  const { causes } = await doctor.diagnose({ signal })
  expect(causes.map(({ rule, evidence }) => [rule, evidence[0]?.en.split(':')[0]])).toEqual([
    ['a', 'a → b → a'],
    ['b', 'b → a → b'],
  ])
  // The daemon's own look at some of them knows the others.
  const [seen] = await doctor.examine([{ rule: rules[1] as Rule, hops: [] }], { signal })
  expect(seen).toMatchObject([{ code: 'rule-loop', rule: 'b' }])
})

it('of very many looks those that found something are told as they end, and few of the others', async () => {
  const rules = Array.from({ length: 10_500 }, (_, at) =>
    parseRule(`r${at}`, { listen: 1 + at, target: `10.0.0.1:${1 + at}` }),
  )
  const look = (code: string, finds: (name: string) => boolean): Check => ({
    ...(checks[0] as Check),
    code,
    run: (subject) =>
      Promise.resolve(
        finds(subject.rule?.name ?? '')
          ? [
              {
                code,
                severity: 'warns',
                hop: 'service',
                rule: subject.rule?.name ?? null,
                title: verbatim('loud'),
                evidence: [],
                fixes: [],
                dependsOn: [],
              },
            ]
          : [],
      ),
  })
  const doctor = createDoctor({
    ...fakeParts(new World(), createMemoryStore({})),
    checks: [look('quiet', () => false), look('loud', (name) => name.endsWith('000'))],
    askStun: () => Promise.reject(new Error('nobody is to be asked')),
    rules: () => Promise.resolve(rules.map((rule) => ({ rule, hops: [] }))),
  })
  const told: DoctorEvent[] = []
  const begun = new Set<string>()
  let orphans = 0
  const diagnosis = await doctor.diagnose({
    signal: AbortSignal.timeout(60_000),
    onEvent: (event) => {
      told.push(event)
      if (event.type === 'started') begun.add(`${event.code} ${event.rule}`)
      // Whoever keeps a list of what goes on hears of no end without a beginning.
      if (event.type === 'finished' && !begun.has(`${event.outcome.code} ${event.outcome.rule}`)) orphans++
    },
  })
  const states = { passed: 2 * 10_501 - 10, found: 10, unmade: 0 }
  expect(diagnosis.counts).toEqual(states)
  expect(diagnosis.checks.map(({ state }) => state)).toEqual(Array.from({ length: 10 }, () => 'found'))
  expect(told.length).toBeLessThan(25_000)
  expect(orphans).toBe(0)
  const found = told.filter((event) => event.type === 'finished' && event.outcome.state === 'found')
  expect(found).toHaveLength(diagnosis.checks.filter(({ state }) => state === 'found').length)
})

describe('a rule that a naru open in another terminal holds', () => {
  const broken = (problem: string): HopStatus => ({
    hop: 'router',
    member: 'pcp',
    state: 'broken',
    text: verbatim('the router says no'),
    notes: [],
    data: null,
    problem,
    checkedAt: null,
  })

  function diagnose(problem: string, about?: string): Promise<Diagnosis> {
    const rule = parseRule('game', { listen: 8888, target: '10.0.0.2:80', publish: { router: 'auto' } })
    return createDoctor({
      ...fakeParts(new World(), createMemoryStore({})),
      checks: checks.filter(({ code }) => ['router-refuses', 'mapping-lost'].includes(code)),
      askStun: () => Promise.reject(new Error('nobody is to be asked')),
      rules: () => Promise.resolve([{ rule, hops: [broken(problem)], inForeground: true }]),
    }).diagnose({ signal: AbortSignal.timeout(30_000), ...(about !== undefined && { about }) })
  }

  it.each(['8888', 'game', undefined])('is found by port, by name and among all (%s)', async (about) => {
    const { causes } = await diagnose('ROUTER_REFUSED', about)
    expect(causes).toMatchObject([{ code: 'router-refuses', severity: 'blocks', rule: 'game' }])
  })

  it('is changed where it was typed: no advice edits a rule that no file has', async () => {
    const { causes } = await diagnose('ROUTER_REFUSED', '8888')
    const fixes = causes.flatMap((cause) => cause.fixes)
    // What only looks finds it, too.
    expect(fixes.flatMap(({ command }) => command ?? [])).toEqual(['naru router check game'])
    expect(fixes.map(({ text }) => text.en).join('\n')).toMatch(
      /Ctrl-C, and start it again with --external-port /,
    )
    expect(fixes.map(({ text }) => text.ko).join('\n')).toMatch(
      /Ctrl-C로 끝내고 --external-port \S+ 옵션을 붙여 다시 시작하세요/,
    )
  })

  it('has a next step also where all that is advised is for a daemon', async () => {
    const { causes } = await diagnose('ROUTER_MAPPING_LOST', '8888')
    expect(causes.flatMap(({ fixes }) => fixes.map(({ text }) => text.en))).toEqual([
      expect.stringContaining('tries again by itself'),
    ])
  })
})

describe('two hundred rules', () => {
  const rules = Array.from({ length: 200 }, (_, at) => ({
    rule: parseRule(`rule-${at}`, { listen: 10_000 + at, target: '10.0.0.2:80' }),
    hops: [],
  }))

  /** Of each subject, in the order that they were begun, by its rule. */
  async function begun(run: Check['run']): Promise<(string | null)[]> {
    const order: (string | null)[] = []
    const check: Check = {
      ...(checks[0] as Check),
      run(subject, how) {
        order.push(subject.rule?.name ?? null)
        return run(subject, how)
      },
    }
    const doctor = createDoctor({
      ...fakeParts(new World(), createMemoryStore({})),
      checks: [check],
      askStun: () => Promise.reject(new Error('nobody is to be asked')),
      rules: () => Promise.resolve(rules),
    })
    const { checks: outcomes } = await doctor.diagnose({ signal: AbortSignal.timeout(30_000) })
    expect(outcomes.map(({ rule }) => rule)).toEqual([...rules.map(({ rule }) => rule.name), null])
    return order
  }

  it('do not hold up the machine’s own checks, which wait for silent routers', async () => {
    expect((await begun(() => Promise.resolve([])))[0]).toBe(null)
  })

  it('ask the machine once for what is its own', async () => {
    let asked = 0
    await begun(async ({ look }) => {
      await look.shared('answers', () => Promise.resolve(asked++))
      return []
    })
    expect(asked).toBe(1)
  })
})
