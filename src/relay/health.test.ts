import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { expect, it } from 'vitest'
import { systemClock, type Clock } from '../base/clock.ts'
import { parseListen } from '../model/listen.ts'
import type { Rule } from '../model/rule.ts'
import { parseTarget } from '../model/target.ts'
import { HealthChecks } from './health.ts'
import { Targets } from './pick.ts'

/** Time of the checks moves by hand; dials run on the real one. */
class Pace {
  #round: (() => void) | null = null
  readonly clock: Clock = {
    ...systemClock,
    every: (_ms, run) => {
      this.#round = run
      return { [Symbol.dispose]: () => void (this.#round = null) }
    },
  }

  get stopped(): boolean {
    return this.#round === null
  }

  /** One round, and what it leads to. */
  async turn(settled: () => boolean): Promise<void> {
    this.#round?.()
    for (let tries = 0; !settled() && tries < 200; tries++)
      await new Promise((resolve) => setTimeout(resolve, 5))
    expect(settled()).toBe(true)
  }
}

function ruleTo(target: string): Rule {
  return {
    listen: parseListen('1'),
    targets: [{ to: parseTarget(target), weight: 1, backup: false, name: null }],
    balance: 'round-robin',
    health: { everyMs: 500, rise: 2, fall: 3 },
    timeouts: { connectMs: 500, idleMs: 0, udpMs: 0, drainMs: 0, helloMs: 0, keepaliveMs: 0 },
  } as unknown as Rule
}

async function listening(port = 0): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {})).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

it('a target falls after `fall` failures and rises after `rise` successes', async () => {
  const first = await listening()
  const { port } = first.address() as AddressInfo
  await new Promise((resolve) => first.close(resolve))
  const rule = ruleTo(`127.0.0.1:${port}`)
  const targets = new Targets(rule)
  const state = targets.states[0]!
  const pace = new Pace()
  let heard = 0
  const checks = HealthChecks.of(rule, targets, {
    clock: pace.clock,
    resolve: () => Promise.reject(new Error('no names')),
    onHeard: () => void heard++,
  })!
  const round = async (): Promise<void> => {
    const before = heard
    await pace.turn(() => heard > before)
  }
  // The first round began by itself.
  await expect.poll(() => heard).toBe(1)
  expect(state.up).toBe(true)
  await round()
  expect(state.up).toBe(true)
  await round()
  expect(state.up).toBe(false)

  const second = await listening(port)
  await round()
  expect(state.up).toBe(false)
  state.failed(0)
  await round()
  expect(state.up).toBe(true)
  expect(state.answers(1)).toBe(true)

  checks[Symbol.dispose]()
  expect(pace.stopped).toBe(true)
  second.close()
})

it('nothing of a check is left behind', async () => {
  const rule = ruleTo('127.0.0.1:9')
  const pace = new Pace()
  let heard = 0
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  const checks = HealthChecks.of(rule, new Targets(rule), {
    clock: pace.clock,
    resolve: () => Promise.reject(new Error('no names')),
    onHeard: () => void heard++,
  })!
  await expect.poll(() => heard).toBe(1)
  for (let round = 1; round < 15; round++) await pace.turn(() => heard > round)
  checks[Symbol.dispose]()
  process.off('warning', warned)
  expect(warnings).toEqual([])
})

it('without checks what an earlier revision took down is up again', () => {
  const rule = { ...ruleTo('127.0.0.1:1'), health: null }
  const targets = new Targets(rule)
  targets.states[0]!.up = false
  expect(
    HealthChecks.of(rule, targets, { clock: systemClock, resolve: () => Promise.reject(new Error('no')) }),
  ).toBe(null)
  expect(targets.states[0]!.up).toBe(true)
})
