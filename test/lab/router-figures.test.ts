/** How long it takes on a real router: printed with NARU_FIGURES=1, otherwise one round that must work. */
import { expect, it } from 'vitest'
import { loadavg } from 'node:os'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { RouterPublisher } from '../../src/mappings/publisher.ts'
import { createHost } from '../../src/host/index.ts'
import { createRouters } from '../../src/routers/index.ts'
import type { Router } from '../../src/routers/contract.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { Lab } from './namespaces.ts'
import { homeNetwork } from './router.ts'

const needs = { root: true, platform: 'linux', commands: ['ip', 'nft', 'miniupnpd'] } as const
const rounds = process.env.NARU_FIGURES ? 20 : 1

const median = (all: readonly number[]): number =>
  Math.round(all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0)

async function timed<T>(into: number[], run: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const result = await run()
  into.push(performance.now() - started)
  return result
}

describeWith(needs, 'figures', () => {
  it(
    `discover, map, verify, release, and back after a restart: median of ${rounds}`,
    { timeout: 300_000 },
    async () => {
      await using lab = new Lab()
      await using home = await homeNetwork(lab)
      using _inside = enter(home.host)
      const tools = { host: createHost(), clock: systemClock, log: silentLog }
      const signal = AbortSignal.timeout(300_000)
      const load = loadavg()[0]?.toFixed(1)
      const lines = [
        `median of ${rounds}, load ${load}`,
        '',
        '| | discover | map | verify | release |',
        '|---|---|---|---|---|',
      ]
      for (const member of createRouters()) {
        const [discover, map, verify, release]: number[][] = [[], [], [], []]
        for (let round = 0; round < rounds; round++) {
          const routers = await timed(discover as number[], () => member.discover({ signal, tools }))
          const router = routers.find(({ family }) => family === 4) as Router
          const request = {
            rule: 'f',
            protocol: 'tcp',
            externalPort: 8000 + round,
            anyPort: false,
            internalPort: 80,
            internalAddress: null,
            leaseSeconds: 3600,
            allow: [],
          } as const
          const lease = await timed(map as number[], () =>
            router.open(request, { signal, record: memoryJournal() }),
          )
          expect(await timed(verify as number[], () => lease.verify({ signal }))).toMatchObject({
            state: 'held',
          })
          await timed(release as number[], () => lease.release({ signal }))
        }
        const medians = [discover, map, verify, release].map((all) => `${median(all as number[])} ms`)
        lines.push(`| ${[member.id, ...medians].join(' | ')} |`)
      }
      const back: number[] = []
      using publisher = new RouterPublisher(createRouters(), tools, 'me')
      const wish = {
        rule: 'f',
        by: 'auto',
        protocols: ['tcp'],
        ports: { first: 8888, last: 8888 },
        externalPort: null,
        address: '192.168.77.10',
        allow: [],
      } as const
      const lease = await publisher.open(wish, { signal, record: memoryJournal() })
      for (let round = 0; round < Math.min(rounds, 10); round++) {
        await new Promise((resolve) => setTimeout(resolve, 4000))
        await home.router.restart({ downMs: 1000 })
        await timed(back, async () => {
          await expect.poll(() => home.router.mappings().length, { timeout: 10_000, interval: 50 }).toBe(1)
        })
      }
      await lease.release({ signal })
      lines.push(
        '',
        `back after a restart: ${median(back)} ms (median of ${back.length}, worst ${Math.round(Math.max(...back))} ms)`,
      )
      expect(Math.max(...back)).toBeLessThan(5000)
      if (rounds > 1) process.stderr.write(`${lines.join('\n')}\n`)
    },
  )
})
