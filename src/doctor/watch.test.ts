import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { describeWith } from '../../test/needs.ts'
import { fakeParts, World } from '../../test/fakes/parts.ts'
import { freePort } from '../../test/free-port.ts'
import { systemClock } from '../base/clock.ts'
import { verbatim } from '../base/text.ts'
import { checks } from './checks/index.ts'
import { createHost } from '../host/index.ts'
import type { HopStatus } from '../model/naru-api.ts'
import type { Finding } from '../model/finding.ts'
import type { Hop } from '../model/hop.ts'
import { parseRule } from '../model/rule-file.ts'
import { createMemoryStore } from '../stores/memory.ts'
import { createDoctor, type Doctor, type RuleToCheck } from './diagnose.ts'
import { watch, type WatchedRule } from './watch.ts'

const signal = AbortSignal.timeout(60_000)
const open = (hop: Hop): HopStatus => ({
  hop,
  member: 'test',
  state: 'ok',
  text: verbatim('open'),
  notes: [],
  data: null,
  checkedAt: 0,
})
const ruleTo = (target: string | number, ...more: Hop[]): RuleToCheck => ({
  rule: parseRule('web', { listen: 8888, target }),
  hops: [open('relay'), ...more.map(open)],
})

describe('a look of the daemon', () => {
  const found = (code: string): Finding => ({
    code,
    severity: 'blocks',
    hop: 'service',
    rule: 'web',
    title: verbatim(code),
    evidence: [],
    fixes: [],
    dependsOn: [],
  })

  /** What the rule is told when the looks find `answers` one after the other. */
  async function look(answers: readonly string[][], known: string[] = []): Promise<string[]> {
    let told: readonly Finding[] = []
    const rule: WatchedRule = {
      isToCheck: true,
      toCheck: () => ruleTo(80),
      knows: ({ code }) => known.includes(code),
      examined: (findings) => void (told = findings),
    }
    const left = answers.map((codes) => codes.map(found))
    const examine: Doctor['examine'] = () => Promise.resolve([left.shift() ?? []])
    const clock = { ...systemClock, sleep: () => Promise.resolve() }
    await watch([rule], { examine, clock, signal })
    expect(left).toEqual([])
    return told.map(({ code }) => code)
  }

  it('believes what is new when it is seen twice', async () => {
    expect(await look([['down', 'away'], ['down']])).toEqual(['down'])
    expect(await look([['down'], []])).toEqual([])
  })

  it('is told with the rule that it looked at, which may be another by now', async () => {
    const [before, after] = [ruleTo(80), ruleTo(81)]
    let now = before
    let told: RuleToCheck | null = null
    const rule: WatchedRule = {
      isToCheck: true,
      toCheck: () => now,
      knows: () => false,
      examined: (_findings, of) => void (told = of),
    }
    const examine: Doctor['examine'] = () => {
      now = after
      return Promise.resolve([[]])
    }
    await watch([rule], { examine, clock: systemClock, signal })
    expect(told).toBe(before)
  })

  it('asks each rule once what is known of its hops', async () => {
    const toCheck = vi.fn(() => ruleTo(80))
    const rule: WatchedRule = { isToCheck: true, toCheck, knows: () => true, examined: () => {} }
    await watch([rule], { examine: () => Promise.resolve([[]]), clock: systemClock, signal })
    expect(toCheck).toHaveBeenCalledTimes(1)
  })

  it('looks once at what is well or known', async () => {
    expect(await look([[]])).toEqual([])
    expect(await look([['down']], ['down'])).toEqual(['down'])
  })
})

describeWith({ platform: 'linux' }, 'the cheap checks', () => {
  const doctor = createDoctor({
    ...fakeParts(new World(), createMemoryStore({})),
    host: createHost(),
    resolveName: (target) =>
      Promise.resolve({ addresses: target.kind === 'inet' ? [target.host] : [], ttlMs: 1000 }),
    checks,
    askStun: () => Promise.reject(new Error('nobody is to be asked')),
    rules: () => Promise.resolve([]),
  })
  const codes = async (subject: RuleToCheck): Promise<string[]> =>
    (await doctor.examine([subject], { signal })).flat().map(({ code }) => code)
  let server: Server | null = null
  afterEach(() => void server?.close())

  async function serve(host: string): Promise<{ port: number; connections: () => number }> {
    let connections = 0
    server = createServer(() => connections++).listen(0, host)
    await once(server, 'listening')
    return { port: (server.address() as AddressInfo).port, connections: () => connections }
  }

  it('see a service that does not run', async () => {
    expect(await codes(ruleTo(await freePort()))).toEqual(['service-down'])
  })

  it('see that a service of this machine runs without a connection to it', async () => {
    for (const host of ['127.0.0.1', '0.0.0.0', '::']) {
      const { port, connections } = await serve(host)
      expect(await codes(ruleTo(`127.0.0.1:${port}`))).toEqual([])
      expect(connections()).toBe(0)
      server?.close()
    }
  })

  it('believe what the rule’s own lease says of its service', async () => {
    expect(await codes(ruleTo(await freePort(), 'service'))).toEqual([])
  })
})
