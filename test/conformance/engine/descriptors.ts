/**
 * Out of descriptors: the rule that takes them all stops accepting, costs next to no CPU, and goes on by itself;
 * the others do not notice. The limit of this very process is lowered for the time of the test.
 */
import { execFileSync, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { MakeEngine } from '../../../src/engines/contract.ts'
import { whatIsMissing } from '../../needs.ts'
import { promisesFor, World, type ConformanceOptions } from './world.ts'

/** Descriptors that the engine has for itself beyond what the test process holds already. */
const room = 80

export function descriptorPromises(make: MakeEngine, options: ConformanceOptions): void {
  const missing = whatIsMissing({ platform: 'linux', commands: ['prlimit'] })
  const kernel = options.inKernel ? 'the kernel carries without descriptors' : null
  const why = missing ?? kernel
  const promise = promisesFor(why ? { without: { descriptors: why, ...options.without } } : options)

  promise(
    'descriptors',
    'out of descriptors a rule stops accepting at no cost, recovers by itself, and leaves others alone',
    async () => {
      using targets = new Crowd('target')
      using crowd = new Crowd('crowd')
      const targetPort = await targets.ask({ serve: true })
      using _limit = lowered(readdirSync('/proc/self/fd').length + room)
      await using world = new World(make, options)
      const [greedy, modest] = [
        await world.forward(`127.0.0.1:${targetPort}`),
        await world.forward(`127.0.0.1:${targetPort}`),
      ]
      const others = await crowd.ask({ open: 2, port: modest.port, host: world.host })
      expect(others).toBe(2)

      const came = await crowd.ask({ open: 200, port: greedy.port, host: world.host })
      expect(came).toBeGreaterThan(10)
      expect(came).toBeLessThan(room / 2)
      expect(world.events).toContainEqual(
        expect.objectContaining({ type: 'state', state: { state: 'paused', why: 'out-of-descriptors' } }),
      )
      const before = process.cpuUsage()
      await sleep(1500)
      const { user, system } = process.cpuUsage(before)
      expect((user + system) / 1_500_000).toBeLessThan(0.15)

      // Whoever could listen there by then would have its clients.
      expect(await listeningElse(greedy.port, world.host)).toBe('EADDRINUSE')

      // Those who are in are served, and the other rule still takes new ones.
      expect(await crowd.ask({ count: true })).toBe(came + 2)
      expect(await crowd.ask({ open: 1, port: modest.port, host: world.host })).toBe(1)

      await crowd.ask({ leave: true })
      world.events.splice(0)
      await world.event(
        (event) => event.type === 'state' && event.state.state === 'carrying',
        'accepting again',
      )
      expect(await crowd.ask({ open: 5, port: greedy.port, host: world.host })).toBe(5)
    },
    60_000,
  )
}

/** What comes of another's attempt to listen there, also beside connections (Node's sockets have SO_REUSEADDR). */
async function listeningElse(port: number, host: string): Promise<string> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    server.listen(port, host, () => server.close(() => resolve('listening')))
  })
}

/** The soft limit of open files of this process, until disposed. */
function lowered(limit: number): Disposable {
  const self = String(process.pid)
  const [soft] = execFileSync(
    'prlimit',
    ['--pid', self, '--nofile', '--noheadings', '--raw', '--output', 'SOFT'],
    { encoding: 'utf8' },
  )
    .trim()
    .split(/\s+/)
  const set = (to: string): void => void execFileSync('prlimit', ['--pid', self, `--nofile=${to}:`])
  set(String(limit))
  return { [Symbol.dispose]: () => set(soft ?? '') }
}

/** A child process with many sockets. */
class Crowd implements Disposable {
  readonly #child: ChildProcess

  constructor(script: 'crowd' | 'target') {
    this.#child = fork(join(import.meta.dirname, `${script}.mjs`), { stdio: 'ignore' })
  }

  async ask(question: object): Promise<number> {
    this.#child.send(question)
    const [answer] = (await once(this.#child, 'message')) as [number]
    return answer
  }

  [Symbol.dispose](): void {
    this.#child.kill()
  }
}
