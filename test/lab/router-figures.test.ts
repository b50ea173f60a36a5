/** How long it takes on a real router: printed with NARU_FIGURES=1, otherwise one round that must work. */
import { expect, it } from 'vitest'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { RouterPublisher } from '../../src/mappings/publisher.ts'
import { createHost } from '../../src/host/index.ts'
import { createRouters } from '../../src/routers/index.ts'
import type { Router } from '../../src/routers/contract.ts'
import { memoryJournal } from '../fakes/journal.ts'
import { built } from '../built.ts'
import { describeWith } from '../needs.ts'
import { enter } from './enter.ts'
import { end, Lab, type LabHost } from './namespaces.ts'
import { homeNetwork } from './router.ts'

const plainListener = join(import.meta.dirname, 'plain-listener.mjs')
const program = new URL('../../bin/naru.mjs', import.meta.url).pathname
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
      await built()
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
      const shown: number[] = []
      const service = home.host.start([process.execPath, plainListener, '9', '127.0.0.1'])
      await once(service.stdout as NodeJS.ReadableStream, 'data')
      const after: number[] = []
      for (let round = 0; round < Math.min(rounds, 5); round++) {
        const began = performance.now()
        const mapped = once(new MappingWatch(home.router), 'mapped').then(() => performance.now() - began)
        await timed(shown, () => shownAsOpen(home.host, 8100 + round))
        after.push((shown.at(-1) ?? 0) - (await mapped))
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
        `open shows it: ${median(after)} ms after the router has it (median of ${after.length}, worst ${Math.round(Math.max(...after))} ms), ${median(shown)} ms from its start`,
        '',
        `back after a restart: ${median(back)} ms (median of ${back.length}, worst ${Math.round(Math.max(...back))} ms)`,
      )
      expect(Math.max(...back)).toBeLessThan(5000)
      if (rounds > 1) process.stderr.write(`${lines.join('\n')}\n`)
    },
  )
})

/** Says once when the router has a mapping. */
class MappingWatch extends EventEmitter {
  constructor(router: { mappings(): readonly unknown[] }) {
    super()
    const timer = setInterval(() => {
      if (router.mappings().length === 0) return
      clearInterval(timer)
      this.emit('mapped')
    }, 50)
  }
}

/** From the start of `naru open … --router` until it prints the hop. */
async function shownAsOpen(host: LabHost, port: number): Promise<void> {
  const state = mkdtempSync(join(tmpdir(), 'naru-figures-'))
  const argv = [process.execPath, program, 'open', `${port}`, '127.0.0.1:9', '--router']
  const env = { ...process.env, NARU_STATE: state, LANG: 'C', NO_COLOR: '1' }
  const child = host.start(argv, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  try {
    let text = ''
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (data: Buffer) => {
          text += String(data)
          if (/^\s*✓ router: \S+:\d+ →/m.test(text)) resolve()
        })
      child.once('exit', () => reject(new Error(`it ended: ${text}`)))
      setTimeout(() => reject(new Error(`it never said so: ${text}`)), 15_000).unref()
    })
  } finally {
    await end(child)
    rmSync(state, { recursive: true, force: true })
  }
}
